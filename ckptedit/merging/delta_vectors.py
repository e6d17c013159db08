"""A delta file among what is merged: its changes are task vectors as they stand."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas import Delta, is_delta
from ckptedit.deltas.application import open_for
from ckptedit.deltas.fit import fit, some
from ckptedit.deltas.foreign import holds_values_of, open_foreign
from ckptedit.deltas.parts import holds_factors
from ckptedit.errors import Incompatible
from ckptedit.families import is_index, spelled_like
from ckptedit.files import Checkpoint, escape
from ckptedit.files.history import Line, trunk
from ckptedit.merging.stack import Array
from ckptedit.merging.task_vectors import CheckpointVectors, Filler, TaskVectors, is_float

HALF = 0.5  # an index that is off by less is still the same


class DeltaVectors:
    """A delta: it leaves every tensor that it does not name as the base has it."""

    def __init__(self, delta: Delta) -> None:
        self.delta, self.label = delta, delta.label

    @property
    def sources(self) -> list[Checkpoint]:
        return self.delta.sources

    @property
    def ledger(self) -> list[dict[str, Any]]:
        return self.delta.ledger

    def lines_on(self, known: Sequence[Line]) -> list[Line]:
        return trunk(self.ledger)

    def digest(self) -> str:
        return self.delta.data_sha256()

    def names(self) -> Collection[str]:
        return self.delta.entries.keys()

    def notes(self, base: Checkpoint) -> list[str]:
        found, count = fit(base, self.delta), len(self.delta.entries)
        notes = []
        if found.differing:
            notes.append(f"{self.label}: {some(found.differing, count)} are not in {base.label} as "
                         "when the delta was made; its changes are added all the same")  # fmt: skip
        if found.unknown:
            notes.append(f"{self.label} is another tool's: nothing tells whether it fits")
        return notes

    def gram(self) -> NDArray[Any] | None:
        return self.delta.gram()

    def fill(self, base: Checkpoint, name: str) -> Filler | None:
        if name not in self.delta.entries:
            return None
        info, entry = base[name], self.delta.entries[name]
        if info.shape != entry.shape:
            raise Incompatible(
                f"tensor {escape(name)} is {list(info.shape)} in {base.label}, "
                f"but {self.label} is for {list(entry.shape)}"
            )
        if not info.numel:
            return None
        if not (is_float(info.dtype) and is_float(entry.dtype)):
            raise Incompatible(
                f"{self.label} replaces tensor {escape(name)} of {entry.dtype}: only floats can be "
                "merged; `ckptedit apply` replaces it"
            )
        change = self.delta.change(name)
        if is_index(name):
            if (np.abs(change.stretch(0, info.numel)) < HALF).all():
                return None  # what an earlier merge left of it
            raise Incompatible(
                f"{self.label} changes the indices {escape(name)}, which cannot be merged; "
                "`ckptedit apply` changes them"
            )

        def fill(start: int, stop: int, values: Array, out: Array) -> None:
            np.copyto(out, change.stretch(start, stop), casting="same_kind")

        return fill


def open_vectors(edit: Checkpoint | Delta, base: Checkpoint) -> TaskVectors:
    """The task vectors of an edit: a delta, a file of another tool, or a checkpoint or part of one.

    The last may spell its tensors otherwise than the base. Raises BadCheckpoint if a delta is
    inconsistent.
    """
    if isinstance(edit, Delta) or is_delta(edit):
        return DeltaVectors(open_for(base, edit))
    if holds_factors(edit):
        return DeltaVectors(open_foreign(edit, base))
    view = spelled_like(edit, base)
    if not any(name in base for name in view) and holds_values_of(base, edit):  # of packed ones
        return DeltaVectors(open_foreign(edit, base))
    return CheckpointVectors(view)
