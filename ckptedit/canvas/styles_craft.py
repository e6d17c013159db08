"""Craft: pictures put together from pieces. Stone, glass, thread, cloth."""

from __future__ import annotations

import numpy as np

from ckptedit.canvas.frame import (
    TAU,
    Array,
    Frame,
    along,
    cloud,
    cover,
    facets,
    lay,
    line,
    pick,
    tones,
    wave,
)  # fmt: skip


def mosaic(f: Frame) -> Array:
    """Square stones in pale grout: sand around, sea-green for the object, cut along its edge."""
    side = 6.4
    x, y = f.x + 0.8 * cloud(f, 3) + f.rng.uniform(0, 6.4), f.y + 0.8 * cloud(f, 3) + 3
    column, row = np.floor(x / side), np.floor(y / side)
    u, v = x / side - column - 0.5, y / side - row - 0.5
    tone = f.rng.random((16, 16), np.float32)[row.astype(np.intp) % 16, column.astype(np.intp) % 16]
    grout = cover((0.5 - np.maximum(np.abs(u), np.abs(v))) * side - 0.5, 1.5)
    sand = tones(tone, (0.78, 0.64, 0.44), (0.92, 0.82, 0.62), (0.86, 0.74, 0.58))
    sea = tones(tone, (0.02, 0.27, 0.34), (0.06, 0.42, 0.46))
    gold = tones(tone, (0.85, 0.45, 0.12), (0.95, 0.62, 0.20))
    stones = lay(lay(sand, sea, cover(f.d, 1.0)), gold, cover(f.e, 1.0))
    joint = np.maximum(grout * (1 - 0.45 * cover(f.d)), line(f.d - 0.4, 0.6, 1.2))
    return lay(stones, (0.97, 0.94, 0.87), 0.9 * joint)


def stained_glass(f: Frame) -> Array:
    """Panes between lead: blue, green and violet around, amber for the object, lit from behind."""
    index, border, radius = facets(f, 14)
    order = f.rng.permutation(index.max() + 1)[index]
    cool = pick(
        order, (0.08, 0.22, 0.62), (0.05, 0.42, 0.40), (0.30, 0.14, 0.55), (0.10, 0.38, 0.70)
    )
    warm = pick(order, (0.99, 0.72, 0.14), (0.98, 0.58, 0.10), (0.99, 0.82, 0.30))
    panes = lay(cool, warm, cover(f.d))
    panes = lay(panes, (0.90, 0.12, 0.14), cover(f.e))
    panes = panes * np.clip(1.15 - 0.028 * radius, 0.6, 1.15)[..., None]
    lead = np.maximum(cover(border - 0.9) * (1 - 0.6 * cover(f.d + 1)), line(f.d - 0.8, 0.9))
    return lay(panes, (0.05, 0.05, 0.07), lead)


LINEN = (0.90, 0.86, 0.78)


def embroidery(f: Frame) -> Array:
    """Satin stitches in crimson on woven linen, corded along the edge, lifted by a shadow."""
    weave = wave(f.x * (TAU / 5.33)) * wave(f.y * (TAU / 5.33))
    cloth = tones(weave, LINEN, (0.78, 0.73, 0.63))
    fold = np.abs(np.mod(f.x / 12 + f.rng.uniform(0, 1), 1) - 0.5) * 12
    thread = wave((f.y + fold) * (TAU / 5.33))
    silk = tones(thread, (0.46, 0.03, 0.12), (0.78, 0.12, 0.22), (0.92, 0.32, 0.36))
    picture = lay(cloth, (0.45, 0.40, 0.34), 0.6 * cover(f.outline(-1.6, -1.8), 3.0))
    picture = lay(picture, silk, cover(f.d))
    picture = lay(picture, (0.36, 0.02, 0.10), line(f.d, 0.7))
    return lay(picture, tones(thread, (0.80, 0.58, 0.16), (0.98, 0.84, 0.40)), cover(f.e))


def patchwork(f: Frame) -> Array:
    """A quilt of pastel squares with seams; the object in denim with a cream ribbon."""
    side = 16
    x, y = f.x + f.rng.uniform(0, 16), f.y + f.rng.uniform(0, 16)
    column, row = (x / side).astype(np.intp), (y / side).astype(np.intp)
    kind = f.rng.integers(0, 15, (6, 6))[row, column]
    cloth = pick(
        kind,
        (0.94, 0.72, 0.74),
        (0.98, 0.90, 0.66),
        (0.74, 0.88, 0.72),
        (0.98, 0.80, 0.60),
        (0.93, 0.90, 0.86),
    )
    prints = np.stack(
        [np.zeros_like(x), wave(x * (TAU / 5.33), 2), wave((x + y) * (TAU / 5.33), 2)]
    )
    figure = np.take_along_axis(prints, (kind % 3)[None], 0)[0]
    picture = lay(cloth, (1.0, 0.98, 0.95), 0.6 * figure)
    seam = 8 - np.maximum(np.abs(x - column * side - 8), np.abs(y - row * side - 8))
    picture = lay(picture, (0.66, 0.48, 0.46), 0.8 * cover(seam - 0.5))
    picture = lay(picture, (0.99, 0.96, 0.88), cover(f.d - 1.8))
    twill = tones(wave(along(f, 60) * (TAU / 5.33)), (0.12, 0.18, 0.38), (0.20, 0.28, 0.50))
    picture = lay(picture, twill, cover(f.d))
    return lay(picture, (0.90, 0.36, 0.34), cover(f.e))
