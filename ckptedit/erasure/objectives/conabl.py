"""Concept ablation, model-based: the target's prompts are denoised as the anchor's are.

Kumari et al., Ablating Concepts in Text-to-Image Diffusion Models, ICCV 2023,
https://arxiv.org/abs/2303.13516, equation 5. Departs from the released code: the teacher is
frozen (there, the anchor's prediction comes from the model in training and drifts with it), and
the loss is a plain mean (there, a sum over the latent's channels, so four times as large beside
any other term). `teacher=student` is as released, in both; `preserve` is its preservation of the
anchor.

On mini: the defaults of `erase`.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor
from torch.nn.functional import mse_loss

from ckptedit.diffusion.moments import TARGETS, Moments
from ckptedit.erasure.objectives.objective import Objective
from ckptedit.guards.guard import Setting
from ckptedit.params import Within


class ConAbl(Objective):
    """Mean squared distance of the student on the target's prompts to the teacher on the
    anchor's."""

    asks = (TARGETS,)

    def __init__(
        self,
        *,
        teacher: Annotated[
            Literal["frozen", "student"],
            "who sees the anchor: the model before the edit, or the one in training, with the loss "
            "summed over channels",
        ] = "frozen",
        preserve: Annotated[
            float,
            Within("[0, inf)"),
            "λ, of denoising the anchor's own pictures under its own prompt",
        ] = 0.0,
    ) -> None:
        self.teacher = teacher
        self.preserve = preserve

    def start(self, setting: Setting) -> None:
        self.setting, self.targets = setting, setting.moments(TARGETS)

    def terms(self, rng: Generator) -> Iterator[tuple[str, Tensor]]:
        yield "anchor", self._distance(self.targets.pick(self.setting.batch, rng))
        if self.preserve:
            shown = self.targets.pick(self.setting.batch, rng).as_told()
            yield "preserve", self.preserve * mse_loss(self.setting.student(shown), shown.noise)

    def _distance(self, shown: Moments) -> Tensor:
        if self.teacher == "frozen":
            return mse_loss(self.setting.student(shown), shown.aim)
        with torch.no_grad():
            aim = self.setting.student(shown.as_told())
        return shown.latents.shape[1] * mse_loss(self.setting.student(shown), aim)
