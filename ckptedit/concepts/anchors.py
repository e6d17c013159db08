"""What stands in for an erased concept, if the user names nothing."""

from collections.abc import Sequence

from ckptedit.concepts.lexicon import Lexicon
from ckptedit.concepts.neighbors import nearest, without
from ckptedit.errors import BadParam
from ckptedit.text.encoder import TextEncoder

MEDIA = ("photo", "painting", "photograph", "drawing", "picture", "image", "artwork")


def default_anchor(
    concept: str,
    kind: str,
    encoder: TextEncoder,
    known: Lexicon,
    *,
    usual: str,
    gone: Sequence[str],
) -> str:
    """A style's medium; an object's nearest neighbour. Neither is erased itself.

    usual: the family's word for whatever is of this kind
    gone:  what is erased now or was before, the concept itself among it
    Raises BadParam if there is none.
    """
    out = [concept, *gone]
    choices = [usual, *MEDIA]
    if kind == "object":
        left = without(encoder, known[kind], out)
        choices = [n.concept for n in nearest(encoder, [concept], left, count=1)] + [usual]
    left = without(encoder, choices, out)
    if not left:
        raise BadParam(f"there is no anchor for {concept!r} but itself; name one with --anchor")
    return left[0]
