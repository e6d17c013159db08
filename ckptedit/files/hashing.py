"""A digest that another thread computes while the same bytes are written."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

THREAD_FROM = 1 << 18  # bytes; hashing less costs no more than handing it to another thread


class Hasher:
    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._pool = ThreadPoolExecutor(1, "sha256")

    @contextmanager
    def updating(self, buffer: memoryview) -> Iterator[None]:
        """Adds the buffer to the digest while the body runs; after that it may be reused."""
        if buffer.nbytes < THREAD_FROM:
            self._sha256.update(buffer)
            yield
            return
        hashing = self._pool.submit(self._sha256.update, buffer)
        try:
            yield
        finally:
            hashing.result()

    def adding(self, read: Callable[[], memoryview]) -> Future[memoryview]:
        """What read() returns, once it is added to the digest. Both happen in the other thread."""

        def add() -> memoryview:
            buffer = read()
            self._sha256.update(buffer)
            return buffer

        return self._pool.submit(add)

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
