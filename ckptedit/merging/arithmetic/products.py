"""Inner products of long float32 vectors: accurate, and the same for any number of threads."""

from collections.abc import Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from ckptedit.merging.stack import Array

TINY = 1e-28  # what is lost where products underflow is nothing to this
SMALL = 1e-20  # a product of largest magnitudes from which on a tiny sum is what it is
EXACT = 1 << 13  # entries per dot product: float32 is accurate there, and BLAS uses one thread


def inner_products(vectors: Sequence[Array]) -> NDArray[np.float64]:
    """[k, k] float64 of k vectors [m]; the last with all, the others with themselves only."""
    products = np.zeros((len(vectors), len(vectors)))
    last = vectors[-1]
    for i, vector in enumerate(vectors[:-1]):
        products[i, i] = dot(vector, vector)
        products[i, -1] = products[-1, i] = dot(vector, last)
    products[-1, -1] = dot(last, last)
    return products


def dot(a: Array, b: Array) -> float:
    """The inner product of two float32 vectors, the same for any number of BLAS threads.

    Squares of magnitudes above 1e19 or so are Inf in float32, and those below 1e-19 lose digits or
    are 0; there it is done again in float64.
    """
    found = _in_parts(a, b)
    if isfinite(found) and (abs(found) > TINY or not _may_underflow(a, b)):
        return found
    return _in_parts(a.astype(np.float64), b.astype(np.float64))


def _in_parts(a: Array, b: Array) -> float:
    even = len(a) - len(a) % EXACT
    with np.errstate(all="ignore"):
        parts = a[:even].reshape(-1, 1, EXACT) @ b[:even].reshape(-1, EXACT, 1)  # a BLAS call each
        return float(parts.sum(dtype=np.float64)) + float(a[even:] @ b[even:])


def _may_underflow(a: Array, b: Array) -> bool:
    peak = _peak(a)
    return peak > 0 and 0 < peak * _peak(b) < SMALL


def _peak(vector: Array) -> float:
    """The largest magnitude."""
    return float(max(vector.max(initial=0), -vector.min(initial=0)))
