"""Update norm, L2: every change of a weight costs its squared size.

R = (1/N) Σ (θ - θ₀)², over all N weights that are trained, times λ: as compared in Lee et al.,
Continual Unlearning for Text-to-Image Diffusion, ICLR 2026, https://arxiv.org/abs/2511.07970
(λ 1e4 to 3e5, with ConAbl 25,000). `norm=sum` is the plain norm. No λ is free of scale: beside Adam
it counts against the gradient of the objective, and ConAbl's loss as released is four times ours.

On mini: `weight=250`, with 40 steps at a rate of 2e-3.
"""

from typing import Annotated

from torch import Generator, Tensor

from ckptedit.guards.centred import Around, Centred, Norm
from ckptedit.guards.guard import Setting
from ckptedit.params import Within


class L2(Centred):
    """λ times the mean squared change of a weight."""

    idle = "weight=0"

    def __init__(
        self,
        *,
        weight: Annotated[float, Within("[0, inf)"), "λ"] = 25000.0,
        norm: Norm = "mean",
        around: Around = "start",
    ) -> None:
        super().__init__(weight, around)
        self.norm = norm

    def start(self, setting: Setting) -> None:
        self.remember(setting)

    def penalty(self, rng: Generator) -> Tensor | None:
        if not self.weight:
            return None
        total = sum((change.square().sum() for _, change in self.changes()), self.zero)
        return self.weight * (total / self.count if self.norm == "mean" else total)
