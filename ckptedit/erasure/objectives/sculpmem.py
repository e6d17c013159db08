"""Sculpting Memory: ablation where the concept's gradient is strong, on a mask that turns over.

Li et al., Sculpting Memory: Multi-Concept Forgetting in Diffusion Models via Dynamic Mask and
Concept-Aware Optimization, ICCV 2025, https://arxiv.org/abs/2504.09039. Before the first step, the
signed gradient of denoising the target's own pictures is summed over some batches; of each weight,
the entries where the sum is largest may move. Every so many steps up to 80 % of them, the share
r (1 + cos π s) / 2 of these with the smallest sum of the training's own gradient since the last
time gives way to the others with the largest. Beside the ablation, on the target's own pictures,
stand α times denoising and β times distillation of the anchor's pictures under its own prompt; the
released code computes the last and drops it.

Departs from both: the anchor's prediction is the frozen model's, as in `conabl`; only K and V are
trained; a mask holds as many entries as it says, ties or not; 20 batches of ours choose the first
mask, not 50 of 2.

On mini: --steps 40 --lr 2e-3.
"""

from collections.abc import Iterator, Mapping
from math import cos, pi
from typing import Annotated

import torch
from torch import Generator, Tensor
from torch.nn.functional import mse_loss

from ckptedit.diffusion.moments import TARGETS, Want
from ckptedit.erasure.objectives.objective import Objective
from ckptedit.guards.guard import Setting
from ckptedit.params import Within

OWN_PICTURES = Want("targets", states="own")
SETTLED = 0.8  # of the steps: after them, the mask stays


class SculpMem(Objective):
    """Ablation on the target's own pictures, beside the anchor's, at the entries of a mask."""

    asks = (OWN_PICTURES, TARGETS)
    masks = True

    def __init__(
        self,
        *,
        density: Annotated[
            float, Within("(0, 1]"), "ρ, share of the entries of a weight that may move"
        ] = 0.5,
        warmup: Annotated[
            int, Within("[1, inf)"), "batches that choose the first mask, before the first step"
        ] = 20,
        every: Annotated[int, Within("[1, inf)"), "steps from one turnover to the next"] = 30,
        turnover: Annotated[
            float, Within("[0, 1]"), "r, share of a mask that the first turnover would replace"
        ] = 0.2,
        preserve: Annotated[
            float, Within("[0, inf)"), "α, of denoising the anchor's pictures"
        ] = 0.25,
        recall: Annotated[
            float, Within("[0, inf)"), "β, of what the frozen model says of the anchor's pictures"
        ] = 0.25,
    ) -> None:
        self.density = density
        self.masks = density < 1
        self.warmup = warmup
        self.every = every
        self.turnover = turnover
        self.preserve = preserve
        self.recall = recall

    def start(self, setting: Setting) -> None:
        self.setting, self.done = setting, 0
        self.targets, self.anchors = setting.moments(OWN_PICTURES), setting.moments(TARGETS)
        self._forget()
        rng = Generator().manual_seed(0)
        for _ in range(self.warmup):
            shown = self.targets.pick(setting.batch, rng)
            mse_loss(setting.student(shown), shown.noise).backward()
            self.after_backward()
            for weight in setting.weights.values():
                weight.grad = None
        self.chosen = {name: strongest(total, self.density) for name, total in self.sums.items()}
        self._forget()

    def terms(self, rng: Generator) -> Iterator[tuple[str, Tensor]]:
        shown = self.targets.pick(self.setting.batch, rng)
        yield "erase", mse_loss(self.setting.student(shown), shown.aim)
        if self.preserve or self.recall:
            shown = self.anchors.pick(self.setting.batch, rng).as_told()
            seen = self.setting.student(shown)
            noise, aim = mse_loss(seen, shown.noise), mse_loss(seen, shown.aim)
            yield "anchor", self.preserve * noise + self.recall * aim

    def mask(self) -> Mapping[str, Tensor]:
        return self.chosen

    def after_backward(self) -> None:
        for name, weight in self.setting.weights.items():
            if weight.grad is not None:
                self.sums[name] += weight.grad

    def after_step(self) -> None:
        self.done += 1
        steps = self.setting.steps
        if self.done % self.every or self.done >= SETTLED * steps:
            return
        share = self.turnover * (1 + cos(pi * self.done / steps)) / 2
        self.chosen = {
            name: turned(mask, self.sums[name], share) for name, mask in self.chosen.items()
        }
        self._forget()

    def _forget(self) -> None:
        weights = self.setting.weights
        self.sums = {name: torch.zeros_like(w, requires_grad=False) for name, w in weights.items()}

    def state(self) -> dict[str, Tensor]:
        masks = {f"mask.{name}": mask for name, mask in self.chosen.items()}
        sums = {f"sum.{name}": total for name, total in self.sums.items()}
        return {"done": torch.tensor(self.done), **masks, **sums}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.done = int(state["done"])
        for name, weight in self.setting.weights.items():
            self.chosen[name] = state[f"mask.{name}"].to(weight.device)
            self.sums[name] = state[f"sum.{name}"].to(weight.device)


def strongest(sums: Tensor, density: float) -> Tensor:
    """The entries of the largest size: bool, like `sums`; `density` of them, one or more."""
    count = max(1, round(density * sums.numel()))
    return _chosen(sums.abs(), count)


def turned(mask: Tensor, sums: Tensor, share: float) -> Tensor:
    """The mask with `share` of its entries, those of the smallest sums, given to as many others,
    those of the largest."""
    count = min(int(share * int(mask.sum())), int((~mask).sum()))
    size = sums.abs()
    weak = _chosen(torch.where(mask, -size, -torch.inf), count)
    strong = _chosen(torch.where(mask, -torch.inf, size), count)
    return mask & ~weak | strong


def _chosen(values: Tensor, count: int) -> Tensor:
    """The `count` largest entries, as a mask."""
    found = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
    found[values.flatten().topk(count).indices] = True
    return found.view_as(values)
