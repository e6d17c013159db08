"""TIES continued, to the bit (`methods/ties.py`).

An edit is trimmed by its own magnitudes, whatever the others are. Then the sign of an entry
follows from the sum of what was kept there (or of its signs), and the mean of those that agree from
the sum and the number of the positive ones, and of the negative ones: five numbers an entry,
whatever the number of edits. Not so with one cut for the whole model, or the model's majority where
votes cancel.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ckptedit.merging.arrays import ArrayStack
from ckptedit.merging.methods.ties_agreement import elect
from ckptedit.merging.methods.ties_rules import TiesRules, settle
from ckptedit.merging.running.sums import Parts, Sums
from ckptedit.merging.stack import Array


class TiesSums(Sums):
    parts = ("votes", "positive", "positives", "negative", "negatives")

    @classmethod
    def can(cls, params: Mapping[str, Any]) -> bool:
        rules = _rules(params)
        return rules.scope == "tensor" and rules.zero != "majority"

    def fold(self, sums: Parts, delta: Array) -> None:
        rules = _rules(self.params)
        (cut,) = rules.cuts(ArrayStack(delta[None], (1.0,)), self.params["density"])
        kept = cut.trim(delta, 0)
        sums["votes"] += kept if rules.vote == "mass" else np.sign(kept)
        for name, side in (("positive", kept > 0), ("negative", kept < 0)):
            sums[name] += kept * side
            sums[f"{name}s"] += side

    def merged(self, sums: Parts, count: int) -> Array:
        zero = _rules(self.params).zero
        elected = elect([sums["votes"]], "mass", zero if isinstance(zero, int) else 0)
        up = sums["positive"] / np.maximum(sums["positives"], 1)
        down = sums["negative"] / np.maximum(sums["negatives"], 1)
        merged: Array = np.where(elected > 0, up, np.where(elected < 0, down, np.float32(0)))
        return merged


def _rules(params: Mapping[str, Any]) -> TiesRules:
    return settle(params["compat"], params["trim_scope"], params["vote"], ())
