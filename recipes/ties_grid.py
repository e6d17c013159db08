"""TIES of twelve edits, by scale and density, beside the scale that `--scale auto` finds.

    python recipes/ties_grid.py measure [--folder FOLDER]   of the row `ties` of paper_table.py
    python recipes/ties_grid.py draw docs/paper-ties.png

What is measured stands in recipes/ties-grid.jsonl, and is not measured again.
"""

import json
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import paper_lines as paper
import typer
from paper_lines import KINDS

import ckptedit

HERE = Path(__file__).parent
FIGURES = HERE / "ties-grid.jsonl"
DENSITIES = (0.2, 0.4, 0.6, 0.8)
SCALES = (1.0, 1.5, 2.0, 2.5, 3.0)
PANELS = (("ua", "UA"), ("ra_i", "RA-I"), ("ra_c", "RA-C"))

app = typer.Typer()


def measured() -> list[dict[str, Any]]:
    lines = FIGURES.read_text().splitlines() if FIGURES.exists() else []
    return [json.loads(line) for line in lines]


@app.command()
def measure(folder: Path = Path("runs/paper-table")) -> None:
    """Merges and scores what is not there yet, a line a cell."""
    done = {(line["kind"], line["density"], line["scale"]) for line in measured()}
    for kind, density, scale in product(KINDS, DENSITIES, SCALES):
        run = folder / f"ties-{kind}-0"
        if (kind, density, scale) in done or not (run / "deltas").exists():
            continue
        base, merged = folder / "base.safetensors", folder / "merged.safetensors"
        deltas = sorted((run / "deltas").glob("[0-9]*.safetensors"))
        how = {"method": "ties", "density": density, "scale": scale}
        ckptedit.merge(base, deltas, merged, **how, force=True)
        asked = json.loads((run / "results.jsonl").read_text().splitlines()[-1])
        stay = [*paper.staying(kind), *paper.SETTINGS[kind]["companions"]]
        scores = ckptedit.evaluate(merged, erased=asked["erased"], retain=stay, steps=8)
        line = {"kind": kind, "density": density, "scale": scale}
        line |= {key: round(getattr(scores, key), 6) for key, _ in PANELS}
        print(line, flush=True)
        with FIGURES.open("a") as file:
            file.write(json.dumps(line) + "\n")


@app.command()
def draw(target: Path, auto: str = "ties") -> None:
    """A map of each figure for each kind; a line beneath says what `--scale auto` reached."""
    kinds = [kind for kind in KINDS if any(cell["kind"] == kind for cell in measured())]
    size = (13, 3.3 * len(kinds))
    figure, axes = plt.subplots(len(kinds), len(PANELS), figsize=size, squeeze=False)
    for own, kind in zip(axes, kinds, strict=True):
        for axis, (key, title) in zip(own, PANELS, strict=True):
            cells = {(c["density"], c["scale"]): c[key] for c in measured() if c["kind"] == kind}
            values = np.array([[cells.get((d, s), np.nan) for s in SCALES] for d in DENSITIES])
            axis.imshow(values, cmap="viridis", vmin=0, vmax=1, aspect="auto")
            for (row, column), value in np.ndenumerate(values):
                shade = "black" if value > 0.6 else "white"
                axis.text(column, row, f"{value:.0%}", ha="center", va="center", color=shade)
            axis.set_xticks(range(len(SCALES)), [f"{scale:g}" for scale in SCALES])
            axis.set_yticks(range(len(DENSITIES)), [f"{density:g}" for density in DENSITIES])
            axis.set_xlabel("scale λ")
            axis.set_ylabel("density")
            found = paper.mean([x for x in paper.lines_of(auto, kind, 12) if x["order"] == 0], key)
            axis.set_title(
                f"{title}, twelve {kind}s; auto at density 0.8: {found:.0%}", fontsize=10
            )
    figure.tight_layout()
    figure.savefig(target, dpi=80)


if __name__ == "__main__":
    app()
