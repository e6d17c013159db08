"""A file that has no name until it is complete.

It has none at all where the system can do that (O_TMPFILE), so even SIGKILL leaves nothing behind;
elsewhere it has a random hidden name.
"""

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path


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
