"""TIES on the entries of a stretch: trim, elect a sign, average those who have it.

Compiled, this is one pass; in numpy, which does the same to the bit where there is no C compiler,
it is thirty.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ckptedit.merging.arithmetic.ranks import Threshold
from ckptedit.merging.arithmetic.votes import heads, mass, scaled
from ckptedit.merging.methods.ties_rules import TiesRules, Vote
from ckptedit.merging.stack import Array, Stretch

try:
    from ckptedit.merging._ties import merge as compiled
except ImportError:
    COMPILED = False
else:
    COMPILED = True


@dataclass(frozen=True)
class Agreement:
    """What is settled before any entry is seen.

    cuts, weights: one per task vector
    zero: the sign where votes cancel: -1, 0 or 1
    """

    cuts: Sequence[Threshold]
    weights: Sequence[float]
    rules: TiesRules
    zero: int

    def merge(self, stretch: Stretch) -> tuple[Array, int]:
        """(the merged task vector [m], entries in which a task vector was outvoted)"""
        return self._compiled(stretch) if COMPILED else self._numpy(stretch)

    def _compiled(self, stretch: Stretch) -> tuple[Array, int]:
        rules = self.rules
        edits = [
            (
                cut.limit,
                cut.last,
                weight if rules.weigh == "before" else 1,
                weight if rules.weigh == "after" else 1,
                weight if rules.divisor == "weights" else 1,
            )
            for cut, weight in zip(self.cuts, self.weights, strict=True)
        ]
        merged = np.empty(stretch.deltas.shape[1], np.float32)
        deltas = np.ascontiguousarray(stretch.deltas)
        how = rules.vote == "count", self.zero
        return merged, compiled(deltas, merged, stretch.start, edits, how)

    def _numpy(self, stretch: Stretch) -> tuple[Array, int]:
        pairs = zip(self.cuts, stretch.deltas, strict=True)
        trimmed = [cut.trim(delta, stretch.start) for cut, delta in pairs]
        if self.rules.weigh == "before":
            trimmed = scaled(trimmed, self.weights)
        elected = elect(trimmed, self.rules.vote, self.zero)
        return mean_of_agreeing(trimmed, elected, self.rules, self.weights)


def elect(trimmed: Sequence[Array], vote: Vote, zero: int) -> Array:
    """The elected sign of each entry: n times [m] -> [m] in {-1, 0, 1}, zero where votes cancel."""
    votes = mass(trimmed) if vote == "mass" else heads(trimmed)
    signs = ((votes > 0).view(np.int8) - (votes < 0).view(np.int8)).astype(np.float32)
    if zero:
        signs[signs == 0] = zero
    return signs


def mean_of_agreeing(
    trimmed: Sequence[Array], elected: Array, rules: TiesRules, weights: Sequence[float]
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
