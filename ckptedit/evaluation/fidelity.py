"""How far two sets of pictures are apart, by features of one extractor: KID and FID.

Figures of different extractors, even of different ways to scale pictures, cannot be compared.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]  # [n, e]
Measure = Callable[[Features, Features], float | None]


@dataclass(frozen=True)
class Distance:
    """n: pictures of the checkpoint, and of what it is compared with"""

    kid: float | None
    fid: float | None
    n: tuple[int, int]


@dataclass(frozen=True)
class Fidelity:
    """features: the extractor, by whose figures alone these can be read

    against: from the other checkpoint's pictures of the same prompts; reference: from a folder's
    """

    features: str
    against: Distance | None
    reference: Distance | None


def distance(
    mine: Sequence[str], others: Sequence[str], measure: "Measure | None" = None
) -> Distance | None:
    """Of packed features; None where there are none. measure: default: `kid`"""
    if not mine or not others:
        return None
    a, b = unpacked(mine), unpacked(others)
    return Distance((measure or kid)(a, b), fid(a, b), (len(a), len(b)))


def kid(a: Features, b: Features) -> float | None:
    """The squared maximum mean discrepancy by the kernel (x·y / e + 1)³, without bias.

    Binkowski et al., ICLR 2018, https://arxiv.org/abs/1801.01401. Departs from common code, which
    averages over random subsets: here all pictures are in one. None of less than two pictures.
    """
    if min(len(a), len(b)) < 2:
        return None
    within = sum(_mean_of_pairs(_kernel(x, x)) for x in (a, b))
    return float(within - 2 * _kernel(a, b).mean())


def paired_kid(a: Features, b: Features) -> float | None:
    """The same of pictures that are pairs, a row of each: from one prompt and one noise.

    No picture is held against its own pair, which is like it for another reason than what the sets
    have in common (Gretton et al., JMLR 2012, equation 4). Of twice the same pictures it is 0.
    """
    if len(a) < 2:
        return None
    a_to_a, b_to_b, a_to_b = (_mean_of_pairs(_kernel(*x)) for x in ((a, a), (b, b), (a, b)))
    return a_to_a + b_to_b - 2 * a_to_b


def fid(a: Features, b: Features) -> float | None:
    """The Fréchet distance of the Gaussians with the sets' means and covariances.

    Heusel et al., NeurIPS 2017, https://arxiv.org/abs/1706.08500. None where a set has no more
    pictures than features: its covariance is not known then, and the distance would tell that.
    """
    if min(len(a), len(b)) <= a.shape[1]:
        return None
    means, covariances = [x.mean(0) for x in (a, b)], [np.cov(x, rowvar=False) for x in (a, b)]
    # tr (AB)^½ is the sum of the roots of the eigenvalues of A^½ B A^½, which is symmetric
    values, vectors = np.linalg.eigh(np.atleast_2d(covariances[0]))
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    both = np.linalg.eigvalsh(root @ np.atleast_2d(covariances[1]) @ root)
    traces = sum(np.trace(np.atleast_2d(c)) for c in covariances)
    return float(((means[0] - means[1]) ** 2).sum() + traces - 2 * np.sqrt(both.clip(0)).sum())


def _kernel(x: Features, y: Features) -> Features:
    kernel: Features = (x @ y.T / x.shape[1] + 1) ** 3
    return kernel


def _mean_of_pairs(kernel: Features) -> float:
    """Of all pairs of two different pictures."""
    n = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))


def packed(features: NDArray[np.float32]) -> list[str]:
    """Each row as a text, for JSON: little-endian float32 in base64."""
    return [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in features]


def unpacked(rows: Sequence[str]) -> Features:
    """[n, e]"""
    return np.stack([np.frombuffer(base64.b64decode(row), "<f4") for row in rows]).astype(float)
