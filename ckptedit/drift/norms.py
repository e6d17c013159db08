"""The sums over one piece of a tensor, in numpy.

float32 sums lose digits: a norm over 16 Mi elements is off by 8e-4. So dot products are taken in
float32 over rows of ROW elements and added in float64. Pieces whose squares leave float32's range
are done again in float64. The result depends on neither threads nor on how BLAS splits its work:
OpenBLAS uses one thread for vectors of up to 10 000 elements.
"""

from math import isfinite, nan
from typing import Any

import numpy as np
import numpy.typing as npt

from ckptedit.drift.sums import Sums

ROW = 4096  # elements per dot product
SAFE = (1e-24, 1e37)  # sums of squares that float32 holds to 1e-7, over a row or many

ONES = {code: np.ones(ROW, code) for code in "fd"}

Floats = npt.NDArray[Any]  # float32 or float64


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
