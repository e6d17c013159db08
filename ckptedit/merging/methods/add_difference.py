"""Add difference: θ = A + α (B - C), with A the base, B the first edit, C the second.

The "add difference" of checkpoint mergers since the first web UIs; it is the analogy of Ilharco et
al., Editing Models with Task Arithmetic, ICLR 2023, https://arxiv.org/abs/2212.04089, section 5,
when B and C are fine-tunes of the same model. If C is the base itself, it is `task` with one edit.
"""

from collections.abc import Sequence

import numpy as np

from ckptedit.merging.arithmetic.votes import require_unweighted
from ckptedit.merging.stack import Kernel, Stack, require_edits, shared_by


def shares(weights: Sequence[float], alpha: float) -> Sequence[float]:
    """What the edits are multiplied by; they have no weights."""
    return alpha, -alpha


@shared_by(shares)
def add_difference(stack: Stack, *, alpha: float = 1.0) -> Kernel:
    """Adds to the base what the first edit has and the second has not.

    alpha: factor of the difference; any number
    """
    require_edits(stack, "add-difference", 2, 2)
    require_unweighted(stack, "add-difference", "use alpha")
    return lambda stretch: (stretch.deltas[0] - stretch.deltas[1]) * np.float32(alpha)
