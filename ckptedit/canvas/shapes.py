"""Signed distances of plain figures and their combinations; y points down, lengths are units.

Formulas after Quilez, "2D distance functions"; ellipses are first-order approximations. Unions and
cuts of distances are no exact distances any more, so `redistance` makes them exact again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.floating[Any]]
Shape = Callable[[Array, Array], Array]
Point = tuple[float, float]
Colour = tuple[float, float, float]  # red, green, blue in [0, 1]


@dataclass(frozen=True)
class Figure:
    """An object as drawn: outline, details (within the outline), and their colours in a photo."""

    outline: Shape
    details: Shape
    colour: Colour
    accent: Colour


def ellipse(cx: float, cy: float, rx: float, ry: float, turn: float = 0.0) -> Shape:
    """An ellipse about (cx, cy), its x axis turned by `turn` degrees (clockwise on screen)."""
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))

    def distance(x: Array, y: Array) -> Array:
        u, v = (x - cx) * c + (y - cy) * s, (y - cy) * c - (x - cx) * s
        near = np.hypot(u / rx, v / ry)
        return near * (near - 1) / np.maximum(np.hypot(u / rx**2, v / ry**2), 1e-6)

    return distance


def disc(cx: float, cy: float, r: float) -> Shape:
    """A disc of radius r."""
    return lambda x, y: np.hypot(x - cx, y - cy) - r


def box(cx: float, cy: float, w: float, h: float, corner: float = 0.0) -> Shape:
    """An upright box of half sides w, h with rounded corners."""

    def distance(x: Array, y: Array) -> Array:
        u, v = np.abs(x - cx) - w + corner, np.abs(y - cy) - h + corner
        outside = np.hypot(np.maximum(u, 0), np.maximum(v, 0))
        return outside + np.minimum(np.maximum(u, v), 0) - corner

    return distance


def polygon(*points: Point, corner: float = 0.0) -> Shape:
    """A closed polygon, grown by `corner` (which rounds its convex corners)."""

    def distance(x: Array, y: Array) -> Array:
        nearest = np.full(x.shape, np.inf, np.float32)
        sign = np.ones(x.shape, np.float32)
        for (ax, ay), (bx, by) in zip(points, points[-1:] + points[:-1], strict=True):
            nearest = np.minimum(nearest, _segment(x, y, (ax, ay), (bx, by)))
            left = (bx - ax) * (y - ay) > (by - ay) * (x - ax)
            above, below = y >= ay, y < by
            sign[(above & below & left) | ~(above | below | left)] *= -1
        return sign * nearest - corner

    return distance


def path(r: float, *points: Point) -> Shape:
    """A polyline drawn with a round pen of radius r."""

    def distance(x: Array, y: Array) -> Array:
        parts = [_segment(x, y, a, b) for a, b in pairwise(points)]
        return reduce(np.minimum, parts) - r

    return distance


def arc(cx: float, cy: float, radius: float, start: float, end: float, r: float) -> Shape:
    """A circular arc from `start` to `end` degrees (clockwise from +x), pen radius r."""
    angles = np.radians(np.linspace(start, end, 16))
    return path(r, *((cx + radius * np.cos(a), cy + radius * np.sin(a)) for a in angles))


def union(*shapes: Shape) -> Shape:
    """What lies in any of them."""
    return lambda x, y: reduce(np.minimum, (shape(x, y) for shape in shapes))


def common(*shapes: Shape) -> Shape:
    """What lies in all of them."""
    return lambda x, y: reduce(np.maximum, (shape(x, y) for shape in shapes))


def cut(shape: Shape, *holes: Shape) -> Shape:
    """What lies in `shape` and in none of the holes."""
    return lambda x, y: np.maximum(shape(x, y), -union(*holes)(x, y))


def fuse(k: float, *shapes: Shape) -> Shape:
    """A union whose seams are filled with fillets of about size k (polynomial smooth minimum)."""

    def join(a: Array, b: Array) -> Array:
        h = np.maximum(k - np.abs(a - b), 0) / k
        return np.minimum(a, b) - h * h * np.float32(k / 4)

    return lambda x, y: reduce(join, (shape(x, y) for shape in shapes))


def turned(shape: Shape, degrees: float) -> Shape:
    """`shape` turned about the origin, clockwise on screen."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return lambda x, y: shape(x * c + y * s, y * c - x * s)


def mirrored(shape: Shape) -> Shape:
    """The shape and its mirror image in the y axis."""
    return lambda x, y: np.minimum(shape(x, y), shape(-x, y))


def redistance(values: Array, cell: float) -> Array:
    """Exact signed distances from the zero level of `values` [n, n], in units; `cell` is a step."""
    inside = values < 0
    gap = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
    exact = (gap - 0.5 * np.sign(gap)) * cell
    return ndimage.gaussian_filter(exact, 1.0).astype(np.float32)


def _segment(x: Array, y: Array, a: Point, b: Point) -> Array:
    ex, ey = b[0] - a[0], b[1] - a[1]
    wx, wy = x - a[0], y - a[1]
    t = np.clip((wx * ex + wy * ey) / max(ex * ex + ey * ey, 1e-12), 0, 1)
    return np.hypot(wx - ex * t, wy - ey * t).astype(np.float32)
