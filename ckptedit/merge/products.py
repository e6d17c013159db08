"""Inner products of long float32 vectors: accurate, and the same for any number of threads."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ckptedit.merge.stack import Array

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
    """The inner product of two float32 vectors, the same for any number of BLAS threads."""
    even = len(a) - len(a) % EXACT
    parts = a[:even].reshape(-1, 1, EXACT) @ b[:even].reshape(-1, EXACT, 1)  # one call of BLAS each
    return float(parts.sum(dtype=np.float64)) + float(a[even:] @ b[even:])
