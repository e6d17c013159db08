"""How far to go: the scale s of a closed form's change, W' = W + s ΔW.

What of a target is erased is 1 - r(s) / r(0), with r(s) = ‖(W + s ΔW) c - W c*‖ over all edited
weights and over the tokens of held-out sentences, c of a target and c* of its anchor. r² is a
parabola in s and drift a line, so the line search has an answer in closed form, too.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ckptedit.deltas.change import Dense, LowRank
from ckptedit.erasure.closed_forms.sides import Sides
from ckptedit.erasure.method import Edits
from ckptedit.errors import LimitExceeded


def scaled(
    edits: Edits,
    weights: Mapping[str, Tensor],
    read: Sides,
    *,
    min_erase: float | None,
    max_drift: float | None,
) -> tuple[dict[str, LowRank | Dense], float]:
    """The change at the scale that meets the limits, and that scale.

    min_erase: in (0, 1]: as little is done as erases so much of the targets; None: s = 1
    max_drift: ‖s ΔW‖ / ‖W‖, above 0: at most so much is done
    Raises LimitExceeded if no scale erases so much, or none within so much drift.
    """
    sums = np.zeros(5)
    for name, change in edits.items():
        weight = weights[name].double().cpu()
        step = torch.from_numpy(change.stretch(0, weight.numel())).reshape(weight.shape)
        wish, done = weight @ read.shift.T, step @ read.targets.T  # W (c* - c), ΔW c [out, n]
        both = ((wish, wish), (wish, done), (done, done), (step, step), (weight, weight))
        sums += [float((a * b).sum()) for a, b in both]
    missing, along, moved, drift = *sums[:3], float(np.sqrt(sums[3] / sums[4]))
    scale = 1.0
    if min_erase is not None:
        scale = _least(missing, along, moved, min_erase)
    if max_drift is not None and scale * drift > max_drift:
        if min_erase is not None:
            raise LimitExceeded(
                f"to erase {min_erase:g} of the targets takes a drift of {scale * drift:.3g}, "
                f"above --max-drift {max_drift:g}"
            )
        scale = max_drift / drift
    return {name: _times(change, scale) for name, change in edits.items()}, scale


def _least(missing: float, along: float, moved: float, erase: float) -> float:
    """The least s with missing - 2 s along + s² moved <= (1 - erase)² missing."""
    wanted = missing * (1 - (1 - erase) ** 2)
    inside = along**2 - moved * wanted
    if along <= 0 or inside < 0:
        best = 1 - np.sqrt(1 - along**2 / (moved * missing)) if along > 0 else 0.0
        raise LimitExceeded(
            f"no scale of this change erases {erase:g} of the targets, the best {best:.3g} on "
            f"held-out sentences; lower --min-erase, or take other "
            f"parameters or another method"
        )
    return float(wanted / (along + np.sqrt(inside)))  # the smaller root, without cancellation


def _times(change: LowRank | Dense, scale: float) -> LowRank | Dense:
    if isinstance(change, LowRank):
        return replace(change, scale=change.scale * scale)
    return Dense(change.values * np.asarray(scale, change.values.dtype))
