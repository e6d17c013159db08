"""The edited side of a delta: a checkpoint, or changes that were never rounded."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas.change import Dense, LowRank, patched
from ckptedit.deltas.distance import Bytes, Distance, apart, apart_in_value
from ckptedit.deltas.lowrank import rounding_noise
from ckptedit.errors import BadCheckpoint, BadParam, Incompatible, UnknownName
from ckptedit.files import Checkpoint, decode, encode, escape
from ckptedit.files.nonfinite import holds_nonfinite
from ckptedit.globs import matches

# name -> edited less base, [*shape]; an array is written in the form that takes least room, a
# change as it is
Changes = Mapping[str, NDArray[np.float32] | LowRank | Dense]

COMPARED = 1 << 20  # bytes
IGNORED = {"added", "removed", "reshaped", "retyped"}  # as `diff` has them; retyped ones fit


class Edited(Protocol):
    """What a base becomes, tensor by tensor."""

    def differs(self, name: str) -> bool:
        """Whether the edit touches a tensor of the base."""

    def wanted(self, name: str) -> Bytes:
        """The tensor after the edit, as stored in the base's dtype: [nbytes]"""

    def in_dtype_of_base(self, name: str) -> bool:
        """Whether the edited side stores it so."""

    def off(self, name: str, after: Bytes) -> Distance:
        """What stored bytes in the base's dtype lack to the edited values."""

    def change(self, name: str) -> NDArray[np.float32]:
        """Edited less base, rounded to float32: [*shape]"""

    def noise(self, name: str) -> float:
        """What of the change is rounding, its Frobenius norm."""

    def given(self, name: str) -> LowRank | Dense | None:
        """The change in the form in which it was made, if it was made in one."""

    @property
    def ledger(self) -> list[dict[str, Any]]: ...


class FromCheckpoint:
    """An edited checkpoint. It must have the base's tensors, in any float dtype.

    keys, ignore: as `write_delta` has them
    """

    def __init__(
        self, base: Checkpoint, edited: Checkpoint, keys: Sequence[str], ignore: Sequence[str]
    ) -> None:
        """Raises Incompatible if a tensor was added, removed or reshaped, unless ignored."""
        if unknown := set(ignore) - IGNORED:
            raise BadParam(
                f"ignore is {min(unknown)!r}; it must be of {', '.join(sorted(IGNORED))}"
            )
        names = [*base, *(name for name in edited if name not in base)]
        chosen = [name for name in names if not keys or matches(name, keys)]
        if not chosen:
            raise UnknownName(f"{base.label} and {edited.label} have no tensor that keys pick")
        for name in chosen:
            if (kind := _structure(base, edited, name)) and kind not in ignore:
                raise Incompatible(
                    f"{_how(base, edited, name)}: a delta changes values; --ignore {kind} leaves "
                    "such tensors out"
                )
        self.base, self.edited = base, edited
        self.names = {name for name in chosen if not _structure(base, edited, name)}

    @property
    def ledger(self) -> list[dict[str, Any]]:
        return self.edited.ledger

    def differs(self, name: str) -> bool:
        if name not in self.names:
            return False
        if not self.in_dtype_of_base(name):
            return bool((self.base.values(name) != self.edited.values(name)).any())
        pairs = zip(
            self.base.chunks(name, COMPARED), self.edited.chunks(name, COMPARED), strict=True
        )
        return any(not np.array_equal(one, other) for one, other in pairs)

    def in_dtype_of_base(self, name: str) -> bool:
        return self.base[name].dtype == self.edited[name].dtype

    def off(self, name: str, after: Bytes) -> Distance:
        dtype = self.base[name].dtype
        if self.in_dtype_of_base(name):
            return apart(after, self.edited.raw(name), dtype)
        return apart_in_value(decode(after, dtype), self.edited.values(name).reshape(-1))

    def wanted(self, name: str) -> Bytes:
        dtype = self.base[name].dtype
        for side in (self.base, self.edited):
            if holds_nonfinite(side.raw(name), side[name].dtype):
                raise BadCheckpoint(f"{side.label}: tensor {escape(name)} holds NaN or Inf")
        if self.in_dtype_of_base(name):
            return self.edited.raw(name)
        return encode(self.edited.values(name), dtype, name=name)

    def change(self, name: str) -> NDArray[np.float32]:
        new, old = self.edited.values(name), self.base.values(name)
        with np.errstate(over="ignore"):
            return np.asarray(np.subtract(new, old, dtype=np.float64), np.float32)

    def noise(self, name: str) -> float:
        dtype = self.base[name].dtype
        return rounding_noise(decode(self.wanted(name), dtype), dtype)

    def given(self, name: str) -> None:
        return None


class FromChanges:
    """Changes as they were computed: the result is, by definition, what applying them gives."""

    def __init__(self, base: Checkpoint, changes: Changes) -> None:
        """Raises Incompatible if a name or shape is not the base's."""
        require_shapes(base, changes)
        self.base, self.changes = base, changes

    @property
    def ledger(self) -> list[dict[str, Any]]:
        return self.base.ledger

    def differs(self, name: str) -> bool:
        if name not in self.changes:
            return False
        change = self._as_change(name)
        parts = (change.up, change.down) if isinstance(change, LowRank) else (change.values,)
        return all(part.any() for part in parts)

    def wanted(self, name: str) -> Bytes:
        return patched(self.base.raw(name), self.base[name], self._as_change(name), 1)

    def in_dtype_of_base(self, name: str) -> bool:
        return True

    def off(self, name: str, after: Bytes) -> Distance:
        return apart(after, self.wanted(name), self.base[name].dtype)

    def change(self, name: str) -> NDArray[np.float32]:
        change = self._as_change(name)
        values = change.values if isinstance(change, Dense) else change.up @ change.down
        return np.asarray(values, np.float32)

    def noise(self, name: str) -> float:
        return 0.0

    def given(self, name: str) -> LowRank | Dense | None:
        change = self.changes[name]
        return change if isinstance(change, LowRank | Dense) else None

    def _as_change(self, name: str) -> LowRank | Dense:
        change = self.changes[name]
        return change if isinstance(change, LowRank | Dense) else Dense(change)


def _structure(base: Checkpoint, edited: Mapping[str, Any], name: str) -> str | None:
    """Which of IGNORED a tensor is, for no delta can hold it; None if it is in both alike."""
    if name not in base:
        return "added"
    if name not in edited:
        return "removed"
    return "reshaped" if tuple(edited[name].shape) != base[name].shape else None


def _how(base: Checkpoint, edited: Checkpoint, name: str) -> str:
    if name not in base:
        return f"{edited.label} has a tensor {escape(name)} that {base.label} lacks"
    if name not in edited:
        return f"{edited.label} lacks the tensor {escape(name)} of {base.label}"
    return (f"tensor {escape(name)} is {list(base[name].shape)} in {base.label}, but "
            f"{list(edited[name].shape)} in {edited.label}")  # fmt: skip


def require_shapes(base: Checkpoint, changes: Mapping[str, Any]) -> None:
    """Raises Incompatible if a change is of no tensor of the base, or has another shape."""
    for name in changes:
        if name not in base:
            raise Incompatible(f"the edit changes {escape(name)}, which {base.label} lacks")
        if (new := tuple(changes[name].shape)) != base[name].shape:
            raise Incompatible(
                f"tensor {escape(name)} is {list(base[name].shape)} in {base.label}, but its "
                f"change is {list(new)}"
            )
