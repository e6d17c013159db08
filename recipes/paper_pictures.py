"""Draws what the checkpoints of recipes/paper_table.py show, of the first order of requests.

    python recipes/paper_pictures.py similarity docs/paper-   what is hurt, by its likeness
    python recipes/paper_pictures.py grid docs/paper-         pictures after 1, 6 and 12 requests
    python recipes/paper_pictures.py blocks docs/paper-       drift by block

The folder of the recipe (--folder) must have kept them.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import paper_lines as paper
import typer
from paper_lines import KINDS, LABELS, LAST
from torch import Tensor, zeros

import ckptedit
from ckptedit.concepts.neighbors import concept_embeddings
from ckptedit.diffusion import noises_for, open_model, sample
from ckptedit.diffusion.grid import grid as joined
from ckptedit.diffusion.grid import save_png
from ckptedit.erasure.kv import KVWeights
from ckptedit.evaluation.suite import Cell
from ckptedit.families import detect
from ckptedit.files import Checkpoint

FOLDER = Path("runs/paper-table")
SHOWN = ("sequential", "l2", "gradproj-published", "gradproj", "ties", "ours")  # columns
AFTER = (1, 3, 6, 9, 12)  # drift by block
DRAWN = (1, 6, 12)

app = typer.Typer()


@app.command()
def similarity(stem: str, folder: Path = FOLDER, row: str = "sequential") -> None:
    """RA-I, and the change of keys and values, against the similarity of texts, after request 1."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 8))
    for own, kind in zip(axes, KINDS, strict=True):
        line = next(each for each in paper.lines_of(row, kind, 1) if each["order"] == 0)
        names, base = paper.staying(kind), folder / "base.safetensors"
        model = open_model(base)
        vectors = concept_embeddings(model.text, [*line["asked"], *names])
        cosine = (vectors[1:] @ vectors[0] / vectors.norm(dim=1)[1:] / vectors[0].norm()).tolist()
        moved = kv_change(base, folder / f"{row}-{kind}-0" / "001.safetensors", vectors[1:])
        accuracy = [line["seen"][name] for name in names]
        for axis, values, title in zip(own, (accuracy, moved), ("RA-I", "K/V change"), strict=True):
            axis.plot(cosine, values, "o")
            for x, y, name in zip(cosine, values, names, strict=True):
                axis.annotate(name, (x, y), fontsize=7, xytext=(3, 3), textcoords="offset points")
            r = paper.correlation(cosine, values)
            axis.set_title(f"{title} after erasing {line['asked'][0]}: r = {r:+.2f}", fontsize=10)
            axis.set_xlabel("cosine of the texts")
            axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(f"{stem}similarity.png", dpi=80)


def kv_change(before: Path, after: Path, vectors: Tensor) -> list[float]:
    """‖ΔW e‖ / ‖W e‖ of each embedding e, over all keys and values. vectors: [n, d]"""
    old, new = (KVWeights(opened, detect(opened)) for opened in map(Checkpoint, (before, after)))
    moved, whole = zeros(len(vectors)), zeros(len(vectors))
    for key in old.pieces:
        moved += (vectors @ (new[key] - old[key]).T).square().sum(1)
        whole += (vectors @ old[key].T).square().sum(1)
    found: list[float] = (moved / whole).sqrt().tolist()
    return found


@app.command()
def grid(stem: str, folder: Path = FOLDER) -> None:
    """Rows are requests, columns are ways to meet them, the noise is the same."""
    for kind in KINDS:
        own = paper.SETTINGS[kind]
        names, other = (own["requests"][0], own["shown"][0], own["unseen"][0]), own["companions"][0]
        cells = [
            Cell(name, other, 0) if kind == "style" else Cell(other, name, 0) for name in names
        ]
        columns, rows = [], kept(folder, kind)
        for row in rows:
            drawn = []
            for number in DRAWN:
                model = open_model(folder / f"{row}-{kind}-0" / f"{number:03}.safetensors")
                noise = noises_for(model.latent_shape, [cell.key for cell in cells])
                drawn.append(sample(model, [cell.prompt for cell in cells], noise=noise))
            columns.append(np.stack(drawn, 1))  # [cells, requests, h, w, 3]
        page = np.stack(columns, 2)  # [cells, requests, ways, h, w, 3]
        labels = [f"{cell.prompt}, after {number}" for cell in cells for number in DRAWN]
        heads = [LABELS[row] for row in rows]
        picture = joined(page.reshape(-1, *page.shape[2:]), rows=labels, columns=heads)
        save_png(picture, f"{stem}grid-{kind}.png", force=True)


@app.command()
def blocks(stem: str, folder: Path = FOLDER) -> None:
    """Drift by block over the requests."""
    figure, axes = plt.subplots(2, len(SHOWN), figsize=(3.3 * len(SHOWN), 6.6), sharey="row")
    for own, kind in zip(axes, KINDS, strict=True):
        for axis, row in zip(own, kept(folder, kind), strict=False):
            table = [_by_block(folder, f"{row}-{kind}-0", number) for number in AFTER]
            names = list(table[0])
            values = np.array([[each[name] for name in names] for each in table])
            image = axis.imshow(values.T, cmap="viridis", vmin=0, vmax=1.5, aspect="auto")
            axis.set_xticks(range(len(AFTER)), AFTER)
            axis.set_yticks(range(len(names)), names, fontsize=8)
            axis.set_title(f"{LABELS[row]}\n{kind}s", fontsize=8)
    figure.tight_layout(rect=(0, 0, 0.93, 1))
    figure.colorbar(image, ax=axes, label="‖ΔW‖ / ‖W‖", fraction=0.02)
    figure.savefig(f"{stem}blocks.png", dpi=80, bbox_inches="tight")


def _by_block(folder: Path, run: str, number: int) -> dict[str, float]:
    keys = ["**.attn2.to_[kv].weight"]
    found = ckptedit.diff(
        folder / "base.safetensors", folder / run / f"{number:03}.safetensors", keys=keys
    )
    return {group["block"]: group["relative"] for group in found.as_dict()["blocks"]}


def kept(folder: Path, kind: str) -> list[str]:
    """Columns of which the folder has the checkpoints."""
    last = f"{LAST:03}.safetensors"
    return [row for row in SHOWN if (folder / f"{row}-{kind}-0" / last).exists()]


if __name__ == "__main__":
    app()
