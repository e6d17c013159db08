"""Where earlier edits wrote, a new one does not: outputs are kept apart.

Output orthogonality of CEASE (https://arxiv.org/abs/2610.01989): with edits ΔW_i = α_i β_iᵀ, what
one does to another's target lies along α_iᵀ α_j; so an update is projected off the leading output
directions (left singular vectors) of the cumulative change so far, only where interference is
detected. There it is a closed form's update, here every step of a training: Uᵀ ΔW = 0, exactly, and
beside any directions on the right, with which it commutes.

The paper's test for interference was not at hand. Ours, for each matrix before the first step: an
edit that draws the target as its anchor writes along W (c* - c), with c* and c the mean embeddings
of the anchors' and the targets' prompts at each position. If more of that lies in U than `above`
times what chance would have there, r of `out` directions, U is held; 0 holds it everywhere.

Needs the weights before all edits, and a singular value decomposition of each matrix, once.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from torch import Tensor

from ckptedit.guards.guard import SAME, Guard, Setting
from ckptedit.params import Within


class Outputs(Guard):
    """W moves at right angles to the leading outputs of what was done before."""

    exact = True
    idle = "rank=0"

    def __init__(
        self,
        *,
        rank: Annotated[int, Within("[0, inf)"), "output directions of each matrix to hold"] = 4,
        above: Annotated[
            float, Within("[0, inf)"), "share of the new edit in them, over chance, that counts"
        ] = 1.0,
    ) -> None:
        self.rank, self.above = rank, above
        self.needs_original = rank > 0
        self.held: dict[str, Tensor] = {}
        self.of = 0  # matrices that were changed before

    def start(self, setting: Setting) -> None:
        if not self.rank:
            return
        assert setting.original is not None  # needs_original
        wish = (setting.anchors.mean(0) - setting.target.mean(0)).double().cpu()  # [L, d]
        for name, weight in setting.weights.items():
            now = weight.detach().double().cpu()
            left, sizes, _ = torch.linalg.svd(
                now - setting.original[name].double(), full_matrices=False
            )
            rank = min(self.rank, int((sizes > SAME * sizes[0]).sum()), len(now) - 1)
            if not rank:
                continue
            self.of += 1
            leading = left[:, :rank]  # [out, r]
            asked = now @ wish.mT  # [out, L]
            share = (leading.mT @ asked).square().sum() / asked.square().sum()
            if share > self.above * rank / len(now):
                self.held[name] = leading.float()

    def outputs(self) -> Mapping[str, Tensor]:
        return self.held

    def notes(self) -> Sequence[str]:
        return (
            [f"outputs of earlier edits were held in {len(self.held)} of {self.of} matrices"]
            if self.of
            else []
        )
