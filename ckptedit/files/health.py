"""Reads a whole checkpoint once: its digests, and the values that no model should have."""

import hashlib
import os
from dataclasses import dataclass

import numpy as np

from ckptedit.files.checkpoint import Checkpoint
from ckptedit.files.hashing import Hasher
from ckptedit.files.header import TensorInfo
from ckptedit.files.layout import SINGLE
from ckptedit.files.nonfinite import count_nonfinite
from ckptedit.progress import Track, silent


@dataclass(frozen=True, slots=True)
class Unhealthy:
    """A tensor that holds what it should not."""

    name: str
    nan: int  # how many values
    inf: int
    bools: int  # bytes of a BOOL tensor that are neither 0 nor 1


@dataclass(frozen=True, slots=True)
class Health:
    sha256: str  # of the tensor data
    file_sha256: str | None  # of all bytes, if the checkpoint is a single file
    unhealthy: tuple[Unhealthy, ...]


def examine(checkpoint: Checkpoint, track: Track = silent) -> Health:
    """Computes the digests of a checkpoint and looks at every value."""
    whole = hashlib.sha256()
    if checkpoint.layout.kind == SINGLE:
        source = checkpoint.sources[0]
        whole.update(os.pread(source.fd, source.data_start, 0))
    unhealthy = []
    with Hasher() as data:
        for name in track(checkpoint, "reading", len(checkpoint)):
            counts = [0, 0, 0]
            for piece in checkpoint.chunks(name):
                with data.updating(piece):
                    if checkpoint.layout.kind == SINGLE:
                        whole.update(piece)
                    found = _counts(piece, checkpoint[name])
                    if any(found):
                        counts = [a + b for a, b in zip(counts, found, strict=True)]
            if any(counts):
                unhealthy.append(Unhealthy(name, *counts))
        single = checkpoint.layout.kind == SINGLE
        return Health(data.hexdigest(), whole.hexdigest() if single else None, tuple(unhealthy))


def _counts(piece: memoryview, info: TensorInfo) -> tuple[int, int, int]:
    raw = np.frombuffer(piece, np.uint8)
    bools = int((raw > 1).sum()) if info.dtype == "BOOL" else 0
    return *count_nonfinite(raw, info.dtype), bools
