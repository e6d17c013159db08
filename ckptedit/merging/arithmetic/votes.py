"""How several task vectors become one, entry by entry."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ckptedit.errors import BadParam
from ckptedit.merging.stack import Array, Stack

Combine = Literal["sum", "ties"]


def weighted_sum(deltas: Array, weights: Sequence[float]) -> Array:
    """Σ wᵢ τᵢ, added in the order of the edits: [n, m] -> [m], in the dtype of deltas."""
    total = deltas[0] * np.float32(weights[0])
    for delta, weight in zip(deltas[1:], weights[1:], strict=True):
        total += delta if weight == 1 else delta * delta.dtype.type(weight)
    return total


def mass(deltas: Sequence[Array]) -> Array:
    """Σ τᵢ in the order of the edits: TIES's vote by total magnitude. n times [m] -> [m]"""
    total = deltas[0].copy()
    for delta in deltas[1:]:
        total += delta
    return total


def heads(deltas: Sequence[Array]) -> Array:
    """Σ sgn τᵢ: a vote by head count. n times [m] -> [m] int8"""
    total: Array = np.zeros(len(deltas[0]), np.int8 if len(deltas) < 128 else np.int32)
    for delta in deltas:
        total += (delta > 0).view(np.int8)
        total -= (delta < 0).view(np.int8)
    return total


def disjoint_mean(deltas: Sequence[Array], elected: Array) -> Array:
    """The mean over the task vectors that have the elected sign; 0 where none has.

    deltas: n times [m]; elected: [m] in {-1, 0, 1}; returns [m]
    """
    total: Array = np.zeros_like(deltas[0])
    count: Array = np.zeros_like(deltas[0])
    for delta in deltas:
        along = delta * elected  # positive where it agrees
        agrees = along > 0
        along *= agrees
        total += along
        count += agrees
    total *= elected
    total /= np.maximum(count, 1)
    return total


def scaled(deltas: Sequence[Array], weights: Sequence[float]) -> list[Array]:
    """wᵢ τᵢ; the task vector itself where the weight is 1."""
    pairs = zip(deltas, weights, strict=True)
    return [d if weight == 1 else d * np.float32(weight) for d, weight in pairs]


def combined(deltas: Sequence[Array], how: Combine) -> Array:
    """Adds sparsified, weighted task vectors up, or merges them as TIES does after its trim.

    deltas: n times [m]; returns [m]
    """
    total = mass(deltas)
    return total if how == "sum" else disjoint_mean(deltas, np.sign(total))


def require_combine(how: str) -> None:
    """Raises BadParam unless it is one of the ways to combine."""
    if how not in ("sum", "ties"):
        raise BadParam(f"combine must be sum or ties, got {how!r}")


def require_unweighted(stack: Stack, method: str, instead: str) -> None:
    """Raises BadParam if an edit has a weight, for a method that has no use for it."""
    if any(weight != 1 for weight in stack.weights):
        raise BadParam(f"{method} takes no weights ({instead}), got {stack.weights}")
