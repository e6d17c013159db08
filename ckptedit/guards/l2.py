"""Update norm, L2: every change of a weight costs its squared size.

R = (1/N) Σ (θ - θ₀)², over all N weights that are trained, times λ: as compared in Lee et al.,
Continual Unlearning for Text-to-Image Diffusion, ICLR 2026, https://arxiv.org/abs/2511.07970
(λ 1e4 to 3e5, with ConAbl 25,000). `norm=sum` is the plain norm. No λ is free of scale: beside Adam
it counts against the gradient of the objective, and ConAbl's loss as released is four times ours.

On mini: `weight=250`, with 40 steps at a rate of 2e-3.
"""

from typing import Annotated

from torch import Tensor

from ckptedit.guards.centred import Around, Norm, UpdateNorm
from ckptedit.params import Within


class L2(UpdateNorm):
    """λ times the mean squared change of a weight."""

    def __init__(
        self,
        *,
        weight: Annotated[float, Within("[0, inf)"), "λ"] = 25000.0,
        norm: Norm = "mean",
        around: Around = "start",
    ) -> None:
        super().__init__(weight, around, norm)

    def size(self, change: Tensor) -> Tensor:
        return change.square()
