"""Goals of a linear edit of embeddings, and weights that bring each to a residual asked for, while
what is held moves no more than it may.

W' = W (I + D) moves an embedding e to where W has e + D e. A goal is a set of pairs, e and what it
should become. Over all goals i with weights v, and against a moment R of what stays,

    Σ v_i E ‖D e - (e' - e)‖² + tr(D R Dᵀ) + λ ‖D‖²

is least for D = X A⁻¹, with A = Σ v_i E[e eᵀ] + R + λ I and X = Σ v_i E[(e' - e) eᵀ]. What is held
adds to R, each with a weight u_j of its own: Σ u_j E[e eᵀ]. Both kinds of weights are multipliers
of a least squares under constraints, and are found as such, by raising what falls short.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ROUNDS = 60
NEAR = 0.005  # of the residual that is asked for
SLOWEST, FASTEST = 0.3, 3.0  # what a weight is multiplied by in a round
CLOSE = 0.1  # of the movement that is allowed, more or less
SLACKER, FIRMER = 0.5, 2.0  # what the weight of something held is multiplied by in a round


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
class Held:
    """What must hardly move.

    moments: E[e eᵀ] of each, [m, d, d] float32: there are many
    allowed: how far each may move, E ‖W D e‖², as a share of how far goals do, the mean E ‖W s‖²
    least, most: bounds of each weight u, most [m] float64; there one is given up, and moves further
    """

    moments: Tensor
    allowed: float
    least: float
    most: Tensor

    @property
    def start(self) -> Tensor:
        """[m] float64"""
        return torch.full((len(self.moments),), self.least, dtype=torch.float64)

    def moment(self, weights: Tensor) -> Tensor:
        """Σ u_j E[e eᵀ], [d, d] float64"""
        return torch.tensordot(weights.float(), self.moments, 1).double()

    def moved(self, felt: Tensor, far: Tensor) -> Tensor:
        """[m]: each movement over the one allowed. felt: Dᵀ G D [d, d]; far: the mean E ‖W s‖²"""
        return (self.moments.flatten(1) @ felt.float().flatten()).double() / (self.allowed * far)

    def pushed(self, weights: Tensor, moved: Tensor) -> Tensor:
        firmer = (weights * moved.clamp(SLACKER, FIRMER)).clamp(min=self.least)
        return torch.minimum(firmer, self.most)

    def kept(self, weights: Tensor, moved: Tensor) -> bool:
        """Whether each moves as far as it may, or a bound of its weight stands in the way."""
        slack, given_up = weights <= self.least, weights >= self.most
        near = (moved - 1).abs() < CLOSE
        return bool((near | ((moved < 1) & slack) | ((moved > 1) & given_up)).all())


@dataclass(frozen=True)
class Weighed:
    """map: D [d, d] float64. Of each goal: the weight v, and the residual that is left, 0..1:
    E ‖W (D e - s)‖² / E ‖W s‖², which is 1 before the edit. held: the weights u of what is held,
    [m], empty if nothing is."""

    map: Tensor
    weights: Tensor
    residuals: Tensor
    held: Tensor


def weighed(
    goals: Sequence[Goal],
    stays: Tensor,
    metric: Tensor,
    *,
    residual: Tensor,
    cap: float,
    held: Held | None = None,
) -> Weighed:
    """Raises each goal's weight until so much of its shift is left, and no more; and the weight of
    whatever is held until it moves no further than allowed.

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
    nothing = torch.zeros(0, len(stays), len(stays))
    held = held or Held(nothing, allowed=1, least=0, most=torch.zeros(0))
    holding = held.start  # [m]
    for step in range(ROUNDS):
        system = stays + (weights @ now).view_as(stays) + held.moment(holding)
        wanted = (weights @ to).view_as(stays)
        change = torch.linalg.solve(system, wanted, left=False)  # D = X A⁻¹
        felt = metric @ change
        shown = change.T @ felt
        left = 1 + (now @ shown.flatten() - 2 * (to @ felt.flatten())) / whole
        moved = held.moved(shown, whole.mean())  # [m]
        pushed = weights * (left.clamp(min=0) / residual).square().clamp(SLOWEST, FASTEST)
        pushed = pushed.clamp(max=cap)
        given_up = (left > residual + NEAR) & (weights >= cap)
        near = bool((((left - residual).abs() < NEAR) | given_up).all())
        settled = near or torch.equal(pushed, weights)
        if (settled and held.kept(holding, moved)) or step == ROUNDS - 1:
            break
        weights, holding = pushed, held.pushed(holding, moved)
    return Weighed(change, weights, left, holding)
