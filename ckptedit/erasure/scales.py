"""What counts as one unit of distance between two predictions, so that a divergence means anything.

A divergence weighs a sample by s, its squared distance in units of the width of a transition, and
that width decides all: with a wide one, every divergence is KL; with a narrow one, a bounded
divergence sees nothing of a sample that is far. Novello et al. 2026
(https://arxiv.org/abs/2509.21167) write the transition's variance; their code takes the mean over
the entries and a width of 1 (`Fixed`), where the weight of Hellinger is 0.987 to 1. `Adaptive` is
ours.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from ckptedit.diffusion.schedule import Schedule
from ckptedit.errors import BadParam

Scales = Literal["adaptive", "transition", "fixed"]

BUCKETS = 5  # of timesteps, each with a distance of its own
FOLLOW = 0.1  # share of a batch's median in the running one
LEAST = 1e-10  # mean square of an entry, below which two predictions are one
EARLIEST = 20  # timestep: the variances of those before it are next to nothing


class Scale:
    """Squared distances |e1 - e2|² [b] float64, of `entries` entries each, to units of them [b]."""

    def __init__(self, size: float, schedule: Schedule, entries: int) -> None:
        self.size, self.schedule, self.entries = size, schedule, entries

    def unit(self, gaps: Tensor, t: Tensor) -> Tensor:
        """The distance at which s is 1, for samples at timesteps t [b]."""
        raise NotImplementedError

    def observe(self, gaps: Tensor, t: Tensor) -> None:
        """Called after every step with its distances."""

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Takes back what `state` returned."""


class Fixed(Scale):
    """s is the mean square of an entry over size². As published."""

    def unit(self, gaps: Tensor, t: Tensor) -> Tensor:
        return torch.full_like(gaps, self.entries * self.size**2)


class Transition(Scale):
    """s is that of the steps x_t to x_t-1 of DDPM (variance beta_t), a share `size` of it."""

    def unit(self, gaps: Tensor, t: Tensor) -> Tensor:
        return 1 / (self.size * transition_weights(self.schedule, t.clamp_min(EARLIEST)))


class Adaptive(Scale):
    """s is `size` for the running median of the samples at timesteps like a sample's own."""

    def __init__(self, size: float, schedule: Schedule, entries: int) -> None:
        super().__init__(size, schedule, entries)
        self.medians = torch.zeros(BUCKETS, dtype=torch.float64)  # 0: none seen yet

    def unit(self, gaps: Tensor, t: Tensor) -> Tensor:
        buckets = self._buckets(t)
        found = torch.where(self.medians > 0, self.medians, self._now(gaps, buckets))
        return found.clamp_min(LEAST * self.entries)[buckets] / self.size

    def observe(self, gaps: Tensor, t: Tensor) -> None:
        now = self._now(gaps, self._buckets(t))
        moved = torch.where(self.medians > 0, self.medians.lerp(now, FOLLOW), now)
        self.medians = torch.where(now > 0, moved, self.medians)

    def state(self) -> dict[str, Tensor]:
        return {"medians": self.medians}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.medians = state["medians"]

    def _buckets(self, t: Tensor) -> Tensor:
        return t * BUCKETS // self.schedule.timesteps

    def _now(self, gaps: Tensor, buckets: Tensor) -> Tensor:
        """The median of each bucket [BUCKETS]; 0 where a batch has none of it."""
        found = torch.zeros(BUCKETS, dtype=torch.float64)
        for bucket in buckets.unique().tolist():
            found[bucket] = gaps.detach()[buckets == bucket].median()
        return found


def transition_weights(schedule: Schedule, t: Tensor) -> Tensor:
    """s of one unit of |e1 - e2|², e noise, in a step of DDPM from x_t: [b] float64.

    The means of x_t-1 are beta / sqrt(alpha (1 - abar)) of e apart, the variance is beta.
    """
    beta, abar = (x.double()[t] for x in (schedule.betas, schedule.alphas_cumprod))
    return beta / ((1 - beta) * (1 - abar))


def scale_of(
    kind: Scales, size: float | None, typical: float, schedule: Schedule, entries: int
) -> Scale:
    """size: None: 1, or, of "adaptive", what is typical of the divergence"""
    if kind == "adaptive":
        return Adaptive(size or typical, schedule, entries)
    return (Fixed if kind == "fixed" else Transition)(size or 1.0, schedule, entries)


def require_size(kind: Scales, size: float | None) -> None:
    """Raises BadParam for a share of a transition above 1."""
    if kind == "transition" and size is not None and size > 1:
        raise BadParam(f"size is a share of a transition: it must be at most 1, not {size:g}")
