"""Makes a delta of what another tool wrote: one that knows its base, and can be taken out again."""

from contextlib import ExitStack
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas.change import BLOCK, Dense, LowRank, compact, patched
from ckptedit.deltas.delta import is_delta
from ckptedit.deltas.distance import Bytes, Distance, apart
from ckptedit.deltas.foreign import ForeignDelta, open_foreign, require_whole
from ckptedit.deltas.make import TOLERANCE, Made, check_tolerance, write_side
from ckptedit.errors import BadParam
from ckptedit.files import Checkpoint, ledger, opened, require_weights
from ckptedit.files.pickled import Unpickled, is_pickle
from ckptedit.files.touched import patterns
from ckptedit.progress import Track, silent


def import_delta(
    theirs: str | Path | Checkpoint,
    base: str | Path | Checkpoint,
    output: str | Path,
    *,
    exact: bool = False,
    tolerance: float = TOLERANCE,
    force: bool = False,
    track: Track = silent,
) -> Made:
    """Writes what a file of another tool makes of a base, as a delta of that base.

    theirs:    what `apply` reads of other tools; or a pickle of new values, as SPEED and RECE save
               them (`.pt`), and CUIG (`delta.bin`), of which tensors are read and nothing is run
    base:      the checkpoint that it was made from: nothing tells whether it is
    exact, tolerance: as `write_delta` has them
    Raises BadCheckpoint if the file holds anything that is not understood, DoesNotFit if it does
    not fit the base, BadParam if it is a delta already, and what `write_delta` raises.
    """
    check_tolerance(tolerance)
    with ExitStack() as stack:
        start = stack.enter_context(opened(base))
        require_weights(start)
        require_whole(start)
        if isinstance(theirs, str | Path) and is_pickle(theirs):
            file: Checkpoint = Unpickled(theirs)
        else:
            file = stack.enter_context(opened(theirs))
        if is_delta(file):
            raise BadParam(f"{file.label} is a delta already: `ckptedit apply` takes it")
        delta = open_foreign(file, start, whole=True)
        line = ledger.entry(
            "import",
            {"exact": exact, "tolerance": tolerance},
            start.data_sha256(),
            delta_sha256=delta.data_sha256(),
            **patterns(delta.entries, start),
        )
        return write_side(start, FromForeign(start, delta), [start, file], output, exact=exact,
                          tolerance=tolerance, line=line, force=force, track=track)  # fmt: skip


class FromForeign:
    """The edited side of a delta: a base with a file of another tool, as `apply` would write it."""

    def __init__(self, base: Checkpoint, delta: ForeignDelta) -> None:
        self.base, self.delta = base, delta
        self._change = lru_cache(maxsize=1)(delta.change)  # asked for several times in a row
        self._wanted = lru_cache(maxsize=1)(self._patched)

    @property
    def ledger(self) -> list[dict[str, Any]]:
        return self.base.ledger

    def differs(self, name: str) -> bool:
        if name not in self.delta.entries:
            return False
        change, count = self._change(name), prod(self.base[name].shape)
        starts = range(0, count, BLOCK)
        return any(change.stretch(i, min(i + BLOCK, count)).any() for i in starts)

    def _patched(self, name: str) -> Bytes:
        return patched(self.base.raw(name), self.base[name], self._change(name), 1)

    def wanted(self, name: str) -> Bytes:
        return self._wanted(name)

    def in_dtype_of_base(self, name: str) -> bool:
        return True

    def off(self, name: str, after: Bytes) -> Distance:
        return apart(after, self.wanted(name), self.base[name].dtype)

    def change(self, name: str) -> NDArray[np.float32]:
        shape = self.base[name].shape
        return self._change(name).stretch(0, prod(shape)).astype(np.float32).reshape(shape)

    def noise(self, name: str) -> float:
        return 0.0

    def given(self, name: str) -> LowRank | Dense | None:
        """The factors of a LoRA; they need not be found again."""
        change = self._change(name)
        if isinstance(change, LowRank):
            return compact(change.scale * change.up.astype(np.float64), change.down)
        return None
