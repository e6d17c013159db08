"""Saliency unlearning: only the weights that the target's loss depends on most are trained.

Fan et al., SalUn, ICLR 2024, https://arxiv.org/abs/2310.12508. A mask of the entries with the
largest gradient of the forgetting loss at the start, summed over moments of pictures of the target;
then the student on the target's prompts shall see what it sees itself on the anchor's, and what is
retained stays.

Approximates the paper: entries are compared across all of K and V (there, of a whole UNet, or of
its cross-attention); the pictures are the model's own; retained prompts are held to what the frozen
model says, not to the true noise. From the released code: the gradient of the saliency is that of
the denoising loss, without its guidance of 7.5.

On mini: `--steps 80 --guard none`.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated

import torch
from torch import Generator, Tensor
from torch.nn.functional import mse_loss

from ckptedit.diffusion.moments import RETAINED, TARGETS, Want
from ckptedit.erasure.objectives.objective import Objective
from ckptedit.guards.guard import Setting
from ckptedit.params import Within

OWN_PICTURES = Want("targets", "own")


class SalUn(Objective):
    """The student on the target's prompts goes to itself on the anchor's, in the salient half of
    its weights; retained prompts stay."""

    asks = (OWN_PICTURES, TARGETS, RETAINED)
    masks = True

    def __init__(
        self,
        *,
        share: Annotated[float, Within("(0, 1]"), "of all entries that may move"] = 0.5,
        retain: Annotated[float, Within("[0, inf)"), "α, of the term of what is retained"] = 0.5,
        scored: Annotated[int, Within("[1, inf)"), "moments that the saliency sums over"] = 128,
    ) -> None:
        self.share, self.retain, self.scored = share, retain, scored
        self.masks = share < 1

    def start(self, setting: Setting) -> None:
        self.setting = setting
        self.pictures = setting.moments(OWN_PICTURES)
        self.targets, self.retained = setting.moments(TARGETS), setting.moments(RETAINED)
        self.salient = largest(self._saliency(), self.share)

    def mask(self) -> Mapping[str, Tensor]:
        return self.salient

    def terms(self, rng: Generator) -> Iterator[tuple[str, Tensor]]:
        shown = self.targets.pick(self.setting.batch, rng)
        with torch.no_grad():
            label = self.setting.student(shown.as_told())
        yield "forget", mse_loss(self.setting.student(shown), label)
        if self.retain:
            kept = self.retained.pick(self.setting.batch, rng)
            yield "retain", self.retain * mse_loss(self.setting.student(kept), kept.aim)

    def _saliency(self) -> dict[str, Tensor]:
        """|sum of gradients| of the denoising loss, by weight, before the first step."""
        weights = self.setting.weights
        found = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        count = min(self.scored, len(self.pictures))
        evenly = torch.arange(count, device=self.pictures.t.device) * len(self.pictures) // count
        for rows in evenly.split(self.setting.batch):
            shown = self.pictures[rows]
            loss = (self.setting.student(shown) - shown.noise).square().sum()
            gradients = torch.autograd.grad(loss, list(weights.values()))
            for total, gradient in zip(found.values(), gradients, strict=True):
                total += gradient
        return {name: total.abs() for name, total in found.items()}

    def state(self) -> dict[str, Tensor]:
        return {f"salient.{i}": mask for i, mask in enumerate(self.salient.values())}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        names = enumerate(self.setting.weights)
        self.salient = {name: state[f"salient.{i}"].bool() for i, name in names}


def largest(scores: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Which entries are among the largest of all, that share of them (one at least): name -> bool.

    Of those that tie with the smallest taken, the first are taken.
    """
    flat = torch.cat([score.flatten() for score in scores.values()])
    count = max(1, round(share * len(flat)))
    chosen = torch.zeros_like(flat, dtype=torch.bool)
    chosen[flat.argsort(descending=True, stable=True)[:count]] = True
    parts = chosen.split([score.numel() for score in scores.values()])
    return {name: part.view_as(scores[name]) for name, part in zip(scores, parts, strict=True)}
