"""TIES merging: trim small changes, elect a sign per weight, average those who agree with it.

Yadav et al., TIES-Merging: Resolving Interference When Merging Models, NeurIPS 2023,
https://arxiv.org/abs/2306.01708, Algorithm 1. θ = θ₀ + λ τ, λ being the merge's `--scale`.

"TIES" is not one function: published tools differ in every choice below, and the numbers with it
(on fp16 fine-tunes the treatment of equal magnitudes alone moves the result by 9 % of its norm).
Departures from the paper, all of them choices that it leaves open or that streaming asks for:
  - the trim keeps a share of each tensor, not of the whole model (`trim_scope="model"` does that)
  - it keeps exactly max(1, round(density · size)) entries; of equal magnitudes the lowest index
  - where the votes cancel exactly, no sign is elected and the base's weight stays
  - weights multiply the trimmed task vectors before the vote, so that a negative one votes the
    other way; the mean divides by the number of those who agree
`compat` takes the choices of another tool instead: see `ties_rules.py`.
"""

from collections.abc import Sequence

import numpy as np

from ckptedit.merge.stack import (
    Array,
    Kernel,
    Stack,
    Stretch,
    require_edits,
    require_share,
    resolved_by,
)
from ckptedit.merge.ties_rules import (
    Compat,
    Rules,
    Scope,
    Vote,
    model_majority,
    settle,
    spelled_out,
)
from ckptedit.merge.votes import heads, mass, scaled


@resolved_by(spelled_out)
def ties(
    stack: Stack,
    *,
    density: float = 0.2,
    trim_scope: Scope | None = None,
    vote: Vote | None = None,
    compat: Compat = "none",
) -> Kernel:
    """Merges n task vectors.

    density:    share of its entries that each task vector keeps, in (0, 1]
    trim_scope: share of each tensor, or of all merged tensors together; None: as compat has it
    vote:       sign of the sum of the trimmed entries, or of the sum of their signs; None: ditto
    compat:     the tool whose choices are taken; none: those above

    Raises BadParam if a parameter is out of range, or compat does not know weights.
    """
    require_edits(stack, "ties", 1)
    require_share("density", density)
    rules = settle(compat, trim_scope, vote, stack.weights)
    cuts = rules.cuts(stack, density)
    zero = model_majority(stack, rules, density) if rules.zero == "majority" else rules.zero

    def kernel(stretch: Stretch) -> Array:
        trimmed = [cut.trim(d, stretch.start) for cut, d in zip(cuts, stretch.deltas, strict=True)]
        if rules.weigh == "before":
            trimmed = scaled(trimmed, stack.weights)
        elected = elect(trimmed, rules.vote, zero)
        merged, conflicts = mean_of_agreeing(trimmed, elected, rules, stack.weights)
        stack.tally.add(conflicts=conflicts)
        return merged

    return kernel


def elect(trimmed: Sequence[Array], vote: Vote, zero: int) -> Array:
    """The elected sign of each entry: n times [m] -> [m] in {-1, 0, 1}, zero where votes cancel."""
    votes = mass(trimmed) if vote == "mass" else heads(trimmed)
    signs = ((votes > 0).view(np.int8) - (votes < 0).view(np.int8)).astype(np.float32)
    if zero:
        signs[signs == 0] = zero
    return signs


def mean_of_agreeing(
    trimmed: Sequence[Array], elected: Array, rules: Rules, weights: Sequence[float]
) -> tuple[Array, int]:
    """(mean of the task vectors that have the elected sign, entries where one was outvoted)

    trimmed: n times [m]; elected: [m]; returns [m], 0 where none agrees
    """
    total: Array = np.zeros_like(elected)
    count: Array = np.zeros(len(total), np.uint8 if len(trimmed) < 256 else np.uint32)
    weight_sum: Array = np.zeros_like(elected)
    outvoted: Array = np.zeros(len(total), bool)
    for delta, weight in zip(trimmed, weights, strict=True):
        along = delta * elected  # positive where it agrees: exact, since elected is -1, 0 or 1
        agrees = along > 0
        outvoted |= along < 0
        along *= agrees if rules.weigh != "after" or weight == 1 else agrees * np.float32(weight)
        total += along
        count += agrees.view(np.uint8)
        if rules.divisor == "weights":
            weight_sum += agrees * np.float32(weight)
    total *= elected
    if rules.divisor == "weights":
        weight_sum[weight_sum == 0] = 1
        total /= weight_sum
    else:
        total /= np.maximum(count, 1)
    return total, int(np.count_nonzero(outvoted))
