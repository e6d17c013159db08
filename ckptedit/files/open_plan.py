"""Opens the files of a plan for writing, and makes them appear together."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from ckptedit.files.checkpoint import Checkpoint
from ckptedit.files.layout import PICKLES, SUFFIX, inside
from ckptedit.files.plan import Plan
from ckptedit.files.stream import is_stream, open_stream
from ckptedit.files.target import new_files, new_folder

WEIGHTS = (SUFFIX, *PICKLES)


class Sink(Protocol):
    def write(self, buffer: memoryview) -> None:
        """Writes all of the bytes."""


@contextmanager
def open_plan(plan: Plan, *, replace: bool) -> Iterator[list[Sink]]:
    """Yields one sink for each file of the plan. Raises WriteFailed and OutputExists.

    After a clean exit the output is at plan.target; after any other there is nothing new.
    """
    if plan.like:
        with _folder_like(plan.target, plan.like) as hidden:
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
        with new_files(sizes_of, replace=replace) as files:
            yield list(files[: len(plan.files)])
            if plan.index is not None:
                files[-1].write(memoryview(plan.index))


@contextmanager
def _folder_like(target: Path, like: Checkpoint) -> Iterator[Path]:
    """Yields a hidden folder with all that is in the folder of `like` but weights."""
    with new_folder(target) as hidden:
        for path in _companions(like):
            copy = hidden / path.relative_to(like.path)
            if path.is_dir():
                copy.mkdir()
            else:
                shutil.copyfile(inside(like.path, path), copy)
        yield hidden


def _companions(like: Checkpoint) -> Iterator[Path]:
    """The folders and files beside the weights: configs, tokenizers; folders before what they hold.

    Hidden files stay behind, and so do weights that the checkpoint has in a better form. Those of a
    component that is not part of it come along as they are: a safety checker that is a pickle.
    """
    known = {part.prefix.removesuffix(".") for part in like.layout.parts}
    indexes = {index.path for index in like.layout.indexes.values()}
    for path in sorted(like.path.rglob("*")):
        inner = path.relative_to(like.path).parts
        hidden = any(part.startswith(".") for part in inner)
        weights = path.suffix in WEIGHTS or (".index" in path.suffixes and path not in indexes)
        if not hidden and not (weights and (len(inner) == 1 or inner[0] in known)):
            yield path
