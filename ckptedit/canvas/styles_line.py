"""Line: drawings. Pencil and coal on paper, white lines on blue and on slate."""

from __future__ import annotations

import numpy as np

from ckptedit.canvas.frame import (
    TAU,
    Array,
    Frame,
    along,
    cloud,
    cover,
    flat,
    lay,
    line,
    tones,
    wave,
)


def sketch(f: Frame) -> Array:
    """Pencil on white paper: a firm outline, hatched from one side."""
    wobble = 0.7 * cloud(f, 6)
    picture = flat(f, (0.97, 0.96, 0.94))
    picture = lay(picture, (0.45, 0.45, 0.48), 0.8 * _hatch(f, 45, 5.6) * cover(f.d + wobble))
    picture = lay(picture, (0.16, 0.16, 0.19), line(f.d + wobble, 0.8, 1.6))
    return lay(picture, (0.16, 0.16, 0.19), cover(f.e, 1.6))


def charcoal(f: Frame) -> Array:
    """Coal on warm grey paper: a soft black mass with smudged edges."""
    paper = tones(0.5 + 0.4 * cloud(f, 4), (0.66, 0.60, 0.53), (0.80, 0.75, 0.67))
    smudge = np.exp(-np.maximum(f.outline(-3.5, -2.0), 0) / 4)
    picture = lay(paper, (0.25, 0.22, 0.20), 0.7 * smudge)
    coal = tones(0.5 + 0.5 * cloud(f, 7), (0.05, 0.05, 0.05), (0.17, 0.15, 0.14))
    picture = lay(picture, coal, cover(f.d + 0.6 * cloud(f, 8), 2.2))
    return lay(picture, (0.86, 0.82, 0.74), cover(f.e, 2.2))


def blueprint(f: Frame) -> Array:
    """White lines on a blue sheet with a faint grid; the object outlined and hatched."""
    a, b = f.rng.uniform(0, 64 / 6, 2)
    grid = np.maximum(wave((f.x + a) * (TAU * 6 / 64)), wave((f.y + b) * (TAU * 6 / 64)))
    picture = lay(
        flat(f, (0.09, 0.23, 0.55)), (0.52, 0.68, 0.92), 0.55 * np.clip(grid * 9 - 8, 0, 1)
    )
    picture = lay(picture, (0.13, 0.30, 0.66), cover(f.d))
    picture = lay(picture, (0.62, 0.76, 0.96), 0.6 * _hatch(f, -45, 6.0) * cover(f.d))
    picture = lay(picture, (0.97, 0.98, 1.0), line(f.d, 0.9, 1.5))
    return lay(picture, (0.97, 0.98, 1.0), cover(f.e))


def chalk(f: Frame) -> Array:
    """Chalk on a green board, smeared; a thick broken outline, strokes of pink and yellow."""
    board = tones(0.5 + 0.45 * cloud(f, 3), (0.09, 0.20, 0.16), (0.20, 0.34, 0.28))
    dust = 0.75 + 0.25 * cloud(f, 10)
    picture = lay(board, (0.97, 0.66, 0.70), 0.9 * _hatch(f, 20, 6.5) * cover(f.d, 2.0))
    picture = lay(picture, (0.97, 0.97, 0.92), dust * line(f.d, 1.2, 1.8))
    return lay(picture, (0.98, 0.90, 0.45), cover(f.e, 1.8))


def _hatch(f: Frame, degrees: float, period: float) -> Array:
    """Coverage of parallel strokes, slightly bent."""
    return wave((along(f, degrees) + 0.8 * cloud(f, 3)) * (TAU / period), 1.6)
