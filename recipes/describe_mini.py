"""Measures the embedded model against its bars, and draws what there is to see.

    python recipes/describe_mini.py docs > docs/mini-figures.md        (ten minutes on two cores)

Writes canvas-drawn.png and mini-generated.png (25 styles x 20 objects) and mini-semantics.png.
"""

import sys
from pathlib import Path
from time import monotonic

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn.functional import normalize

from ckptedit.canvas.draw import OBJECTS, PHOTO, STYLES, draw, scene
from ckptedit.canvas.pool import ALL_STYLES, HELD_OUT
from ckptedit.canvas.sheet import contact_sheet
from ckptedit.concepts.neighbors import concept_embeddings
from ckptedit.concepts.templates import TRAIN_FRAMES, prompts_for
from ckptedit.diffusion import noises_for, open_model, sample, threads
from ckptedit.evaluation.judge import CanvasJudge
from ckptedit.evaluation.suite import Cell
from ckptedit.families.mini import CHECKPOINT
from ckptedit.subspaces.subspace import coverage, protected_basis

SEEDS = 2


def agreement(pictures: np.ndarray, styles: list[str], things: list[str]) -> np.ndarray:
    """What the judge gets right: bool [n, 2], style and object."""
    seen = CanvasJudge()(pictures)
    pairs = zip(seen, (styles, things), strict=True)
    return np.array([np.equal(found, true) for found, true in pairs]).T


def judge_on_renders() -> None:
    scenes = [scene(s, o, HELD_OUT + k) for k in range(4) for s in ALL_STYLES for o in OBJECTS]
    right = agreement(
        np.stack([draw(s) for s in scenes]), [s.style for s in scenes], [s.object for s in scenes]
    )
    print(
        f"Judge on {len(scenes)} renders it never saw: style {right[:, 0].mean():.2%}, "
        f"object {right[:, 1].mean():.2%}.\n"
    )


def mini_on_judge(folder: Path) -> None:
    model = open_model(CHECKPOINT)
    cells = [Cell(s, o, k) for k in range(SEEDS) for s in ALL_STYLES for o in OBJECTS]
    noise = noises_for(model.latent_shape, [cell.key for cell in cells])
    began = monotonic()
    pictures = sample(model, [cell.prompt for cell in cells], noise=noise, steps=20)
    seconds = (monotonic() - began) / SEEDS
    right = agreement(pictures, [c.style for c in cells], [c.object for c in cells])
    print(
        f"mini's own pictures of all 500 combinations, {SEEDS} seeds ({cells[0].prompt!r}, 20 "
        f"steps): judged right in style {right[:, 0].mean():.1%}, in object "
        f"{right[:, 1].mean():.1%}. One grid of 500 took {seconds:.0f} s.\n"
    )
    worst = []
    for name in (*ALL_STYLES, *OBJECTS):
        kind = 0 if name in ALL_STYLES else 1
        mine = [name in (cell.style, cell.object) for cell in cells]
        worst.append((right[mine, kind].mean(), name, ("style", "object")[kind], sum(mine)))
    print("The ten that are drawn worst:\n\n| concept | kind | judged right | pictures |")
    print("|---|---|--:|--:|")
    for share, name, kind, count in sorted(worst)[:10]:
        print(f"| {name} | {kind} | {share:.1%} | {count} |")
    rows, columns = len(ALL_STYLES), len(OBJECTS)
    grid = pictures[: rows * columns].reshape(rows, columns, 64, 64, 3)
    contact_sheet(grid, ALL_STYLES, OBJECTS).save(folder / "mini-generated.png", optimize=True)


def semantics(folder: Path) -> None:
    encoder = open_model(CHECKPOINT).text
    names = sorted(STYLES, key=lambda name: list(STYLES.values()).index(STYLES[name]))
    vectors = normalize(concept_embeddings(encoder, names), dim=1)
    cosines = (vectors @ vectors.T).numpy()
    same = np.array([[STYLES[a] == STYLES[b] for a in names] for b in names])
    upper = np.triu(np.ones_like(same), 1).astype(bool)
    inside, across = cosines[same & upper], cosines[~same & upper]
    pooled = np.sqrt(
        (inside.var(ddof=1) * (len(inside) - 1) + across.var(ddof=1) * (len(across) - 1))
        / (len(inside) + len(across) - 2)
    )
    effect = (inside.mean() - across.mean()) / pooled
    print(
        f"\nCosine of the styles' token embeddings: {inside.mean():.3f} within a family, "
        f"{across.mean():.3f} across, effect size d = {effect:.2f} "
        f"({len(inside)} and {len(across)} pairs).\n"
    )
    figure, axis = plt.subplots(figsize=(8, 7))
    shown = axis.imshow(cosines, cmap="viridis")
    labels = [f"{name} ({STYLES[name]})" for name in names]
    axis.set_xticks(range(len(names)), labels, rotation=90, fontsize=7)
    axis.set_yticks(range(len(names)), labels, fontsize=7)
    figure.colorbar(shown, label="cosine of token embeddings")
    figure.tight_layout()
    figure.savefig(folder / "mini-semantics.png", dpi=90)


def room() -> None:
    """Twelve styles and Photo retained, all tokens covered to 95 %: what a target has left."""
    encoder = open_model(CHECKPOINT).text
    names = list(STYLES)
    rooms = []
    for half in (0, 1):
        kept = [*names[half::2], PHOTO]
        prompts = [p for name in kept for p in prompts_for(name, "style", OBJECTS)]
        tokens = encoder.encode(prompts).hidden.flatten(0, 1)
        basis = protected_basis(tokens, energy=0.95)
        for target in names[1 - half :: 2]:
            own = encoder.encode(prompts_for(target, "style", OBJECTS, frames=TRAIN_FRAMES)).hidden
            rooms.append(1 - coverage(own, basis))
    print(
        "With all tokens of 12 styles and Photo covered to 95 % of their energy, the median "
        f"target keeps {np.median(rooms):.1%} of its own outside (from {min(rooms):.1%} to "
        f"{max(rooms):.1%})."
    )


def main(folder: Path) -> None:
    torch.manual_seed(0)
    drawn = np.stack([[draw(scene(s, o, 1)) for o in OBJECTS] for s in ALL_STYLES])
    contact_sheet(drawn, ALL_STYLES, OBJECTS).save(folder / "canvas-drawn.png", optimize=True)
    with threads(2):
        judge_on_renders()
        mini_on_judge(folder)
        semantics(folder)
        room()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
