"""Diff-QuickFix: one matrix of the text encoder, the output of its first self-attention.

Basu et al., Localizing and Editing Knowledge in Text-to-Image Generative Models, ICLR 2024,
https://arxiv.org/abs/2310.13730, section 5. At a name's last token, with the columns of K what the
heads have gathered there for the targets and of K* for their anchors, W' is the minimum of

    e ‖W' K - W K*‖² + p ‖W' K0 - W K0‖² + λ ‖W' - W‖²

and no weight of the UNet is touched: the edit goes with every model that shares the encoder, and
acts there as it does here. The bias adds the same to both sides and stays.

Departs from it: the term of p, for what stays, is unified concept editing's; published is the ridge
alone (`-p preserve=0`). On mini the defaults erase an object (UA 100, RA-I 92, RA-C 100) and leave
a style; with `read`=sentences, `positions`=all and `stay`=lexicon: 100, 99 and 98 for a style.
"""

from typing import Annotated

from ckptedit.erasure.closed_forms.sides import Embed, Positions, Read, Stay, Where
from ckptedit.erasure.closed_forms.solving import LeastSquares
from ckptedit.params import Within
from ckptedit.subspaces.words import Words


class TextQuickFix(LeastSquares):
    """Least squares on what the text encoder's first attention puts out."""

    roles = ("te",)

    def __init__(
        self,
        *,
        erase: Annotated[float, Within("(0, inf)"), "e, weight of the targets"] = 1.0,
        preserve: Annotated[float, Within("[0, inf)"), "p, of what stays"] = 1.0,
        ridge: Annotated[float, Within("(0, inf)"), "λ, of staying where it was"] = 0.01,
        read: Read = "name",
        positions: Positions = "last",
        stay: Stay = "request",
    ) -> None:
        where = Where(read, positions, stay)
        super().__init__(erase=erase, preserve=preserve, ridge=ridge, general=0.0, where=where)

    def embed(self, words: Words) -> Embed:
        return words.encoder.gathered
