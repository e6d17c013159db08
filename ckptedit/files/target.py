"""Where output goes: files and folders that appear whole, on the disk, and all at once."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from ckptedit.files.new_file import NewFile, hidden_name, sync_folder
from ckptedit.files.publish import errors_of, publish


@contextmanager
def new_files(sizes: Sequence[tuple[Path, int]], *, replace: bool) -> Iterator[list[NewFile]]:
    """Yields files to write to; after a clean exit all have their names, before that none.

    sizes: path and bytes of each; replace: whether files that are there by then may be replaced
    Where there are several, the last is the index of the others.
    Raises WriteFailed if the disk is full or the folder read-only, and leaves nothing behind.
    """
    with errors_of(sizes[0][0]), _terminated_like_interrupted(), ExitStack() as stack:
        files = []
        for path, size in sizes:
            files.append(NewFile(path, size))
            stack.callback(files[-1].discard)
        yield files
        for file in files:
            file.seal()
        publish(files, replace)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields a hidden folder that becomes `path` on a clean exit, and else disappears."""
    import shutil

    hidden = hidden_name(path.resolve())
    with errors_of(path), _terminated_like_interrupted():
        try:
            hidden.mkdir()
            yield hidden
            hidden.rename(path.resolve())
            sync_folder(path.resolve().parent)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


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
