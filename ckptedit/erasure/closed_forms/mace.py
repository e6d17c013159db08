"""MACE's closed form: all tokens of a sentence become their twins in one without the target.

Lu et al., MACE: Mass Concept Erasure in Diffusion Models, CVPR 2024,
https://arxiv.org/abs/2403.06135, section 4.1 (closed-form refinement): the words around a name
carry it, too, so whole sentences are paired, token by token, and what stays is a second moment of
general prompts. Its merging of several edits is `merge --method fuse`; its LoRA for each concept is
trained on pictures and has no part here.

Departs from it: the name's own tokens are among those that move, since no LoRA deals with them; the
tokens before the name are the same in both sentences and are left out; sentences are the tool's,
with companions; the general moment is that of the vocabulary and the lexicon. Weights are of means
of squares, and so are not the published ones; e is 10, as measured on mini: UA 100, RA-I 96 and
RA-C 96 for a style; 100, 89 and 100 for an object.
"""

from typing import Annotated

from ckptedit.erasure.closed_forms.sides import Positions, Read, Stay, Where
from ckptedit.erasure.closed_forms.solving import LeastSquares
from ckptedit.params import Within


class MACE(LeastSquares):
    """UCE's least squares over paired sentences, against all that is said."""

    asks = ("general",)

    def __init__(
        self,
        *,
        erase: Annotated[float, Within("(0, inf)"), "e, weight of each target"] = 10.0,
        preserve: Annotated[float, Within("[0, inf)"), "p, of each name that stays"] = 1.0,
        ridge: Annotated[float, Within("(0, inf)"), "λ, of staying where it was"] = 0.5,
        general: Annotated[float, Within("[0, inf)"), "of all that is said"] = 1.0,
        read: Read = "sentences",
        positions: Positions = "all",
        stay: Stay = "request",
    ) -> None:
        super().__init__(
            erase=erase,
            preserve=preserve,
            ridge=ridge,
            general=general,
            where=Where(read, positions, stay),
        )
