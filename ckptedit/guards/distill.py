"""Distillation: on retained prompts the edited model must say what the model before the edit said.

Learning without Forgetting (Li & Hoiem, ECCV 2016, https://arxiv.org/abs/1606.09282) on the
denoiser's predictions, with retained prompts rehearsed from a bank of the model's own latents; for
earlier targets the teacher sees their anchor, so that what was erased stays erased. The distance is
the plain mean square, whatever the objective: it is zero before the first step.
"""

from typing import Annotated

from torch import Generator, Tensor
from torch.nn.functional import mse_loss

from ckptedit.diffusion.moments import RETAINED, Want
from ckptedit.guards.guard import Guard, Setting
from ckptedit.params import Within


class Distill(Guard):
    """Mean squared distance of the student to what the frozen model said of retained prompts."""

    idle = "weight=0"
    asks: tuple[Want, ...] = (RETAINED,)

    def __init__(
        self,
        *,
        weight: Annotated[
            float,
            Within("[0, inf)"),
            "of the half that is retained against the half that erases",
        ] = 1.0,
    ) -> None:
        self.weight = weight
        if not weight:
            self.asks = ()  # nothing is rehearsed

    def start(self, setting: Setting) -> None:
        if self.weight:
            self.setting, self.retained = setting, setting.moments(RETAINED)

    def penalty(self, rng: Generator) -> Tensor | None:
        if not self.weight:
            return None
        shown = self.retained.pick(self.setting.batch, rng)
        return self.weight * mse_loss(self.setting.student(shown), shown.aim)
