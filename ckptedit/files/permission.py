"""Whether output may go where the user wants it. Asked before any work, and again when writing."""

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ckptedit.errors import BadParam, OutputExists, WriteFailed
from ckptedit.files.checkpoint import Checkpoint
from ckptedit.files.layout import INDEX_SUFFIX, OTHER_FORMATS, SINGLE, SUFFIX
from ckptedit.files.leftovers import recover
from ckptedit.files.names import escape

STDOUT = "-"
TEXT_OR_PICTURE = (".txt", ".md", ".csv", ".yaml", ".xml", ".html", ".png", ".jpg", ".zip", ".npy")


def is_stream(target: str | Path) -> bool:
    """Whether the target is written to directly instead of being replaced as a whole."""
    path = Path(target)
    return str(target) == STDOUT or (path.exists() and not path.is_file() and not path.is_dir())


def check_output(
    target: str | Path,
    inputs: Sequence[Checkpoint] = (),
    *,
    force: bool,
    in_place: bool | None = None,
    report: bool = False,
) -> None:
    """Raises BadParam, OutputExists or WriteFailed if the output may not go to target.

    What a killed run left there is removed first, or put back (`leftovers.recover`).

    inputs: what is read; none of them, under whatever name, is overwritten unless in_place, which
    is None where the user cannot ask for that
    force: whether another existing file may be replaced
    report: whether it is a text or a picture; else its name must not be that of another format
    """
    if str(target) == STDOUT:
        return _check_stdout(inputs)
    path, label = Path(target), escape(target)
    with contextlib.suppress(OSError, RuntimeError):  # it will be found below
        recover(path.resolve())
    found = _stat(path)
    if not path.parent.is_dir():
        raise WriteFailed(f"{label}: there is no folder {escape(path.parent)}")
    if found:
        if not path.is_file() and not path.is_dir():
            return None  # a device or FIFO is written to, not replaced
        _check_existing(path, found, inputs, force, in_place)
    if not report:
        _check_ending(path)
    folder = path.resolve().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WriteFailed(f"{label}: the folder {escape(folder)} is not writable")
    return None


def _check_ending(path: Path) -> None:
    """Raises BadParam if whoever sees the name would take the file for something else."""
    ending = path.suffix.lower()
    kind = OTHER_FORMATS.get(ending, "another format" if ending in TEXT_OR_PICTURE else None)
    if ending == ".json" and not path.name.endswith(INDEX_SUFFIX):
        kind = f"an index if it is {INDEX_SUFFIX}"
    if kind is not None:
        raise BadParam(
            f"{escape(path)}: what is written is safetensors, and {ending} means {kind}; "
            f"call it {escape(path.stem)}{SUFFIX}"
        )


def _stat(path: Path) -> os.stat_result | None:
    """None if there is nothing. Raises WriteFailed if there can be nothing: a link to itself."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise WriteFailed(f"{escape(path)}: {error.strerror}") from error


def _check_existing(
    path: Path, found: os.stat_result, inputs: Sequence[Checkpoint], force: bool, ours: bool | None
) -> None:
    label = escape(path)
    for checkpoint in inputs:
        if not _reads(checkpoint, found):
            continue
        if checkpoint.layout.kind != SINGLE:
            raise OutputExists(f"{label} is an input of several files; write to another name")
        if not ours:
            remedy = "write to another name" if ours is None else "--in-place overwrites it"
            raise OutputExists(f"{label} is an input; {remedy}")
        return
    if path.is_dir():
        raise OutputExists(f"{label} is a folder; a folder is never overwritten")
    if not force:
        raise OutputExists(f"{label} exists; --force overwrites it")


def _check_stdout(inputs: Sequence[Checkpoint]) -> None:
    if sys.stdout.isatty():
        raise WriteFailed("stdout is a terminal; redirect it, or give a file with -o")
    with contextlib.suppress(OSError, ValueError):  # a stdout without a descriptor is no input
        found = os.fstat(sys.stdout.fileno())
        if any(_reads(checkpoint, found) for checkpoint in inputs):
            raise OutputExists("stdout is redirected to an input")


def _reads(checkpoint: Checkpoint, found: os.stat_result) -> bool:
    """Whether a file, or the index or folder that names it, belongs to the checkpoint."""
    stats = [source.stat for source in checkpoint.sources]
    if checkpoint.layout.kind != SINGLE and checkpoint.path.exists():
        stats.append(checkpoint.path.stat())
    return any(os.path.samestat(found, known) for known in stats)
