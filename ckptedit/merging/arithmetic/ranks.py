"""Exact cuts by magnitude: which entries of a task vector are its k largest.

Everything works on the bit pattern of |x|, an unsigned integer that sorts as the magnitudes do and
counts several times faster than floats partition. Entries of equal magnitude are ordered by index,
lowest first, so that a cut keeps exactly k entries and is the same on every machine.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ckptedit.merging.stack import Array, Stack, Stretch

MAGNITUDE = np.uint32((1 << 31) - 1)  # all bits but the sign
SAMPLE = 1 << 16  # entries that suggest where the k-th largest lies
PIECE = 1 << 18  # entries that are looked at in one go; fewer are partitioned without a sample
TOGETHER = 1 << 23  # entries of all task vectors of a tensor that are held at once: 32 MiB
EVERYTHING = (1 << 63) - 1  # no tensor has so high an index


@dataclass(frozen=True, slots=True)
class Threshold:
    """Keeps magnitudes above `limit`, and of those that equal it the entries up to index `last`.

    limit: bit pattern of a magnitude
    """

    limit: int
    last: int = EVERYTHING

    def keeps(self, delta: Array, start: int) -> Array:
        """[m] entries from index start on -> [m] bool"""
        bits = magnitude_bits(delta)
        limit = np.uint32(self.limit)
        if start + len(bits) - 1 <= self.last:
            return bits >= limit
        if start > self.last:
            return bits > limit
        split = self.last + 1 - start
        return np.concatenate([bits[:split] >= limit, bits[split:] > limit])

    def trim(self, delta: Array, start: int) -> Array:
        """Sets what the cut does not keep to 0: [m] -> [m]"""
        return np.multiply(delta, self.keeps(delta, start))


KEEP_ALL = Threshold(0)
KEEP_NONE = Threshold((1 << 32) - 1)  # no magnitude has the sign bit set


def magnitude_bits(delta: Array) -> Array:
    """The bits of |x|: [m] float32 -> [m] uint32"""
    return delta.view(np.uint32) & MAGNITUDE


def cuts_largest(stack: Stack, keep: int) -> list[Threshold]:
    """`cut_largest` of every task vector; those of a small tensor are read together."""
    edits = range(len(stack.weights))
    if stack.size * len(edits) > TOGETHER or keep >= stack.size:
        return [cut_largest(stack, edit, keep) for edit in edits]
    bits = np.empty((len(edits), stack.size), np.uint32)
    for stretch in stack.stretches():
        np.bitwise_and(stretch.deltas.view(np.uint32), MAGNITUDE,
                       out=bits[:, stretch.start : stretch.stop])  # fmt: skip
    return [cut_at(row, keep) for row in bits]


def cut_largest(stack: Stack, edit: int, keep: int) -> Threshold:
    """The cut that keeps exactly the `keep` largest entries of one task vector.

    keep: 1 to the tensor's size. Holds one tensor of bit patterns.
    """
    if keep >= stack.size:
        return KEEP_ALL
    return cut_at(gather_bits(stack.stretches([edit]), stack.size), keep)


def cut_at(bits: Array, keep: int) -> Threshold:
    """The cut that keeps the `keep` largest of [size] bit patterns."""
    limit, equals = kth_largest(bits, keep)
    return Threshold(limit, nth_equal(bits, limit, equals))


def gather_bits(stretches: Iterator[Stretch], size: int) -> Array:
    """The magnitudes' bit patterns of one task vector as one array: [size]"""
    bits = np.empty(size, np.uint32)
    for stretch in stretches:
        target = bits[stretch.start : stretch.stop]
        np.bitwise_and(stretch.deltas[0].view(np.uint32), MAGNITUDE, out=target)
    return bits


def kth_largest(bits: Array, keep: int) -> tuple[int, int]:
    """(the keep-th largest of bits, how many that equal it are among the keep largest).

    bits: [size] uint32; keep: 1 to size. Counts and compares; only what lies in a narrow bracket
    around a sample's quantile is partitioned. A bracket that misses is moved: never wrong, only
    slower.
    """
    low, high = bracket(bits, keep) if len(bits) > PIECE else (0, int(MAGNITUDE))
    while True:
        above, inside = split_by_bracket(bits, low, high)
        if keep <= above:  # the bracket lies too low
            low, high = high, int(bits.max())
        elif keep > above + len(inside):  # too high
            low, high = 0, low
        else:
            break
    inside.partition(len(inside) - (keep - above))
    limit = inside[len(inside) - (keep - above)]
    larger = above + int(np.count_nonzero(inside > limit))
    return int(limit), keep - larger


def bracket(bits: Array, keep: int) -> tuple[int, int]:
    """Two values between which the keep-th largest very likely lies, both included."""
    sample = np.sort(bits[:: max(1, len(bits) // SAMPLE)])
    middle = len(sample) * (1 - keep / len(bits))
    margin = 4 * np.sqrt(len(sample)) * 0.5 + 1  # four standard deviations of a sample's rank
    low, high = np.clip([middle - margin, middle + margin], 0, len(sample) - 1).astype(int)
    return int(sample[low]), int(sample[high])


def split_by_bracket(bits: Array, low: int, high: int) -> tuple[int, Array]:
    """(how many are above high, those from low to high)"""
    above, inside = 0, []
    for start in range(0, len(bits), PIECE):
        piece = bits[start : start + PIECE]
        over = piece > np.uint32(high)
        above += int(np.count_nonzero(over))
        inside.append(piece[(piece >= np.uint32(low)) & ~over])
    return above, np.concatenate(inside)


def nth_equal(bits: Array, limit: int, count: int) -> int:
    """The index of the count-th entry that equals limit; count is 1 or more."""
    for start in range(0, len(bits), PIECE):
        found = np.flatnonzero(bits[start : start + PIECE] == np.uint32(limit))
        if count <= len(found):
            return start + int(found[count - 1])
        count -= len(found)
    raise AssertionError("kth_largest counts the entries that equal its limit")
