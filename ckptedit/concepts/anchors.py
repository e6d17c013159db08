"""What stands in for an erased concept, if the user names nothing."""

from collections.abc import Sequence

from ckptedit.concepts.lexicon import lexicon
from ckptedit.concepts.neighbors import nearest, without
from ckptedit.concepts.templates import anchor_for
from ckptedit.errors import BadParam
from ckptedit.families import Family
from ckptedit.text.encoder import TextEncoder

MEDIA = ("photo", "painting", "photograph", "drawing", "picture", "image", "artwork")


def default_anchor(
    concept: str, kind: str, encoder: TextEncoder, family: Family, gone: Sequence[str]
) -> str:
    """A style's medium; an object's nearest neighbour. Neither is erased itself.

    gone: what is erased now or was before, the concept itself among it
    Raises BadParam if there is none.
    """
    usual = anchor_for(kind, family.name)
    out = [concept, *gone]
    choices = [usual, *MEDIA]
    if kind == "object":
        known = without(encoder, lexicon(kind, family), out)
        choices = [n.concept for n in nearest(encoder, [concept], known, count=1)] + [usual]
    left = without(encoder, choices, out)
    if not left:
        raise BadParam(f"there is no anchor for {concept!r} but itself; name one with --anchor")
    return left[0]
