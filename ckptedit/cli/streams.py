"""Stdin, stdout and stderr as a shell may leave them: closed, or on a disk that is full.

Python itself would end with a traceback and status 1, which means "they differ", or with 120.
"""

import io
import os
import sys
from typing import Any, TextIO

from ckptedit.errors import WriteFailed


class Output(io.FileIO):
    """Fails once, with an error for the user, and takes no notice of what comes after it."""

    def __init__(self, fd: int, label: str | None) -> None:
        """label: None if there is nobody left to be told."""
        super().__init__(fd, "wb", closefd=False)
        self._label = label
        self._failed = False

    def write(self, buffer: Any) -> int:
        """Raises WriteFailed."""
        size = memoryview(buffer).nbytes
        if self._failed:
            return size
        try:
            return super().write(buffer)
        except OSError as error:
            self._failed = True
            if self._label is None:
                return size
            raise WriteFailed(f"{self._label}: {error.strerror}") from error


def secure_streams() -> None:
    """Replaces stdin where it is closed, and both of the others: they report what goes wrong."""
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_WRONLY))
    sys.stdout = _secured(sys.stdout, "stdout")
    sys.stderr = _secured(sys.stderr, None)


def _secured(stream: TextIO | None, label: str | None) -> TextIO:
    # where it is closed, the wrong way round: to write fails, and no other file gets the number
    fd = os.open(os.devnull, os.O_RDONLY) if stream is None else stream.fileno()
    errors = "backslashreplace" if label is None else "surrogateescape"  # paths as they came
    return io.TextIOWrapper(
        io.BufferedWriter(Output(fd, label)),
        encoding="utf-8" if stream is None else stream.encoding,
        errors=errors,
        line_buffering=label is None or os.isatty(fd),
    )
