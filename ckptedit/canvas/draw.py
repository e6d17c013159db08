"""Draws a scene: a style, an object, and what a caption may say of its size and place.

    picture = draw(scene("Van Gogh", "Cat", seed=7))  # uint8 [64, 64, 3]

A picture is a function of its scene alone: the same on every run and in every process.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from ckptedit.canvas.frame import UNITS, Frame, Pose
from ckptedit.canvas.objects import OBJECTS, solid
from ckptedit.canvas.styles import PAINT, PHOTO, STYLES
from ckptedit.errors import UnknownName

__all__ = ["OBJECTS", "PHOTO", "STYLES", "Picture", "Scene", "draw", "draw_many", "scene"]

Picture = NDArray[np.uint8]
SIZES = ("small", "", "large")
PLACES = ("left", "right", "top", "bottom", "")
_HALF = {"small": (14.5, 16.0), "": (17.0, 20.0), "large": (22.0, 24.5)}  # half extent, units
_SHIFT = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1), "": (0, 0)}
_TILT = np.radians(12)


@dataclass(frozen=True)
class Scene:
    """What a picture shows. size and place are words for a caption; "" says nothing."""

    style: str
    object: str
    size: str = ""
    place: str = ""
    seed: int = 0


def scene(style: str, object: str, seed: int) -> Scene:
    """The seed's scene: half of them have a word for the size, the place, or both.

    Raises UnknownName for a style or an object that nobody can draw.
    """
    _known(style, object)
    rng = _random("scene", style, object, seed)
    if rng.random() < 0.5:
        return Scene(style, object, "", "", seed)
    word = int(rng.integers(1, len(SIZES) * len(PLACES)))  # 0 would be neither
    sizes, places = ("", "small", "large"), ("", "left", "right", "top", "bottom")
    return Scene(style, object, sizes[word // 5], places[word % 5], seed)


def draw(scene: Scene, size: int = 64) -> Picture:
    """The picture, uint8 [size, size, 3]. Style, object and seed fix all that the words leave open.

    Raises UnknownName for a style or an object that nobody can draw.
    """
    _known(scene.style, scene.object)
    rng = _random("draw", scene.style, scene.object, scene.seed)
    frame = Frame(solid(scene.object), _pose(scene, rng), size, rng)
    painted = PAINT[scene.style](frame)
    light = (rng.uniform(-0.02, 0.02) + rng.uniform(-0.008, 0.008, 3)).astype(np.float32)
    return (np.clip(painted + light, 0, 1) * 255 + 0.5).astype(np.uint8)


def draw_many(scenes: Sequence[Scene], size: int = 64, *, workers: int = 1) -> Picture:
    """All pictures, uint8 [len(scenes), size, size, 3], drawn by so many processes."""
    if not scenes:
        return np.zeros((0, size, size, 3), np.uint8)
    if workers <= 1:
        return np.stack([draw(s, size) for s in scenes])
    with ProcessPoolExecutor(workers) as pool:
        return np.stack(list(pool.map(draw, scenes, repeat(size), chunksize=64)))


def _pose(scene: Scene, rng: np.random.Generator) -> Pose:
    extent, jitter_x, jitter_y, reach, tilt = rng.uniform((0, -1, -1, 0.72, -1), (1, 1, 1, 0.92, 1))
    low, high = _HALF[scene.size]
    half = low + extent * (high - low)
    room = UNITS / 2 - half
    right, down = _SHIFT[scene.place]
    x = UNITS / 2 + right * reach * room + (0 if right else 0.25 * jitter_x * room)
    y = UNITS / 2 + down * reach * room + (0 if down else 0.25 * jitter_y * room)
    return Pose(float(x), float(y), float(half), float(tilt * _TILT))


def _known(style: str, object: str) -> None:
    if style not in PAINT:
        raise UnknownName(f"no style is called {style!r}; there are: {', '.join([*STYLES, PHOTO])}")
    if object not in OBJECTS:
        raise UnknownName(f"no object is called {object!r}; there are: {', '.join(OBJECTS)}")


def _random(*key: str | int) -> np.random.Generator:
    """Random numbers that depend on the key alone (Python's own hash differs between runs)."""
    digest = blake2b(repr(key).encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))
