"""Reads two tensors side by side, piece by piece, and measures them in numpy.

A piece stays in a core's own cache, its buffers are reused, and pieces are taken in order: so the
sums are the same for any number of threads, and memory does not grow with the tensors.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit.drift.norms import ROW, Floats, moved, stayed
from ckptedit.drift.sums import Sums
from ckptedit.files import Checkpoint, TensorInfo, decode_into
from ckptedit.files.dtypes import FLOATS, NATIVE
from ckptedit.files.nonfinite import count_nonfinite, holds_nonfinite

PIECE = 64 * ROW  # elements measured at a time: what they decode to fits into the caches
STEP = 1 << 19  # bytes of each file compared at a time

EXACT_IN_FLOAT32 = FLOATS - {"F64"}  # integers are rare: they take float64, all of them
MEASURABLE = FLOATS | NATIVE.keys() - {"C64"}

Bytes = NDArray[np.uint8]


class Workspace:
    """The buffers of one thread: 5 MB, or 10 for float64."""

    def __init__(self) -> None:
        self.raw = np.empty(2 * max(STEP, PIECE * 8), np.uint8)  # stored bytes, before and after
        self._values = np.empty(3 * PIECE * 8, np.uint8)

    def values(self, kind: type[np.floating[Any]], rows: int) -> Floats:
        """Room for values before, values after, and their difference: [3, rows, ROW]."""
        return self._values.view(kind)[: 3 * rows * ROW].reshape(3, rows, ROW)


class Pieces:
    """Two checkpoints, of which several threads may measure tensors, each with its own buffers."""

    def __init__(self, old: Checkpoint, new: Checkpoint) -> None:
        self.old, self.new = old, new
        self._local = local()

    @property
    def _space(self) -> Workspace:
        if not hasattr(self._local, "space"):
            self._local.space = Workspace()
        space: Workspace = self._local.space
        return space

    def compare(self, name: str) -> tuple[bool, Sums | None]:
        """Whether a tensor differs, and the sums over it; None if it is equal and finite."""
        old, new, space = self.old, self.new, self._space
        with np.errstate(all="ignore"):  # NaN and Inf are counted, not warned of
            if old[name].dtype != new[name].dtype:
                return True, measure_moved(old, new, name, space)
            stored = compare_bytes(old, new, name, space)
            if not stored.same:
                return True, measure_moved(old, new, name, space)
            return False, None if stored.finite else measure_equal(old, name, space)

    def measure_equal(self, name: str) -> Sums:
        """The sums over a tensor that is equal and finite."""
        return measure_equal(self.old, name, self._space)


@dataclass(frozen=True, slots=True)
class Stored:
    """What the bytes of one tensor tell without decoding them."""

    same: bool
    finite: bool  # known only if they are the same


def compare_bytes(old: Checkpoint, new: Checkpoint, name: str, space: Workspace) -> Stored:
    """Whether one tensor, of one dtype and shape, is stored alike in both; stops if it is not."""
    nbytes, dtype, finite = old[name].nbytes, old[name].dtype, True
    for start in range(0, nbytes, STEP):
        size = min(STEP, nbytes - start)
        before, after = space.raw[:size], space.raw[STEP : STEP + size]
        old.read_into(name, before, start)
        new.read_into(name, after, start)
        if not _equal(before, after):
            return Stored(same=False, finite=finite)
        finite = finite and not holds_nonfinite(before, dtype)
    return Stored(same=True, finite=finite)


def measure_moved(old: Checkpoint, new: Checkpoint, name: str, space: Workspace) -> Sums:
    """The sums over one tensor that differs, in value or dtype, but not in shape.

    A dtype without arithmetic, as F4, sums to nan, and all of its elements count as changed.
    """
    before, after = old[name], new[name]
    if not {before.dtype, after.dtype} <= MEASURABLE:
        bad = (nonfinite(checkpoint, name) for checkpoint in (old, new))
        return Sums(before.numel, before.numel, *bad, *[nan] * 6)
    kind, total = _arithmetic(before, after), Sums()
    for start, used, rows in _pieces(before):
        values = space.values(kind, rows)
        x = _read(old, before, start, space.raw[: rows * ROW * _width(before)])
        y = _read(new, after, start, space.raw[len(x) : len(x) + rows * ROW * _width(after)])
        if before.dtype == after.dtype:  # then both are decoded at once
            decode_into(space.raw[: 2 * len(x)], before.dtype, values[:2].reshape(-1))
            bits = f"u{_width(before)}"
            changed = np.count_nonzero(x.view(bits) != y.view(bits))
        else:
            decode_into(x, before.dtype, values[0].reshape(-1))
            decode_into(y, after.dtype, values[1].reshape(-1))
            changed = np.count_nonzero(values[0] != values[1])
        total += moved(values, used, int(changed))
    return total


def measure_equal(checkpoint: Checkpoint, name: str, space: Workspace) -> Sums:
    """The sums over one tensor that is the same in both. A dtype without arithmetic adds none."""
    info, total = checkpoint[name], Sums()
    if info.dtype not in MEASURABLE:
        bad = nonfinite(checkpoint, name)
        return Sums(info.numel, 0, bad, bad)
    for start, used, rows in _pieces(info):
        values = space.values(_arithmetic(info), rows)[0]
        raw = _read(checkpoint, info, start, space.raw[: rows * ROW * _width(info)])
        decode_into(raw, info.dtype, values.reshape(-1))
        total += stayed(values, used)
    return total


def nonfinite(checkpoint: Checkpoint, name: str) -> int:
    """How many values of one tensor are NaN or Inf, of whatever dtype."""
    chunks, dtype = checkpoint.chunks(name), checkpoint[name].dtype
    return sum(sum(count_nonfinite(np.frombuffer(chunk, np.uint8), dtype)) for chunk in chunks)


def _pieces(info: TensorInfo) -> Iterator[tuple[int, int, int]]:
    """The pieces of a tensor: the first element, how many, and how many rows those fill."""
    for start in range(0, info.numel, PIECE):
        used = min(PIECE, info.numel - start)
        yield start, used, -(-used // ROW)


def _arithmetic(*infos: TensorInfo) -> type[np.floating[Any]]:
    return np.float32 if {info.dtype for info in infos} <= EXACT_IN_FLOAT32 else np.float64


def _width(info: TensorInfo) -> int:
    return info.nbytes // info.numel


def _read(checkpoint: Checkpoint, info: TensorInfo, start: int, raw: Bytes) -> Bytes:
    """Fills raw with the stored elements from start on, then with zeros, which decode to 0."""
    first = start * _width(info)
    size = min(len(raw), info.nbytes - first)
    checkpoint.read_into(info.name, raw[:size], first)
    raw[size:] = 0
    return raw


def _equal(x: Bytes, y: Bytes) -> bool:
    words = len(x) & ~7
    return np.array_equal(x[:words].view("u8"), y[:words].view("u8")) and np.array_equal(
        x[words:], y[words:]
    )
