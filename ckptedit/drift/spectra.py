"""The singular values of deltas: how strong a change is, of what rank, and whether it is one edit.

Roy & Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007, for the
effective rank. Rounding to the stored dtype adds noise of full rank. Its spectral norm is about the
greatest row norm plus the greatest column norm of its standard deviations (Bandeira & van Handel,
2016, https://arxiv.org/abs/1408.6185), and singular values below that count for nothing.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import exp, isfinite, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit.drift.comparison import Comparison, SharedFactor, Spectrum, TensorDiff
from ckptedit.files import Checkpoint
from ckptedit.progress import Track, silent

PRECISION = {  # dtype -> bits of the mantissa, least exponent
    "F64": (52, -1022),
    "F32": (23, -126),
    "F16": (10, -14),
    "BF16": (7, -126),
    "F8_E4M3": (3, -6),
    "F8_E5M2": (2, -14),
}
MARGIN = 1.1  # over the expected spectral norm of the noise, which it exceeds by little
ENOUGH_SHARING = 0.9
CLEAR = 1e-4  # of the greatest: singular values above it are good to 1e-7 in a Gram matrix

Matrix = NDArray[np.float64]


class StackedDeltas:
    """The deltas [outᵢ, dim] of several weights on top of each other, of which sums are kept."""

    def __init__(self, dim: int) -> None:
        self.gram = np.zeros((dim, dim))  # Σ Δᵢᵀ Δᵢ
        self.noise = Noise(dim)
        self.ranks: list[int] = []

    def add(self, delta: Matrix, noise: "Noise", rank: int) -> None:
        self.gram += delta.T @ delta
        self.noise.add(noise)
        self.ranks.append(rank)

    def factor(self, component: str) -> SharedFactor:
        """Tests whether the rows of all deltas lie in one small space."""
        dim, largest = len(self.gram), max(self.ranks)
        common = rank(singular_values(self.gram), self.noise.norm)
        spread = min(dim, sum(self.ranks)) - largest  # what the stack's rank adds at worst
        sharing = min(1.0, max(0.0, 1 - (common - largest) / spread)) if spread else 0.0
        shared = sharing >= ENOUGH_SHARING and 0 < common <= dim // 2
        return SharedFactor(component, dim, len(self.ranks), common, largest, sharing, shared)


class Noise:
    """The variances of the rounding of one delta [out, width], or of several on a stack."""

    def __init__(self, width: int) -> None:
        self.columns = np.zeros(width)  # summed over each column
        self.row = 0.0  # the greatest sum over a row

    @property
    def norm(self) -> float:
        """What the spectral norm of the rounding stays below."""
        return MARGIN * (sqrt(self.row) + sqrt(self.columns.max(initial=0.0)))

    def add_rounded(self, values: NDArray[np.floating[Any]], dtype: str) -> None:
        """Adds the error of rounding values [rows, width] to a dtype: ulp² / 12 each."""
        bits, least = PRECISION[dtype]
        _, exponent = np.frexp(values)
        variance = np.ldexp(1.0, 2 * (np.maximum(exponent - 1, least) - bits)) / 12
        self.columns += variance.sum(axis=0)
        self.row = max(self.row, float(variance.sum(axis=1).max()))

    def add(self, other: "Noise") -> None:
        self.columns += other.columns
        self.row = max(self.row, other.row)


def with_spectra(
    comparison: Comparison, old: Checkpoint, new: Checkpoint, *, track: Track = silent
) -> Comparison:
    """The report with a Spectrum of each changed matrix, and the test for a shared right factor.

    Takes seconds for K/V weights, minutes for all of a model, and a few times the largest tensor in
    memory. Vectors, and tensors with NaN or Inf, have no spectrum.
    """
    spectra: dict[str, Spectrum] = {}
    stacks: dict[tuple[str, int], StackedDeltas] = {}
    changed = [tensor for tensor in comparison.changed if _is_matrix(tensor)]
    for tensor in track(changed, "singular values"):
        before, after = (_matrix(checkpoint, tensor) for checkpoint in (old, new))
        noise = _noise(before, after, tensor)
        found = spectra[tensor.name] = spectrum(_singular_values(before, after), noise.norm)
        if _reads_text(tensor):
            stack = stacks.setdefault(
                (tensor.component, before.shape[1]), StackedDeltas(before.shape[1])
            )
            stack.add(after.astype(np.float64) - before, noise, found.rank)
    factors = [stack.factor(key[0]) for key, stack in stacks.items() if len(stack.ranks) > 1]
    return replace(comparison, spectra=spectra, factors=factors)


def spectrum(s: Matrix, noise: float = 0.0) -> Spectrum:
    """Sums up singular values [n], greatest first. noise: what rounding can put there."""
    if not s.size or not s[0]:
        return Spectrum(0.0, 0.0, 0.0, 0)
    share = s[s > 0] / s.sum()
    entropy = float(-(share * np.log(share)).sum())
    return Spectrum(float(s[0]), float((s**2).sum() / s[0] ** 2), exp(entropy), rank(s, noise))


def singular_values(gram: Matrix) -> Matrix:
    """Of Δ, from its Gram matrix Δᵀ Δ or Δ Δᵀ, greatest first. Exact to 1e-8 of the greatest."""
    return np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0))


def _singular_values(before: NDArray[Any], after: NDArray[Any]) -> Matrix:
    """Of after - before. Where the Gram matrix leaves small ones in doubt, of Δ itself."""
    s = singular_values(_gram(before, after))
    if s[-1] > CLEAR * s[0]:
        return s
    return np.linalg.svd(after.astype(np.float64) - before, compute_uv=False)


def rank(s: Matrix, noise: float) -> int:
    """How many singular values stand out of the noise, and of what float64 leaves of zeros."""
    return int((s > max(noise, 1e-7 * float(s[0]))).sum()) if s.size else 0


def _is_matrix(tensor: TensorDiff) -> bool:
    out = tensor.shape[0] if len(tensor.shape) > 1 else 0
    known = set(tensor.dtypes) <= PRECISION.keys()
    return out > 1 and tensor.sums.elements > out and known and isfinite(tensor.figures.l2)


def _reads_text(tensor: TensorDiff) -> bool:
    """Whether it is a K/V weight of cross-attention, [out, d]."""
    return tensor.component == "unet" and tensor.role in ("k", "v") and len(tensor.shape) == 2


def _matrix(checkpoint: Checkpoint, tensor: TensorDiff) -> NDArray[Any]:
    return checkpoint.values(tensor.name).reshape(tensor.shape[0], -1)


def _noise(before: NDArray[Any], after: NDArray[Any], tensor: TensorDiff) -> Noise:
    noise = Noise(before.shape[1])
    for rows in _blocks(len(after)):
        noise.add_rounded(after[rows], tensor.dtypes[1])
    if tensor.retyped:
        for rows in _blocks(len(before)):
            noise.add_rounded(before[rows], tensor.dtypes[0])
    return noise


def _gram(before: NDArray[Any], after: NDArray[Any]) -> Matrix:
    """Δᵀ Δ, or Δ Δᵀ if that is smaller, in float64."""
    if before.shape[0] < before.shape[1]:
        before, after = before.T, after.T
    gram = np.zeros((before.shape[1], before.shape[1]))
    for rows in _blocks(len(before)):
        delta = after[rows].astype(np.float64) - before[rows]
        gram += delta.T @ delta
    return gram


def _blocks(count: int, size: int = 1024) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))
