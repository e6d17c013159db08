"""Draws what recipes/paper_table.py measured, and prints its tables in Markdown.

python recipes/paper_figures.py table                   after twelve requests, of all orders
python recipes/paper_figures.py compare ROW OTHER       RA-I of two rows, in pairs
python recipes/paper_figures.py told                    GradProj, by how many it is told of
python recipes/paper_figures.py curves docs/paper-      figures against the number of requests
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import paper_lines as paper
import typer
from paper_lines import KINDS, LABELS, LAST, ROWS, Line, mean

PANELS = (("ua", "UA, all targets so far"), ("shown", "RA-I, shown"), ("unseen", "RA-I, unseen"),
          ("ra_c", "RA-C"), ("drift", "relative drift of K/V"))  # fmt: skip
TOLD = ("told-1", "told-2", "gradproj", "told-8")

app = typer.Typer()


@app.command()
def table() -> None:
    """A table for each kind: figures after the last request, means of the orders."""
    for kind in KINDS:
        base, stay = paper.base_of(kind), paper.staying(kind)
        print(f"### Twelve {kind}s\n")
        print("| | UA | RA-I | 95 % | of base | shown | unseen | RA-C | of base | drift | orders |")
        print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
        print(
            f"| *base* | | {base['ra_i']:.1%} | | | {base['shown']:.1%} | {base['unseen']:.1%} | "
            f"{base['ra_c']:.1%} | | | |"
        )
        for row in ROWS:
            if last := paper.lines_of(row, kind, LAST):
                print(_row(LABELS[row], last, base, stay))
        print()


def _row(label: str, last: Sequence[Line], base: Line, stay: Sequence[str]) -> str:
    v = {key: mean(last, key) for key in ("ua", "ra_i", "shown", "unseen", "ra_c", "drift")}
    low, high = paper.interval(paper.accuracies(last, stay))
    return (
        f"| {label} | {v['ua']:.1%} | {v['ra_i']:.1%} | {low:.0%} to {high:.0%} | "
        f"{v['ra_i'] / base['ra_i']:.0%} | {v['shown']:.1%} | {v['unseen']:.1%} | "
        f"{v['ra_c']:.1%} | {v['ra_c'] / base['ra_c']:.0%} | {v['drift']:.2f} | {len(last)} |"
    )


@app.command()
def compare(row: str, other: str) -> None:
    """RA-I of one row less that of another, by the same orders and concepts, with its interval."""
    for kind in KINDS:
        stay = paper.staying(kind)
        mine, theirs = (
            {line["order"]: line for line in paper.lines_of(each, kind, LAST)}
            for each in (row, other)
        )
        both = sorted(set(mine) & set(theirs))
        pair = [paper.accuracies([lines[o] for o in both], stay) for lines in (mine, theirs)]
        low, high = paper.interval(pair[0] - pair[1])
        print(
            f"{kind}s, {len(both)} orders: {LABELS[row]} {pair[0].mean():.1%}, {LABELS[other]} "
            f"{pair[1].mean():.1%}; difference {pair[0].mean() - pair[1].mean():+.1%}, 95 % "
            f"{low:+.1%} to {high:+.1%}"
        )


@app.command()
def told() -> None:
    """GradProj, by the number of retained concepts that it is told of; the first order."""
    print("| kind | told of | UA | RA-I, all | told | unseen | RA-C |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for kind in KINDS:
        own = paper.SETTINGS[kind]
        for row in TOLD:
            for line in paper.lines_of(row, kind, LAST):
                number = paper.SETTINGS["row"][row].get("told", len(own["shown"]))
                unseen = "" if line["unseen"] is None else f"{line['unseen']:.1%}"
                if line["order"] == 0:
                    print(
                        f"| {kind}s | {number} | {line['ua']:.1%} | {line['ra_i']:.1%} | "
                        f"{line['shown']:.1%} | {unseen} | {line['ra_c']:.1%} |"
                    )


@app.command()
def curves(stem: str) -> None:
    """Figures against the number of requests, of the first order; accuracy lost against drift."""
    figure, axes = plt.subplots(2, len(PANELS), figsize=(19, 8))
    for kind, own in zip(KINDS, axes, strict=True):
        for axis, (key, title) in zip(own, PANELS, strict=True):
            for row in ROWS:
                axis.plot(*_points(row, kind, key), label=LABELS[row], **_look(row))
            if key not in ("ua", "drift"):
                axis.axhline(paper.base_of(kind)[key], color="#999999", ls=":", lw=1)
            axis.set_title(f"{title} ({kind}s)", fontsize=10)
            axis.set_xlabel("requests", fontsize=8)
            axis.grid(alpha=0.3)
            if key != "drift":
                axis.set_ylim(-0.03, 1.03)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, ncol=5, loc="lower center", fontsize=9)
    figure.tight_layout(rect=(0, 0.11, 1, 1))
    figure.savefig(f"{stem}curves.png", dpi=80)
    _damage(f"{stem}drift.png")


def _points(row: str, kind: str, key: str) -> tuple[list[int], list[float]]:
    lines = [line for line in paper.lines_of(row, kind) if line["request"] and line["order"] == 0]
    return [line["request"] for line in lines], [line[key] for line in lines]


def _look(row: str) -> dict[str, Any]:
    """A colour for each row, and another stroke after ten of them."""
    number = ROWS.index(row)
    colour = plt.get_cmap("tab10").colors[number % 10]
    if row == "ours":
        return {"color": "black", "lw": 2.6, "zorder": 5}
    return {"color": colour, "lw": 1.3, "ls": "-" if number < 10 else "--"}


def _damage(target: str) -> None:
    """Loss of retained accuracy against squared drift: what the Taylor bound speaks of."""
    figure, axes = plt.subplots(1, 2, figsize=(13, 5.4))
    for axis, kind in zip(axes, KINDS, strict=True):
        base, points = paper.base_of(kind)["ra_i"], defaultdict[str, list[float]](list)
        for row in ROWS:
            lines = [line for line in paper.lines_of(row, kind) if line["request"]]
            x, y = [line["drift"] ** 2 for line in lines], [base - line["ra_i"] for line in lines]
            look = {**_look(row), "ls": "", "marker": "o" if row in ROWS[:10] else "x", "ms": 4}
            if row == "ours":
                look |= {"marker": "D", "ms": 6}
            axis.plot(x, y, label=LABELS[row], **look)
            points["x"] += x
            points["y"] += y
        r = paper.correlation(points["x"], points["y"])
        axis.set_title(f"{kind}s: r = {r:+.2f} over all rows and requests", fontsize=10)
        axis.set_xscale("log")
        axis.set_xlabel("squared drift of K/V, (‖ΔW‖ / ‖W‖)²")
        axis.set_ylabel("loss of RA-I")
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncol=5, loc="lower center", fontsize=8)
    figure.tight_layout(rect=(0, 0.14, 1, 1))
    figure.savefig(target, dpi=80)


if __name__ == "__main__":
    app()
