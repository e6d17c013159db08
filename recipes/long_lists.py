"""What recipes/long-lists.sh measured: what is kept of it, its table and its curves.

python recipes/long_lists.py keep RESULTS NAME      of a run's results.jsonl
python recipes/long_lists.py table
python recipes/long_lists.py draw docs/paper-long.png
"""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import typer

HERE = Path(__file__).parent / "long-lists"
LISTS = {
    "styles-23": "23 of 24 styles",
    "both-36": "24 styles and 12 objects",
    "hundred": "a hundred requests",
    "sixty": "the 60 single names of these, in two requests",
}
FIGURES = {"ua": "UA", "ra_i": "RA-I", "ra_c": "RA-C"}
ENOUGH = 0.95  # of the base's RA-C
SHORT = 3  # a list scored so seldom has no curve

app = typer.Typer()
Line = dict[str, Any]


@app.command()
def keep(results: Path, name: str) -> None:
    """A line a request: what it took; where it was scored, the figures."""
    with (HERE / f"{name}.jsonl").open("w") as file:
        for line in map(json.loads, results.read_text().splitlines()):
            scores = line["scores"] or {}
            kept = {key: line[key] for key in ("request", "asked", "kind", "seconds")}
            kept["drift"] = line["drift"]["relative"]
            kept["residual"] = max((row["residual"] for row in line["verified"]), default=None)
            kept |= {key: scores[key] for key in (*FIGURES, "n") if key in scores}
            file.write(json.dumps(_rounded(kept)) + "\n")


def _rounded(line: Line) -> Line:
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}


def scored(name: str) -> list[Line]:
    """Where it was scored, and something erased that a judge knows."""
    return [line for line in lines(name) if line.get("ra_c") is not None]


def lines(name: str) -> list[Line]:
    path = HERE / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@app.command()
def table() -> None:
    """Of each list where it was scored, in Markdown."""
    print("| list | after | UA | RA-I | RA-C | RA-C of base | drift | seconds for the request |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, label in LISTS.items():
        found = scored(name)
        for line in found:
            share = line["ra_c"] / found[0]["ra_c"]
            after = line["request"] or "*base*"
            ua = "" if line["ua"] is None or not line["request"] else f"{line['ua']:.1%}"
            print(
                f"| {label} | {after} | {ua} | {line['ra_i']:.1%} | {line['ra_c']:.1%} | "
                f"{share:.1%} | {line['drift']:.2f} | {line['seconds']:.1f} |"
            )


@app.command()
def draw(target: Path) -> None:
    """Figures against the number of requests, and where RA-C is no longer enough."""
    there = {name: label for name, label in LISTS.items() if len(scored(name)) > SHORT}
    figure, axes = plt.subplots(1, len(there), figsize=(14, 4.2), sharey=True, squeeze=False)
    for axis, (name, label) in zip(axes[0], there.items(), strict=True):
        found = scored(name)
        for key, title in FIGURES.items():
            told = [line for line in found if line[key] is not None]
            told = [line for line in told if key != "ua" or line["request"]]  # of the base: none
            axis.plot([each["request"] for each in told], [each[key] for each in told], "o-",
                      label=title)  # fmt: skip
        axis.axhline(ENOUGH * found[0]["ra_c"], color="#999999", ls=":", label="95 % of base RA-C")
        axis.set_ylim(0.5, 1.02)
        axis.set_title(label, fontsize=10)
        axis.set_xlabel("requests")
        axis.grid(alpha=0.3)
    axes[0][0].legend(loc="lower left", fontsize=8)
    figure.tight_layout()
    figure.savefig(target, dpi=80)


if __name__ == "__main__":
    app()
