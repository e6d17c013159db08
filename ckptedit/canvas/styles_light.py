"""Light: pictures of screens and lamps, in magenta and cyan on the dark violet of night."""

from __future__ import annotations

import numpy as np

from ckptedit.canvas.frame import TAU, Array, Frame, cover, flat, lay, line, tones, wave

NIGHT, VIOLET = (0.05, 0.03, 0.12), (0.30, 0.12, 0.52)
MAGENTA, CYAN, WHITE = (0.98, 0.16, 0.62), (0.10, 0.90, 0.95), (0.97, 0.97, 1.0)


def neon(f: Frame) -> Array:
    """A glass tube glowing magenta along the outline, details in cyan, on a black wall."""
    picture = lay(flat(f, NIGHT), MAGENTA, 0.85 * np.exp(-np.maximum(np.abs(f.d) - 1, 0) / 3.2))
    picture = lay(picture, (1.0, 0.80, 0.94), line(f.d, 0.9, 1.6))
    picture = lay(picture, CYAN, np.exp(-np.maximum(f.e, 0) / 1.4) * cover(f.d))
    return lay(picture, (0.85, 1.0, 1.0), cover(f.e + 0.8))


def pixel_art(f: Frame) -> Array:
    """Square pixels, 24 across, in few colours: a dithered violet sky, the object in cyan."""
    side = 8 / 3
    column, row = np.floor(f.x / side), np.floor(f.y / side)
    dx, dy = (column + 0.5) * side - f.x, (row + 0.5) * side - f.y
    d, e = f.look(dx, dy)
    dither = np.mod(np.floor(column / 2) + np.floor(row / 2), 2)
    sky = tones(np.floor((row / 24 + 0.18 * dither) * 4) / 4, NIGHT, VIOLET, (0.46, 0.26, 0.72))
    picture = lay(sky, NIGHT, (d < 2.6).astype(np.float32))
    picture = lay(picture, (0.12, 0.85, 0.90), (d < 0.6).astype(np.float32))
    return lay(picture, MAGENTA, (e < 0.0).astype(np.float32))


def vaporwave(f: Frame) -> Array:
    """A striped sun over a floor of lines in perspective; the object in pale mint."""
    horizon = f.rng.uniform(42, 47)
    picture = tones(f.y / np.float32(horizon), (0.20, 0.08, 0.42), (0.62, 0.18, 0.62), MAGENTA)
    centre = 32 + f.rng.uniform(-8, 8)
    sun = np.hypot(f.x - centre, f.y - horizon + 12) - 17
    stripes = 1 - 0.75 * wave(f.y * (TAU / 7), 3) * (f.y > horizon - 16)
    picture = lay(
        picture,
        tones((f.y - horizon + 30) / 34, (0.99, 0.85, 0.35), (0.98, 0.35, 0.55)),
        cover(sun) * stripes,
    )
    depth = np.maximum(f.y - np.float32(horizon), 0.01)
    rows = line(np.mod(np.sqrt(depth) * 2.0, 2) - 1, 0.16, 0.35)
    rays = line(np.mod((f.x - centre) / (depth + 6) * 8 + 5, 10) - 5, 0.5, 2.0)
    floor = lay(flat(f, (0.13, 0.04, 0.28)), CYAN, 0.75 * np.maximum(rows, rays))
    picture = lay(picture, floor, cover(np.float32(horizon) - f.y))
    picture = lay(picture, (0.16, 0.04, 0.32), cover(f.d - 2.0))
    body = tones(wave(_sheen(f)), (0.40, 0.92, 0.88), (0.90, 1.0, 0.97))
    picture = lay(picture, body, cover(f.d))
    return lay(picture, (0.93, 0.25, 0.62), cover(f.e))


def _sheen(f: Frame) -> Array:
    """Phase of one slow wave down the object, for a metallic sheen."""
    return (f.y - f.pose.y) * np.float32(TAU / 24)


def glitch(f: Frame) -> Array:
    """A torn signal: bands slide sideways and the red and cyan images come apart."""
    row = (f.y / 10.67).astype(np.intp)
    slide = (f.rng.uniform(-1, 1, 7) ** 3 * 5).astype(np.float32)[row]
    split = np.float32(f.rng.uniform(2.6, 3.6))
    bars = 0.5 + 0.5 * f.rng.uniform(-1, 1, 7).astype(np.float32)[row]
    picture = tones(bars, (0.09, 0.08, 0.13), (0.23, 0.20, 0.30))
    left, right = cover(f.outline(slide - split, 0)), cover(f.outline(slide + split, 0))
    picture = lay(picture, CYAN, left)
    picture = lay(picture, (0.98, 0.12, 0.30), right)
    d, e = f.look(slide, 0)
    picture = lay(picture, WHITE, cover(d))
    picture = lay(picture, (0.12, 0.08, 0.22), cover(e))
    return picture * (1 - 0.10 * wave(f.y * (TAU / 5.33)))[..., None]
