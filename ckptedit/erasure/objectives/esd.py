"""Erased Stable Diffusion: away from the concept by as much as its prompt leads towards it.

Gandikota et al., Erasing Concepts from Diffusion Models, ICCV 2023,
https://arxiv.org/abs/2303.07345, equation 6: the student on the concept's prompt is to see
ε0(from) - η (ε0(prompt) - ε0(empty)), at points of the frozen model's way to a picture of it.
`source=empty` is the paper's, with η = 1; the released code starts from `source=prompt`, where
η + 1 does the same. Departs from both: the states are drawn once, not anew at every step, and only
K and V are trained (there, "esd-x-strict").

On mini, η = 1 leaves a third of a style's pictures in the style; -p eta=3 --steps 40 --lr 2e-3
erases it.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from torch import Generator, Tensor
from torch.nn.functional import mse_loss

from ckptedit.diffusion.moments import EMPTY, OWN, Moments, Want
from ckptedit.erasure.objectives.objective import Objective
from ckptedit.guards.guard import Setting
from ckptedit.params import Within

PATHS = Want("targets", states="path", views=(OWN, EMPTY))


class ESD(Objective):
    """Mean squared distance of the student on the target's prompts to the frozen model guided away
    from them."""

    asks = (PATHS,)

    def __init__(
        self,
        *,
        eta: Annotated[float, Within("[0, inf)"), "η, of the way away from the concept"] = 1.0,
        source: Annotated[
            Literal["empty", "prompt", "anchor"], "what the frozen model reads where it starts from"
        ] = "empty",
    ) -> None:
        self.eta = eta
        self.source = source

    def start(self, setting: Setting) -> None:
        self.setting, self.targets = setting, setting.moments(PATHS)

    def terms(self, rng: Generator) -> Iterator[tuple[str, Tensor]]:
        shown = self.targets.pick(self.setting.batch, rng)
        yield "away", mse_loss(self.setting.student(shown), self._aim(shown))

    def _aim(self, shown: Moments) -> Tensor:
        own, empty = shown.views[OWN], shown.views[EMPTY]
        source = {"empty": empty, "prompt": own, "anchor": shown.aim}[self.source]
        return source - self.eta * (own - empty)
