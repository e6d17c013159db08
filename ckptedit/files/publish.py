"""How the files of an output appear: each whole, all or none, never two outputs mixed.

A file has no name until it is complete, where the system can do that (O_TMPFILE), so even SIGKILL
leaves nothing behind; elsewhere it has a hidden name, which the next run on it knows.
"""

import contextlib
import errno
import logging
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ckptedit.errors import OutputExists, WriteFailed
from ckptedit.files.leftovers import OLD, alone_in, hidden_name, lock
from ckptedit.files.names import escape

written = logging.getLogger("ckptedit.written")  # each name that an output has got, as it gets it


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
            lock(self._fd, wait=False)
            _reserve(self._fd, size)
        except BaseException:
            self.discard()
            raise

    def write(self, buffer: memoryview) -> None:
        while buffer.nbytes:
            buffer = buffer[os.write(self._fd, buffer) :]

    def seal(self) -> None:
        """Checks the length, takes over owner and mode of what it replaces, reaches the disk."""
        if os.lseek(self._fd, 0, os.SEEK_CUR) != self.size:
            raise OSError(errno.EIO, f"not all of its {self.size} bytes were written")
        with contextlib.suppress(FileNotFoundError):
            old = self.path.stat()
            for owner in ((old.st_uid, -1), (-1, old.st_gid)):
                with contextlib.suppress(PermissionError):  # only root can give all away
                    os.fchown(self._fd, *owner)
            os.fchmod(self._fd, stat.S_IMODE(old.st_mode))
        os.fsync(self._fd)

    def hide(self) -> None:
        """Gives it its hidden name, which keeps it until it is discarded."""
        if not self._named:
            _link(self._fd, self._hidden)
            self._named = True

    def publish(self, replace: bool) -> None:
        """Gives it its name in one step. Raises FileExistsError if it is taken, unless replace."""
        if replace:
            self.hide()
            self._hidden.replace(self.path)
        elif self._named:
            _link_or_move(self._hidden, self.path)
        else:
            _link(self._fd, self.path)
        sync_folder(self.path.parent)

    @property
    def published(self) -> bool:
        """Whether it has its name by now."""
        with contextlib.suppress(OSError):
            return os.path.samestat(os.fstat(self._fd), self.path.lstat())
        return False

    def withdraw(self) -> None:
        """Takes its name away from it, if it has it by now."""
        if self.published:
            self.path.unlink()

    def discard(self) -> None:
        """Closes it, and removes what has not been published."""
        os.close(self._fd)
        self._hidden.unlink(missing_ok=True)


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


def _link_or_move(hidden: Path, path: Path) -> None:
    """Gives a file a name that must be free; unlike rename, a link fails if it is taken."""
    try:
        os.link(hidden, path)
    except FileExistsError:
        raise
    except OSError:  # memory cards have no links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from None
        hidden.rename(path)


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


def publish(files: Sequence[NewFile], replace: bool, obsolete: Sequence[Path] = ()) -> None:
    """Gives all files their names; if one cannot have it, all is as it was before.

    obsolete: files that are part of what is replaced, and removed with it
    Where there are several, the last is the index of the others: it is removed first and published
    last, so that it never lists files of two generations. Until all new files are in place, the old
    ones have hidden names; and so have the new ones, beside their own.
    Raises OutputExists if a name is taken, unless replace; and WriteFailed.
    """
    try:
        if len(files) > 1:
            _publish_set(files, replace, obsolete)
            return
        with errors_of(files[0].shown, lambda: files[0].published):
            files[0].publish(replace)  # one step: till then the old file has the name
    finally:
        if files[-1].published:
            written.info("%s", files[-1].shown)


def _publish_set(files: Sequence[NewFile], replace: bool, obsolete: Sequence[Path]) -> None:
    with alone_in(files[-1].path.parent), ExitStack() as removal, ExitStack() as undo:
        for file in files:
            with errors_of(file.shown):
                file.hide()
        replaced = [*(file.path for file in reversed(files)), *obsolete] if replace else []
        kept = {path: hidden_name(path, OLD) for path in replaced}
        for path, hidden in kept.items():
            undo.callback(_move, hidden, path)
            with errors_of(path):
                _move(path, hidden)
        for file in files:
            undo.callback(file.withdraw)
            with errors_of(file.shown):
                file.publish(replace=False)
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
def errors_of(path: Path, there: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Lets what goes wrong with a file name it. Raises OutputExists and WriteFailed.

    there: tells whether the file has its name all the same
    """
    try:
        yield
    except FileExistsError as error:
        raise OutputExists(f"{escape(path)} exists by now; --force overwrites it") from error
    except OSError as error:
        reason = error.strerror or error
        if there():
            reason = f"is written, but may not survive a power cut ({reason})"
        raise WriteFailed(f"{escape(path)}: {reason}") from error
