"""The bytes of an output, in order and hashed; what is only copied is read before its turn."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Any, TypeAlias

import numpy as np

from ckptedit.files.checkpoint import CHUNK, Checkpoint
from ckptedit.files.hashing import Hasher
from ckptedit.files.header import TensorInfo

AHEAD = 8  # pieces of CHUNK bytes that are read before they are written

Buffer: TypeAlias = Any  # bytes, bytearray, memoryview, or a contiguous numpy array of any dtype


@dataclass(frozen=True, slots=True)
class Kept:
    """A tensor that goes into an output as a checkpoint has it."""

    checkpoint: Checkpoint
    name: str

    @property
    def info(self) -> TensorInfo:
        return self.checkpoint[self.name]

    def read(self, room: memoryview, start: int) -> memoryview:
        """The stored bytes from start on, as many as there is room for."""
        piece = room[: min(len(room), self.info.nbytes - start)]
        self.checkpoint.read_into(self.name, piece, start)
        return piece


Tensor: TypeAlias = Kept | Buffer | Iterable[Buffer]


def feed(tensors: Iterable[Tensor], hasher: Hasher) -> Iterator[memoryview | None]:
    """The bytes of all tensors in pieces, with None after the last piece of each.

    A piece may be overwritten as soon as the next one is asked for. The hasher's thread also reads
    what is kept: so it hashes what its own core has at hand, and whoever writes the pieces does
    nothing else. A tensor that is not kept is asked for its bytes when all before it is written.
    Raises BadCheckpoint if a file was truncated or changed since it was opened.
    """
    rooms = cycle([memoryview(bytearray(CHUNK)) for _ in range(AHEAD)])
    coming: deque[Future[memoryview] | None] = deque()
    for tensor in tensors:
        if isinstance(tensor, Kept):
            for start in range(0, tensor.info.nbytes, CHUNK):
                coming.append(hasher.adding(partial(tensor.read, next(rooms), start)))
                yield from _arrived(coming, AHEAD - 1)
            coming.append(None)
            continue
        yield from _arrived(coming, 0)
        for buffer in _buffers(tensor):
            with hasher.updating(buffer):
                yield buffer
        yield None
    yield from _arrived(coming, 0)


def _arrived(coming: deque[Future[memoryview] | None], left: int) -> Iterator[memoryview | None]:
    """Takes from the front until no more than `left` are coming."""
    while len(coming) > left:
        first = coming.popleft()
        yield None if first is None else first.result()


def _buffers(tensor: Buffer | Iterable[Buffer]) -> Iterator[memoryview]:
    if isinstance(tensor, bytes | bytearray | memoryview | np.ndarray):
        tensor = [tensor]
    for buffer in tensor:
        if isinstance(buffer, np.ndarray):  # a memoryview of bfloat16, or of nothing, has no bytes
            buffer = np.ascontiguousarray(buffer).reshape(-1).view(np.uint8).data
        yield memoryview(buffer).cast("B")
