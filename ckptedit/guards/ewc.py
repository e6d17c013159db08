"""Elastic weight consolidation: what matters for retained prompts moves least.

Kirkpatrick et al., Overcoming catastrophic forgetting in neural networks, PNAS 2017,
https://arxiv.org/abs/1612.00796: λ Σ F (θ - θ₀)², with F the diagonal of the Fisher information.
A denoiser's is taken with a normal distribution around what it says: F = E (∂⟨n, ε⟩/∂θ)², n normal,
over retained moments and their entries, so that the penalty is the second-order form of `distill`'s
mean square and λ is in its units (their λ/2). The square is of each moment's gradient. Selective
Amnesia (Heng & Soh, NeurIPS 2023, https://arxiv.org/abs/2305.10120) as released squares the sum
over a sample's timesteps, another matrix, and takes the noise that is there for n: that of the
data, which is no Fisher information where the model is not perfect.

Online (Schwarz et al., Progress & Compress, 2018, https://arxiv.org/abs/1805.06370): the centre is
where the last request ended, and no F is kept from request to request (there, F <- ρ F + F_new). It
is taken anew of the model as it is, over all that is retained: what was erased before is among it,
with its anchors. That is ρ = 1 without the staleness, and a checkpoint carries no second file.

λ is 300 as measured on mini, where 1 is as good as nothing: the diagonal misses that an edit moves
many weights together.

Costs a forward and a backward pass for each of `samples` moments, one by one, and two copies of the
K/V weights (SD1.5: 154 MB, SDXL: 2.7 GB).
"""

from typing import Annotated

import torch
from torch import Generator, Tensor

from ckptedit.diffusion.moments import RETAINED, Want
from ckptedit.guards.centred import Around, Centred
from ckptedit.guards.guard import Setting
from ckptedit.params import Within


class EWC(Centred):
    """Squared changes, each times how much retained prompts depend on that weight."""

    idle = "weight=0"
    asks: tuple[Want, ...] = (RETAINED,)

    def __init__(
        self,
        *,
        weight: Annotated[float, Within("[0, inf)"), "λ"] = 300.0,
        samples: Annotated[int, Within("[1, inf)"), "moments that F is the mean of"] = 96,
        around: Around = "start",
    ) -> None:
        super().__init__(weight, around)
        self.samples = samples
        if not weight:
            self.asks = ()  # nothing is measured

    def start(self, setting: Setting) -> None:
        if self.weight:
            self.remember(setting)
            self.fisher = self._fisher(setting)

    def penalty(self, rng: Generator) -> Tensor | None:
        if not self.weight:
            return None
        costs = (self.fisher[name] * change.square() for name, change in self.changes())
        return self.weight * sum((cost.sum() for cost in costs), self.zero)

    def _fisher(self, setting: Setting) -> dict[str, Tensor]:
        """name -> F [out, d], of the mean square of a prediction's entries."""
        retained, weights = setting.moments(RETAINED), setting.weights
        rng = torch.Generator().manual_seed(0)
        chosen = torch.randperm(len(retained), generator=rng)[: self.samples]
        total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        for row in chosen.split(1):
            said = setting.student(retained[row.to(retained.t.device)])
            drawn = torch.randn(said.shape, generator=rng).to(said)
            gradients = torch.autograd.grad((drawn * said).sum(), list(weights.values()))
            for sum_, gradient in zip(total.values(), gradients, strict=True):
                sum_.add_(gradient.square(), alpha=1 / (said.numel() * len(chosen)))
        return total
