"""Model Breadcrumbs: drop the smallest changes of each task vector, and its largest outliers.

Davari and Belilovsky, Model Breadcrumbs, ECCV 2024, https://arxiv.org/abs/2312.06795, section 3.2:
in each tensor the entries whose magnitude is in the lowest β or the highest share are masked, the
masked task vectors are added up, times α (`--scale`).
Departures: the parameters are mergekit's, `density` = the share that stays and `gamma` = the share
cut off at the top. If density + gamma > 1, gamma gives way. Equal magnitudes rank by index, lowest
index first, at both cuts.
"""

from ckptedit.errors import BadParam
from ckptedit.merging.arithmetic.ranks import KEEP_NONE, Threshold, cut_largest
from ckptedit.merging.arithmetic.votes import Combine, combined, require_combine, scaled
from ckptedit.merging.stack import Array, Kernel, Stack, Stretch, require_edits, require_share


def breadcrumbs(
    stack: Stack, *, density: float = 0.9, gamma: float = 0.01, combine: Combine = "sum"
) -> Kernel:
    """Merges n task vectors, each with the middle of its magnitudes.

    density: share of the entries that stay, in (0, 1]
    gamma:   share of the entries that is cut off at the top, in [0, 1)
    combine: sum: added up; ties: elect a sign, average those who agree
    """
    require_edits(stack, "breadcrumbs", 1)
    require_share("density", density)
    require_combine(combine)
    if not 0 <= gamma < 1:
        raise BadParam(f"gamma must be in [0, 1), got {gamma}")
    bands = [band(stack, edit, density, gamma) for edit in range(len(stack.weights))]

    def kernel(stretch: Stretch) -> Array:
        middles = [
            delta * (upper.keeps(delta, stretch.start) & ~outliers.keeps(delta, stretch.start))
            for (upper, outliers), delta in zip(bands, stretch.deltas, strict=True)
        ]
        return combined(scaled(middles, stack.weights), combine)

    return kernel


def band(stack: Stack, edit: int, density: float, gamma: float) -> tuple[Threshold, Threshold]:
    """(cut for outliers and middle together, cut for the outliers)"""
    middle = max(1, round(density * stack.size))
    top = min(round(gamma * stack.size), max(0, stack.size - middle))
    outliers = cut_largest(stack, edit, top) if top else KEEP_NONE
    return cut_largest(stack, edit, middle + top), outliers
