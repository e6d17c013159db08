"""Model Stock: the point between the base and the mean of the models where the best one should be.

Jang et al., Model Stock, ECCV 2024, https://arxiv.org/abs/2403.19522, equation 5:
    t = N cos θ / (1 + (N - 1) cos θ),   w = t · mean(wᵢ) + (1 - t) · w₀
with θ the angle between task vectors, tensor by tensor.
Departures: for N > 2, cos θ is the mean over all pairs, as in mergekit (sd-mecha: neighbouring
pairs, row by row). A pair with a zero vector counts as 0. So does a negative mean, since there the
formula would leave the segment: the base stays.
"""

from itertools import combinations

import numpy as np

from ckptedit.merging.arithmetic.products import dot
from ckptedit.merging.arithmetic.votes import require_unweighted, weighted_sum
from ckptedit.merging.stack import Kernel, Stack, require_edits


def model_stock(stack: Stack) -> Kernel:
    """Merges 2 or more models of one base; there is nothing to choose."""
    require_edits(stack, "model-stock", 2)
    require_unweighted(stack, "model-stock", "it weighs by angles")
    count = len(stack.weights)
    cosine = mean_cosine(stack)
    share = count * cosine / (1 + (count - 1) * cosine)
    return lambda stretch: weighted_sum(stretch.deltas, [share / count] * count)


def mean_cosine(stack: Stack) -> float:
    """Mean cosine of all pairs of task vectors, at least 0; a pair with a zero vector counts 0."""
    count = len(stack.weights)
    products = np.zeros((count, count))  # float64
    for stretch in stack.stretches():
        products += [[dot(a, b) for b in stretch.deltas] for a in stretch.deltas]
    lengths = np.sqrt(np.diag(products))
    scale = np.outer(lengths, lengths)
    cosines = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    mean = np.mean([cosines[pair] for pair in combinations(range(count), 2)])
    return float(np.clip(mean, 0, 1))
