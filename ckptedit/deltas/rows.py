"""Rows of a base's weights, where a file has together what the base has apart, or the other way.

A packed `qkv` [3 d, in] is three modules to one tool and one to another. A change is computed for
the module as the file knows it, and cut into, or put together from, runs of rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas.change import Change, Float64
from ckptedit.files import Checkpoint, decode_into


class Place(NamedTuple):
    """Rows start to stop of a tensor of the base."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class BaseRows:
    """A weight as a file knows it: one after the other, these rows of the base's tensors."""

    base: Checkpoint
    places: tuple[Place, ...]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        shape = self.base[self.places[0].name].shape
        if self.whole:
            return shape
        return (sum(place.stop - place.start for place in self.places), *shape[1:])

    @property
    def width(self) -> int:
        """How many entries a row has."""
        return prod(self.shape[1:])

    @property
    def whole(self) -> str | None:
        """The name of the tensor that this is, all of it; None if it is none."""
        place = self.places[0]
        shape = self.base[place.name].shape
        if len(self.places) == 1 and (not shape or (place.start, place.stop) == (0, shape[0])):
            return place.name
        return None

    def rows(self, first: int, last: int) -> Float64:
        """[last - first, width], as the base has them."""
        found, at = [], 0
        for place in self.places:
            count = place.stop - place.start
            start, stop = max(first - at, 0), min(last - at, count)
            if start < stop:
                found.append(self._read(place.name, place.start + start, place.start + stop))
            at += count
        return np.concatenate(found) if len(found) > 1 else found[0]

    def _read(self, name: str, first: int, last: int) -> Float64:
        info = self.base[name]
        size = info.nbytes // info.shape[0]
        raw = np.empty((last - first) * size, np.uint8)
        self.base.read_into(name, raw, first * size)
        values = np.empty((last - first) * self.width, np.float64)
        decode_into(raw, info.dtype, values)
        return values.reshape(last - first, self.width)


def cut(
    rows: Callable[[int, int], NDArray[np.float64]], width: int, start: int, stop: int
) -> Float64:
    """Entries start to stop of a matrix that is computed by rows. rows: [last - first, width]"""
    first, last = start // width, -(-stop // width)
    return rows(first, last).reshape(-1)[start - first * width : stop - first * width]


class Piece(NamedTuple):
    """Of a tensor of the base, rows start to stop: those of a change, from its row `first` on"""

    start: int
    stop: int
    change: Change
    first: int


@dataclass(frozen=True)
class Stacked:
    """The change of a tensor of rows of `width` entries; where there is no piece it is zero."""

    pieces: Sequence[Piece]
    width: int

    def stretch(self, start: int, stop: int) -> Float64:
        out = np.zeros(stop - start, np.float64)
        for piece in self.pieces:
            low, high = piece.start * self.width, piece.stop * self.width
            begin, end = max(start, low), min(stop, high)
            if begin < end:
                shift = piece.first * self.width - low
                out[begin - start : end - start] = piece.change.stretch(begin + shift, end + shift)
        return out
