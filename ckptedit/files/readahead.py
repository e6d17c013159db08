"""Reads the next piece of a tensor while the one before is written."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from ckptedit.files.checkpoint import CHUNK, Checkpoint


class ReadAhead:
    """Two buffers and a thread that fills the one that is not in use."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "read")
        self._buffers = [memoryview(bytearray(CHUNK)) for _ in range(2)]

    def chunks(self, checkpoint: Checkpoint, name: str) -> Iterator[memoryview]:
        """The stored bytes of a tensor, as `Checkpoint.chunks` has them, in order.

        Raises BadCheckpoint if the file was truncated or changed since it was opened.
        """
        nbytes = checkpoint[name].nbytes

        def read(index: int) -> memoryview:
            start = index * CHUNK
            piece = self._buffers[index % 2][: min(CHUNK, nbytes - start)]
            checkpoint.read_into(name, piece, start)
            return piece

        count = -(-nbytes // CHUNK)
        if count == 1:  # not worth a thread
            yield read(0)
            return
        pieces = (self._pool.submit(read, index) for index in range(count))
        coming = next(pieces, None)
        while coming is not None:
            piece = coming.result()
            coming = next(pieces, None)
            yield piece

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
