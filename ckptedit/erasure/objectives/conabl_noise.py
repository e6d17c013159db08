"""Concept ablation, noise-based: pictures of the anchor are denoised under the target's prompts.

Kumari et al., Ablating Concepts in Text-to-Image Diffusion Models, ICCV 2023,
https://arxiv.org/abs/2303.13516, the noise-based variant: fine-tuning on pairs of an anchor's
picture and a target's prompt. What is matched is the noise that was added, not a prediction of it:
as far as the frozen model knows its own pictures, the gradient is `conabl`'s in the mean, with far
more variance.

On mini: --steps 40 --lr 2e-3.
"""

from collections.abc import Iterator

from torch import Generator, Tensor
from torch.nn.functional import mse_loss

from ckptedit.diffusion.moments import TARGETS
from ckptedit.erasure.objectives.objective import Objective
from ckptedit.guards.guard import Setting


class ConAblNoise(Objective):
    """Mean squared distance of the student on the target's prompts to the noise in pictures of the
    anchor."""

    asks = (TARGETS,)

    def start(self, setting: Setting) -> None:
        self.setting, self.targets = setting, setting.moments(TARGETS)

    def terms(self, rng: Generator) -> Iterator[tuple[str, Tensor]]:
        shown = self.targets.pick(self.setting.batch, rng)
        yield "noise", mse_loss(self.setting.student(shown), shown.noise)
