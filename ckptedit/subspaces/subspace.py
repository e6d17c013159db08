"""Linear algebra of what may not move: subspaces of text embeddings, and directions outside them.

A cross-attention key or value is linear in the text embedding, k = W e. An update to W whose rows
are orthogonal to every protected e leaves all protected keys and values as they were.

Farajtabar et al., Orthogonal Gradient Descent, AISTATS 2020, https://arxiv.org/abs/1910.07104.
Saha et al., Gradient Projection Memory, ICLR 2021, https://arxiv.org/abs/2103.09762 (bases cut at a
share of the energy, equation 9; there the cut is of the activations that are not yet covered).
Lee et al., Continual Unlearning for Text-to-Image Diffusion, ICLR 2026,
https://arxiv.org/abs/2511.07970, project gradients by I - C (CᵀC + εI)⁻¹ Cᵀ over concept embeddings
C; here the basis is orthonormal and thin, and directions of rounding noise are cut off instead of
damped.
"""

from math import degrees
from typing import NamedTuple

import torch
from torch import Tensor

from ckptedit.errors import BadParam, Incompatible


def protected_basis(
    embeddings: Tensor,
    *,
    rank: int | None = None,
    energy: float | None = None,
    rtol: float = 1e-5,
) -> Tensor:
    """Finds an orthonormal basis of the embeddings to protect, strongest direction first.

    embeddings: [m, d], in any order, repeats welcome
    rank:       keep at most this many directions, 1 or more
    energy:     keep as many as hold this share of the squared norm of all embeddings, in (0, 1]
    rtol:       a direction whose singular value is below rtol times the largest is rounding noise
    returns:    [r, d] float32, orthonormal rows, r < d
    Raises BadParam if nothing or everything would be protected.
    """
    check_cut(rank, energy)
    if embeddings.ndim != 2 or not embeddings.numel():
        raise BadParam(f"need embeddings [m, d] to protect, got shape {list(embeddings.shape)}")
    _, strengths, directions = torch.linalg.svd(embeddings.double(), full_matrices=False)
    if strengths[0] == 0:
        raise BadParam("the embeddings to protect are all zero")
    keep = int((strengths > rtol * strengths[0]).sum())
    if energy is not None:
        shares = strengths.square().cumsum(0) / strengths.square().sum()
        keep = min(keep, int((shares < energy - 1e-12).sum()) + 1)
    if rank is not None:
        keep = min(keep, rank)
    dim = embeddings.shape[1]
    if keep == dim:
        raise BadParam(
            f"the embeddings to protect span all {dim} dimensions: no edit is left; protect fewer "
            f"concepts, or cut the basis by rank or energy"
        )
    return directions[:keep].float()


def check_cut(rank: int | None, energy: float | None) -> None:
    """Raises BadParam for a rank or energy that `protected_basis` cannot cut at."""
    if rank is not None and rank < 1:
        raise BadParam(f"rank must be 1 or more, not {rank}")
    if energy is not None and not 0 < energy <= 1:
        raise BadParam(f"energy must be in (0, 1], not {energy}")


def coverage(tokens: Tensor, basis: Tensor) -> float:
    """The share of the tokens' energy that lies in a subspace: ‖E Bᵀ‖² / ‖E‖².

    tokens: [..., d], basis: [r, d] with orthonormal rows -> 0..1; 1 - coverage is the room outside
    """
    full = tokens.double()
    _require_width(full, basis)
    total = full.square().sum()
    if total == 0:
        raise BadParam("the tokens are all zero: they have no energy to cover")
    return float((full @ basis.to(full).mT).square().sum() / total)


def angles_between(a: Tensor, b: Tensor) -> list[float]:
    """The principal angles between two subspaces, smallest first, in degrees, 0..90.

    a: [r, d], b: [s, d], bases -> [min(r, s)]
    """
    from scipy.linalg import subspace_angles

    _require_width(a, b)
    angles = subspace_angles(a.double().mT.numpy(), b.double().mT.numpy())
    return [degrees(angle) for angle in angles[::-1]]


def second_moment(tokens: Tensor) -> Tensor:
    """The mean of e eᵀ over tokens: [..., d] -> [d, d] float64, symmetric, positive semidefinite.

    Not centred: W reads e itself, so the mean direction counts like any other.
    """
    flat = tokens.reshape(-1, tokens.shape[-1])
    if not len(flat):
        raise BadParam("no tokens to take a second moment of")
    total = torch.zeros(flat.shape[1], flat.shape[1], dtype=torch.float64)
    for part in flat.split(65_536):
        part = part[part.any(dim=1)]  # zeros fill prompts up where no text encoder does
        total += (part.float().mT @ part.float()).double().cpu()
    return total / len(flat)


class SoftDirections(NamedTuple):
    """basis: [d, r] float32, orthonormal columns. ratios: [r] float64, largest first: how much more
    energy the target has along each direction than the rest."""

    basis: Tensor
    ratios: Tensor


def soft_directions(
    target: Tensor, everything: Tensor, *, rank: int = 8, ridge: float = 1e-3
) -> SoftDirections:
    """Finds what the target's tokens have and the rest has not.

    target:     [d, d], second moment of the target prompts' tokens
    everything: [d, d], second moment of the tokens to leave alone
    rank:       directions wanted, 1..d-1
    ridge:      share of the mean eigenvalue of `everything` that is added to each, above 0: with
                none, a direction that nothing else uses has an infinite ratio, be it noise

    The top generalised eigenvectors of T v = λ (A + ridge tr(A)/d I) v. With W = W0 + A Qᵀ and Q
    the orthonormalised v, an update is written only where the ratio is high. This is Fisher's
    discriminant (1936) with uncentred moments. It is no exact guarantee, as
    `protected_basis` gives: what the moment of the rest does not contain is not protected.
    """
    from scipy.linalg import eigh

    dim = target.shape[-1]
    if target.shape != (dim, dim) or everything.shape != (dim, dim):
        raise Incompatible(
            f"need two [d, d] moments, got {list(target.shape)} and {list(everything.shape)}"
        )
    if not 1 <= rank < dim:
        raise BadParam(f"rank must be in 1..{dim - 1}, not {rank}")
    if not ridge > 0:
        raise BadParam(f"ridge must be above 0, not {ridge}")
    rest = everything.double().cpu()
    rest = (rest + rest.mT) / 2
    rest = rest + ridge * rest.trace() / dim * torch.eye(dim, dtype=torch.float64)
    wanted = target.double().cpu()
    ratios, vectors = eigh(
        ((wanted + wanted.mT) / 2).numpy(), rest.numpy(), subset_by_index=(dim - rank, dim - 1)
    )
    columns = torch.from_numpy(vectors[:, ::-1].copy())  # [d, r], largest ratio first
    q, r = torch.linalg.qr(columns)
    q = q * r.diagonal().sign()  # QR may flip a column; the first is v itself, normalised
    return SoftDirections(q.float(), torch.from_numpy(ratios[::-1].copy()))


def _require_width(x: Tensor, basis: Tensor) -> None:
    if basis.ndim != 2 or x.shape[-1] != basis.shape[-1]:
        raise Incompatible(
            f"need vectors and a basis of the same width, of one text encoder; got {list(x.shape)} "
            f"and {list(basis.shape)}"
        )
