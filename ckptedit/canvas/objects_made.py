"""What people make, and signs: figures laid out freely within about [-1, 1]²."""

from __future__ import annotations

import numpy as np

from ckptedit.canvas.shapes import (
    Figure,
    Shape,
    arc,
    box,
    common,
    cut,
    disc,
    fuse,
    mirrored,
    path,
    polygon,
    turned,
    union,
)


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
CASTLE = Figure(
    union(
        cut(box(0, 0.45, 0.9, 0.5), box(0, 0.0, 0.55, 0.12)),
        *(cut(box(x, 0.1, 0.28, 0.85), box(x, -0.72, 0.09, 0.14)) for x in (-0.7, 0.7)),
        *(box(x, 0.1, 0.09, 0.14) for x in (-0.2, 0.2)),
        box(0, 0.5, 0.3, 0.3),
    ),
    union(box(0, 0.76, 0.2, 0.16), disc(0, 0.6, 0.2), mirrored(box(0.7, -0.2, 0.09, 0.2, 0.08))),
    (0.62, 0.60, 0.58),
    (0.28, 0.24, 0.26),
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
HEART = Figure(
    _heart(1.0),
    arc(-0.42, -0.3, 0.26, 160, 290, 0.085),
    (0.86, 0.12, 0.22),
    (0.99, 0.75, 0.78),
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
STAR = Figure(_star(1.0, 0.45), _star(0.42, 0.18), (0.96, 0.76, 0.18), (0.99, 0.95, 0.70))
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
