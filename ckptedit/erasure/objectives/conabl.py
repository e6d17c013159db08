"""Concept ablation, model-based: the target's prompts are denoised as the anchor's are.

Kumari et al., Ablating Concepts in Text-to-Image Diffusion Models, ICCV 2023,
https://arxiv.org/abs/2303.13516, equation 5. Departs from the released code: the teacher is frozen
(there, the anchor's prediction comes from the model in training and drifts with it), and the loss
is a plain mean (there, a sum over the four latent channels).
"""

from collections.abc import Iterator

from torch import Generator, Tensor
from torch.nn.functional import mse_loss

from ckptedit.diffusion.moments import TARGETS
from ckptedit.erasure.objectives.objective import Objective
from ckptedit.guards.guard import Setting


class ConAbl(Objective):
    """Has no parameters: the mean squared distance of the student on the target's prompts to the
    frozen teacher on the anchor's."""

    asks = (TARGETS,)

    def start(self, setting: Setting) -> None:
        self.setting, self.targets = setting, setting.moments(TARGETS)

    def terms(self, rng: Generator) -> Iterator[tuple[str, Tensor]]:
        shown = self.targets.pick(self.setting.batch, rng)
        yield "anchor", mse_loss(self.setting.student(shown), shown.aim)
