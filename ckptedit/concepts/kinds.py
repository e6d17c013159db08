"""Style or object: by the lexicon, else by the company that a concept keeps."""

from ckptedit.concepts.lexicon import Lexicon
from ckptedit.concepts.neighbors import nearest
from ckptedit.errors import BadParam
from ckptedit.text.encoder import TextEncoder

VOTERS = 5  # neighbours that are asked about a concept which no lexicon has; odd


def kind_of(concept: str, encoder: TextEncoder, known: Lexicon) -> str:
    """As the lexicon says if it has the concept under one kind, else as most of its neighbours are.

    Raises BadParam if it cannot be told.
    """
    listed = known.kinds_of(concept)
    if len(listed) == 1:
        return listed[0]
    near = nearest(encoder, [concept], sorted(set(known)), count=VOTERS)
    votes = sum(1 if neighbor.concept in known.styles else -1 for neighbor in near)
    if not votes:
        raise BadParam(f"cannot tell whether {concept!r} is a style or an object; say --kind")
    return "style" if votes > 0 else "object"
