"""How far a tensor moved: sums over its elements that add up over pieces, tensors and blocks.

float32 sums lose digits: a norm over 16 Mi elements is off by 8e-4. So dot products are taken in
float32 over rows of ROW elements and added in float64. Pieces whose squares leave float32's range
are done again in float64. The result depends on neither threads nor on how BLAS splits its work:
OpenBLAS uses one thread for vectors of up to 10 000 elements.
"""

from dataclasses import dataclass
from math import inf, isfinite, nan, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

ROW = 4096  # elements per dot product
SAFE = (1e-24, 1e37)  # sums of squares that float32 holds to 1e-7, over a row or many

ONES = {code: np.ones(ROW, code) for code in "fd"}

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[Any]  # float32 or float64


@dataclass(frozen=True, slots=True)
class Sums:
    """What adds up. old and new are the values before and after, Δ = new - old."""

    elements: int = 0
    changed: int = 0  # whose stored bits differ, or whose values do if the dtypes differ
    old_nonfinite: int = 0  # NaN or Inf
    new_nonfinite: int = 0
    l1: float = 0.0  # Σ |Δ|
    linf: float = 0.0  # max |Δ|
    delta2: float = 0.0  # Σ Δ²
    old2: float = 0.0  # Σ old²
    new2: float = 0.0  # Σ new²
    dot: float = 0.0  # Σ old·new

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.elements + other.elements,
            self.changed + other.changed,
            self.old_nonfinite + other.old_nonfinite,
            self.new_nonfinite + other.new_nonfinite,
            self.l1 + other.l1,
            largest(self.linf, other.linf),
            self.delta2 + other.delta2,
            self.old2 + other.old2,
            self.new2 + other.new2,
            self.dot + other.dot,
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """What is reported of a tensor, a block, or a whole checkpoint."""

    l1: float  # Σ |Δ|
    l2: float  # (Σ Δ²)^½
    linf: float  # max |Δ|
    relative: float  # l2 / (Σ old²)^½; inf if old is all zeros and new is not
    cosine: float  # between old and new, -1 to 1; 1 if nothing changed, 0 if one is all zeros
    changed_fraction: float  # 0 to 1

    @classmethod
    def of(cls, sums: Sums) -> "Figures":
        """The figures of some sums. All but the fraction are nan if NaN or Inf was among them."""
        l2, old, new = sqrt(sums.delta2), sqrt(sums.old2), sqrt(sums.new2)
        if l2 == 0:
            relative, cosine = 0.0, 1.0
        else:
            relative = l2 / old if old else inf
            cosine = max(-1.0, min(1.0, sums.dot / (old * new))) if old and new else 0.0
            cosine = nan if l2 != l2 else cosine
        fraction = sums.changed / sums.elements if sums.elements else 0.0
        return cls(sums.l1, l2, sums.linf, relative, cosine, fraction)


def largest(x: float, y: float) -> float:
    """The greater of two, nan if either is: Python's `max` may drop a nan."""
    return nan if x != x or y != y else max(x, y)


def moved(values: Floats, used: int, changed: int) -> Sums:
    """The sums over one piece.

    values: [3, rows, ROW], float32 or float64: what was before, what is now, and room for their
            difference, which is overwritten; zero behind the first `used` elements
    changed: how many of its elements changed, which the stored bits tell
    """
    old, new, delta = values
    np.subtract(new, old, out=delta)
    old2, new2, delta2 = (float(x) for x in _dots(values, values))
    np.abs(delta, out=delta)
    linf = float(delta.max(initial=0.0))
    if values.dtype == np.float32 and not all(map(_safe, (old2, new2, delta2), values)):
        return moved(values.astype(np.float64), used, changed)
    if not isfinite(linf):
        bad = used - np.isfinite(values.reshape(3, -1)[:, :used]).sum(axis=1)
        return Sums(used, changed, int(bad[0]), int(bad[1]), *[nan] * 6)
    l1 = float(_dots(delta, ONES[delta.dtype.char]))
    near = delta2 < min(old2, new2)  # then little cancels, and a pass over the data is saved
    dot = (old2 + new2 - delta2) / 2 if near else float(_dots(old, new))
    return Sums(used, changed, 0, 0, l1, linf, delta2, old2, new2, dot)


def stayed(values: Floats, used: int) -> Sums:
    """The sums over one piece that did not change. values: [rows, ROW], else as for `moved`."""
    square = float(_dots(values, values))
    if values.dtype == np.float32 and not _safe(square, values):
        return stayed(values.astype(np.float64), used)
    bad = 0 if isfinite(square) else used - int(np.isfinite(values.reshape(-1)[:used]).sum())
    return Sums(used, 0, bad, bad, old2=square, new2=square, dot=square)


def _dots(x: Floats, y: Floats) -> Any:
    """Dot products over the last two axes: row by row as stored, then added in float64."""
    return np.vecdot(x, y).sum(axis=-1, dtype=np.float64)


def _safe(square: float, values: Floats) -> bool:
    """Whether a float32 sum of squares lost nothing to overflow, NaN or underflow."""
    return SAFE[0] < square < SAFE[1] or (square == 0 and not values.any())
