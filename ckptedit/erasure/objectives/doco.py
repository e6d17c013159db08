"""Domain correction: the target's predicted clean latents shall look like the anchor's to a critic.

Wu et al., Unlearning Concepts in Diffusion Model via Concept Domain Correction and Concept
Preserving Gradient, AAAI 2025, https://arxiv.org/abs/2405.15304. What is against the gradient of
the retained term is taken out of that of the erasing one, by true projection (`surgery.py`), where
the released code subtracts another multiple. Departs from it, too: what is retained is what the
frozen model says of retained prompts, not the true noise in pictures of one class, whose gradient
is mostly noise; the critic has no batch norm. The published run has 1,000 steps of the critic and
then 1,000 of both, at a rate of 5e-5.

On mini: `--steps 80 --lr 1e-3 --batch 12 --guard gradproj:soft`.
"""

from collections.abc import Iterator

from torch import Generator, Tensor
from torch.nn.functional import mse_loss, softplus

from ckptedit.diffusion.moments import RETAINED, Moments
from ckptedit.erasure.objectives.adversarial import WANT, Adversarial, CriticRate, WarmUp
from ckptedit.erasure.surgery import one_sided
from ckptedit.guards.guard import Setting


class DoCo(Adversarial):
    """What a critic of clean latents says of the student, never against what is retained."""

    asks = (WANT, RETAINED)

    def __init__(self, *, critic_lr: CriticRate = 5e-4, warmup: WarmUp = 200) -> None:
        super().__init__(critic_lr, warmup)
        self.rule = one_sided

    def start(self, setting: Setting) -> None:
        super().start(setting)
        self.retained = setting.moments(RETAINED)

    def terms(self, rng: Generator) -> Iterator[tuple[str, Tensor]]:
        yield from super().terms(rng)
        shown = self.retained.pick(self.setting.batch, rng)
        yield "retain", mse_loss(self.setting.student(shown), shown.aim)

    def judged(self, shown: Moments, prediction: Tensor) -> Tensor:
        signal, spread = self.setting.schedule.weights(shown.t, prediction)
        return (shown.latents - spread * prediction) / signal

    def fooled(self, fake: Tensor) -> Tensor:
        return softplus(-fake).mean()

    def told_apart(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(-real).mean() + softplus(fake).mean()
