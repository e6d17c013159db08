"""Distillation: on retained prompts the edited model must say what the model before the edit said.

Learning without Forgetting (Li & Hoiem, ECCV 2016, https://arxiv.org/abs/1606.09282) on the
denoiser's predictions, with retained prompts rehearsed from a bank of the model's own latents; for
earlier targets the teacher sees their anchor, so that what was erased stays erased. The distance is
the plain mean square, whatever the objective: it is zero before the first step.
"""

from collections.abc import Mapping

from torch import Generator, Tensor
from torch.nn import Parameter
from torch.nn.functional import mse_loss

from ckptedit.errors import BadParam
from ckptedit.guards.guard import Guard, Setting


class Distill(Guard):
    """weight: of the retained half of a batch against the half that erases, above 0."""

    asks = ("retained",)

    def __init__(self, *, weight: float = 1.0) -> None:
        if not weight > 0:
            raise BadParam(f"weight must be above 0, got {weight}")
        self.weight = weight

    def start(self, weights: Mapping[str, Parameter], setting: Setting) -> None:
        self.setting, self.retained = setting, setting.retained()

    def penalty(self, rng: Generator) -> Tensor:
        shown = self.retained.pick(self.setting.batch, rng)
        return self.weight * mse_loss(self.setting.student(shown), shown.aim)
