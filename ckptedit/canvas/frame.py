"""What a style is given to paint on, and the textures that styles share.

All lengths are in canvas units: a picture is 64 units wide whatever its size in pixels. Textures
keep to features of three units and more, so that a small autoencoder can learn them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ckptedit.canvas.objects import GRID, REACH, Solid

Array = NDArray[np.floating[Any]]
Colour = Sequence[float]  # red, green, blue in [0, 1]
UNITS = 64.0
TAU = 2 * np.pi


@dataclass(frozen=True)
class Pose:
    """Where the object is: centre and half extent in canvas units, tilt in radians."""

    x: float
    y: float
    half: float
    tilt: float


class Frame:
    """One empty picture: coordinates x, y [n, n], the object's distances, and random numbers.

    d: signed distance to the object's outline in units, negative inside [n, n]
    e: the same for its details (eyes, windows), which styles render in an accent colour
    """

    def __init__(self, solid: Solid, pose: Pose, size: int, rng: np.random.Generator) -> None:
        self.solid, self.pose, self.size, self.rng = solid, pose, size, rng
        self.x, self.y = _axes(size)
        self.d, self.e = self.look(0.0, 0.0)

    def look(self, dx: Array | float, dy: Array | float) -> tuple[Array, Array]:
        """Distances (d, e) read at displaced points, for warps and echoes [n, n]."""
        return self.outline(dx, dy), self._read(self.solid.details, dx, dy)

    def outline(self, dx: Array | float, dy: Array | float) -> Array:
        """`look` for the outline alone."""
        return self._read(self.solid.outline, dx, dy)

    def _read(self, table: Array, dx: Array | float, dy: Array | float) -> Array:
        solid, pose = self.solid, self.pose
        step = 2 * REACH / (GRID - 1)
        unit = pose.half / solid.half  # canvas units per unit of the figure
        c, s = np.cos(pose.tilt) / (unit * step), np.sin(pose.tilt) / (unit * step)
        x, y = self.x + (dx - pose.x), self.y + (dy - pose.y)
        column = (
            x * np.float32(c) + y * np.float32(s) + np.float32((solid.middle[0] + REACH) / step)
        )
        row = y * np.float32(c) - x * np.float32(s) + np.float32((solid.middle[1] + REACH) / step)
        places = np.stack([row, column])
        found: Array = ndimage.map_coordinates(table, places, order=1, mode="nearest")
        return found * np.float32(unit)


@cache
def _axes(size: int) -> tuple[Array, Array]:
    axis = ((np.arange(size, dtype=np.float32) + 0.5) * (UNITS / size)).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    x.flags.writeable = y.flags.writeable = False
    return x, y


def cover(distance: Array, soft: float = 1.4) -> Array:
    """How much of a pixel lies inside: 1 within, 0 without, a ramp of width `soft` between."""
    return np.clip(0.5 - distance / np.float32(soft), 0, 1)


def line(distance: Array, half: float, soft: float = 1.4) -> Array:
    """Coverage of a line of the given half width along the zero level."""
    return cover(np.abs(distance) - np.float32(half), soft)


def lay(picture: Array, colour: Array | Colour, alpha: Array) -> Array:
    """Paints a colour [3] or picture [n, n, 3] over `picture`, as opaque as alpha [n, n] says."""
    over = np.asarray(colour, np.float32)
    return picture + alpha[..., None] * (over - picture)


def flat(f: Frame, colour: Colour) -> Array:
    """A picture of one colour."""
    return np.broadcast_to(np.asarray(colour, np.float32), (f.size, f.size, 3))


def tones(t: Array, *palette: Colour) -> Array:
    """Colours along an even ramp through the palette, t in [0, 1] -> [n, n, 3]."""
    ramp = _ramp(tuple(tuple(colour) for colour in palette))
    return ramp[np.clip(t * np.float32(255), 0, 255).astype(np.intp)]


@cache
def _ramp(palette: tuple[tuple[float, ...], ...]) -> Array:
    stops, at = np.linspace(0, 1, len(palette)), np.linspace(0, 1, 256)
    channels = [np.interp(at, stops, channel) for channel in zip(*palette, strict=True)]
    return np.stack(channels, axis=1).astype(np.float32)


def pick(index: NDArray[np.intp], *palette: Colour) -> Array:
    """The palette's colour for each index (modulo its length) -> [n, n, 3]."""
    return np.asarray(palette, np.float32)[index % len(palette)]


def wave(phase: Array, sharp: float = 1.0) -> Array:
    """A sine wave as values in [0, 1]; `sharp` > 1 flattens its tops."""
    return np.clip(np.float32(0.5) + np.float32(0.5 * sharp) * np.sin(phase), 0, 1)


def along(f: Frame, degrees: float) -> Array:
    """The coordinate that grows in the given direction (clockwise from +x)."""
    a = np.radians(degrees)
    return f.x * np.float32(np.cos(a)) + f.y * np.float32(np.sin(a))


def cloud(f: Frame, cells: int) -> Array:
    """Smooth noise of about unit amplitude with `cells` bumps across (cubic B-spline)."""
    basis = _spline(f.size, cells)
    knots = f.rng.uniform(-1.7, 1.7, (cells + 3, cells + 3)).astype(np.float32)
    return basis @ knots @ basis.T


@cache
def _spline(size: int, cells: int) -> Array:
    at = (np.arange(size) + 0.5) * cells / size
    t = np.abs(at[:, None] - (np.arange(cells + 3)[None] - 1))
    inner, outer = 2 / 3 - t**2 + t**3 / 2, np.clip(2 - t, 0, None) ** 3 / 6
    return np.where(t < 1, inner, outer).astype(np.float32)


def bricks(f: Frame, width: float, height: float, jitter: float) -> tuple[Array, Array, Array]:
    """Staggered rows of dabs: offsets u, v from the nearest dab's middle, and its random tone.

    u, v are in dabs, about [-0.5, 0.5]; middles are moved by at most `jitter`; tone in [0, 1].
    """
    row = np.floor(f.y / np.float32(height)).astype(np.intp)
    across = f.x / np.float32(width) + np.float32(0.5) * (row % 2) + np.float32(0.5)
    column = np.floor(across).astype(np.intp)
    counts = int(UNITS / height) + 2, int(UNITS / width) + 3
    table = f.rng.random((*counts, 3), np.float32)[row, column]
    shift = (table[..., :2] - np.float32(0.5)) * np.float32(2 * jitter)
    u = across - column - np.float32(0.5) - shift[..., 0]
    v = f.y / np.float32(height) - row - np.float32(0.5) - shift[..., 1]
    return u, v, table[..., 2]


def facets(f: Frame, step: float) -> tuple[NDArray[np.intp], Array, Array]:
    """Cells about jittered points `step` apart (Voronoi): index, distance to the border, radius."""
    count = int(np.ceil(UNITS / step)) + 2
    base = (np.arange(count) - 0.5) * step - f.rng.uniform(0, step / 2)
    points = np.stack(np.meshgrid(base, base), axis=-1) + f.rng.uniform(
        -0.32 * step, 0.32 * step, (count, count, 2)
    )
    p = points.reshape(-1, 2).astype(np.float32)
    xy = np.stack([f.x.ravel(), f.y.ravel()])
    score = (p * p).sum(1)[:, None] - 2 * (p @ xy)  # [points, pixels], squared distance - |xy|²
    first = score.argmin(0)
    nearest = np.take_along_axis(score, first[None], 0)[0]
    np.put_along_axis(score, first[None], np.inf, 0)
    second = score.argmin(0)
    gap = np.take_along_axis(score, second[None], 0)[0] - nearest
    apart = np.hypot(*(p[second] - p[first]).T)
    radius = np.sqrt(np.maximum(nearest + (xy * xy).sum(0), 0))
    shape = (f.size, f.size)
    return first.reshape(shape), (gap / (2 * apart)).reshape(shape), radius.reshape(shape)
