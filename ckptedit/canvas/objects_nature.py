"""What grows and lives, and the moon: figures laid out freely within about [-1, 1]²."""

from __future__ import annotations

import numpy as np

from ckptedit.canvas.shapes import (
    Figure,
    Shape,
    arc,
    box,
    cut,
    disc,
    ellipse,
    fuse,
    mirrored,
    path,
    polygon,
    union,
)


def _eyes(dx: float, y: float, r: float) -> Shape:
    return union(disc(-dx, y, r), disc(dx, y, r))


def _petals(count: int, reach: float, r: float) -> Shape:
    angles = np.radians(np.arange(count) * 360 / count - 90)
    return union(*(disc(reach * np.cos(a), reach * np.sin(a) - 0.4, r) for a in angles))


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
        mirrored(ellipse(0.52, -0.32, 0.5, 0.36, -38)),
        mirrored(ellipse(0.42, 0.4, 0.38, 0.27, 42)),
        ellipse(0, 0.05, 0.1, 0.55),
        mirrored(path(0.06, (0.02, -0.4), (0.14, -0.78), (0.28, -0.92))),
    ),
    union(
        mirrored(disc(0.56, -0.36, 0.17)),
        mirrored(disc(0.42, 0.4, 0.13)),
        ellipse(0, 0.05, 0.06, 0.48),
    ),
    (0.55, 0.25, 0.70),
    (0.98, 0.80, 0.25),
)
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
MOON = Figure(
    cut(disc(0, 0, 0.95), disc(0.45, -0.16, 0.76)),
    union(disc(-0.6, -0.1, 0.11), disc(-0.4, 0.42, 0.15), disc(0.12, 0.72, 0.09)),
    (0.93, 0.88, 0.62),
    (0.72, 0.66, 0.45),
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
RABBIT = Figure(
    fuse(
        0.12,
        ellipse(0, 0.42, 0.55, 0.48),
        mirrored(ellipse(0.27, -0.4, 0.17, 0.56, 14)),
    ),
    union(
        _eyes(0.22, 0.32, 0.09),
        ellipse(0, 0.58, 0.1, 0.08),
        mirrored(ellipse(0.28, -0.42, 0.07, 0.36, 14)),
    ),
    (0.72, 0.68, 0.66),
    (0.95, 0.62, 0.66),
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
