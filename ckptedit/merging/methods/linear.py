"""The weighted mean of models ("model soup"): θ = Σ wᵢ θᵢ / Σ wᵢ.

Wortsman et al., Model soups, ICML 2022, https://arxiv.org/abs/2203.05482, the uniform soup; with
weights it is the "weighted sum" of checkpoint mergers, with `--block` their block-weighted one.
Computed on task vectors, θ₀ + Σ wᵢ τᵢ / Σ wᵢ, which is the same up to rounding in float32.
The base itself is not one of the models; name it among the edits as well to count it in.
"""

from collections.abc import Sequence

from ckptedit.errors import BadParam
from ckptedit.merging.arithmetic.votes import weighted_sum
from ckptedit.merging.stack import Kernel, Stack, require_edits, shared_by


def shares(weights: Sequence[float]) -> Sequence[float]:
    """The weights over their sum. Raises BadParam if that is 0."""
    total = sum(weights)
    if abs(total) < 1e-12:
        raise BadParam(f"linear divides by the sum of the weights, and {weights} sum to 0")
    return [weight / total for weight in weights]


@shared_by(shares)
def linear(stack: Stack) -> Kernel:
    """Averages n models; weights are shares of their own sum.

    Raises BadParam if the weights sum to 0.
    """
    require_edits(stack, "linear", 1)
    factors = shares(stack.weights)
    return lambda stretch: weighted_sum(stretch.deltas, factors)
