"""The edited side of a delta: a checkpoint, or changes that were never rounded."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas.change import Dense, LowRank, patched
from ckptedit.deltas.distance import Bytes, Distance, apart, apart_in_value
from ckptedit.deltas.lowrank import rounding_noise
from ckptedit.errors import BadCheckpoint, Incompatible
from ckptedit.files import Checkpoint, decode, encode, escape
from ckptedit.files.nonfinite import holds_nonfinite

# name -> edited less base, [*shape]; an array is written in the form that takes least room, a
# change as it is
Changes = Mapping[str, NDArray[np.float32] | LowRank | Dense]

COMPARED = 1 << 20  # bytes


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
    """An edited checkpoint. It must have the base's tensors, in any float dtype."""

    def __init__(self, base: Checkpoint, edited: Checkpoint) -> None:
        """Raises Incompatible if a tensor was added, removed or reshaped."""
        require_shapes(base, edited, edited.label)
        if lost := base.keys() - edited.keys():
            raise Incompatible(
                f"{edited.label} lacks the tensor {escape(min(lost))} of {base.label}: a delta "
                "changes tensors, it does not remove them"
            )
        self.base, self.edited = base, edited

    @property
    def ledger(self) -> list[dict[str, Any]]:
        return self.edited.ledger

    def differs(self, name: str) -> bool:
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
        require_shapes(base, changes, "the edit")
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


def require_shapes(base: Checkpoint, edited: Mapping[str, Any], label: str) -> None:
    """Raises Incompatible if a tensor of the edit is not in the base, or has another shape."""
    for name in edited:
        if name not in base:
            raise Incompatible(
                f"{label} has a tensor {escape(name)} that {base.label} lacks: a delta changes "
                "tensors, it does not add any"
            )
        if (new := tuple(edited[name].shape)) != base[name].shape:
            raise Incompatible(
                f"tensor {escape(name)} is {list(base[name].shape)} in {base.label}, but "
                f"{list(new)} in {label}: a delta does not change shapes"
            )
