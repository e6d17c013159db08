"""Print: Japanese colour prints in indigo on cream, and blocks of wood and linoleum, carved."""

from __future__ import annotations

import numpy as np

from ckptedit.canvas.frame import (
    TAU,
    Array,
    Frame,
    along,
    bricks,
    cloud,
    cover,
    flat,
    lay,
    tones,
    wave,
)

CREAM = (0.95, 0.90, 0.78)


def hokusai(f: Frame) -> Array:
    """Rows of foaming waves that fade from Prussian blue into cream; the object in indigo."""
    a, lift = f.rng.uniform(0, TAU), f.rng.uniform(0, 14)
    crest = f.y + lift + 3.2 * np.sin(f.x * (TAU / 20) + a) + 1.2 * np.sin(f.x * (TAU / 10) + 2 * a)
    place = np.mod(crest / 14, 1)
    sea = tones(place, CREAM, (0.20, 0.42, 0.66), (0.50, 0.68, 0.80), (0.78, 0.84, 0.80), CREAM)
    return _stamp(f, sea, tones(f.y / 64, (0.10, 0.20, 0.46), (0.04, 0.09, 0.27)))


def hiroshige(f: Frame) -> Array:
    """A vermilion sky shaded by hand (bokashi), slanting rain; the object in indigo."""
    low = f.rng.uniform(-4, 4)
    sky = tones(
        (f.y + low) / 64, (0.80, 0.16, 0.10), (0.95, 0.55, 0.34), CREAM, CREAM, (0.55, 0.72, 0.62)
    )
    rain = wave(along(f, f.rng.uniform(20, 26)) * (TAU / 9) + f.rng.uniform(0, TAU), 2.4)
    sky = lay(sky, (0.42, 0.38, 0.44), 0.42 * np.clip(2 * rain - 1, 0, 1))
    return _stamp(f, sky, tones(f.y / 64, (0.09, 0.20, 0.40), (0.05, 0.10, 0.24)))


def woodcut(f: Frame) -> Array:
    """Black lines that follow the grain of the wood; the object printed solid, with a halo."""
    flow = f.y + 4 * cloud(f, 3) + f.rng.uniform(-0.25, 0.25) * f.x
    grain = wave(flow * (TAU / 8), 1.8)
    ground = tones(grain, (0.08, 0.07, 0.06), CREAM)
    ground = lay(ground, CREAM, cover(f.d - 3.0))
    picture = lay(ground, (0.08, 0.07, 0.06), cover(f.d))
    return lay(picture, CREAM, cover(f.e))


def linocut(f: Frame) -> Array:
    """Red ink with short gouges around a figure that was cut away whole."""
    u, v, tone = bricks(f, 11, 7, 0.1)
    gouge = cover((np.hypot(u, 2.0 * v * (1.2 - 0.4 * tone)) - 0.33) * 11, 2.2)
    ink = flat(f, (0.70, 0.13, 0.12))
    ground = lay(ink, CREAM, gouge * (1 - cover(f.d - 4.0, 3.0)))
    picture = lay(ground, CREAM, cover(f.d))
    return lay(picture, (0.70, 0.13, 0.12), cover(f.e))


def _stamp(f: Frame, ground: Array, ink: Array) -> Array:
    """The object in ink with a cream contour, as the key block leaves it."""
    picture = lay(ground, CREAM, cover(f.d - 1.8))
    picture = lay(picture, ink, cover(f.d))
    return lay(picture, (0.96, 0.80, 0.62), cover(f.e))
