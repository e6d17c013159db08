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

from ckptedit.merging.methods.ties_agreement import Agreement
from ckptedit.merging.methods.ties_rules import (
    Compat,
    Scope,
    Vote,
    model_majority,
    settle,
    spelled_out,
)
from ckptedit.merging.stack import (
    Array,
    Kernel,
    Stack,
    Stretch,
    require_edits,
    require_share,
    resolved_by,
)


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
    agreement = Agreement(cuts, stack.weights, rules, zero)

    def kernel(stretch: Stretch) -> Array:
        merged, conflicts = agreement.merge(stretch)
        stack.tally.add(conflicts=conflicts)
        return merged

    return kernel
