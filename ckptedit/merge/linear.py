"""The weighted mean of models ("model soup"): θ = Σ wᵢ θᵢ / Σ wᵢ.

Wortsman et al., Model soups, ICML 2022, https://arxiv.org/abs/2203.05482, the uniform soup; with
weights it is the "weighted sum" of checkpoint mergers, with `--block` their block-weighted one.
Computed on task vectors, θ₀ + Σ wᵢ τᵢ / Σ wᵢ, which is the same up to rounding in float32.
The base itself is not one of the models; name it among the edits as well to count it in.
"""

from ckptedit.errors import BadParam
from ckptedit.merge.stack import Kernel, Stack, require_edits
from ckptedit.merge.votes import weighted_sum


def linear(stack: Stack) -> Kernel:
    """Averages n models; weights are shares of their own sum.

    Raises BadParam if the weights sum to 0.
    """
    require_edits(stack, "linear", 1)
    total = sum(stack.weights)
    if abs(total) < 1e-12:
        raise BadParam(f"linear divides by the sum of the weights, and {stack.weights} sum to 0")
    shares = [weight / total for weight in stack.weights]
    return lambda stretch: weighted_sum(stretch.deltas, shares)
