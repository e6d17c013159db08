"""Restricted gradient, with balanced prompts: forgetting by ascent that never costs what is kept.

Ko et al., Boosting Alignment for Post-Unlearning Text-to-Image Generative Models, NeurIPS 2024,
https://arxiv.org/abs/2412.07808. The denoising loss of pictures of the target rises, that of what
is retained falls, and either gradient is projected off the other where they disagree, all weights
as one vector. The prompts of both are made of the same frames and companions, and each retained
concept is as likely as any other, however many prompts it has.

Departs from it: the ascent ends at a bound for each sample (`ascent.py`; in the released code, a
loss above the bound is scaled to 1); retained prompts are held to what the frozen model says, whose
gradient is that of the true noise without its noise. Nothing says what the target becomes: it comes
out as no picture at all, rather than as the anchor.

On mini: `--steps 60 --lr 2e-3 --batch 12 --guard gradproj:soft`; at a rate of 5e-4, an object goes
and a style stays.
"""

from collections.abc import Iterator
from typing import Annotated

from torch import Generator, Tensor
from torch.nn.functional import mse_loss

from ckptedit.diffusion.moments import RETAINED
from ckptedit.erasure.ascent import PICTURED, shortfall
from ckptedit.erasure.objectives.objective import Objective
from ckptedit.erasure.surgery import TwoSided
from ckptedit.guards.guard import Setting
from ckptedit.params import Within


class RGD(Objective):
    """Pictures of the target are denoised worse, retained ones as before, neither against the
    other."""

    asks = (PICTURED, RETAINED)

    def __init__(
        self,
        *,
        retain: Annotated[float, Within("(0, inf)"), "λ, of the retained gradient"] = 1.5,
        bound: Annotated[
            float, Within("(0, inf)"), "mean square, of 1 of the noise, by which it is to err more"
        ] = 0.3,
    ) -> None:
        self.rule, self.bound = TwoSided(retain), bound

    def start(self, setting: Setting) -> None:
        self.setting = setting
        self.targets, self.retained = setting.moments(PICTURED), setting.moments(RETAINED)

    def terms(self, rng: Generator) -> Iterator[tuple[str, Tensor]]:
        batch = self.setting.batch
        yield "forget", shortfall(self.setting, self.targets.pick_evenly(batch, rng), self.bound)
        shown = self.retained.pick_evenly(batch, rng)
        yield "retain", mse_loss(self.setting.student(shown), shown.aim)
