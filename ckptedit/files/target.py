"""Where output goes, so that nothing half-written is ever seen there.

A file appears under its name only when it is complete and on the disk. Until then it has no name at
all where the system can do that (O_TMPFILE), so even SIGKILL leaves nothing behind.
"""

import contextlib
import errno
import os
import secrets
import signal
import stat
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Protocol

from ckptedit.errors import OutputExists, WriteFailed
from ckptedit.files.checkpoint import Checkpoint
from ckptedit.files.names import escape

STDOUT = "-"


class Sink(Protocol):
    def write(self, buffer: memoryview, /) -> None:
        """Writes all of the bytes."""


def check_output(
    target: str | Path, inputs: Sequence[Checkpoint] = (), *, force: bool, in_place: bool
) -> None:
    """Raises before any work if the output may not go there: OutputExists or WriteFailed.

    inputs: what is read; none of them, under whatever name, is overwritten unless in_place
    force: whether another existing file may be replaced
    """
    if str(target) == STDOUT:
        return _check_stdout(inputs)
    path, label = Path(target), escape(target)
    if not path.parent.is_dir():
        raise WriteFailed(f"{label}: there is no folder {escape(path.parent)}")
    if not path.exists():
        return _check_folder(path)
    if path.is_dir():
        raise OutputExists(f"{label} is a folder")
    if not path.is_file():
        return None  # a device or FIFO is written to, not replaced
    if _is_input(path.stat(), inputs):
        if not in_place:
            raise OutputExists(f"{label} is an input; --in-place overwrites it")
    elif not force:
        raise OutputExists(f"{label} exists; --force overwrites it")
    return _check_folder(path)


def _check_folder(path: Path) -> None:
    folder = path.resolve().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WriteFailed(f"{escape(path)}: the folder {escape(folder)} is not writable")


def _check_stdout(inputs: Sequence[Checkpoint]) -> None:
    if sys.stdout.isatty():
        raise WriteFailed("stdout is a terminal; redirect it, or give a file with -o")
    with contextlib.suppress(OSError, ValueError):  # a stdout without a descriptor is no input
        if _is_input(os.fstat(sys.stdout.fileno()), inputs):
            raise OutputExists("stdout is redirected to an input")


def _is_input(found: os.stat_result, inputs: Sequence[Checkpoint]) -> bool:
    sources = [source.stat for checkpoint in inputs for source in checkpoint.sources]
    return any(os.path.samestat(found, source) for source in sources)


@contextmanager
def open_target(target: str | Path, size: int, *, replace: bool) -> Iterator[Sink]:
    """Yields what to write `size` bytes to; they are under the name `target` after a clean exit.

    replace: whether a file that is there by then may be replaced
    A symlink is followed; devices, FIFOs and stdout are written to directly.
    Raises WriteFailed if the disk is full or the folder read-only, and leaves nothing behind.
    """
    path = Path(target)
    try:
        if str(target) == STDOUT:
            yield _Stream(sys.stdout.buffer)
        elif path.exists() and not path.is_file():
            with path.open("wb", buffering=0) as device:
                yield _Stream(device)
        else:
            with _new_file(path.resolve(), size, replace) as sink:
                yield sink
    except FileExistsError as error:
        raise OutputExists(f"{escape(target)} exists by now; --force overwrites it") from error
    except OSError as error:
        raise WriteFailed(f"{escape(target)}: {error.strerror or error}") from error


class _Stream:
    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def write(self, buffer: memoryview, /) -> None:
        while buffer.nbytes:
            buffer = buffer[self.stream.write(buffer) :]
        self.stream.flush()


class _Descriptor:
    def __init__(self, fd: int) -> None:
        self.fd = fd

    def write(self, buffer: memoryview, /) -> None:
        while buffer.nbytes:
            buffer = buffer[os.write(self.fd, buffer) :]


@contextmanager
def _new_file(path: Path, size: int, replace: bool) -> Iterator[_Descriptor]:
    partial = path.with_name(f".ckptedit-{secrets.token_hex(8)}.partial")
    fd = -1
    with _terminated_like_interrupted():
        try:
            fd, named = _create(partial)
            _reserve(fd, size)
            yield _Descriptor(fd)
            if os.fstat(fd).st_size != size:
                raise OSError(errno.EIO, "the file did not become as long as it should be")
            if path.exists():
                os.fchmod(fd, stat.S_IMODE(path.stat().st_mode))
            os.fsync(fd)
            _publish(fd if not named else None, partial, path, replace)
        finally:
            if fd >= 0:
                os.close(fd)
            partial.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _create(partial: Path) -> tuple[int, bool]:
    """A new file in the folder, and whether it has a name. Its mode is 0666 less the umask."""
    if hasattr(os, "O_TMPFILE") and Path("/proc/self/fd").is_dir():
        with contextlib.suppress(OSError):  # not every file system can
            return os.open(partial.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666), False
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    return os.open(partial, flags, 0o666), True


def _reserve(fd: int, size: int) -> None:
    """Finds out now, not in an hour, that the disk is full."""
    if not size or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise


def _publish(nameless: int | None, partial: Path, path: Path, replace: bool) -> None:
    """Gives the file its name in one step."""
    if nameless is not None:
        _name(nameless, partial if replace else path)
    elif not replace:
        os.link(partial, path)  # unlike rename, it fails if the name is taken
    if replace:
        partial.replace(path)


def _name(nameless: int, path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:  # without a folder, os.link would link the link in /proc
        os.link(f"/proc/self/fd/{nameless}", path, src_dir_fd=folder)
    finally:
        os.close(folder)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP unwind, as SIGINT does, so that `finally` can clean up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [s for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
