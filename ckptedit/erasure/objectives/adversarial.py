"""What objectives with a critic have in common: a game against it, one step each.

A real sample is what the frozen model sees under the anchor's prompt, a fake one what the student
sees under the target's, at the same moment. The critic learns first, against the model as it was
(whose predictions are in the bank), and then after every step of the student.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated

import torch
from torch import Generator, Tensor

from ckptedit.diffusion.moments import OWN, Moments, Want
from ckptedit.erasure.critic import Critic
from ckptedit.erasure.objectives.objective import Objective
from ckptedit.guards.guard import Setting
from ckptedit.params import Within

WANT = Want("targets", views=(OWN,))

CriticRate = Annotated[float, Within("(0, 1]"), "learning rate of the critic"]
WarmUp = Annotated[int, Within("[0, inf)"), "steps of the critic before the student's first"]


class Adversarial(Objective):
    """A critic, what it judges, and what either side makes small."""

    def __init__(self, critic_lr: float, warmup: int) -> None:
        self.lr, self.warmup = critic_lr, warmup

    def judged(self, shown: Moments, prediction: Tensor) -> Tensor:
        """What the critic sees of a prediction: [b, c, h, w]."""
        raise NotImplementedError

    def channels(self, latents: Tensor) -> int:
        """How many channels that has."""
        return latents.shape[1]

    def fooled(self, fake: Tensor) -> Tensor:
        """What the student makes small, of the critic's scores [b, p] of its own predictions."""
        raise NotImplementedError

    def told_apart(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the critic makes small."""
        raise NotImplementedError

    def start(self, setting: Setting) -> None:
        self.setting, self.targets = setting, setting.moments(WANT)
        latents = self.targets.latents
        self.critic = Critic(self.channels(latents), lr=self.lr, device=latents.device)
        self.ready = False  # whether the critic has had its warm-up
        self.last: tuple[Moments, Tensor] | None = None

    def terms(self, rng: Generator) -> Iterator[tuple[str, Tensor]]:
        self._warm_up()
        shown = self.targets.pick(self.setting.batch, rng)
        prediction = self.setting.student(shown)
        self.last = shown, prediction.detach()
        yield "erase", self.fooled(self.critic(self.judged(shown, prediction)))

    def after_step(self) -> None:
        if self.last is not None:
            self._learn(*self.last)

    def _warm_up(self) -> None:
        if self.ready:
            return
        rng = Generator().manual_seed(0)
        for _ in range(self.warmup):
            shown = self.targets.pick(self.setting.batch, rng)
            self._learn(shown, shown.views[OWN])
        self.ready = True

    def _learn(self, shown: Moments, prediction: Tensor) -> None:
        both = torch.cat([self.judged(shown, each) for each in (shown.aim, prediction)])
        self.critic.learn(lambda: self.told_apart(*self.critic(both).chunk(2)))

    def state(self) -> dict[str, Tensor]:
        return {"ready": torch.tensor(self.ready), **self.critic.state()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.ready = bool(state["ready"])
        self.critic.restore(state)
