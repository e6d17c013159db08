"""Signed distances against distances worked out by hand."""

import numpy as np
import pytest

from ckptedit.canvas.shapes import (
    arc,
    box,
    common,
    cut,
    disc,
    ellipse,
    fuse,
    mirrored,
    path,
    polygon,
    redistance,
    turned,
    union,
)

SQUARE = polygon((-1, -1), (1, -1), (1, 1), (-1, 1))


@pytest.mark.parametrize(
    ("shape", "x", "y", "expected"),
    [
        (disc(1, 0, 0.5), 1, 2, 1.5),
        (disc(1, 0, 0.5), 1, 0, -0.5),
        (box(0, 0, 1, 0.5), 4, 4.5, 5.0),
        (box(0, 0, 1, 0.5), 0, 0, -0.5),
        (box(0, 0, 1, 1, 0.5), 1, 1, 0.5 * np.sqrt(2) - 0.5),
        (SQUARE, 0, 0, -1),
        (SQUARE, 4, 5, 5),
        (SQUARE, 0.25, -0.5, -0.5),
        (path(0.25, (0, 0), (2, 0), (2, 2)), 3, 1, 0.75),
        (arc(0, 0, 1, 0, 90, 0.1), 0, 1.5, 0.4),
        (ellipse(0, 0, 2, 1), 0, 1, 0),
        (ellipse(0, 0, 2, 1, 90), 0, 2, 0),
        (turned(box(2, 0, 1, 0.5), 90), 0, 2, -0.5),
        (mirrored(disc(2, 0, 1)), -2, 0, -1),
        (union(disc(0, 0, 1), disc(3, 0, 1)), 1.5, 0, 0.5),
        (common(disc(0, 0, 1), disc(1, 0, 1)), 0.5, 0, -0.5),
        (cut(disc(0, 0, 1), disc(0, 0, 0.5)), 0, 0, 0.5),
        (fuse(0.2, disc(-1, 0, 1), disc(1, 0, 1)), 0, 0, -0.05),
    ],
)
def test_distance_at_a_point(shape, x, y, expected):
    at = np.float32([[x]]), np.float32([[y]])
    assert shape(*at)[0, 0] == pytest.approx(expected, abs=2e-6)


def test_redistancing_turns_a_sign_into_distances():
    axis = np.linspace(-2, 2, 201)
    x, y = np.meshgrid(axis, axis)
    true = np.hypot(x, y) - 1
    found = redistance(np.where(true < 0, -7.0, 3.0), 0.02)
    assert np.abs(found - true)[np.abs(true) < 0.5].max() < 0.02  # one cell
    assert np.abs(found - true).max() < 0.04  # smoothing blunts the tip in the middle
