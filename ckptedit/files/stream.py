"""Output that is written to as it comes: stdout, devices and FIFOs."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ckptedit.errors import WriteFailed
from ckptedit.files.names import escape

STDOUT = "-"


class Stream:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, buffer: memoryview) -> None:
        while buffer.nbytes:
            buffer = buffer[self._stream.write(buffer) :]


def is_stream(target: str | Path) -> bool:
    """Whether the target is written to directly instead of being replaced as a whole."""
    path = Path(target)
    return str(target) == STDOUT or (path.exists() and not path.is_file() and not path.is_dir())


@contextmanager
def open_stream(target: str | Path) -> Iterator[Stream]:
    """Raises WriteFailed if the reader goes away or the device is full."""
    try:
        if str(target) == STDOUT:
            yield Stream(sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CLOEXEC), "wb", buffering=0) as device:
            yield Stream(device)
    except OSError as error:
        raise WriteFailed(f"{escape(target)}: {error.strerror or error}") from error
