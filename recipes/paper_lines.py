"""What recipes/paper_table.py measured: its lines, and means and intervals of them."""

import json
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
SETTINGS = tomllib.loads((HERE / "paper-table.toml").read_text())
LINES = [json.loads(line) for line in (HERE / "paper-table.jsonl").read_text().splitlines()]
LABELS = {row: own["label"] for row, own in SETTINGS["row"].items()}
MEASURED = {line["row"] for line in LINES}
ROWS = [row for row, own in SETTINGS["row"].items() if "told" not in own and row in MEASURED]
KINDS = ("style", "object")
LAST = 12
RESAMPLES = 2000

Line = dict[str, Any]


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


def staying(kind: str) -> list[str]:
    """Concepts of a kind that stay, those that most rows are told of first."""
    own: dict[str, list[str]] = SETTINGS[kind]
    return [*own["shown"], *own["unseen"]]


def mean(lines: Sequence[Line], key: str) -> float:
    return float(np.mean([line[key] for line in lines]))


def accuracies(lines: Sequence[Line], names: Sequence[str]) -> np.ndarray:
    """Of each order and concept, after the last request: [orders, n]"""
    return np.array([[line["seen"][name] for name in names] for line in lines])


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % of a mean over orders and concepts, [orders, n]: both are drawn again.

    Of one order, concepts alone are drawn again; the same concepts in each order, since these are
    the same pictures but for the edit.
    """
    rng = np.random.default_rng(0)
    orders, names = values.shape
    pick = rng.integers(orders, size=(RESAMPLES, orders, 1))
    concepts = rng.integers(names, size=(RESAMPLES, 1, names))
    low, high = np.quantile(values[pick, concepts].mean((1, 2)), [0.025, 0.975])
    return float(low), float(high)


def correlation(xs: Iterable[float], ys: Iterable[float]) -> float:
    return float(np.corrcoef(list(xs), list(ys))[0, 1])
