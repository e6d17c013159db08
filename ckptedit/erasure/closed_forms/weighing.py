"""Goals of a linear edit of embeddings, and weights that bring each to a residual asked for.

W' = W (I + D) moves an embedding e to where W has e + D e. A goal is a set of pairs, e and what it
should become. Over all goals i with weights v, and against a moment R of what stays,

    Σ v_i E ‖D e - (e' - e)‖² + tr(D R Dᵀ) + λ ‖D‖²

is least for D = X A⁻¹, with A = Σ v_i E[e eᵀ] + R + λ I and X = Σ v_i E[(e' - e) eᵀ].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ROUNDS = 30
NEAR = 0.005  # of the residual that is asked for
SLOWEST, FASTEST = 0.3, 3.0  # what a weight is multiplied by in a round


@dataclass(frozen=True)
class Goal:
    """Second moments over pairs of an embedding e and its shift s = e' - e, each [d, d] float64.

    now: E[e eᵀ]; to: E[s eᵀ]; shift: E[s sᵀ]
    """

    now: Tensor
    to: Tensor
    shift: Tensor

    @classmethod
    def of(cls, before: Tensor, after: Tensor) -> "Goal":
        """before, after: [m, d] float64, row by row"""
        shift, count = after - before, len(before)
        return cls(before.T @ before / count, shift.T @ before / count, shift.T @ shift / count)


@dataclass(frozen=True)
class Weighed:
    """map: D [d, d] float64. Of each goal: the weight v, and the residual that is left, 0..1:
    E ‖W (D e - s)‖² / E ‖W s‖², which is 1 before the edit."""

    map: Tensor
    weights: Tensor
    residuals: Tensor


def weighed(
    goals: Sequence[Goal],
    stays: Tensor,
    metric: Tensor,
    *,
    residual: Tensor,
    cap: float,
) -> Weighed:
    """Raises each goal's weight until so much of its shift is left, and no more.

    stays:    R + λ I, [d, d], positive definite
    metric:   Σ Wᵀ W [d, d], over the weights that read these embeddings
    residual: [n], above 0; cap: the largest weight
    A goal that others have done more for than it asks loses its own weight, but is never undone.
    """
    now = torch.stack([goal.now for goal in goals]).flatten(1)  # [n, d d]
    to = torch.stack([goal.to for goal in goals]).flatten(1)
    whole = torch.stack([(goal.shift * metric).sum() for goal in goals])  # [n]
    whole = whole.clamp(min=torch.finfo(whole.dtype).tiny)
    weights = torch.full_like(whole, 1 / 30)
    for step in range(ROUNDS):
        system = stays + (weights @ now).view_as(stays)
        wanted = (weights @ to).view_as(stays)
        change = torch.linalg.solve(system, wanted, left=False)  # D = X A⁻¹
        felt = metric @ change
        moved = now @ (change.T @ felt).flatten() - 2 * to @ felt.flatten()
        left = 1 + moved / whole
        pushed = weights * (left.clamp(min=0) / residual).square().clamp(SLOWEST, FASTEST)
        pushed = pushed.clamp(max=cap)
        near = bool(((left - residual).abs() < NEAR).all())
        if near or torch.equal(pushed, weights) or step == ROUNDS - 1:
            break
        weights = pushed
    return Weighed(change, weights, left)
