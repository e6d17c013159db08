"""Gradient projection, soft: W moves only where the target is strong and everything else weak.

W = W0 + A Qᵀ with Q fixed before training: the top generalised eigenvectors of the second moment of
the target's tokens against that of the whole vocabulary, the retained prompts and a ridge. Where
the orthogonal projector of gradient projection (Lee et al., ICLR 2026,
https://arxiv.org/abs/2511.07970) draws a line between protected and free, this weighs one energy
against the other, as Fisher's discriminant does. The delta has the rank of Q by construction.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import Parameter

from ckptedit.errors import BadParam
from ckptedit.guards.guard import Guard, Setting
from ckptedit.text.subspace import second_moment, soft_directions


class GradProjSoft(Guard):
    """rank: directions to write in, 1 or more; ridge: of the average energy of a direction, > 0."""

    def __init__(self, *, rank: int = 4, ridge: float = 1e-3) -> None:
        if rank < 1:
            raise BadParam(f"rank must be 1 or more, got {rank}")
        if not ridge > 0:
            raise BadParam(f"ridge must be above 0, got {ridge}")
        self.rank = rank
        self.ridge = ridge

    def start(self, weights: Mapping[str, Parameter], setting: Setting) -> Tensor:
        rest = setting.general()
        if len(setting.retain):
            rest = rest + second_moment(setting.retain.flatten(0, 1)).to(rest)
        target = second_moment(setting.target.flatten(0, 1)).to(rest)
        found, _ = soft_directions(target, rest, rank=self.rank, ridge=self.ridge)  # [d, rank]
        return torch.as_tensor(found).float()
