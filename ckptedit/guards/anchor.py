"""The anchor stays: what an edit draws instead may not be moved by it.

Anchor invariance of CEASE (https://arxiv.org/abs/2610.01989): where many requests in a sequence
share one replacement, the default photo of every style, whatever an edit does to its tokens is done
to all that was erased before. There, the tokens of the replacement join the constraints of a closed
form. Here they join what no step of a training may touch: W e stays as it was for each of their
embeddings e, in every sentence with the anchor that the targets' prompts are drawn as. What chooses
directions (`gradproj:soft`) then chooses among those that are left.
"""

from typing import Annotated, Literal

from torch import Tensor

from ckptedit.errors import BadParam
from ckptedit.guards.guard import Guard, Reading
from ckptedit.params import Within
from ckptedit.subspaces.subspace import protected_basis


class Anchor(Guard):
    """W moves at right angles to the tokens of what is drawn instead."""

    exact = True
    more_room = "protect less of the anchor (-p anchor.energy=0.95)"

    def __init__(
        self,
        *,
        of: Annotated[
            Literal["name", "all"], "the anchor's own tokens, or all of sentences with it"
        ] = "name",
        energy: Annotated[
            float, Within("(0, 1]"), "share of these tokens' energy to protect"
        ] = 1.0,
    ) -> None:
        self.of, self.energy = of, energy

    def forbids(self, reading: Reading) -> Tensor:
        tokens = reading.anchors.flatten(0, 1)
        if self.of == "name" and reading.named is not None:
            tokens = reading.anchors[reading.named]
        if not len(tokens):
            raise BadParam("no prompt holds the anchor's name as it is: use -p anchor.of=all")
        return protected_basis(tokens, energy=self.energy)  # [r, d]
