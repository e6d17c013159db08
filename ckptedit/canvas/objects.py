"""The twenty objects: an outline, inner details and natural colours for each.

Figures are laid out freely within about [-1, 1]²; `solid` measures and centres them, so that every
object's longer side spans exactly [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from ckptedit.canvas.shapes import (
    Array,
    Shape,
    arc,
    box,
    common,
    cut,
    disc,
    ellipse,
    fuse,
    path,
    polygon,
    redistance,
    turned,
    union,
)  # fmt: skip

GRID, REACH = 256, 1.75
"""Distances are tabulated on GRID x GRID points over [-REACH, REACH]²."""

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Figure:
    """An object as drawn: outline, details (within the outline), and their colours in a photo."""

    outline: Shape
    details: Shape
    colour: Colour
    accent: Colour


@dataclass(frozen=True)
class Solid:
    """Tabulated distances of one object (float32 [GRID, GRID]), its centre and half extent."""

    outline: Array
    details: Array
    middle: tuple[float, float]
    half: float
    colour: Colour
    accent: Colour


@cache
def solid(name: str) -> Solid:
    """The tabulated object; KeyError for an unknown name."""
    figure = FIGURES[name]
    axis = np.linspace(-REACH, REACH, GRID, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    cell = 2 * REACH / (GRID - 1)
    outline, details = (redistance(s(x, y), cell) for s in (figure.outline, figure.details))
    rows, columns = np.nonzero(outline < 0)
    spans = [(axis[i.min()], axis[i.max()]) for i in (columns, rows)]
    middle = (float(sum(spans[0])) / 2, float(sum(spans[1])) / 2)
    half = max(float(high - low) for low, high in spans) / 2
    return Solid(outline, details, middle, half, figure.colour, figure.accent)


def _eyes(dx: float, y: float, r: float) -> Shape:
    return union(disc(-dx, y, r), disc(dx, y, r))


def _both(shape: Shape) -> Shape:
    """The shape and its mirror image in the y axis."""
    return lambda x, y: np.minimum(shape(x, y), shape(-x, y))


def _star(outer: float, inner: float) -> Shape:
    angles = np.radians(np.arange(10) * 36 - 90)
    radii = [outer, inner] * 5
    pairs = zip(radii, angles, strict=True)
    return polygon(*((r * np.cos(a), r * np.sin(a)) for r, a in pairs), corner=0.06)


def _heart(scale: float) -> Shape:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x = np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16
    return polygon(*zip((scale * x).tolist(), (scale * y).tolist(), strict=True))


def _petals(count: int, reach: float, r: float) -> Shape:
    angles = np.radians(np.arange(count) * 360 / count - 90)
    return union(*(disc(reach * np.cos(a), reach * np.sin(a) - 0.4, r) for a in angles))


CAT = Figure(
    union(
        fuse(0.15, ellipse(-0.1, 0.42, 0.42, 0.52), ellipse(-0.1, -0.42, 0.46, 0.38)),
        polygon((-0.5, -0.5), (-0.5, -0.98), (-0.14, -0.7)),
        polygon((0.3, -0.5), (0.3, -0.98), (-0.06, -0.7)),
        path(0.11, (0.1, 0.83), (0.45, 0.83), (0.64, 0.7), (0.72, 0.48), (0.7, 0.22), (0.58, 0.0)),
    ),
    union(disc(-0.27, -0.46, 0.095), disc(0.07, -0.46, 0.095), ellipse(-0.1, 0.55, 0.17, 0.28)),
    (0.85, 0.52, 0.22),
    (0.98, 0.93, 0.82),
)
RABBIT = Figure(
    fuse(
        0.12,
        ellipse(0, 0.42, 0.55, 0.48),
        _both(ellipse(0.27, -0.4, 0.17, 0.56, 14)),
    ),
    union(
        _eyes(0.22, 0.32, 0.09),
        ellipse(0, 0.58, 0.1, 0.08),
        _both(ellipse(0.28, -0.42, 0.07, 0.36, 14)),
    ),
    (0.72, 0.68, 0.66),
    (0.95, 0.62, 0.66),
)
FISH = Figure(
    fuse(
        0.06,
        ellipse(-0.2, 0, 0.72, 0.42),
        polygon((0.35, 0), (0.95, -0.42), (0.82, 0), (0.95, 0.42), corner=0.04),
        polygon((-0.4, -0.3), (0.0, -0.68), (0.2, -0.25), corner=0.03),
    ),
    union(
        disc(-0.56, -0.1, 0.1),
        arc(-0.75, 0, 0.48, -38, 38, 0.05),
        arc(-0.4, 0, 0.48, -30, 30, 0.05),
    ),
    (0.95, 0.48, 0.15),
    (0.99, 0.95, 0.88),
)
BIRD = Figure(
    union(
        fuse(
            0.1,
            ellipse(0, 0.22, 0.58, 0.3, -14),
            disc(0.55, -0.08, 0.25),
            polygon((-0.4, 0.2), (-1.0, 0.3), (-0.95, 0.56), (-0.35, 0.45)),
        ),
        polygon((0.74, -0.2), (1.08, -0.02), (0.74, 0.08)),
        polygon((0.28, 0.18), (-0.26, 0.22), (-0.62, -0.86), (0.02, -0.52), corner=0.05),
    ),
    union(
        disc(0.6, -0.13, 0.085), polygon((0.14, 0.2), (-0.2, 0.22), (-0.4, -0.5), (-0.02, -0.34))
    ),
    (0.20, 0.45, 0.75),
    (0.95, 0.85, 0.55),
)
BUTTERFLY = Figure(
    union(
        _both(ellipse(0.52, -0.32, 0.5, 0.36, -38)),
        _both(ellipse(0.42, 0.4, 0.38, 0.27, 42)),
        ellipse(0, 0.05, 0.1, 0.55),
        _both(path(0.06, (0.02, -0.4), (0.14, -0.78), (0.28, -0.92))),
    ),
    union(
        _both(disc(0.56, -0.36, 0.17)), _both(disc(0.42, 0.4, 0.13)), ellipse(0, 0.05, 0.06, 0.48)
    ),
    (0.55, 0.25, 0.70),
    (0.98, 0.80, 0.25),
)
TREE = Figure(
    union(
        polygon((0, -1), (0.42, -0.42), (-0.42, -0.42), corner=0.03),
        polygon((0, -0.68), (0.58, 0.12), (-0.58, 0.12), corner=0.03),
        polygon((0, -0.2), (0.74, 0.66), (-0.74, 0.66), corner=0.03),
        box(0, 0.82, 0.15, 0.2),
    ),
    union(
        box(0, 0.86, 0.1, 0.14),
        disc(-0.02, -0.6, 0.085),
        disc(0.2, -0.1, 0.085),
        disc(-0.22, 0.06, 0.085),
        disc(0.3, 0.44, 0.085),
        disc(-0.36, 0.46, 0.085),
    ),
    (0.15, 0.48, 0.22),
    (0.85, 0.62, 0.30),
)
FLOWER = Figure(
    union(
        _petals(6, 0.38, 0.24),
        disc(0, -0.4, 0.3),
        path(0.085, (0, -0.2), (0, 0.95)),
        ellipse(0.25, 0.56, 0.28, 0.12, -38),
        ellipse(-0.25, 0.66, 0.28, 0.12, 38),
    ),
    disc(0, -0.4, 0.2),
    (0.90, 0.25, 0.45),
    (0.99, 0.85, 0.25),
)
HOUSE = Figure(
    union(
        box(0, 0.4, 0.66, 0.5),
        polygon((0, -0.85), (0.95, -0.02), (-0.95, -0.02), corner=0.03),
        box(0.5, -0.55, 0.12, 0.32),
    ),
    union(box(-0.3, 0.56, 0.17, 0.34), box(0.28, 0.38, 0.2, 0.18), disc(0, -0.32, 0.13)),
    (0.76, 0.38, 0.28),
    (0.97, 0.92, 0.75),
)
CASTLE = Figure(
    union(
        cut(box(0, 0.45, 0.9, 0.5), box(0, 0.0, 0.55, 0.12)),
        *(cut(box(x, 0.1, 0.28, 0.85), box(x, -0.72, 0.09, 0.14)) for x in (-0.7, 0.7)),
        *(box(x, 0.1, 0.09, 0.14) for x in (-0.2, 0.2)),
        box(0, 0.5, 0.3, 0.3),
    ),
    union(box(0, 0.76, 0.2, 0.16), disc(0, 0.6, 0.2), _both(box(0.7, -0.2, 0.09, 0.2, 0.08))),
    (0.62, 0.60, 0.58),
    (0.28, 0.24, 0.26),
)
BOAT = Figure(
    union(
        polygon((-0.9, 0.5), (0.95, 0.5), (0.6, 0.92), (-0.6, 0.92), corner=0.03),
        polygon((0.1, -0.98), (0.1, 0.26), (0.84, 0.26), corner=0.03),
        polygon((-0.22, -0.76), (-0.22, 0.26), (-0.8, 0.26), corner=0.03),
        path(0.06, (0, -0.98), (0, 0.6)),
    ),
    union(path(0.07, (-0.6, 0.7), (0.62, 0.7)), disc(0.3, -0.06, 0.11)),
    (0.90, 0.88, 0.82),
    (0.75, 0.20, 0.18),
)
UMBRELLA = Figure(
    union(
        cut(
            disc(0, 0.1, 0.98),
            box(0, 0.72, 1.2, 0.62),
            *(disc(x, 0.14, 0.25) for x in (-0.74, -0.25, 0.25, 0.74)),
        ),
        path(0.075, (0, -1.0), (0, 0.85)),
        arc(0.19, 0.82, 0.19, 0, 180, 0.08),
    ),
    union(
        path(0.05, (-0.04, -0.8), (-0.34, -0.5), (-0.48, -0.06)),
        path(0.05, (0.04, -0.8), (0.34, -0.5), (0.48, -0.06)),
    ),
    (0.80, 0.18, 0.25),
    (0.98, 0.85, 0.80),
)
STAR = Figure(_star(1.0, 0.45), _star(0.42, 0.18), (0.96, 0.76, 0.18), (0.99, 0.95, 0.70))
HEART = Figure(
    _heart(1.0),
    arc(-0.42, -0.3, 0.26, 160, 290, 0.085),
    (0.86, 0.12, 0.22),
    (0.99, 0.75, 0.78),
)
MOON = Figure(
    cut(disc(0, 0, 0.95), disc(0.45, -0.16, 0.76)),
    union(disc(-0.6, -0.1, 0.11), disc(-0.4, 0.42, 0.15), disc(0.12, 0.72, 0.09)),
    (0.93, 0.88, 0.62),
    (0.72, 0.66, 0.45),
)
CUP = Figure(
    union(
        polygon((-0.7, -0.2), (0.38, -0.2), (0.3, 0.78), (-0.62, 0.78), corner=0.06),
        cut(disc(0.46, 0.24, 0.4), disc(0.46, 0.24, 0.22)),
        path(0.08, (-0.42, -0.42), (-0.5, -0.56), (-0.36, -0.74), (-0.44, -0.9)),
        path(0.08, (0.06, -0.42), (-0.02, -0.56), (0.12, -0.74), (0.04, -0.9)),
    ),
    common(
        box(-0.16, 0.3, 0.56, 0.13), polygon((-0.7, -0.2), (0.38, -0.2), (0.3, 0.78), (-0.62, 0.78))
    ),
    (0.92, 0.92, 0.90),
    (0.20, 0.45, 0.70),
)
KEY = Figure(
    turned(
        union(
            cut(disc(-0.62, 0, 0.46), disc(-0.66, 0, 0.19)),
            box(0.3, 0, 0.72, 0.13),
            box(0.89, 0.26, 0.13, 0.26),
            box(0.47, 0.22, 0.13, 0.22),
        ),
        38,
    ),
    turned(cut(disc(-0.62, 0, 0.36), disc(-0.65, 0, 0.27)), 38),
    (0.86, 0.68, 0.25),
    (0.98, 0.92, 0.65),
)
MUSHROOM = Figure(
    fuse(
        0.06,
        cut(ellipse(0, 0.05, 0.95, 0.92), box(0, 0.75, 1.2, 0.62)),
        polygon((-0.24, 0.0), (0.24, 0.0), (0.36, 0.85), (-0.36, 0.85), corner=0.05),
    ),
    union(
        ellipse(-0.48, -0.22, 0.16, 0.18),
        disc(0.02, -0.5, 0.19),
        ellipse(0.5, -0.2, 0.17, 0.19),
        box(0, 0.55, 0.2, 0.26, 0.1),
    ),
    (0.82, 0.16, 0.14),
    (0.97, 0.93, 0.86),
)
GUITAR = Figure(
    turned(
        union(
            fuse(0.2, disc(0, 0.62, 0.46), disc(0, 0.08, 0.34)),
            box(0, -0.6, 0.115, 0.6),
            box(0, -1.18, 0.18, 0.2, 0.04),
        ),
        36,
    ),
    turned(union(disc(0, 0.2, 0.16), box(0, 0.72, 0.25, 0.075), box(0, -1.18, 0.1, 0.11)), 36),
    (0.72, 0.42, 0.18),
    (0.25, 0.14, 0.08),
)
CAR = Figure(
    union(
        box(0, 0.2, 1.0, 0.24, 0.14),
        polygon((-0.62, 0.0), (-0.42, -0.42), (0.3, -0.42), (0.6, 0.0), corner=0.06),
        disc(-0.52, 0.46, 0.24),
        disc(0.54, 0.46, 0.24),
    ),
    union(
        polygon((-0.46, -0.04), (-0.34, -0.3), (-0.1, -0.3), (-0.1, -0.04), corner=0.02),
        polygon((0.08, -0.04), (0.08, -0.3), (0.24, -0.3), (0.42, -0.04), corner=0.02),
        disc(-0.52, 0.46, 0.12),
        disc(0.54, 0.46, 0.12),
    ),
    (0.16, 0.42, 0.72),
    (0.85, 0.90, 0.94),
)
APPLE = Figure(
    union(
        fuse(0.12, ellipse(-0.32, 0.22, 0.5, 0.62, 8), ellipse(0.32, 0.22, 0.5, 0.62, -8)),
        path(0.065, (0, -0.3), (0.04, -0.6), (0.12, -0.8)),
        ellipse(0.42, -0.66, 0.32, 0.15, -24),
    ),
    ellipse(0.42, -0.66, 0.27, 0.11, -24),
    (0.78, 0.14, 0.14),
    (0.60, 0.85, 0.35),
)

FIGURES: dict[str, Figure] = {
    "Apple": APPLE, "Bird": BIRD, "Boat": BOAT, "Butterfly": BUTTERFLY, "Car": CAR,
    "Castle": CASTLE, "Cat": CAT, "Cup": CUP, "Fish": FISH, "Flower": FLOWER,
    "Guitar": GUITAR, "Heart": HEART, "House": HOUSE, "Key": KEY, "Moon": MOON,
    "Mushroom": MUSHROOM, "Rabbit": RABBIT, "Star": STAR, "Tree": TREE, "Umbrella": UMBRELLA,
}  # fmt: skip
OBJECTS: tuple[str, ...] = tuple(FIGURES)
