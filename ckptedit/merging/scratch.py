"""Buffers that a thread uses again and again: fresh ones cost more than the arithmetic in them."""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Scratch(threading.local):
    """One set of named buffers for each thread."""

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[np.uint8]] = {}

    def take(self, name: str, count: int, dtype: Any) -> NDArray[Any]:
        """[count] uninitialised; the same memory as this thread's last one of that name."""
        size = count * np.dtype(dtype).itemsize
        if name not in self._buffers or len(self._buffers[name]) < size:
            self._buffers[name] = np.empty(size, np.uint8)
        return self._buffers[name][:size].view(dtype)
