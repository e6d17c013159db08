"""How the files of an output get their names: all of them or none, and never two outputs mixed."""

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ckptedit.errors import OutputExists, WriteFailed
from ckptedit.files.names import escape
from ckptedit.files.new_file import NewFile, hidden_name


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
