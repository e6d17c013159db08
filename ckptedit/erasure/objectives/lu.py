"""Likelihood-constrained unlearning: away from the concept only where it is likely.

Khalafi, Ribeiro & Ding, ICML 2026, https://arxiv.org/abs/2605.30825: min KL(p‖q) with E_p[h] ≤ ε,
where p is the student on the target's prompt, q the frozen model on its anchor's, and h how likely
the concept is in what p draws. The student learns ε_q - λ h (ε_u - ε_q), u being the frozen model
on the target's own prompt: guidance away from it as strong as h is, with λ found by dual ascent.

Departs from the paper: h is the ratio of u to q at the student's own transition, exp(κ (r - 1))
with r = (‖ε - ε_q‖² - ‖ε - ε_u‖²) / ‖ε_q - ε_u‖², so 1 at u, exp(-2κ) at q; it needs no rollouts
and no score function, and the student's regression is then the exact gradient of the Lagrangian.
λ is in units of ε: at the optimum it is η of ESD from the anchor, -log(ε) / 2κ - 1, or 0 if the
anchor itself is unlikely enough, as it is by default; a smaller share asks for more.

On mini, --steps 40 --lr 2e-3 erases.
"""

from collections.abc import Iterator
from typing import Annotated

from torch import Generator, Tensor
from torch.nn.functional import mse_loss

from ckptedit.diffusion.moments import OWN, Want
from ckptedit.erasure.objectives.multipliers import Constrained, gaps, targets_in
from ckptedit.guards.guard import Setting
from ckptedit.params import Within

SEEN = Want("targets", views=(OWN,))


class LU(Constrained):
    """Mean squared distance of the student on the target's prompts to the anchor's prediction,
    guided away from the target's as far as the student still makes it likely."""

    asks = (SEEN,)
    bound_of = "share"

    def __init__(
        self,
        *,
        share: Annotated[
            float, Within("(0, 1]"), "ε, the largest likelihood, of that before the edit"
        ] = 0.1,
        sharpness: Annotated[
            float, Within("(0, inf)"), "κ, half of the log ratio of concept to anchor"
        ] = 1.5,
        rate: Annotated[
            float, Within("[0, inf)"), "ρ, by which λ moves at a step that is at twice ε; 0: never"
        ] = 0.02,
        initial: Annotated[float, Within("[0, inf)"), "λ before the first step"] = 0.0,
        most: Annotated[float, Within("(0, inf)"), "h is clipped at this times ε, to guide"] = 4.0,
    ) -> None:
        self.share = share
        self.sharpness = sharpness
        self.rate = rate
        self.initial = initial
        self.most = most

    def start(self, setting: Setting) -> None:
        self.targets = setting.moments(SEEN)
        self.begin(setting, targets_in(setting, self.targets), initial=self.initial, rate=self.rate)

    def terms(self, rng: Generator) -> Iterator[tuple[str, Tensor]]:
        shown = self.targets.pick(self.setting.batch, rng)
        seen, own = self.setting.student(shown), shown.views[OWN]
        likely = likelihood(seen.detach(), shown.aim, own, self.sharpness) / self.share
        prices = self.prices(shown)
        strength = prices * likely.clamp(max=self.most).view_as(prices)
        yield "tilt", mse_loss(seen, shown.aim - strength * (own - shown.aim))
        self.see(shown, likely - 1)


def likelihood(seen: Tensor, base: Tensor, concept: Tensor, sharpness: float) -> Tensor:
    """h [b] of predictions [b, ...]: 1 at the concept's and beyond, exp(-2κ) at the base's."""
    apart = gaps(base, concept)
    nearer = gaps(seen, base) - gaps(seen, concept)
    ratio = (nearer / apart.clamp(min=1e-30)).clamp(max=1)
    return (sharpness * (ratio - 1)).exp()
