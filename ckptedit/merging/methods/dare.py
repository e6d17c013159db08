"""DARE: drop random entries of each task vector, and rescale the rest so that its mean stays.

Yu et al., Language Models are Super Mario, ICML 2024, https://arxiv.org/abs/2311.03099, equation 1:
m ~ Bernoulli(p), δ̃ = (1 - m) ⊙ δ, δ̂ = δ̃ / (1 - p), with density = 1 - p.
Departures: the bits come from a counter-based generator, so that they depend only on seed, tensor
name, edit and entry. (mergekit rescales by the ratio of the L1 norms, sd-mecha after merging.)
"""

import numpy as np

from ckptedit.merging.arithmetic.draws import draw, happens
from ckptedit.merging.arithmetic.votes import Combine, combined, require_combine
from ckptedit.merging.stack import Array, Kernel, Stack, Stretch, require_edits, require_share


def dare(stack: Stack, *, density: float = 0.5, combine: Combine = "sum", seed: int = 0) -> Kernel:
    """Merges n task vectors, each with a random share of its entries.

    density: chance of an entry to be kept, in (0, 1]
    combine: sum: added up, as task arithmetic does; ties: elect a sign, average those who agree
    """
    require_edits(stack, "dare", 1)
    require_share("density", density)
    require_combine(combine)

    def dropped(stretch: Stretch, edit: int) -> Array:
        words = draw(seed, stack.name, edit, stretch.start, len(stretch.base))
        factor = np.float32(stack.weights[edit] / density)
        return stretch.deltas[edit] * (happens(words, density) * factor)

    edits = range(len(stack.weights))
    return lambda stretch: combined([dropped(stretch, edit) for edit in edits], combine)
