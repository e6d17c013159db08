"""The change of one tensor, in the three forms that a delta file knows, and how it is applied."""

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas.lowrank import on_grid
from ckptedit.errors import BadParam
from ckptedit.files import TensorInfo, decode, decode_into, encode_into, escape
from ckptedit.files.dtypes import FLOATS
from ckptedit.files.header import BITS

Bytes = NDArray[np.uint8]
Float64 = NDArray[np.float64]

BLOCK = 1 << 18  # entries that are patched at a time


class Change(Protocol):
    def stretch(self, start: int, stop: int) -> Float64:
        """Entries start to stop of the flattened change, edited less base: [stop - start]"""


@dataclass(frozen=True)
class LowRank:
    """up [out, r], down [r, in], float32; the change is scale · up @ down."""

    up: NDArray[np.float32]
    down: NDArray[np.float32]
    scale: float = 1.0

    @classmethod
    def of(cls, up: NDArray[Any], down: NDArray[Any]) -> "LowRank":
        """Factors of any float dtype, rounded to grids on which their product is exact."""
        rank = up.shape[1]
        return cls(on_grid(up, rank), on_grid(down, rank))

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.up.shape[0], self.down.shape[1])

    def stretch(self, start: int, stop: int) -> Float64:
        width = self.down.shape[1]
        first, last = start // width, -(-stop // width)
        rows = self.up[first:last].astype(np.float64) @ self.down.astype(np.float64)
        flat = rows.reshape(-1)[start - first * width : stop - first * width]
        return flat if self.scale == 1 else flat * self.scale


@dataclass(frozen=True)
class Dense:
    """values: the change itself, in the tensor's shape, of a float dtype"""

    values: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def stretch(self, start: int, stop: int) -> Float64:
        return self.values.reshape(-1)[start:stop].astype(np.float64)


@dataclass(frozen=True)
class Replacement:
    """The stored bytes before and after: [nbytes] each. For what no sum can restore bit for bit.

    wanted: [n] the numbers that new was rounded from, if it was
    """

    old: Bytes
    new: Bytes
    dtype: str
    wanted: NDArray[Any] | None = None

    def stretch(self, start: int, stop: int) -> Float64:
        """Raises BadParam if the tensor is not of floats: those are replaced whole, or not."""
        if self.dtype not in FLOATS:
            raise BadParam(f"a tensor of {self.dtype} can be replaced, but not changed by parts")
        width = BITS[self.dtype] // 8
        old, new = (
            decode(raw[start * width : stop * width], self.dtype).astype(np.float64)
            for raw in (self.old, self.new)
        )
        return (new if self.wanted is None else self.wanted[start:stop].astype(np.float64)) - old


def compact(up: NDArray[Any], down: NDArray[Any]) -> LowRank | Dense:
    """up [out, r] @ down [r, in] as factors, or as the change itself where that is smaller."""
    if up.size + down.size < len(up) * down.shape[1]:
        return LowRank.of(up, down)
    return Dense(np.asarray(up.astype(np.float64) @ down.astype(np.float64), np.float32))


def total(first: LowRank | Dense, second: LowRank | Dense) -> LowRank | Dense:
    """Two changes of one tensor [out, in], as one."""
    if isinstance(first, LowRank) and isinstance(second, LowRank):
        up = np.hstack([first.scale * first.up, second.scale * second.up])
        return compact(up, np.vstack([first.down, second.down]))
    out, width = first.shape
    both = first.stretch(0, out * width) + second.stretch(0, out * width)
    return Dense(both.astype(np.float32).reshape(out, width))


def digest(raw: Bytes) -> str:
    """sha256 of stored bytes, hex."""
    return hashlib.sha256(raw.data).hexdigest()


def patched(raw: Bytes, info: TensorInfo, change: Change, factor: float) -> Bytes:
    """The stored bytes of a tensor after factor · change: summed in float64, rounded once.

    raw: [nbytes], before; factor: 1 applies, -1 takes out
    Where the change is zero the bits stay, be they those of -0.0. Raises Overflow if a result does
    not fit into the stored dtype.
    """
    if isinstance(change, Replacement) and factor in (1, -1):
        return change.new if factor == 1 else change.old
    if info.dtype not in FLOATS:
        raise BadParam(
            f"tensor {escape(info.name)} is of {info.dtype}: it can be replaced with strength 1, "
            f"not changed by a share"
        )
    out, width = np.empty_like(raw), info.nbytes // max(info.numel, 1)
    room = np.empty(min(BLOCK, info.numel), np.float64)
    for start in range(0, info.numel, BLOCK):
        stop = min(start + BLOCK, info.numel)
        place, values = slice(start * width, stop * width), room[: stop - start]
        decode_into(raw[place], info.dtype, values)
        step = change.stretch(start, stop)
        np.add(values, step if factor == 1 else step * factor, out=values, where=step != 0)
        encode_into(values, info.dtype, out[place], name=info.name)
    return out
