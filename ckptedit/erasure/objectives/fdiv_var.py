"""f-divergence unlearning, variational: a critic measures the divergence that the student lowers.

Novello et al., ICML 2026, https://arxiv.org/abs/2509.21167: min over the student, max over the
critic T of E_anchor[T] - E_target[f*(T)], on predictions of the denoiser. Departs from the released
code:

- the critic sees a prediction as what it is beyond the frozen model's own for the target, in sizes
  of what the anchor's is beyond it, and beside it the noised latents; so it judges a prediction for
  the moment that it is of, not only how predictions look on the whole; its verdict is one number
- the student makes E_target[-T] small, as Nowozin et al. 2016 (https://arxiv.org/abs/1606.00709,
  section 3.2) advise: where the critic is sure, the gradient of -f*(T) is none

It still is a looser thing than the closed forms, which know the divergence of each transition.

On mini: `--steps 60 --lr 2e-3 --batch 12 --guard gradproj:soft`; it costs more of what stays than
the closed forms do.
"""

from typing import Annotated

import torch
from torch import Tensor

from ckptedit.diffusion.moments import OWN, Moments
from ckptedit.erasure.objectives.adversarial import WANT, Adversarial, CriticRate, WarmUp
from ckptedit.erasure.variational import FORMS, Forms
from ckptedit.guards.guard import Setting

SAME = 1e-6  # root mean square of two predictions that are one


class FDivVar(Adversarial):
    """A divergence of the student's predictions to the anchor's, as a critic finds it."""

    asks = (WANT,)

    def __init__(
        self,
        *,
        divergence: Annotated[Forms, "that the critic measures"] = "js",
        critic_lr: CriticRate = 1e-3,
        warmup: WarmUp = 30,
    ) -> None:
        super().__init__(critic_lr, warmup)
        self.form = FORMS[divergence]

    def start(self, setting: Setting) -> None:
        super().start(setting)
        beyond = self.targets.aim - self.targets.views[OWN]
        self.size = beyond.square().mean().sqrt().clamp_min(SAME)

    def judged(self, shown: Moments, prediction: Tensor) -> Tensor:
        beyond = (prediction - shown.views[OWN]) / self.size
        return torch.cat([beyond, shown.latents.to(prediction)], dim=1)

    def channels(self, latents: Tensor) -> int:
        return 2 * latents.shape[1]

    def fooled(self, fake: Tensor) -> Tensor:
        return -self.form.real(fake.mean(1))

    def told_apart(self, real: Tensor, fake: Tensor) -> Tensor:
        return -self.form.bound(real.mean(1), fake.mean(1))
