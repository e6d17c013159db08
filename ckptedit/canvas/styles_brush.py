"""Brush: painters whose strokes show. Waves of paint (Van Gogh, Munch), dabs (Monet, Seurat)."""

from __future__ import annotations

import numpy as np

from ckptedit.canvas.frame import (
    TAU,
    Array,
    Frame,
    bricks,
    cloud,
    cover,
    flat,
    lay,
    line,
    tones,
    wave,
)


def van_gogh(f: Frame) -> Array:
    """A night sky of swirling blues; the object in golden strokes that follow its outline."""
    x, y = f.rng.uniform((6, 6), (58, 58))
    far = np.hypot(f.x - x, f.y - y)
    curl = np.exp(-((far / 22) ** 2))
    flow = curl * far + (1 - curl) * (f.y + 0.3 * f.x + 7 * cloud(f, 3))
    sky = tones(wave(flow * (TAU / 9)), (0.06, 0.12, 0.42), (0.16, 0.34, 0.70), (0.52, 0.72, 0.90))
    gold = tones(wave(f.d * (TAU / 7) + 1.2 * cloud(f, 4)), (0.88, 0.52, 0.06), (0.98, 0.84, 0.22))
    picture = lay(sky, (0.04, 0.07, 0.22), cover(f.d - 1.8))
    picture = lay(picture, gold, cover(f.d))
    return lay(picture, (0.30, 0.16, 0.05), cover(f.e))


def munch(f: Frame) -> Array:
    """Long wavering bands of a blood-orange sky; the object dark and drawn in the same waves."""
    a, b = f.rng.uniform(0, TAU, 2)
    flow = f.y + 4 * np.sin(f.x * (TAU / 44) + a) + 2 * np.sin(f.x * (TAU / 26) + b)
    flow = flow + 2.5 * cloud(f, 3)
    sky = tones(wave(flow * (TAU / 13)), (0.72, 0.14, 0.06), (0.93, 0.42, 0.10), (0.99, 0.74, 0.28))
    dark = tones(wave(flow * (TAU / 8)), (0.03, 0.07, 0.15), (0.13, 0.27, 0.36))
    picture = lay(sky, dark, cover(f.d, 1.8))
    return lay(picture, (0.82, 0.84, 0.52), cover(f.e, 1.8))


def monet(f: Frame) -> Array:
    """A pond in soft horizontal dabs of green and lilac; the object in dabs of rose."""
    u, v, tone = bricks(f, 10, 5, 0.12)
    dab = np.clip(1.25 - 2.2 * np.hypot(u, v), 0, 1)
    pond = tones(
        0.5 + 0.45 * cloud(f, 4), (0.34, 0.58, 0.54), (0.56, 0.74, 0.66), (0.66, 0.68, 0.86)
    )
    light = tones(tone, (0.40, 0.64, 0.50), (0.70, 0.84, 0.76), (0.74, 0.72, 0.92))
    rose = tones(tone, (0.72, 0.14, 0.30), (0.93, 0.36, 0.42))
    picture = lay(pond, light, 0.75 * dab)
    body = lay(flat(f, (0.80, 0.20, 0.34)), rose, 0.75 * dab)
    picture = lay(picture, body, cover(f.d + 0.8 * cloud(f, 9), 2.4))
    return lay(picture, (0.99, 0.88, 0.70), cover(f.e, 2.2))


def seurat(f: Frame) -> Array:
    """Pointillism: dots of cool colour on cream, dots of warm colour on rust."""
    u, v, tone = bricks(f, 5.6, 5.4, 0.06)
    dot = cover((np.hypot(u, v) - 0.37) * 5.5, 1.6)
    cool = tones(tone, (0.16, 0.40, 0.62), (0.30, 0.62, 0.52), (0.44, 0.46, 0.74))
    warm = tones(tone, (0.95, 0.52, 0.12), (0.86, 0.26, 0.12), (0.93, 0.60, 0.18))
    ground = lay(flat(f, (0.90, 0.91, 0.82)), cool, 0.85 * dot)
    body = lay(flat(f, (0.56, 0.14, 0.10)), warm, 0.9 * dot)
    picture = lay(ground, body, cover(f.d))
    picture = lay(picture, (0.36, 0.07, 0.10), line(f.d, 0.5))
    return lay(picture, (0.98, 0.90, 0.62), cover(f.e))
