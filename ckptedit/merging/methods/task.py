"""Task arithmetic: θ = θ₀ + Σ wᵢ τᵢ.

Ilharco et al., Editing Models with Task Arithmetic, ICLR 2023, https://arxiv.org/abs/2212.04089,
section 2. A negative weight negates: it takes away what that edit taught. The paper's single
scaling coefficient λ is the merge's `--scale`.
"""

from ckptedit.merging.arithmetic.votes import weighted_sum
from ckptedit.merging.stack import Kernel, Stack, require_edits


def task(stack: Stack) -> Kernel:
    """Adds up n task vectors, each times its weight."""
    require_edits(stack, "task", 1)
    return lambda stretch: weighted_sum(stretch.deltas, stack.weights)
