"""Reverse-KL unlearning: as near the base prompt as can be, at a distance from the concept.

Khalafi, Ribeiro & Ding, ICML 2026, https://arxiv.org/abs/2605.30825: min KL(p‖q) with KL(p‖u) ≥ b,
where p is the student on the target's prompt, q the frozen model on a base prompt and u on the
target's own. Per transition both are mean squared distances, and the optimum is the prediction
(ε_q - λ ε_u) / (1 - λ), which the student learns while λ is found by dual ascent; held fixed, it is
ESD with η = λ / (1 - λ). b is `bound` times the distance of q itself: 4 is where ESD goes with
η = 1, and λ settles at 1 - 1 / sqrt(bound).

Departs from the paper: the prompts of a target are a problem of their own, so that the multipliers
of several share no simplex (each has one: λ ≤ 0.9); distances are pathwise, averaged over timesteps
alike. Such a distance bounds that of what is drawn only from above: whether b is enough, pictures
must say.

On mini, --steps 40 --lr 2e-3 erases, and `gradproj:soft` leaves room for a bound of 1.5, not of 4.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from torch import Generator, Tensor
from torch.nn.functional import mse_loss

from ckptedit.diffusion.moments import EMPTY, OWN, Want
from ckptedit.erasure.objectives.multipliers import Constrained, by_target, gaps, targets_in
from ckptedit.guards.guard import Setting
from ckptedit.params import Within

CAP = 0.9  # of λ: at 1 there is no optimum


class RU(Constrained):
    """Mean squared distance of the student on the target's prompts to the base prompt's prediction,
    away from the target's."""

    def __init__(
        self,
        *,
        bound: Annotated[
            float,
            Within("[1, inf)"),
            "b, the least distance from the concept, in units of that of the base prompt",
        ] = 1.5,
        rate: Annotated[
            float,
            Within("[0, inf)"),
            "ρ, by which λ moves at a step that misses all of b; 0: never",
        ] = 0.005,
        initial: Annotated[float, Within("[0, 0.9]"), "λ before the first step"] = 0.5,
        base: Annotated[Literal["anchor", "empty"], "the prompt of what is to be stayed near"] = (
            "anchor"
        ),
    ) -> None:
        self.bound = bound
        self.rate = rate
        self.initial = initial
        self.view = EMPTY if base == "empty" else None
        self.want = Want("targets", views=(OWN, EMPTY) if self.view else (OWN,))
        self.asks = (self.want,)

    def start(self, setting: Setting) -> None:
        self.targets = shown = setting.moments(self.want)
        count = targets_in(setting, shown)
        apart = gaps(shown.views[self.view] if self.view else shown.aim, shown.views[OWN])
        self.bounds = self.bound * by_target(apart, shown.which, count)
        self.begin(setting, count, initial=self.initial, rate=self.rate, cap=CAP)

    def terms(self, rng: Generator) -> Iterator[tuple[str, Tensor]]:
        shown = self.targets.pick(self.setting.batch, rng)
        seen, own = self.setting.student(shown), shown.views[OWN]
        base = shown.views[self.view] if self.view else shown.aim
        yield "tilt", mse_loss(seen, tilted(base, own, self.prices(shown)))
        self.see(shown, 1 - gaps(seen, own) / self.bounds.to(seen)[shown.which])


def tilted(base: Tensor, concept: Tensor, price: Tensor | float) -> Tensor:
    """(q - λ u) / (1 - λ): predictions, scores or log-densities; the last but for a constant."""
    return (base - price * concept) / (1 - price)
