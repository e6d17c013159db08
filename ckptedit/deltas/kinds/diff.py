"""Differences: the change itself, of a weight (`.diff`) or a bias (`.diff_b`), and of norms.

An alpha beside it scales nothing in the user interfaces, and nothing here.
"""

from ckptedit.deltas.change import Dense
from ckptedit.deltas.kinds.kind import Kind, Parts, Shape
from ckptedit.deltas.rows import BaseRows

PARTS = ("diff", "diff_b")


def _shape(parts: Parts) -> Shape | None:
    return parts.shape(next(part for part in PARTS if part in parts))


def _change(parts: Parts, weight: BaseRows) -> Dense:
    return Dense(parts.values(next(part for part in PARTS if part in parts)))


DIFF = Kind("diff", frozenset(PARTS), _shape, _change, decomposes=False)
