"""Selective fine-tuning: of all weights, only those that matter most for the target may move.

Score of a weight: |θ · ∇ℓ|, with ℓ the squared distance of the model on the target's prompts to
what it says on the anchor's, summed over points of its own way to a picture; the top share of all
scores together may move, the rest keeps its bits. As compared in Lee et al., Continual Unlearning
for Text-to-Image Diffusion, ICLR 2026, https://arxiv.org/abs/2511.07970 (there 0.05 with ConAbl,
0.3 and 0.1 beside a projection).

Departs from the released code in three ways. Its j-th point is drawn anew by j steps of the solver:
1,225 guided passes for 49 points, where one way has them all; here each way is drawn once, by the
bank, in 12 steps. The mask is of steps, not of gradients, so that neither weight decay nor a
projection moves what it freezes. `by=row` picks whole rows of W by the mean of their scores: those
can be confined to directions, too, single entries cannot to fewer than a row has frozen.

Takes the memory of a gradient while it scores, and then a byte for each K/V weight (SDXL: 1.4 GB,
then 0.3 GB).
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from torch import Tensor

from ckptedit.diffusion.moments import Want
from ckptedit.guards.guard import Guard, Setting
from ckptedit.params import Within

WAYS = Want("targets", states="path")


class SelFT(Guard):
    """Only the weights with the largest |θ · gradient| move."""

    exact = True
    idle = "top=1"
    asks: tuple[Want, ...] = (WAYS,)

    def __init__(
        self,
        *,
        top: Annotated[float, Within("(0, 1]"), "share of the weights that may move"] = 0.05,
        by: Annotated[
            Literal["entry", "row"], "what moves or stays as one; row goes with projections"
        ] = "entry",
        points: Annotated[int, Within("[1, inf)"), "of ways to pictures, that are scored on"] = 48,
    ) -> None:
        self.top, self.by, self.points = top, by, points
        self.masks = by == "entry" and top < 1
        self.chosen: dict[str, Tensor] | None = None
        if top == 1:
            self.asks = ()  # nothing is scored

    def start(self, setting: Setting) -> None:
        if self.top == 1:
            return
        scores = self._scores(setting)
        if self.by == "row":
            scores = {name: score.mean(1, keepdim=True) for name, score in scores.items()}
        flat = torch.cat([score.flatten() for score in scores.values()])
        chosen = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
        chosen[flat.topk(max(1, round(self.top * len(flat)))).indices] = True
        parts = chosen.split([score.numel() for score in scores.values()])
        self.chosen = {
            name: part.view_as(scores[name]).expand_as(setting.weights[name])
            for name, part in zip(scores, parts, strict=True)
        }

    def mask(self) -> Mapping[str, Tensor] | None:
        return self.chosen

    def _scores(self, setting: Setting) -> dict[str, Tensor]:
        """name -> |θ · ∇ℓ| [out, d]"""
        ways, weights = setting.moments(WAYS), setting.weights
        order = torch.randperm(len(ways), generator=torch.Generator().manual_seed(0))
        total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        for rows in order[: self.points].split(setting.batch):
            shown = ways[rows.to(ways.t.device)]
            loss = (setting.student(shown) - shown.aim).square().sum()
            gradients = torch.autograd.grad(loss, list(weights.values()))
            for sum_, gradient in zip(total.values(), gradients, strict=True):
                sum_.add_(gradient)
        return {name: (weights[name].detach() * total[name]).abs() for name in weights}
