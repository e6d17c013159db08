"""Gradient projection, soft: W moves only where the target is strong and everything else weak.

W = W0 + A Qᵀ with Q fixed before training: the top generalised eigenvectors of the second moment of
the target's tokens against that of the whole vocabulary, the retained prompts and a ridge. Where
the orthogonal projector of gradient projection (Lee et al., ICLR 2026,
https://arxiv.org/abs/2511.07970) draws a line between protected and free, this weighs one energy
against the other, as Fisher's discriminant does. The delta has the rank of Q by construction.

A right factor that is frozen, so that what is trained cannot leave a subspace, is SuPLoRA's (AAAI
2026, https://arxiv.org/abs/2601.03305): there, LoRA's down-projection is fixed at right angles to
what is retained, as by `gradproj:hard`. Ours is what Q is chosen by: the moment of the whole
vocabulary, which stands for all that nobody thought of retaining.
"""

from typing import Annotated

from torch import Tensor

from ckptedit.guards.guard import Guard, Setting
from ckptedit.params import Within
from ckptedit.subspaces.subspace import second_moment, soft_directions

# As measured on mini. A larger ridge gives the target more room with less drift, and reaches more
# of what the moment does not contain: styles that no guard was shown then suffer in a sequence. An
# object, alone or beside a style, shares more of its tokens' energy with the rest, and survives
# with the ridge of a style.
RIDGES = {"style": 1e-3, "object": 3e-2, "mixed": 3e-2}


class GradProjSoft(Guard):
    """W moves in a few directions, fixed before the first step."""

    asks = ("general",)
    narrow = True
    exact = True
    more_room = "raise the ridge (-p ridge=0.03)"

    def __init__(
        self,
        *,
        rank: Annotated[int, Within("[1, inf)"), "directions to write in"] = 4,
        ridge: Annotated[
            float | None,
            Within("(0, inf)"),
            "share of the average energy of a direction that is added to each; "
            "none: by the kind of the target",
        ] = None,
    ) -> None:
        self.rank = rank
        self.ridge = ridge

    def start(self, setting: Setting) -> Tensor:
        rest = setting.general()
        if len(setting.retain):
            rest = rest + second_moment(setting.retain.flatten(0, 1)).to(rest)
        target = second_moment(setting.target.flatten(0, 1)).to(rest)
        ridge = RIDGES[setting.kind] if self.ridge is None else self.ridge
        if setting.free is None:
            return soft_directions(target, rest, rank=self.rank, ridge=ridge).basis  # [d, rank]
        free = setting.free.double()  # [d, m]: chosen among what other guards leave
        inside = [free.mT @ moment.cpu() @ free for moment in (target, rest)]
        rank = min(self.rank, free.shape[1] - 1)
        return setting.free @ soft_directions(*inside, rank=rank, ridge=ridge).basis
