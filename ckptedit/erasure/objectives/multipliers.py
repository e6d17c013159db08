"""Dual ascent: what a constraint costs is found while the model is trained.

Khalafi, Ribeiro & Ding, ICML 2026, https://arxiv.org/abs/2605.30825: every target has a constraint,
and a multiplier λ ≥ 0 that weighs it against staying the same. λ rises while the constraint is
violated, and falls to 0 where it is slack. Departs from the paper: violations are relative to their
bounds, so that one rate serves all, and λ moves a little at every step, by their smoothed value.
"""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import ClassVar

import torch
from torch import Tensor

from ckptedit.diffusion.moments import Moments
from ckptedit.erasure.objectives.objective import Objective
from ckptedit.guards.guard import Setting

SMOOTHED = 0.9  # of a violation is what it was, at every step
TOLERATED = 0.05  # violation at the end, relative to the bound


class Multipliers:
    """λ [n, m] float64, of n problems with m constraints each; they share a cap of their sum."""

    def __init__(
        self,
        problems: int,
        constraints: int,
        *,
        initial: float,
        rate: float,
        cap: float = torch.inf,
    ) -> None:
        shape = (problems, constraints)
        self.values = torch.full(shape, initial, dtype=torch.float64)
        self.violations = torch.full_like(self.values, torch.nan)  # smoothed; NaN: none seen yet
        self.rate, self.cap = rate, cap

    def ascend(self, violations: Tensor) -> None:
        """A step. violations: [n, m], above 0 where a constraint does not hold; NaN: not seen.

        They count as -1..1, lest λ be far away before the model could follow.
        """
        seen = violations.cpu().double().clamp(-1, 1)
        before = torch.where(self.violations.isnan(), seen, self.violations)
        smooth = SMOOTHED * before + (1 - SMOOTHED) * seen
        self.violations = torch.where(seen.isnan(), self.violations, smooth)
        risen = self.values + self.rate * self.violations.nan_to_num()
        self.values = project(risen, self.cap)


def project(values: Tensor, cap: float) -> Tensor:
    """The nearest rows [n, m] with no entry below 0 and no sum above `cap`."""
    found = values.clamp(min=0)
    over = found.sum(1) > cap
    if over.any():
        ordered = values[over].sort(1, descending=True).values
        counts = torch.arange(1, values.shape[1] + 1, dtype=values.dtype)
        levels = (ordered.cumsum(1) - cap) / counts
        last = (ordered > levels).sum(1, keepdim=True) - 1  # entries that stay above 0
        found[over] = (values[over] - levels.gather(1, last)).clamp(min=0)
    return found


class Constrained(Objective):
    """An objective with a constraint for each target, whose prompts are a problem of their own.

    bound_of: the parameter that says how much is asked for
    """

    bound_of: ClassVar[str] = "bound"

    def begin(self, setting: Setting, targets: int, **how: float) -> None:
        """Called in `start`; how: as in `Multipliers`."""
        self.setting = setting
        self.multipliers = Multipliers(targets, 1, **how)
        self.seen: Tensor | None = None  # violations of the last batch, [targets, 1]

    def prices(self, shown: Moments) -> Tensor:
        """λ of each moment's target: [b, 1, 1, 1]"""
        values = self.multipliers.values[:, 0].to(shown.latents)
        return values[shown.which].view(-1, *[1] * (shown.aim.ndim - 1))

    def see(self, shown: Moments, violations: Tensor) -> None:
        """Takes note of each moment's violation [b], relative to its bound."""
        self.seen = by_target(violations.detach(), shown.which, len(self.multipliers.values))[
            :, None
        ]

    def after_step(self) -> None:
        if self.seen is not None:
            self.multipliers.ascend(self.seen)

    def facts(self) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
        """Of each target: λ, by how much of the bound it is violated at the end, and |λ · that|,
        which is 0 at an optimum."""
        return {"multiplier": dict(zip(self._names(), self._figures(), strict=True))}

    def warnings(self) -> Sequence[str]:
        found = zip(self._names(), self.multipliers.violations.flatten().tolist(), strict=True)
        return [self._lacks(name, left) for name, left in found if not left <= TOLERATED]

    def _lacks(self, name: str, violation: float) -> str:
        if isnan(violation):
            return f"{name}: no step looked at its constraint; train longer, on more pictures"
        return (
            f"{name}: its constraint is violated by {violation:.0%} of the bound at the end; train "
            f"longer, or ask for less (-p {self.bound_of})"
        )

    def _names(self) -> Sequence[str]:
        count = len(self.multipliers.values)
        return self.setting.concepts or [f"target {i + 1}" for i in range(count)]

    def _figures(self) -> list[dict[str, float]]:
        rows = zip(self.multipliers.values, self.multipliers.violations, strict=True)
        return [
            {
                "lambda": float(value),
                "violation": float(left),
                "slackness": abs(float(value * left)),
            }
            for value, left in rows
        ]

    def state(self) -> dict[str, Tensor]:
        return {"values": self.multipliers.values, "violations": self.multipliers.violations}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.multipliers.values = state["values"]
        self.multipliers.violations = state["violations"]


def targets_in(setting: Setting, shown: Moments) -> int:
    """How many targets there are; few pictures may leave the last ones without moments."""
    return max(len(setting.concepts), int(shown.which.max()) + 1)


def by_target(values: Tensor, which: Tensor, targets: int) -> Tensor:
    """The mean of values [b] of each target: [targets] float64; NaN where there are none."""
    found = torch.zeros(targets, dtype=torch.float64)
    which = which.cpu()
    sums = found.index_add(0, which, values.cpu().double())
    return sums / found.index_add(0, which, torch.ones(len(which), dtype=torch.float64))


def gaps(seen: Tensor, aim: Tensor) -> Tensor:
    """Mean squared distance of each of b predictions: [b]"""
    return (seen - aim).square().flatten(1).mean(1)
