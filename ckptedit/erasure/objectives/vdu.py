"""Variational diffusion unlearning: ascent on the target, near to where the weights were likely.

Panda et al., Unlearning in Diffusion Models under Data Constraints: A Variational Inference
Approach, 2025, https://arxiv.org/abs/2510.04058, of which we know summaries: a Gaussian for each
weight, of the models that the remaining data would have given, and the loss (1 - γ) A + γ B with A
the log-likelihood of the target's pictures, which falls, and B = mean of (θ - μ)² / (2 σ²).

Approximates the paper where it needs what nobody has: μ and σ are of several independent
pre-trainings there; here μ is the checkpoint and σ² = spread² (θ² + the mean of θ² in the tensor) /
2, the scale of a weight and of its tensor. B is a mean over the weights, not a sum, so that γ does
not depend on their number. The ascent ends at a bound (`ascent.py`), and as nothing says what the
target becomes, it becomes no picture at all. We found no released code.

On mini: `--steps 60 --lr 2e-3 --batch 12 --guard gradproj:soft`; a rate of 5e-4 leaves a style as
it is.
"""

from collections.abc import Iterator
from typing import Annotated

from torch import Generator, Tensor

from ckptedit.erasure.ascent import PICTURED, shortfall
from ckptedit.erasure.objectives.objective import Objective
from ckptedit.guards.guard import Setting
from ckptedit.params import Within


class VDU(Objective):
    """Pictures of the target are denoised worse; each weight is drawn back by how likely its move
    is."""

    asks = (PICTURED,)

    def __init__(
        self,
        *,
        gamma: Annotated[float, Within("[0, 1)"), "γ, of what draws the weights back"] = 0.1,
        spread: Annotated[float, Within("(0, inf)"), "σ, in sizes of a weight"] = 0.5,
        bound: Annotated[
            float, Within("(0, inf)"), "mean square, of 1 of the noise, by which it is to err more"
        ] = 0.3,
    ) -> None:
        self.gamma, self.spread, self.bound = gamma, spread, bound

    def start(self, setting: Setting) -> None:
        self.setting, self.targets = setting, setting.moments(PICTURED)
        self.means = [weight.detach().clone() for weight in setting.weights.values()]
        self.precisions = [precision(mean, self.spread) for mean in self.means]

    def terms(self, rng: Generator) -> Iterator[tuple[str, Tensor]]:
        shown = self.targets.pick(self.setting.batch, rng)
        yield "forget", (1 - self.gamma) * shortfall(self.setting, shown, self.bound)
        yield "stay", self.gamma * self._distance()

    def _distance(self) -> Tensor:
        weights = self.setting.weights.values()
        pairs = zip(weights, self.means, self.precisions, strict=True)
        total = sum(((w - mean).square() * p).sum() for w, mean, p in pairs)
        count: int = sum(mean.numel() for mean in self.means)
        return total / (2 * count)  # type: ignore[return-value]


def precision(mean: Tensor, spread: float) -> Tensor:
    """1 / σ² of each weight."""
    squares = mean.square()
    return 2 / (spread**2 * (squares + squares.mean()))
