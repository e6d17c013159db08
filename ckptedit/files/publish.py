"""How the files of an output appear: each whole, all or none, never two outputs mixed.

A file has no name until it is complete, where the system can do that (O_TMPFILE), so even SIGKILL
leaves nothing behind; elsewhere it has a random hidden name.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ckptedit.errors import OutputExists, WriteFailed
from ckptedit.files.names import escape


class NewFile:
    """A file that is written in the folder of `path`, and gets that name when it is published."""

    def __init__(self, path: Path, size: int) -> None:
        """Creates it and reserves size bytes, so that a full disk is found now, not in an hour."""
        self.shown = path  # in messages
        self.path = path.resolve()  # a symlink stays, what it points to is replaced
        self.size = size
        self._hidden = hidden_name(self.path)
        self._fd, self._named = _create(self._hidden)
        try:
            _reserve(self._fd, size)
        except BaseException:
            self.discard()
            raise

    def write(self, buffer: memoryview) -> None:
        while buffer.nbytes:
            buffer = buffer[os.write(self._fd, buffer) :]

    def seal(self) -> None:
        """Checks the length, takes over the mode of the file that it replaces, reaches the disk."""
        if os.lseek(self._fd, 0, os.SEEK_CUR) != self.size:
            raise OSError(errno.EIO, f"not all of its {self.size} bytes were written")
        with contextlib.suppress(FileNotFoundError):
            os.fchmod(self._fd, stat.S_IMODE(self.path.stat().st_mode))
        os.fsync(self._fd)

    def publish(self, replace: bool) -> None:
        """Gives it its name in one step. Raises FileExistsError if it is taken, unless replace."""
        if not self._named:
            _link(self._fd, self._hidden if replace else self.path)
        elif not replace:
            os.link(self._hidden, self.path)  # unlike rename, it fails if the name is taken
        if replace:
            self._hidden.replace(self.path)
        sync_folder(self.path.parent)

    def withdraw(self) -> None:
        """Takes its name away from it, if it has it by now."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(self._fd), self.path.lstat()):
                self.path.unlink()

    def discard(self) -> None:
        """Closes it, and removes what has not been published."""
        os.close(self._fd)
        self._hidden.unlink(missing_ok=True)


def hidden_name(path: Path) -> Path:
    """A name beside path that nobody else has."""
    return path.with_name(f".ckptedit-{secrets.token_hex(8)}.partial")


def _create(path: Path) -> tuple[int, bool]:
    """A new file, and whether it has the name path or none. Its mode is 0666 less the umask."""
    if hasattr(os, "O_TMPFILE") and Path("/proc/self/fd").is_dir():
        with contextlib.suppress(OSError):  # not every file system can
            return os.open(path.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666), False
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    return os.open(path, flags, 0o666), True


def _link(fd: int, path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:  # only with a folder given does os.link follow the link that /proc is
        os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=folder)
    finally:
        os.close(folder)


def _reserve(fd: int, size: int) -> None:
    if not size or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise


def sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def publish(files: Sequence[NewFile], replace: bool) -> None:
    """Gives all files their names; if one cannot have it, all is as it was before.

    Where there are several, the last is the index of the others: it is removed first and published
    last, so that it never lists files of two generations. Until all new files are in place, the old
    ones have hidden names.
    Raises OutputExists if a name is taken, unless replace; and WriteFailed.
    """
    if len(files) == 1:  # one step: the old file has its name until the new one has it
        with errors_of(files[0].shown):
            files[0].publish(replace)
        return
    with _alone_in(files[-1].path.parent), ExitStack() as removal, ExitStack() as undo:
        kept = {file: hidden_name(file.path) for file in reversed(files)} if replace else {}
        for file, hidden in kept.items():
            undo.callback(_move, hidden, file.path)
            with errors_of(file.shown):
                _move(file.path, hidden)
        for file in files:
            undo.callback(file.withdraw)
            with errors_of(file.shown):
                file.publish(replace)
        undo.pop_all()
        for hidden in kept.values():
            removal.callback(hidden.unlink, missing_ok=True)


def _move(old: Path, new: Path) -> None:
    """Renames a file, if there is one. Raises IsADirectoryError if it is a folder."""
    if old.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder")
    with contextlib.suppress(FileNotFoundError):
        old.replace(new)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Waits until no other writer publishes several files there; not where it cannot be locked."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # some network file systems
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Lets what goes wrong with a file name it. Raises OutputExists and WriteFailed."""
    try:
        yield
    except FileExistsError as error:
        raise OutputExists(f"{escape(path)} exists by now; --force overwrites it") from error
    except OSError as error:
        raise WriteFailed(f"{escape(path)}: {error.strerror or error}") from error
