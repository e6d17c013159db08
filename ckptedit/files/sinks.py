"""What an output is written into: files and folders that appear whole, or a stream.

stdout, devices and FIFOs are written to as it comes.
"""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Protocol

from ckptedit.errors import WriteFailed
from ckptedit.files.bounded import read_bytes
from ckptedit.files.checkpoint import Checkpoint
from ckptedit.files.header import MAX_HEADER
from ckptedit.files.layout import ASIDE, inside
from ckptedit.files.leftovers import hidden_name, lock
from ckptedit.files.names import escape
from ckptedit.files.permission import STDOUT, is_stream
from ckptedit.files.plan import OutputPlan, with_total
from ckptedit.files.publish import NewFile, errors_of, publish, sync_folder, written

BARE = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "README")
BESIDE_WEIGHTS = (  # endings of files that hold none
    ".json", ".txt", ".md", ".model", ".tiktoken", ".bpe", ".jinja", ".yaml", ".yml", ".py",
    ".png", ".jpg", ".jpeg", ".webp", ".gif",
)  # fmt: skip


class Sink(Protocol):
    def write(self, buffer: memoryview) -> None:
        """Writes all of the bytes."""


@contextmanager
def open_plan(plan: OutputPlan, *, replace: bool) -> Iterator[list[Sink]]:
    """Yields one sink for each file of the plan. Raises WriteFailed and OutputExists.

    After a clean exit the output is at plan.target; after any other there is nothing new.
    """
    if plan.is_folder:
        with _folder(plan) as hidden:
            moved = [hidden / file.path.relative_to(plan.target) for file in plan.files]
            sizes = [file.size for file in plan.files]
            with new_files(list(zip(moved, sizes, strict=True)), replace=False) as files:
                yield list(files)
    elif is_stream(plan.target):
        with open_stream(plan.target) as stream:
            yield [stream]
    else:
        sizes_of = [(file.path, file.size) for file in plan.files]
        if plan.index is not None:
            sizes_of.append((plan.target, len(plan.index)))
        with new_files(sizes_of, replace=replace, obsolete=plan.obsolete) as files:
            yield list(files[: len(plan.files)])
            if plan.index is not None:
                files[-1].write(memoryview(plan.index))


@contextmanager
def _folder(plan: OutputPlan) -> Iterator[Path]:
    """Yields a hidden folder with all that is in the new one but weights."""
    with new_folder(plan.target) as hidden:
        if plan.like:
            _copy_companions(plan.like, hidden)
        for name, content in plan.beside.items():
            if not (hidden / name).exists():
                (hidden / name).parent.mkdir(parents=True, exist_ok=True)
                (hidden / name).write_bytes(content)
        for file in plan.files:
            (hidden / file.path.relative_to(plan.target)).parent.mkdir(parents=True, exist_ok=True)
        yield hidden


def _copy_companions(like: Checkpoint, folder: Path) -> None:
    for path in _companions(like):
        copy = folder / path.relative_to(like.path)
        if path.is_dir():
            copy.mkdir()
        elif path in like.stale:
            copy.write_bytes(with_total(read_bytes(path, MAX_HEADER), like.stale[path]))
        else:
            shutil.copyfile(inside(like.path, path), copy)


def _companions(like: Checkpoint) -> Iterator[Path]:
    """The folders and files beside the weights: configs, tokenizers; folders before what they hold.

    Whatever is not known to hold no weights stays behind, and so do hidden files: nobody wants an
    edited model beside the old one in another format. What no command edits comes along as it is.
    """
    indexes = {index.path for index in like.layout.indexes.values()}
    for path in sorted(like.path.rglob("*")):
        inner = path.relative_to(like.path).parts
        if any(part.startswith(".") for part in inner):
            continue
        untouched = inner[0] in ASIDE and inner[0] in like.layout.unread
        index = ".index" in path.suffixes and path not in indexes
        plain = path.suffix.lower() in BESIDE_WEIGHTS or path.name in BARE
        if path.is_dir() or untouched or (plain and not index):
            yield path


@contextmanager
def new_files(
    sizes: Sequence[tuple[Path, int]], *, replace: bool, obsolete: Sequence[Path] = ()
) -> Iterator[list[NewFile]]:
    """Yields files to write to; after a clean exit all have their names, before that none.

    sizes: path and bytes of each; replace: whether files that are there by then may be replaced
    obsolete: files that are part of what is replaced, and removed with it
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
        publish(files, replace, obsolete)


def check_space(target: str | Path, sizes: Sequence[int]) -> None:
    """Raises WriteFailed if files of these sizes do not fit beside target; before any work.

    They are reserved and given back: so it knows of quotas and limits on a file's size as well.
    """
    if is_stream(target):
        return
    path = Path(target)
    try:
        with ExitStack() as stack:
            for size in sizes:
                stack.callback(NewFile(path, size).discard)
    except OSError as error:
        what = f"{error.strerror or error} (the output takes {sum(sizes)} bytes)"
        raise WriteFailed(f"{escape(path)}: {what}") from error


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields a hidden folder that becomes `path` on a clean exit, and else disappears."""
    import shutil

    target = path.resolve()
    hidden = hidden_name(target)

    def there() -> bool:
        return target.exists() and not hidden.exists()

    with errors_of(path, there), _terminated_like_interrupted():
        hidden.mkdir()
        fd = os.open(hidden, os.O_RDONLY | os.O_DIRECTORY)
        try:
            lock(fd, wait=False)
            yield hidden
            hidden.rename(target)
            sync_folder(target.parent)
        finally:
            os.close(fd)
            if there():
                written.info("%s", path)
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


class Pipe:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, buffer: memoryview) -> None:
        while buffer.nbytes:
            buffer = buffer[self._stream.write(buffer) :]


@contextmanager
def open_stream(target: str | Path) -> Iterator[Pipe]:
    """Raises WriteFailed if the reader goes away or the device is full."""
    try:
        if str(target) == STDOUT:
            yield Pipe(sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CLOEXEC), "wb", buffering=0) as device:
            yield Pipe(device)
    except OSError as error:
        raise WriteFailed(f"{escape(target)}: {error.strerror or error}") from error
