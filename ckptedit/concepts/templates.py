"""Sentences to put a concept in.

The frames are split in two: what a method was built on, and what it is measured on. Nothing that is
trained or protected may be scored on the sentences it has seen.
"""

import re
from collections.abc import Iterable, Sequence

from ckptedit.errors import BadParam

KINDS = ("style", "object")
OTHER = {"style": "object", "object": "style"}

TRAIN_FRAMES = (
    "a {object} in {style} style",
    "{object} in {style} style",
    "a {object} in the style of {style}",
    "a picture of a {object} in {style} style",
    "{style} painting of a {object}",
    "a {object} by {style}",
    "{object}, {style}",
)
HELD_OUT_FRAMES = (
    "an image of a {object} in {style} style",
    "a {style} style picture of a {object}",
    "in {style} style, a {object}",
    "a beautiful {style} artwork showing a {object}",
)
ALONE_FRAMES = {  # for a concept without company
    "style": (
        "a painting in {style} style",
        "something in {style} style",
        "{style} style",
        "an artwork in the style of {style}",
        "a picture in {style} style",
    ),
    "object": (
        "a {object}",
        "{object}",
        "a photo of a {object}",
        "a picture of a {object}",
        "an image of a {object}",
    ),
}
NEUTRAL_FRAME = "a picture of {}"  # where concepts of any kind are compared


def prompts_for(
    concept: str,
    kind: str,
    others: Sequence[str] = (),
    *,
    frames: Iterable[str] = TRAIN_FRAMES,
) -> list[str]:
    """Sentences that hold a concept, every frame with every companion, frames varying fastest.

    kind:   "style" or "object"
    others: objects to go with a style, or styles to go with an object; none: the concept alone, in
            ALONE_FRAMES, whatever `frames` says
    """
    require_kind(kind)
    if not others:
        return [fill(frame, **{kind: concept}) for frame in ALONE_FRAMES[kind]]
    chosen = tuple(frames)
    return [
        fill(frame, **{kind: concept, OTHER[kind]: word}) for word in others for frame in chosen
    ]


def fill(frame: str, *, style: str = "", object: str = "") -> str:
    """Puts words into a frame; its own "a" before them is fitted to each, theirs are left alone.

    >>> fill("a {object} in {style} style", style="Vitamin A", object="owl")
    'an owl in Vitamin A style'
    >>> fill("a photo of a {object}", object="the Joker")
    'a photo of the Joker'
    """
    words = {"style": style, "object": object}

    def put(hole: re.Match[str]) -> str:
        article, word = hole[1] or "", words[hole[2]]
        if article and word.lower().startswith(("a ", "an ", "the ")):
            return word
        vowel = article and word[:1].lower() in tuple("aeiou")
        return f"{article[:1]}n {word}" if vowel else f"{article}{word}"

    return re.sub(r"(\b[Aa] )?\{(style|object)\}", put, frame)


def require_kind(kind: str) -> None:
    """Raises BadParam unless kind is one of KINDS."""
    if kind not in KINDS:
        raise BadParam(f"no kind of concept is called {kind!r}; there are: {', '.join(KINDS)}")
