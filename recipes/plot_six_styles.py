"""Draws what recipes/six-styles.sh measured: a figure of curves, and a table in Markdown.

python recipes/plot_six_styles.py runs/six-styles docs/six-styles.png > docs/six-styles.md
"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from ckptedit.diffusion import noises_for, open_model, sample
from ckptedit.diffusion.grid import grid, save_png
from ckptedit.evaluation.suite import Cell

ARMS = {  # folder's name -> label, colour
    "none": ("no guard", "#888888"),
    "hard": ("gradproj:hard", "#d08a00"),
    "soft": ("gradproj:soft", "#1f77b4"),
    "distill": ("distill", "#2ca02c"),
    "soft+distill": ("gradproj:soft + distill", "#c2185b"),
}
PANELS = (
    ("ua", "UA, all targets so far"),
    ("ra_i_shown", "RA-I, shown to the guard"),
    ("ra_i_unseen", "RA-I, never shown"),
    ("ra_c", "RA-C"),
    ("drift", "relative drift of K/V"),
)


SHOWN = (  # style, object, what it is in the study
    ("Van Gogh", "Cat", "erased first"),
    ("Sketch", "House", "erased last"),
    ("Monet", "Cat", "retained, shown"),
    ("Kandinsky", "Fish", "retained, shown"),
    ("Woodcut", "Castle", "retained, never shown"),
    ("Patchwork", "Guitar", "retained, never shown"),
    ("Photo", "Butterfly", "photo, the anchor"),
)


def pictures(folder: Path, target: Path) -> None:
    """A row per prompt; the base model, then every arm after its last request."""
    cells = [Cell(style, thing, 0) for style, thing, _ in SHOWN]
    last = {arm: max(folder.glob(f"{arm}.[0-9].safetensors"), default=None) for arm in ARMS}
    files = {"base": folder / "base.safetensors"}
    files |= {ARMS[arm][0]: path for arm, path in last.items() if path}
    columns = []
    for path in files.values():
        model = open_model(path)
        noise = noises_for(model.latent_shape, [cell.key for cell in cells])
        columns.append(sample(model, [cell.prompt for cell in cells], noise=noise))
    labels = [f"{cell.prompt}  ({row[2]})" for cell, row in zip(cells, SHOWN, strict=True)]
    save_png(grid(np.stack(columns, 1), rows=labels, columns=list(files)), target, force=True)


def rows(folder: Path, arm: str) -> list[dict[str, float]]:
    """One dictionary a request, in order."""
    found = []
    for path in sorted(folder.glob(f"{arm}.[0-9].eval.json")):
        scores = json.loads(path.read_text())
        drift = json.loads(Path(str(path).replace(".eval.", ".diff.")).read_text())
        found.append({**scores, "drift": drift["total"]["relative"]})
    return found


def main(folder: Path, picture: Path) -> None:
    figure, axes = plt.subplots(1, len(PANELS), figsize=(17, 3.4))
    print("| guard | after | UA | RA-I shown | RA-I unseen | RA-C | drift |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for arm, (label, colour) in ARMS.items():
        measured = rows(folder, arm)
        for axis, (key, title) in zip(axes, PANELS, strict=True):
            values = [row[key] for row in measured]
            axis.plot(range(1, len(values) + 1), values, "o-", ms=4, label=label, color=colour)
            axis.set_title(title, fontsize=10)
            axis.set_xlabel("styles erased, one after another", fontsize=8)
            axis.grid(alpha=0.3)
            if key != "drift":
                axis.set_ylim(-0.03, 1.03)
        for i, row in enumerate(measured, 1):
            cells = " | ".join(f"{row[key]:.1%}" for key, _ in PANELS[:4])
            print(f"| {label} | {i} | {cells} | {row['drift']:.3f} |")
    axes[0].legend(fontsize=7, loc="lower left")
    figure.tight_layout()
    figure.savefig(picture, dpi=110)
    pictures(folder, picture.with_name(f"{picture.stem}-grid.png"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
