"""Low-rank factors of a change of a weight, and how large a change must be to be no rounding."""

from math import ceil, log2, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]

MOST = 128  # rank; beyond it dense is as good
FIRST = 24  # columns of the first sketch: finds the ranks of nearly all closed-form and K/V edits
SPARE = 8  # columns of a sketch beyond the rank that it can find
NOISE = 0.1  # the share of a change that rounding may be, if its factors are to mean something

# dtype -> bits of the mantissa, least exponent
PRECISION = {
    "F64": (52, -1022),
    "F32": (23, -126),
    "F16": (10, -14),
    "BF16": (7, -126),
    "F8_E4M3": (3, -6),
    "F8_E5M2": (2, -14),
}


def rounding_noise(values: Floats, dtype: str) -> float:
    """The Frobenius norm that rounding to a stored dtype adds: each step's uniform error.

    values: the numbers as stored
    """
    bits, least = PRECISION[dtype]
    exponents = np.maximum(np.frexp(values)[1] - 1, least) - bits
    return sqrt(float(np.exp2(2.0 * exponents).sum()) / 12)


def factorize(change: Floats, allowed: float) -> tuple[Floats, Floats] | None:
    """The factors of least rank with ‖change - up @ down‖ ≤ allowed (Frobenius); None if too many.

    change:  [out, in]
    returns: up [out, r], down [r, in] float32, on grids (`on_grid`); smaller than half of change

    Halko, Martinsson, Tropp, Finding structure with randomness, 2011,
    https://arxiv.org/abs/0909.4061, algorithm 4.4 with one power iteration and a fixed seed.
    """
    change = change.astype(np.float64)
    rows, columns = change.shape
    most = min(MOST, rows * columns // (2 * (rows + columns)))
    energy = float(np.square(change).sum())
    for width in sorted({min(FIRST, most), most} - {0}):
        left, sizes, right = _leading(change, width + SPARE)
        left_out = energy - np.cumsum(np.square(sizes))
        fits = np.flatnonzero(left_out <= allowed**2)
        if len(fits) and fits[0] < most:
            rank = int(fits[0]) + 1
            root = np.sqrt(sizes[:rank])
            up, down = left[:, :rank] * root, root[:, None] * right[:rank]
            return on_grid(up, rank), on_grid(down, rank)
        if width + (left_out[-1] - allowed**2) / sizes[width - 1] ** 2 > most:
            return None  # even if all others were as large as the last one found
    return None


def _leading(change: Floats, width: int) -> tuple[Floats, Floats, Floats]:
    """The leading singular vectors and values: [out, k], [k], [k, in] with k ≤ width."""
    if 2 * width >= min(change.shape):
        left, sizes, right = np.linalg.svd(change, full_matrices=False)
        return left[:, :width], sizes[:width], right[:width]
    start = np.random.default_rng(0).standard_normal((change.shape[1], width))
    basis, _ = np.linalg.qr(change @ start)
    basis, _ = np.linalg.qr(change.T @ basis)
    basis, _ = np.linalg.qr(change @ basis)
    left, sizes, right = np.linalg.svd(basis.T @ change, full_matrices=False)
    return basis @ left, sizes, right


def on_grid(factor: Floats, rank: int) -> NDArray[np.float32]:
    """Rounds a factor to multiples of one power of two, fine enough for 22 bits or more.

    The products of two such factors and the sums of `rank` of them are exact in float64. So every
    machine, with any number of threads, computes the same change from them, to the last bit.
    """
    bits = min(24, (53 - ceil(log2(rank))) // 2)
    step = 2.0 ** max(int(np.frexp(np.abs(factor).max(initial=0))[1]) - bits, -149)
    return (np.rint(factor / step) * step).astype(np.float32)


def leading(change: Floats, rank: int) -> tuple[Floats, Floats]:
    """The best factors of a given rank, or of the matrix's own size if that is less."""
    left, sizes, right = _leading(change.astype(np.float64), rank + SPARE)
    rank = min(rank, len(sizes))
    root = np.sqrt(sizes[:rank])
    return on_grid(left[:, :rank] * root, rank), on_grid(root[:, None] * right[:rank], rank)


def truncate(up: Floats, down: Floats, rank: int) -> tuple[Floats, Floats]:
    """The best factors of a lower rank, or the same ones."""
    if rank >= up.shape[1]:
        return up, down
    q_up, r_up = np.linalg.qr(up.astype(np.float64))
    q_down, r_down = np.linalg.qr(down.T.astype(np.float64))
    left, sizes, right = np.linalg.svd(r_up @ r_down.T)
    root = np.sqrt(sizes[:rank])
    lower = q_up @ left[:, :rank] * root, root[:, None] * (right[:rank] @ q_down.T)
    return on_grid(lower[0], rank), on_grid(lower[1], rank)
