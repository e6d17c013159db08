"""Cuts by magnitude over all tensors of a model at once, in two streaming passes.

The first pass counts the high 16 bits of every magnitude's bit pattern; that finds the bin which
holds the k-th largest. The second counts the rest of the bits of the entries in that bin. So the
cut is exact, and no task vector is ever held whole.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ckptedit.merging.arithmetic.ranks import KEEP_NONE, Threshold, magnitude_bits
from ckptedit.merging.stack import Array, Stack, WholeMerge

Kept = Callable[[int], int]  # entries of the model -> how many of them the cut keeps
BINS = 1 << 15  # the high 16 bits of a magnitude, the sign bit being 0
LOW = (1 << 16) - 1


@dataclass(frozen=True)
class Inside:
    """The entries of one tensor that lie in the bin: values of their low bits, ascending, and how
    often each occurs."""

    values: Array
    counts: Array

    def equal(self, value: int) -> int:
        at = int(np.searchsorted(self.values, value))
        found = at < len(self.values) and self.values[at] == value
        return int(self.counts[at]) if found else 0


def model_cut(model: WholeMerge, edit: int, kept: Kept) -> Callable[[str], Threshold]:
    """Tensor name -> the cut of one task vector that keeps kept(entries of the model) in all."""
    size = model.once("size", lambda: sum(stack.size for stack in model.stacks()))
    keep = min(kept(size), size)
    cuts = model.once(("cuts", edit, keep), lambda: find_cuts(model, edit, keep))
    return cuts.__getitem__


def find_cuts(model: WholeMerge, edit: int, keep: int) -> dict[str, Threshold]:
    """The cut for every tensor: one limit, and the equal magnitudes of the first tensors."""
    if keep == 0:
        return {stack.name: KEEP_NONE for stack in model.stacks()}
    histogram = np.zeros(BINS, np.int64)
    for stack in model.stacks():
        for stretch in stack.stretches([edit]):
            histogram += np.bincount(high_bits(stretch.deltas[0]), minlength=BINS)
    chosen, above = bin_of(histogram, keep)
    inside = {stack.name: inside_bin(stack, edit, chosen) for stack in model.stacks()}
    counts = np.zeros(LOW + 1, np.int64)
    for found in inside.values():
        counts[found.values] += found.counts
    low, above_low = bin_of(counts, keep - above)
    limit, quota = chosen << 16 | low, keep - above - above_low
    cuts = {}
    for stack in model.stacks():
        equal = inside[stack.name].equal(low)
        cuts[stack.name] = Threshold(limit, last_kept(stack, edit, limit, min(quota, equal), equal))
        quota -= min(quota, equal)
    return cuts


def bin_of(histogram: Array, keep: int) -> tuple[int, int]:
    """(the bin that holds the keep-th largest, how many entries lie in the bins above it)"""
    from_top = np.cumsum(histogram[::-1])
    place = int(np.searchsorted(from_top, keep))
    return len(histogram) - 1 - place, int(from_top[place] - histogram[::-1][place])


def high_bits(delta: Array) -> Array:
    """[m] -> [m] the high 16 bits of the magnitudes, as int64 since bincount counts those."""
    return (magnitude_bits(delta) >> np.uint32(16)).astype(np.int64)


def inside_bin(stack: Stack, edit: int, chosen: int) -> Inside:
    """The low bits of one tensor's entries whose high bits are the chosen ones."""
    found = []
    for stretch in stack.stretches([edit]):
        bits = magnitude_bits(stretch.deltas[0])
        picked = bits[bits >> np.uint32(16) == chosen]
        found.append((picked & np.uint32(LOW)).astype(np.uint16))
    low = np.concatenate(found) if found else np.zeros(0, np.uint16)
    return Inside(*np.unique(low, return_counts=True))


def last_kept(stack: Stack, edit: int, limit: int, count: int, equal: int) -> int:
    """The index of the count-th of a tensor's `equal` entries with magnitude limit."""
    if count == equal:
        return stack.size
    if count == 0:
        return -1
    for stretch in stack.stretches([edit]):
        found = np.flatnonzero(magnitude_bits(stretch.deltas[0]) == limit)
        if count <= len(found):
            return stretch.start + int(found[count - 1])
        count -= len(found)
    raise AssertionError("inside_bin counts the entries that equal the limit")
