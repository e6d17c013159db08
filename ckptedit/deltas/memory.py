"""An edit that is in memory: changes by the name of the base's tensor, never written as a delta."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ckptedit.deltas.change import Change, Dense, LowRank, digest
from ckptedit.deltas.delta import Delta
from ckptedit.deltas.entry import Entry
from ckptedit.deltas.sides import Changes, require_shapes
from ckptedit.files import Checkpoint


class MemoryDelta(Delta):
    """Changes of an open base. They fit it, since they were made from it."""

    def __init__(self, base: Checkpoint, changes: Changes) -> None:
        """Raises Incompatible if a name or shape is not the base's."""
        require_shapes(base, changes)
        self.changes = {name: _as_change(change) for name, change in changes.items()}
        self.label, self.sources, self.metadata, self.respelled = "the edit", [], {}, False
        self.base_sha256 = self.result_sha256 = self.family = None
        self.entries = {
            name: Entry(
                name,
                "lora" if isinstance(change, LowRank) else "diff",
                base[name].dtype,
                base[name].shape,
                base=digest(base.raw(name)),
            )
            for name, change in self.changes.items()
        }

    @property
    def ledger(self) -> list[dict[str, Any]]:
        return []

    def data_sha256(self) -> str:
        total = hashlib.sha256()
        for name, change in self.changes.items():
            parts = (change.up, change.down) if isinstance(change, LowRank) else (change.values,)
            total.update(f"{name} {[part.shape for part in parts]} ".encode())
            for part in parts:
                total.update(np.ascontiguousarray(part).data)
        return total.hexdigest()

    def change(self, name: str) -> Change:
        return self.changes[name]

    def gram(self) -> None:
        return None

    def spelled_like(self, base: Checkpoint) -> "MemoryDelta":
        return self


@contextmanager
def opened_edit(
    edit: str | Path | Checkpoint | Delta | Changes, base: Checkpoint
) -> Iterator[Checkpoint | Delta]:
    """An edit by name opened, and closed in the end; a table of changes as a delta of the base."""
    if isinstance(edit, Checkpoint | Delta):
        yield edit
    elif isinstance(edit, str | Path):
        with Checkpoint(edit) as found:
            yield found
    else:
        yield MemoryDelta(base, edit)


def _as_change(change: Any) -> LowRank | Dense:
    if isinstance(change, LowRank | Dense):
        return change
    return Dense(np.asarray(change))
