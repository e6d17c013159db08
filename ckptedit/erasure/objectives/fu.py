"""Forward-KL unlearning: pictures of the anchor are learned, and the target's own unlearned.

Khalafi, Ribeiro & Ding, ICML 2026, https://arxiv.org/abs/2605.30825: min KL(q‖p) with KL(u‖p) ≥ b,
where p is the student on the target's prompt, q the anchor's pictures and u the target's own. Both
are denoising losses but for a constant: the first is minimised less λ times the second, and λ is
found by dual ascent; the optimum is p ∝ (q - λ u)₊. b is `bound` times the frozen model's loss on
the target's pictures. Ascent has no minimum where λ u exceeds q: λ falls as soon as the loss is
above b, and the ascent's gradient never exceeds a share of the descent's.

Departs from the paper: the prompts of a target are a problem of their own, and q is what its anchor
looks like, not all that is retained (that is a guard's).

On mini, --steps 40 --lr 2e-3 erases; most of a loss there is noise that nobody can know, and a
bound of 2 is out of reach.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated

from torch import Generator, Tensor

from ckptedit.diffusion.moments import OWN, TARGETS, Want
from ckptedit.erasure.objectives.multipliers import Constrained, by_target, gaps, targets_in
from ckptedit.guards.guard import Setting
from ckptedit.params import Within

OWN_PICTURES = Want("targets", states="own", views=(OWN,))


class FU(Constrained):
    """Denoising of the anchor's pictures under the target's prompts, less that of the target's."""

    asks = (TARGETS, OWN_PICTURES)

    def __init__(
        self,
        *,
        bound: Annotated[
            float,
            Within("[1, inf)"),
            "b, the least loss on the target's pictures, in units of the frozen model's",
        ] = 1.05,
        rate: Annotated[
            float,
            Within("[0, inf)"),
            "ρ, by which λ moves at a step that misses all of b; 0: never",
        ] = 0.02,
        initial: Annotated[float, Within("[0, inf)"), "λ before the first step"] = 0.0,
        ascent: Annotated[
            float, Within("(0, inf)"), "largest norm of the ascent's gradient, of the descent's"
        ] = 1.0,
    ) -> None:
        self.bound = bound
        self.rate = rate
        self.initial = initial
        self.ascent = ascent

    def start(self, setting: Setting) -> None:
        self.anchors, self.targets = setting.moments(TARGETS), setting.moments(OWN_PICTURES)
        own = self.targets
        count = targets_in(setting, own)
        self.bounds = self.bound * by_target(gaps(own.views[OWN], own.noise), own.which, count)
        self.begin(setting, count, initial=self.initial, rate=self.rate)

    def terms(self, rng: Generator) -> Iterator[tuple[str, Tensor]]:
        shown = self.anchors.pick(self.setting.batch, rng)
        yield "learn", gaps(self.setting.student(shown), shown.noise).mean()
        shown = self.targets.pick(self.setting.batch, rng)
        losses = gaps(self.setting.student(shown), shown.noise)
        yield "unlearn", -(self.prices(shown).flatten() * losses).mean()
        self.see(shown, 1 - losses / self.bounds.to(losses)[shown.which])

    def rule(self, names: Sequence[str], products: Tensor) -> Sequence[float]:
        """The ascent is shortened to its share of the descent."""
        learn, unlearn = products.diagonal().sqrt().tolist()
        return 1.0, min(1.0, self.ascent * learn / unlearn) if unlearn else 1.0
