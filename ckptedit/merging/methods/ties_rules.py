"""What TIES leaves open, as this tool and four others decide it.

Read in and tested against: the authors' code (prateeky2806/ties-merging, `ties_minimal`), mergekit
0.1.5 (with `dtype: float32`), PEFT 0.21 (`merge_utils.ties` on whole task vectors), sd-mecha 1.1.8
(`subtract`, `ties_sum`, `add_difference`). mergekit and PEFT keep an arbitrary one of several equal
magnitudes; here it is the one with the lowest index, everything else is the same to the bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from ckptedit.errors import BadParam, UnknownName
from ckptedit.merging.arithmetic.ranks import KEEP_ALL, KEEP_NONE, Threshold, cuts_largest
from ckptedit.merging.arithmetic.votes import heads, mass
from ckptedit.merging.methods.ties_model_ranks import model_cut
from ckptedit.merging.stack import Stack

Scope = Literal["tensor", "model"]
Vote = Literal["mass", "count"]
Compat = Literal["none", "reference", "mergekit", "peft", "sd-mecha"]


@dataclass(frozen=True, slots=True)
class TiesRules:
    """One reading of TIES.

    kept:    (density, entries) -> how many the trim keeps
    equals:  of magnitudes equal to the smallest kept, only as many as fit, or all
    zero:    the sign where votes cancel; majority: the sign most elected in the whole model
    weigh:   whether weights multiply before the vote, after it, or are refused
    divisor: number of those who agree, or sum of their weights
    """

    kept: Callable[[float, int], int]
    scope: Scope = "tensor"
    equals: Literal["first", "all"] = "first"
    vote: Vote = "mass"
    zero: Literal["majority", -1, 0, 1] = 0
    weigh: Literal["before", "after", "never"] = "before"
    divisor: Literal["count", "weights"] = "count"

    def cuts(self, stack: Stack, density: float) -> list[Threshold]:
        """The trim of each task vector of one tensor."""
        edits = range(len(stack.weights))
        if density == 1 or stack.size == 0:
            return [KEEP_ALL for _ in edits]
        if self.scope == "model":
            kept = partial(self.kept, density)
            cuts = [model_cut(stack.model, edit, kept)(stack.name) for edit in edits]
        elif keep := self.kept(density, stack.size):
            cuts = cuts_largest(stack, keep)
        else:
            cuts = [KEEP_NONE for _ in edits]
        return [Threshold(cut.limit) for cut in cuts] if self.equals == "all" else cuts


RULES: dict[str, TiesRules] = {
    "none": TiesRules(kept=lambda density, n: max(1, round(density * n))),
    "reference": TiesRules(
        kept=lambda density, n: int(n * density) + 1,
        scope="model",
        equals="all",
        zero="majority",
        weigh="never",
    ),
    "mergekit": TiesRules(
        kept=lambda density, n: max(1, int(density * n)), zero=1, divisor="weights"
    ),
    "peft": TiesRules(kept=lambda density, n: int(density * n), zero=1, weigh="after"),
    "sd-mecha": TiesRules(
        kept=lambda density, n: n - max(int((1 - density) * n), 1) + 1,
        equals="all",
        vote="count",
        weigh="never",
    ),
}


def settle(
    compat: str, scope: Scope | None, vote: Vote | None, weights: Sequence[float]
) -> TiesRules:
    """The rules of compat, with what was asked for by name in place of its own."""
    if compat not in RULES:
        raise UnknownName(f"no compat is called {compat!r}; there are: {', '.join(RULES)}")
    rules = RULES[compat]
    if rules.weigh == "never" and any(weight != 1 for weight in weights):
        raise BadParam(f"the TIES of {compat} knows no weights; leave them out, or use --scale")
    return replace(rules, scope=scope or rules.scope, vote=vote or rules.vote)


def spelled_out(
    density: float, trim_scope: Scope | None, vote: Vote | None, compat: str
) -> dict[str, Any]:
    """The hyperparameters of `ties` with compat's choices in place of None."""
    rules = settle(compat, trim_scope, vote, ())
    return {"density": density, "trim_scope": rules.scope, "vote": rules.vote, "compat": compat}


def model_majority(stack: Stack, rules: TiesRules, density: float) -> int:
    """The sign that more entries of the whole model elect; -1 if neither does, as the authors' code
    takes the negative entries then."""

    def count() -> int:
        balance = 0
        for other in stack.model.stacks():
            cuts = rules.cuts(other, density)
            for stretch in other.stretches():
                pairs = zip(cuts, stretch.deltas, strict=True)
                trimmed = [cut.trim(delta, stretch.start) for cut, delta in pairs]
                votes = mass(trimmed) if rules.vote == "mass" else heads(trimmed)
                balance += int(np.count_nonzero(votes > 0)) - int(np.count_nonzero(votes < 0))
        return 1 if balance > 0 else -1

    return stack.model.once(("majority", rules, density), count)
