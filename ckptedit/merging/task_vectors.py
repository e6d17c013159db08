"""What is merged: an edited checkpoint, or a delta. To the merge both are task vectors.

An edit answers, for a tensor of the base, with None (this edit leaves it as it is) or with a
function that fills in any stretch of its task vector.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas.fit import some
from ckptedit.errors import BadCheckpoint, Incompatible
from ckptedit.families import is_index
from ckptedit.files import Checkpoint, decode_into, escape
from ckptedit.files.dtypes import FLOATS, NATIVE
from ckptedit.files.history import Line, trunk
from ckptedit.merging.scratch import Scratch
from ckptedit.merging.stack import Array

# (start, stop, base's values [stop - start], out [stop - start] float32) -> fills out
Filler = Callable[[int, int, Array, Array], None]

COMPARABLE = (NATIVE.keys() | FLOATS) - {"C64"}  # dtypes whose values are numbers on one line
COMPARED = 1 << 16  # bytes compared at a time: what was edited differs in the first few


class TaskVectors(Protocol):
    """An edit of a base checkpoint.

    label:   its name, escaped, for messages
    sources: checkpoints that it reads, which an output must not overwrite
    """

    label: str

    @property
    def sources(self) -> list[Checkpoint]: ...

    @property
    def ledger(self) -> list[dict[str, Any]]:
        """All of its ledger."""

    def lines_on(self, known: Sequence[Line]) -> list[Line]:
        """The entries of what its task vectors add to a base whose trunk is `known`."""

    def digest(self) -> str:
        """sha256 of its tensor data."""

    def names(self) -> Collection[str]:
        """The base's tensors that it has something to say about, and tensors the base lacks."""

    def notes(self, base: Checkpoint) -> list[str]:
        """What the user should hear of how it fits the base, one line each."""

    def fill(self, base: Checkpoint, name: str) -> Filler | None:
        """How to fill in its task vector of a tensor; None where it is zero throughout, or empty.

        Raises Incompatible if the tensor has another shape, or is not of floats or holds indices
        and has other values; the same values in another dtype are no change.
        """

    def gram(self) -> NDArray[Any] | None:
        """[d, d] E Eᵀ of the embeddings it was made for, if it says."""


class CheckpointVectors:
    """A whole checkpoint; its task vectors are its values less the base's."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint, self.label = checkpoint, checkpoint.label
        self._scratch = Scratch()

    @property
    def sources(self) -> list[Checkpoint]:
        return [self.checkpoint]

    @property
    def ledger(self) -> list[dict[str, Any]]:
        return self.checkpoint.ledger

    def lines_on(self, known: Sequence[Line]) -> list[Line]:
        return [line for line in trunk(self.ledger) if line not in known]

    def digest(self) -> str:
        return self.checkpoint.data_sha256()

    def names(self) -> Collection[str]:
        return self.checkpoint.keys()

    def notes(self, base: Checkpoint) -> list[str]:
        missing = [name for name in base if name not in self.checkpoint]
        if not missing:
            return []
        return [f"{self.label} lacks {some(missing, len(base))}: it counts as not touching them"]

    def gram(self) -> NDArray[Any] | None:
        return None

    def fill(self, base: Checkpoint, name: str) -> Filler | None:
        if name not in self.checkpoint:
            return None
        old, new = base[name], self.checkpoint[name]
        if old.shape != new.shape:
            raise Incompatible(
                f"tensor {escape(name)} is {list(old.shape)} in {base.label}, "
                f"but {list(new.shape)} in {self.label}"
            )
        if not old.numel or same_bytes(base, self.checkpoint, name):
            return None
        if is_index(name) or not (is_float(old.dtype) and is_float(new.dtype)):
            require_same_values(base, self.checkpoint, name)
            return None
        return self._wide(base, name) if "F64" in (old.dtype, new.dtype) else self._narrow(name)

    def _narrow(self, name: str) -> Filler:
        info = self.checkpoint[name]
        width = info.nbytes // info.numel

        def fill(start: int, stop: int, values: Array, out: Array) -> None:
            raw = self._scratch.take("raw", (stop - start) * width, np.uint8)
            self.checkpoint.read_into(name, raw, start * width)
            decode_into(raw, info.dtype, out)
            np.subtract(out, values, out=out)

        return fill

    def _wide(self, base: Checkpoint, name: str) -> Filler:
        """The difference is taken in float64, then rounded."""

        def fill(start: int, stop: int, values: Array, out: Array) -> None:
            new = read_float64(self.checkpoint, name, start, stop)
            np.copyto(out, new - read_float64(base, name, start, stop), casting="same_kind")

        return fill


def is_float(dtype: str) -> bool:
    """Whether values of a stored dtype can be merged."""
    return dtype in FLOATS


def same_bytes(one: Checkpoint, other: Checkpoint, name: str) -> bool:
    """Whether a tensor is stored alike in both. Stops at the first difference."""
    if one[name].dtype != other[name].dtype or one[name].nbytes != other[name].nbytes:
        return False
    pieces = zip(one.chunks(name, COMPARED), other.chunks(name, COMPARED), strict=True)
    return all(np.array_equal(a, b) for a, b in pieces)


def require_same_values(base: Checkpoint, edited: Checkpoint, name: str) -> None:
    """Raises Incompatible unless a tensor holds the same numbers in both, in whatever dtypes.

    Indices that an earlier merge left as fractions, 40.9997, count as what they were.
    """
    old, new = base[name], edited[name]
    where = f"{old.dtype} in {base.label} and {new.dtype} in {edited.label}"
    if not {old.dtype, new.dtype} <= COMPARABLE:
        found = "with other bytes" if old.dtype == new.dtype else "which cannot be compared"
    elif count := count_differing(*(_numbers(side, name) for side in (base, edited))):
        found = f"and {count} of {old.numel} values differ"
    else:
        return
    rule = "indices cannot be merged" if is_index(name) else "only floats can be merged"
    raise Incompatible(
        f"tensor {escape(name)} is {where}, {found}: {rule}; "
        f"--keys '!{escape(name)}' leaves it as it is in {base.label}"
    )


def _numbers(checkpoint: Checkpoint, name: str) -> NDArray[Any]:
    values = checkpoint.values(name)
    return np.rint(values) if is_index(name) and values.dtype.kind == "f" else values


def count_differing(old: NDArray[Any], new: NDArray[Any]) -> int:
    """How many entries are not the same number. Arrays of one shape and of any two dtypes.

    numpy compares an integer to a float as floats, which rounds; converting either tells.
    """
    same = (old == new) & (new.astype(old.dtype) == old) & (old.astype(new.dtype) == new)
    return int(same.size - np.count_nonzero(same))


def read_float64(checkpoint: Checkpoint, name: str, start: int, stop: int) -> NDArray[np.float64]:
    """Entries start to stop of a float tensor: [stop - start]"""
    info = checkpoint[name]
    width = info.nbytes // info.numel
    raw = np.empty((stop - start) * width, np.uint8)
    checkpoint.read_into(name, raw, start * width)
    values = np.empty(stop - start, np.float64)
    decode_into(raw, info.dtype, values)
    return values


def refuse_nonfinite(checkpoint: Checkpoint, name: str) -> None:
    """Raises BadCheckpoint if a tensor of a checkpoint holds NaN or Inf."""
    if name in checkpoint and not np.isfinite(checkpoint.values(name)).all():
        raise BadCheckpoint(
            f"{checkpoint.label}: tensor {escape(name)} holds NaN or Inf, and cannot be merged"
        )
