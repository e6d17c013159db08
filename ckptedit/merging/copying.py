"""Tensors that a merge does not compute: copied bit by bit, and looked through for NaN and Inf."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas.fit import some
from ckptedit.errors import BadCheckpoint
from ckptedit.files import Checkpoint, Kept, escape
from ckptedit.files.nonfinite import holds_nonfinite

COPY = 1 << 20  # bytes that are copied in one job


class Copying:
    """Reads what is copied, for any number of threads.

    allow: whether NaN and Inf are copied; `found` then has the names of the tensors that hold them
    """

    def __init__(self, allow: bool) -> None:
        self.allow = allow
        self.found: set[str] = set()

    def read(self, checkpoint: Checkpoint, name: str, start: int, count: int) -> NDArray[np.uint8]:
        """Stored bytes of a tensor, whole values. Raises BadCheckpoint if NaN or Inf is refused."""
        stored = np.empty(count, np.uint8)
        checkpoint.read_into(name, stored, start)
        if holds_nonfinite(stored, checkpoint[name].dtype):
            self.found.add(name)
            if not self.allow:
                raise BadCheckpoint(
                    f"{checkpoint.label}: tensor {escape(name)} holds NaN or Inf; "
                    "--allow-nonfinite copies it as it is"
                )
        return stored

    def whole(self, kept: Kept) -> Iterator[NDArray[np.uint8]]:
        """All bytes of a tensor that is added to the output."""
        for start, count in pieces(kept.info.nbytes):
            yield self.read(kept.checkpoint, kept.name, start, count)

    def nonfinite(self, names: list[str]) -> list[str]:
        """Which of the output's tensors were copied with NaN or Inf in them, in its order."""
        return [name for name in names if name in self.found]


def note_on(nonfinite: list[str], tensors: int) -> list[str]:
    """What the user should hear of it: one line, or none."""
    if not nonfinite:
        return []
    return [f"{some(nonfinite, tensors)} hold NaN or Inf, and were copied as they are"]


def pieces(size: int) -> Iterator[tuple[int, int]]:
    """(start, count) of the bytes of a tensor; one piece of none where it is empty."""
    for start in range(0, max(size, 1), COPY):
        yield start, min(COPY, size - start)
