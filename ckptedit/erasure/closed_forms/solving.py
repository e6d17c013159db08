"""What closed forms solve: one D [d, d] for all weights, W' = W + W D, in two factors.

Whatever is solved is solved once, in float64, and not for each weight; a change keeps the rank that
it has by construction.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ckptedit.concepts.request import Request
from ckptedit.deltas.change import Dense, LowRank, compact
from ckptedit.diffusion import Model
from ckptedit.erasure.closed_forms.sides import Embed, Sides, Where, sides
from ckptedit.erasure.method import Method, Solution
from ckptedit.subspaces.subspace import protected_basis
from ckptedit.subspaces.words import Words

Factors = tuple[Tensor, Tensor]  # left [d, r], right [r, d], float64: D = left right


class LeastSquares(Method):
    """The least squares of `least_squares`, over whatever is read of a request.

    erase, preserve, ridge: e, p, λ; general: weight of the second moment of all that is said
    where: what is read of a request
    """

    def __init__(
        self,
        *,
        erase: float,
        preserve: float,
        ridge: float,
        general: float,
        where: Where,
    ) -> None:
        self.erase, self.preserve, self.ridge, self.general = erase, preserve, ridge, general
        self.where = where

    def solve(
        self,
        request: Request,
        words: Words,
        weights: Mapping[str, Tensor],
        *,
        model: Model | None = None,
    ) -> Solution:
        found = sides(request, words, self.where, embed=self.embed(words))
        return Solution(changed(weights, *self.factors(found, words)))

    def embed(self, words: Words) -> Embed | None:
        """What the weights read; None: the token embeddings."""
        return None

    def factors(self, found: Sides, words: Words) -> Factors:
        return least_squares(
            found,
            erase=self.erase,
            preserve=self.preserve,
            ridge=self.ridge,
            general=self.general * words.general() if self.general else None,
        )


def least_squares(
    read: Sides,
    *,
    erase: float = 1.0,
    preserve: float = 1.0,
    ridge: float = 1.0,
    general: Tensor | None = None,
) -> Factors:
    """D = e (C* - C) Cᵀ A⁻¹ with A = λ I + e C Cᵀ + p C0 C0ᵀ + K, of rank n or less.

    With the columns of C the targets' embeddings, of C* their anchors' and of C0 those that stay,
    W' = W + W D is the minimum of e ‖W' C - W C*‖² + p ‖W' C0 - W C0‖² + λ ‖W' - W‖² + the same for
    a second moment K of more that stays.

    general: K [d, d] float64, already weighted
    """
    targets, stay = read.targets, read.stay
    system = ridge * torch.eye(targets.shape[1], dtype=torch.float64)
    system += erase * targets.T @ targets + preserve * stay.T @ stay  # A [d, d]
    if general is not None:
        system += general
    factor = torch.linalg.cholesky(system)
    if len(targets) > targets.shape[1]:  # so many places that their sum of products is smaller
        return read.shift.T @ targets, erase * torch.cholesky_inverse(factor)
    return read.shift.T, torch.cholesky_solve(erase * targets.T, factor).T


def confined(read: Sides, basis: Tensor, ridge: float) -> Factors:
    """D = (C* - C) (Cᵀ P C + ρ I)⁻¹ Cᵀ P, the least change that moves only outside a subspace.

    basis:   B [r, d] float64, orthonormal rows; P = I - Bᵀ B, and so D Bᵀ = 0
    ridge:   ρ, 0 or more; with 0, D C = C* - C wherever the columns of P C are independent
    """
    free = outside(read.targets, basis)  # C P [n, d]
    if len(free) > free.shape[1]:
        inverse = _inverse(free.T @ free, ridge)  # [d, d]
        return read.shift.T @ free, outside(inverse, basis)
    return read.shift.T, _inverse(free @ free.T, ridge) @ free


def span(rows: Tensor, energy: float = 1.0) -> Tensor:
    """An orthonormal basis of rows [m, d], or of a share of their energy: [r, d], r < d."""
    if not len(rows):
        return rows
    basis = protected_basis(rows, energy=energy, rtol=1e-6).double()
    return torch.linalg.qr(basis.T)[0].T


def outside(rows: Tensor, basis: Tensor) -> Tensor:
    """rows [n, d] without what of them lies in the span of a basis [r, d]; twice, for rounding."""
    for _ in range(2):
        rows = rows - (rows @ basis.T) @ basis
    return rows


def _inverse(gram: Tensor, ridge: float) -> Tensor:
    """(gram + ridge I)⁻¹ of a symmetric matrix; what is rounding noise stays out."""
    values, vectors = torch.linalg.eigh(gram)
    sound = values > 1e-12 * values[-1].clamp(min=1e-300)
    return (vectors[:, sound] / (values[sound] + ridge)) @ vectors[:, sound].T


def changed(
    weights: Mapping[str, Tensor], left: Tensor, right: Tensor
) -> dict[str, LowRank | Dense]:
    """W D of every weight, D = left right, in whichever form is smaller."""
    down = right.numpy()
    return {
        name: compact((weight.double().cpu() @ left).numpy(), down)
        for name, weight in weights.items()
    }


def metric(weights: Mapping[str, Tensor]) -> Tensor:
    """G = Σ Wᵀ W [d, d] float64: ‖W e‖² over all weights is eᵀ G e."""
    total: Tensor | float = 0.0
    for weight in weights.values():
        full = weight.double().cpu()
        total = total + full.T @ full
    return torch.as_tensor(total)


def chained(first: Factors, then: Factors) -> Factors:
    """(I + D) (I + D') - I, of one D after the other."""
    (left, right), (left2, right2) = first, then
    return torch.cat([left, left2 + left @ (right @ left2)], dim=1), torch.cat([right, right2])
