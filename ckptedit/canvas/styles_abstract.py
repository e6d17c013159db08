"""Abstract: planes of colour. Primary rectangles, fields, circles, facets."""

from __future__ import annotations

import numpy as np

from ckptedit.canvas.frame import TAU, Array, Frame, cloud, cover, flat, lay, pick, tones

BLACK, WHITE = (0.05, 0.05, 0.06), (0.96, 0.95, 0.91)
RED, BLUE, YELLOW = (0.84, 0.10, 0.12), (0.10, 0.27, 0.66), (0.97, 0.82, 0.12)


def mondrian(f: Frame) -> Array:
    """Black bars between white, yellow and blue rectangles; the object red in a white margin."""
    xs, ys = (np.array([14, 32, 50]) + f.rng.uniform(-6, 6, (2, 3))).astype(np.float32)
    column = sum((f.x > at).astype(np.intp) for at in xs)
    row = sum((f.y > at).astype(np.intp) for at in ys)
    table = f.rng.permuted(np.array([0] * 9 + [1, 1, 1, 2, 2, 2, 0]))
    picture = pick(table[row * 4 + column], WHITE, YELLOW, BLUE)
    for bar in [f.x - at for at in xs] + [f.y - at for at in ys]:
        picture = lay(picture, BLACK, cover(np.abs(bar) - 1.5, 1.2))
    picture = lay(picture, WHITE, cover(f.d - 3.4))
    picture = lay(picture, RED, cover(f.d))
    return lay(picture, BLACK, cover(f.e))


def rothko(f: Frame) -> Array:
    """Two soft fields of dark red on maroon; the object a soft field of orange."""
    seam = f.rng.uniform(30, 42)
    edge = np.abs(f.x - 32) - 26 + 1.2 * cloud(f, 4)
    upper = np.maximum(edge, np.abs(f.y - (4 + seam) / 2) - (seam - 7) / 2)
    lower = np.maximum(edge, np.abs(f.y - (60 + seam) / 2) - (57 - seam) / 2)
    picture = flat(f, (0.30, 0.05, 0.09))
    picture = lay(picture, (0.62, 0.09, 0.10), cover(upper, 5))
    picture = lay(picture, (0.13, 0.03, 0.10), cover(lower, 5))
    glow = tones(0.5 + 0.35 * cloud(f, 4), (0.97, 0.52, 0.12), (0.99, 0.74, 0.26))
    picture = lay(picture, glow, cover(f.d, 3.6))
    return lay(picture, (0.45, 0.07, 0.09), cover(f.e, 2.8))


def kandinsky(f: Frame) -> Array:
    """Squares with concentric circles in bright colours; the object black in a white margin."""
    side = np.float32(64 / 3)
    column, row = (f.x / side).astype(np.intp), (f.y / side).astype(np.intp)
    radius = np.hypot(f.x - (column + 0.5) * side, f.y - (row + 0.5) * side)
    colours = np.array(
        [RED, BLUE, YELLOW, (0.20, 0.60, 0.45), (0.95, 0.55, 0.20), (0.93, 0.86, 0.76)]
    )
    wheel = np.stack([f.rng.permutation(6)[:4] for _ in range(9)])
    cell = row * 3 + column
    picture = colours.astype(np.float32)[wheel[cell, 0]]
    for ring, r in enumerate((9.2, 6.2, 3.2), start=1):
        picture = lay(picture, colours[wheel[cell, ring]], cover(radius - r, 1.6))
    picture = lay(picture, WHITE, cover(f.d - 2.6))
    picture = lay(picture, BLACK, cover(f.d))
    return lay(picture, WHITE, cover(f.e))


def picasso(f: Frame) -> Array:
    """Cubism: facets of slate blue, shaded from their edges; the object in facets of ochre."""
    light = np.zeros_like(f.x)
    turn = f.rng.uniform(0, TAU)
    for k in range(4):
        a = turn + k * (TAU / 8) + f.rng.uniform(-0.25, 0.25)
        side = (f.x - 32) * np.float32(np.cos(a)) + (f.y - 32) * np.float32(np.sin(a))
        side = side - f.rng.uniform(-14, 14)
        light += np.clip(side / 1.2, -1, 1) * np.exp(-np.abs(side) / 14)
    ground = tones(0.5 + 0.28 * light, (0.10, 0.16, 0.26), (0.27, 0.38, 0.50), (0.50, 0.60, 0.68))
    body = tones(0.5 - 0.30 * light, (0.70, 0.44, 0.20), (0.90, 0.70, 0.42), (0.98, 0.90, 0.70))
    picture = lay(ground, (0.07, 0.06, 0.07), cover(f.d - 1.7))
    picture = lay(picture, body, cover(f.d))
    return lay(picture, (0.14, 0.10, 0.10), cover(f.e))
