"""Gradient projection, orthogonal: W moves only at right angles to every protected embedding.

Lee et al., Continual Unlearning for Text-to-Image Diffusion, ICLR 2026,
https://arxiv.org/abs/2511.07970, after Saha et al., Gradient Projection Memory, ICLR 2021,
https://arxiv.org/abs/2103.09762.

Departs from it in three ways. The step is confined, not only the gradient: Adam rescales a
projected gradient out of the subspace (a quarter of the published update lies in it). The basis is
the principal subspace of all tokens of the retained prompts, or of the concepts' words, up to a
share of their energy, not one mean vector per prompt. Its rank is cut by a singular value
decomposition, not softened by a ridge.
"""

from typing import Annotated

from torch import Tensor

from ckptedit.errors import BadParam
from ckptedit.guards.guard import Guard, Reading
from ckptedit.params import Within
from ckptedit.subspaces.subspace import protected_basis


class GradProjHard(Guard):
    """W moves outside the principal subspace of what is retained, and nowhere else."""

    exact = True
    more_room = "protect less of it (-p energy=0.8), or use --guard gradproj:soft"

    def __init__(
        self,
        *,
        energy: Annotated[
            float, Within("(0, 1]"), "share of the retained tokens' energy to protect"
        ] = 0.95,
    ) -> None:
        self.energy = energy

    def forbids(self, reading: Reading) -> Tensor:
        if not reading.keep.any():
            raise BadParam("gradproj:hard has nothing to protect; name concepts with --retain")
        return protected_basis(reading.retain[reading.keep], energy=self.energy)  # [r, d]
