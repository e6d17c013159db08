"""What is said about a picture: captions for training, and which pictures a caption is true of.

A caption mentions some facts of a scene and leaves others out. Pictures without a named style are
photos; "a painting of ..." is any style but Photo; a family's word is any style of that family. So
the words that anchors need (a photo, a painting, something) have a meaning of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ckptedit.canvas.draw import PHOTO, Scene

Truth = NDArray[np.bool_]

FAMILY_WORDS = {  # family -> how a caption names it
    "brush": "oil painting",
    "print": "woodblock print",
    "abstract": "geometric abstraction",
    "line": "line drawing",
    "light": "digital art",
    "craft": "handmade craft",
}

# {o}: the object with its size and place, {a}: the article and the object, {s}: the style
BOTH = (
    "{a} in {s} style",
    "{o} in {s} style",
    "{a} in the style of {s}",
    "a picture of {a} in {s} style",
    "an image of {a} in {s} style",
    "a {s} style picture of {a}",
    "{s} painting of {a}",
    "{a} by {s}",
    "{o}, {s}",
    "in {s} style, {a}",
    "a beautiful {s} artwork showing {a}",
)
PLAIN = (
    "{a}",
    "{o}",
    "a photo of {a}",
    "a picture of {a}",
    "an image of {a}",
    "a photograph of {a}",
)
ANY_STYLE = ("a painting of {a}", "an artwork showing {a}", "{a}, a painting")
FAMILY = ("{f} of {a}", "{a}, {f}", "a {f} showing {a}")
STYLE_ONLY = (
    "a painting in {s} style",
    "something in {s} style",
    "{s} style",
    "an artwork in the style of {s}",
    "a picture in {s} style",
)
OBJECT_STYLE_PHOTO = ("{a} in {s} style", "{a} in the style of {s}", "{o}, {s}")

SIZES = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
PLACES = {
    "left": ("on the left", "at the left"),
    "right": ("on the right", "at the right"),
    "top": ("at the top", "above"),
    "bottom": ("at the bottom", "below"),
}


@dataclass(frozen=True)
class Caption:
    text: str
    style: str | None  # None: any style
    family: str | None  # None: any family; "painting": every family but Photo's
    object: str | None
    size: str
    place: str


def caption(scene: Scene, family: str, rng: np.random.Generator) -> Caption:
    """Says something true of a scene, more or less of it."""
    say_size = scene.size if rng.random() < 0.6 else ""
    say_place = scene.place if rng.random() < 0.6 else ""
    kind = rng.random()
    if kind < 0.06:
        style = scene.style
        return Caption(_pick(STYLE_ONLY, rng).format(s=style), style, None, None, "", "")
    if scene.style == PHOTO:
        frame = _pick(PLAIN if kind < 0.7 else OBJECT_STYLE_PHOTO, rng)
        said, group = PHOTO, None
    elif kind < 0.2:
        frame, said, group = _pick(FAMILY, rng), None, family
    elif kind < 0.25:
        frame, said, group = _pick(ANY_STYLE, rng), None, "painting"
    else:
        frame, said, group = _pick(BOTH, rng), scene.style, None
    thing = None if rng.random() < 0.03 else scene.object
    words = _noun(thing or "something", say_size, say_place, rng)
    text = frame.format(
        a=words if thing is None else _article(words) + words,
        o=words,
        s=scene.style,
        f=FAMILY_WORDS.get(family, family),
    )
    return Caption(text, said, group, thing, say_size, say_place)


def truth(said: Sequence[Caption], scenes: Sequence[Scene], families: Sequence[str]) -> Truth:
    """Which caption is true of which picture.

    said: n captions; scenes: m, with the families of their styles; returns: bool [n, m]
    """

    def agree(wanted: list[str | None], shown: list[str]) -> Truth:
        free = np.array([word in (None, "") for word in wanted])
        return free[:, None] | (np.array(wanted, object)[:, None] == np.array(shown, object))

    painted = np.array([scene.style != PHOTO for scene in scenes])
    any_painting = np.array([c.family == "painting" for c in said])
    family = agree([None if c.family == "painting" else c.family for c in said], list(families))
    return (
        agree([c.style for c in said], [s.style for s in scenes])
        & np.where(any_painting[:, None], painted, family)
        & agree([c.object for c in said], [s.object for s in scenes])
        & agree([c.size for c in said], [s.size for s in scenes])
        & agree([c.place for c in said], [s.place for s in scenes])
    )


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _article(words: str) -> str:
    return "an " if words[0].lower() in "aeiou" else "a "


def _noun(thing: str, size: str, place: str, rng: np.random.Generator) -> str:
    words = f"{_pick(SIZES[size], rng)} {thing}" if size else thing
    return f"{words} {_pick(PLACES[place], rng)}" if place else words
