"""One safetensors file, open for reading."""

import os
import stat
import sys
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

from ckptedit.errors import BadCheckpoint
from ckptedit.files.header import MAX_HEADER, Header, parse_header
from ckptedit.files.names import escape

SPOOL_CHUNK = 1 << 20  # bytes

WRITTEN_TO = attrgetter("st_ino", "st_size", "st_mtime_ns")  # what another write would change
CONVERT = "convert it to safetensors first; `ckptedit import` takes edits as they are"
FOREIGN = {  # how other files begin -> what they are and what to do
    b"PK\x03\x04": f"is a pickle in a zip (.ckpt, .pt); {CONVERT}",
    b"\x80": f"is a pickle (.ckpt, .pt, .bin); {CONVERT}",
    b"GGUF": "is a GGUF file, not safetensors",
    b"version https://git-lfs": "is a Git LFS pointer; fetch the file itself with `git lfs pull`",
    b"<": "is a web page, not safetensors; was the download refused?",
    b"\x1f\x8b": "is compressed by gzip; unpack it first",
}


class OpenFile:
    """An open file and its parsed header. Reads by position, so threads may share it."""

    def __init__(self, path: str | Path) -> None:
        """Opens path; `-` is stdin, which like a FIFO is copied to a nameless temporary file.

        Raises BadCheckpoint if there is no such file or it is not safetensors.
        """
        self.fd = -1
        self.path = Path(path)
        self.label = "<stdin>" if str(path) == "-" else escape(path)
        try:
            self.fd = _spool_stdin() if str(path) == "-" else _open(self.path)
        except OSError as error:
            raise BadCheckpoint(f"{self.label}: {_reason(error)}") from error
        self.stat = os.fstat(self.fd)
        try:
            self.header = self._read_header()
        except BadCheckpoint as error:
            self.close()
            raise BadCheckpoint(f"{self.label}: {error}") from error

    @property
    def data_start(self) -> int:
        """Bytes before the first tensor."""
        return self.stat.st_size - sum(tensor.nbytes for tensor in self.header.tensors)

    def read_into(self, buffer: Any, offset: int) -> None:
        """Fills the buffer from the bytes at offset.

        Raises BadCheckpoint if the file ends before, or is not as it was when it was opened.
        """
        view = memoryview(buffer)
        while view.nbytes:
            count = os.preadv(self.fd, [view], offset)
            if count == 0:
                raise BadCheckpoint(f"{self.label}: truncated while it was read")
            view, offset = view[count:], offset + count
        self.require_unchanged()

    def require_unchanged(self) -> None:
        """Raises BadCheckpoint if somebody has written to the file since it was opened."""
        now = os.fstat(self.fd)
        if not same_content(now, self.stat):
            raise BadCheckpoint(f"{self.label}: changed while it was read")

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    __del__ = close  # whoever forgets to close it

    def _read_header(self) -> Header:
        size, prefix = self.stat.st_size, os.pread(self.fd, 32, 0)
        length = int.from_bytes(prefix[:8], "little")
        if size < 8 or length > MAX_HEADER or 8 + length > size:
            raise BadCheckpoint(_foreign(prefix) or _bad_length(size, length))
        text = bytearray(length)
        self.read_into(text, 8)
        try:
            return parse_header(text, size - 8 - length)
        except BadCheckpoint:
            if prefix[8:9] != b"{" and (reason := _foreign(prefix)):
                raise BadCheckpoint(reason) from None
            raise


def same_content(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether a file was not written to between the two.

    Its mtime can be set back, its ctime cannot. But that moves on as well when the file loses its
    name to another one, which takes nothing from who has it open.
    """
    if WRITTEN_TO(one) != WRITTEN_TO(other):
        return False
    return one.st_ctime_ns == other.st_ctime_ns or one.st_nlink != other.st_nlink


def _open(path: Path) -> int:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError
    if stat.S_ISFIFO(mode):  # as of `<(zstd -dc base.safetensors.zst)` in a shell
        with path.open("rb", buffering=0) as pipe:
            return _spool(pipe)
    if not stat.S_ISREG(mode):
        raise BadCheckpoint(f"{escape(path)}: is a device, not a file")
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "no such file"
    return "is a folder" if isinstance(error, IsADirectoryError) else str(error.strerror)


def _foreign(prefix: bytes) -> str | None:
    return next((text for magic, text in FOREIGN.items() if prefix.startswith(magic)), None)


def _bad_length(size: int, length: int) -> str:
    if size == 0:
        return "not a safetensors file (it is empty)"
    if size < 8:
        return f"not a safetensors file (it has {size} bytes)"
    if length > MAX_HEADER:
        return f"not a safetensors file (a header of {length} bytes; the limit is {MAX_HEADER})"
    return f"truncated: its header should have {length} bytes, the file has {size} in all"


def _spool_stdin() -> int:
    if sys.stdin.isatty():
        raise BadCheckpoint("<stdin>: is a terminal; pipe a checkpoint into it")
    return _spool(sys.stdin.buffer)


def _spool(stream: BinaryIO) -> int:
    """Copies a stream, which cannot be read by position, to a file that has no name."""
    import shutil
    import tempfile

    with tempfile.TemporaryFile() as spool:
        shutil.copyfileobj(stream, spool, SPOOL_CHUNK)
        spool.flush()
        return os.dup(spool.fileno())
