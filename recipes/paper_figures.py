"""Draws what recipes/paper_table.py measured, and prints its table in Markdown.

    python recipes/paper_figures.py table                   the table, of all orders that there are
    python recipes/paper_figures.py curves docs/paper-      figures against the number of requests
    python recipes/paper_figures.py pictures docs/paper- --folder runs/paper-table

Curves, similarity and drift are drawn of recipes/paper-table.jsonl; the grid of pictures and drift
by block, of the checkpoints of the first order in the recipe's folder.
"""

import json
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import typer
from torch import Tensor

import ckptedit
from ckptedit.concepts.neighbors import concept_embeddings
from ckptedit.diffusion import noises_for, open_model, sample
from ckptedit.diffusion.grid import grid, save_png
from ckptedit.erasure.kv import KVWeights
from ckptedit.evaluation.suite import Cell
from ckptedit.families import detect
from ckptedit.files import Checkpoint

HERE = Path(__file__).parent
SETTINGS = tomllib.loads((HERE / "paper-table.toml").read_text())
LINES = [json.loads(line) for line in (HERE / "paper-table.jsonl").read_text().splitlines()]
ROWS = {row: own["label"] for row, own in SETTINGS["row"].items()}
LAST = 12
PANELS = (("ua", "UA, all targets so far"), ("shown", "RA-I, shown"), ("unseen", "RA-I, unseen"),
          ("ra_c", "RA-C"), ("drift", "relative drift of K/V"))  # fmt: skip
RESAMPLES = 2000
GRID = ("sequential", "gradproj-published", "gradproj", "ties", "ours")  # columns of pictures
AFTER = (1, 3, 6, 9, 12)

Line = dict[str, Any]
app = typer.Typer()


def lines_of(row: str, kind: str, request: int | None = None) -> list[Line]:
    """What a row measured, of all orders."""
    return [
        line
        for line in LINES
        if (line["row"], line["kind"]) == (row, kind) and request in (None, line["request"])
    ]


def base_of(kind: str) -> Line:
    """The base model, scored on the pictures of the last request."""
    return next(line for line in LINES if line["kind"] == kind and line["request"] == 0)


def kinds() -> list[str]:
    """Those that something was measured of."""
    return [kind for kind in ("style", "object") if any(line["kind"] == kind for line in LINES)]


def mean(lines: Sequence[Line], key: str) -> float:
    return float(np.mean([line[key] for line in lines]))


def interval(lines: Sequence[Line], names: Sequence[str]) -> tuple[float, float]:
    """95 % of the accuracy of concepts: orders, and of each order concepts, drawn again."""
    seen = np.array([[line["seen"][name] for name in names] for line in lines])  # [orders, n]
    rng = np.random.default_rng(0)
    orders = rng.integers(len(seen), size=(RESAMPLES, len(seen), 1))
    concepts = rng.integers(len(names), size=(RESAMPLES, len(seen), len(names)))
    low, high = np.quantile(seen[orders, concepts].mean((1, 2)), [0.025, 0.975])
    return float(low), float(high)


@app.command()
def table() -> None:
    """A table for each kind: figures after the last request, means of the orders."""
    for kind in kinds():
        own, base = SETTINGS[kind], base_of(kind)
        stay = [*own["shown"], *own["unseen"]]
        print(f"### Twelve {kind}s\n")
        print(
            "| | UA | RA-I | 95 % | shown | unseen | RA-C | drift | RA-I, RA-C of base | orders |"
        )
        print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
        shares = " | ".join(f"{base[key]:.1%}" for key in ("shown", "unseen", "ra_c"))
        print(f"| *base* | | {base['ra_i']:.1%} | | {shares} | | | |")
        for row, label in ROWS.items():
            if last := lines_of(row, kind, LAST):
                values = {key: mean(last, key) for key in ("ua", "ra_i", "shown", "unseen", "ra_c")}
                low, high = interval(last, stay)
                of_base = " ".join(f"{values[k] / base[k]:.0%}" for k in ("ra_i", "ra_c"))
                ends = f"{low:.0%}–{high:.0%}"
                print(
                    f"| {label} | {values['ua']:.1%} | {values['ra_i']:.1%} | {ends} | "
                    f"{values['shown']:.1%} | {values['unseen']:.1%} | {values['ra_c']:.1%} | "
                    f"{mean(last, 'drift'):.2f} | {of_base} | {len(last)} |"
                )
        print()


@app.command()
def curves(stem: str) -> None:
    """Figures against the number of requests; retained accuracy against drift; similarity."""
    figure, axes = plt.subplots(2, len(PANELS), figsize=(19, 8))
    colours = dict(zip(ROWS, plt.get_cmap("tab20").colors, strict=False))
    for kind, own in zip(kinds(), axes, strict=False):
        for axis, (key, title) in zip(own, PANELS, strict=True):
            for row, label in ROWS.items():
                groups: defaultdict[int, list[float]] = defaultdict(list)
                for line in lines_of(row, kind):
                    groups[line["request"]].append(line[key])
                points = {n: float(np.mean(values)) for n, values in sorted(groups.items()) if n}
                wide = 2.6 if row == "ours" else 1.2
                axis.plot(
                    list(points), list(points.values()), label=label, color=colours[row], lw=wide
                )
            if key not in ("ua", "drift"):
                axis.axhline(base_of(kind)[key], color="#999999", ls=":", lw=1)
            axis.set_title(f"{title} ({kind}s)", fontsize=10)
            axis.set_xlabel("requests", fontsize=8)
            axis.grid(alpha=0.3)
            if key != "drift":
                axis.set_ylim(-0.03, 1.03)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, ncol=5, loc="lower center", fontsize=9)
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.savefig(f"{stem}curves.png", dpi=80)
    damage(f"{stem}drift.png", colours)


def damage(target: str, colours: dict[str, Any]) -> None:
    """Loss of retained accuracy against squared drift: what the Taylor bound speaks of."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.6))
    for axis, kind in zip(axes, kinds(), strict=False):
        base, xs, ys = base_of(kind)["ra_i"], [], []
        for row, label in ROWS.items():
            lines = [line for line in lines_of(row, kind) if line["request"]]
            x, y = [line["drift"] ** 2 for line in lines], [base - line["ra_i"] for line in lines]
            axis.plot(x, y, ".", color=colours[row], label=label)
            xs, ys = xs + x, ys + y
        axis.set_title(f"{kind}s: r = {correlation(xs, ys):+.2f} over all rows", fontsize=10)
        axis.set_xlabel("drift², (‖ΔW‖ / ‖W‖)²")
        axis.set_ylabel("loss of RA-I")
        axis.grid(alpha=0.3)
    axes[1].legend(fontsize=7, ncol=2)
    figure.tight_layout()
    figure.savefig(target, dpi=80)


def correlation(xs: Iterable[float], ys: Iterable[float]) -> float:
    return float(np.corrcoef(list(xs), list(ys))[0, 1])


@app.command()
def similarity(stem: str, folder: Path = Path("runs/paper-table"), row: str = "sequential") -> None:
    """RA-I, and the change of keys and values, against the similarity of texts, after request 1."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 8))
    for own, kind in zip(axes, kinds(), strict=False):
        line = next((each for each in lines_of(row, kind, 1) if each["order"] == 0), None)
        if line is None:
            continue
        names = [*SETTINGS[kind]["shown"], *SETTINGS[kind]["unseen"]]
        model = open_model(folder / "base.safetensors")
        vectors = concept_embeddings(model.text, [*line["asked"], *names])
        cosine = (vectors[1:] @ vectors[0] / vectors.norm(dim=1)[1:] / vectors[0].norm()).tolist()
        edited = folder / f"{row}-{kind}-0" / "001.safetensors"
        moved = kv_change(folder / "base.safetensors", edited, vectors[1:])
        accuracy = [line["seen"][name] for name in names]
        for axis, values, title in zip(own, (accuracy, moved), ("RA-I", "K/V change"), strict=True):
            axis.plot(cosine, values, "o")
            for x, y, name in zip(cosine, values, names, strict=True):
                axis.annotate(name, (x, y), fontsize=7, xytext=(3, 3), textcoords="offset points")
            r = correlation(cosine, values)
            axis.set_title(f"{title} after erasing {line['asked'][0]}: r = {r:+.2f}", fontsize=10)
            axis.set_xlabel("cosine of the texts")
            axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(f"{stem}similarity.png", dpi=80)


def kv_change(before: Path, after: Path, vectors: Tensor) -> list[float]:
    """‖ΔW e‖ / ‖W e‖ of each embedding e, over all keys and values. vectors: [n, d]"""
    old, new = (KVWeights(opened, detect(opened)) for opened in map(Checkpoint, (before, after)))
    moved, whole = torch.zeros(len(vectors)), torch.zeros(len(vectors))
    for key in old.pieces:
        moved += (vectors @ (new[key] - old[key]).T).square().sum(1)
        whole += (vectors @ old[key].T).square().sum(1)
    return (moved / whole).sqrt().tolist()


@app.command()
def pictures(stem: str, folder: Path = Path("runs/paper-table")) -> None:
    """Rows are requests, columns are methods, the noise is the same."""
    for kind in kinds():
        own = SETTINGS[kind]
        target, near, far = own["requests"][0], own["shown"][0], own["unseen"][0]
        other = own["companions"][0]
        cells = [_cell(kind, name, other) for name in (target, near, far)]
        columns, heads = [], []
        for row in GRID:
            run = folder / f"{row}-{kind}-0"
            if not (run / f"{LAST:03}.safetensors").exists():
                continue
            drawn = []
            for number in AFTER:
                model = open_model(run / f"{number:03}.safetensors")
                noise = noises_for(model.latent_shape, [cell.key for cell in cells])
                drawn.append(sample(model, [cell.prompt for cell in cells], noise=noise))
            columns.append(np.stack(drawn))  # [requests, cells, h, w, 3]
            heads.append(ROWS[row])
        page = np.stack(columns, 2)  # [requests, cells, methods, h, w, 3]
        labels = [f"{cell.prompt}, after {number}" for number in AFTER for cell in cells]
        flat = page.reshape(-1, *page.shape[2:])
        save_png(grid(flat, rows=labels, columns=heads), f"{stem}grid-{kind}.png", force=True)


def _cell(kind: str, name: str, other: str) -> Cell:
    return Cell(name, other, 0) if kind == "style" else Cell(other, name, 0)


@app.command()
def blocks(stem: str, folder: Path = Path("runs/paper-table")) -> None:
    """Drift by block over the requests, of the rows of the grid."""
    for kind in kinds():
        rows = [r for r in GRID if (folder / f"{r}-{kind}-0" / f"{LAST:03}.safetensors").exists()]
        figure, axes = plt.subplots(1, len(rows), figsize=(3.6 * len(rows), 4), sharey=True)
        for axis, row in zip(np.atleast_1d(axes), rows, strict=True):
            table = [_by_block(folder, f"{row}-{kind}-0", number) for number in AFTER]
            names = list(table[0])
            values = np.array([[each[name] for name in names] for each in table])
            image = axis.imshow(values.T, cmap="viridis", vmin=0, vmax=1.0, aspect="auto")
            axis.set_xticks(range(len(AFTER)), AFTER)
            axis.set_yticks(range(len(names)), names, fontsize=8)
            axis.set_title(ROWS[row], fontsize=9)
            axis.set_xlabel("requests", fontsize=8)
        figure.colorbar(image, ax=axes, label="‖ΔW‖ / ‖W‖")
        figure.savefig(f"{stem}blocks-{kind}.png", dpi=80, bbox_inches="tight")


def _by_block(folder: Path, run: str, number: int) -> dict[str, float]:
    keys = ["**.attn2.to_[kv].weight"]
    found = ckptedit.diff(
        folder / "base.safetensors", folder / run / f"{number:03}.safetensors", keys=keys
    )
    return {group["block"]: group["relative"] for group in found.as_dict()["blocks"]}


if __name__ == "__main__":
    app()
