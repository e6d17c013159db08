"""Spherical interpolation of two models: along the arc between them rather than along the chord.

Shoemake, Animating Rotation with Quaternion Curves, SIGGRAPH 1985,
https://doi.org/10.1145/325165.325242, section 3.3, on flattened tensors:
    θ = sin((1 - t) Ω) / sin Ω · A + sin(t Ω) / sin Ω · B,   cos Ω = A·B / (|A| |B|)
As in mergekit, A and B are not scaled to unit length, and above |cos Ω| = 0.9995, where the formula
loses its digits, it is A + t (B - A). (sd-mecha interpolates directions and lengths apart, which is
another function if the lengths differ.) Fine-tunes of one base nearly always lie above it.
"""

from collections.abc import Sequence

import numpy as np

from ckptedit.errors import BadParam
from ckptedit.merging.arithmetic.products import dot
from ckptedit.merging.arithmetic.votes import require_unweighted
from ckptedit.merging.stack import Array, Kernel, Stack, Stretch, require_edits, shared_by

CHORD = 0.9995  # above this |cos Ω| the arc is its chord


def shares(weights: Sequence[float], t: float) -> Sequence[float]:
    """What the edits are multiplied by where the arc is its chord; they have no weights."""
    return (t,) if len(weights) == 1 else (1 - t, t)


@shared_by(shares)
def slerp(stack: Stack, *, t: float = 0.5) -> Kernel:
    """Goes from one model to another: from the base to a single edit, or from the first edit to the
    second.

    t: 0 is the first model, 1 the second
    """
    require_edits(stack, "slerp", 1, 2)
    require_unweighted(stack, "slerp", "use t")
    if not 0 <= t <= 1:
        raise BadParam(f"t must be in [0, 1], got {t}")
    from_base = len(stack.weights) == 1
    first, second = coefficients(stack, t)

    def kernel(stretch: Stretch) -> Array:
        delta = stretch.deltas[0] * 0 if from_base else stretch.deltas[0]
        other = stretch.deltas[-1]
        # first · (base + delta) + second · (base + other) - base, without rounding in base's size
        return (
            np.float32(first + second - 1) * stretch.base
            + np.float32(first) * delta
            + np.float32(second) * other
        )

    return kernel


def coefficients(stack: Stack, t: float) -> tuple[float, float]:
    """The factors of the two models."""
    aa = ab = bb = 0.0
    for stretch in stack.stretches():
        a = stretch.base if len(stack.weights) == 1 else stretch.base + stretch.deltas[0]
        b = stretch.base + stretch.deltas[-1]
        aa, ab, bb = aa + dot(a, a), ab + dot(a, b), bb + dot(b, b)
    cosine = ab / np.sqrt(aa * bb) if aa and bb else 1.0
    if abs(cosine) > CHORD:
        return 1 - t, t
    angle = np.arccos(cosine)
    return float(np.sin((1 - t) * angle) / np.sin(angle)), float(np.sin(t * angle) / np.sin(angle))
