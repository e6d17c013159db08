"""Compares two checkpoints: bytes first, and values only of what differs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import local
from typing import TypeVar

import numpy as np

from ckptedit.diff.norms import Sums
from ckptedit.diff.pieces import (
    Workspace,
    compare_bytes,
    measure_equal,
    measure_moved,
)
from ckptedit.diff.report import Report, Reshaped, TensorDiff
from ckptedit.errors import BadParam
from ckptedit.files import Checkpoint
from ckptedit.globs import select
from ckptedit.progress import Track, silent

T = TypeVar("T")


def compare(
    old: Checkpoint,
    new: Checkpoint,
    *,
    keys: Sequence[str] = (),
    threads: int = 2,
    track: Track = silent,
) -> Report:
    """Measures how far each tensor moved from old to new, in constant memory and without torch.

    keys: patterns for the names to be compared (`ckptedit.globs`); all, if there are none
    threads: 1 or more; the figures are the same for any number
    Raises UnknownName if a pattern fits no tensor, BadCheckpoint if a file cannot be read.
    """
    if threads < 1:
        raise BadParam(f"threads is {threads}; it must be 1 or more")
    names = compared(old, new, keys)
    both = [name for name in names if name in old and name in new]
    shaped = [name for name in both if old[name].shape == new[name].shape]
    return Report(
        old.label,
        new.label,
        tensors=_Pass(old, new, threads, track).diffs(shaped),
        added=sorted(name for name in names if name not in old),
        removed=sorted(name for name in names if name not in new),
        reshaped=[
            Reshaped(name, old[name].shape, new[name].shape)
            for name in sorted(set(both) - set(shaped))
        ],
    )


def compared(old: Checkpoint, new: Checkpoint, keys: Sequence[str] = ()) -> list[str]:
    """The names that `compare` takes: all on either side, or those that the patterns pick."""
    return select([*old, *(name for name in new if name not in old)], keys)


@dataclass(frozen=True, slots=True)
class _Found:
    changed: bool
    sums: Sums | None  # None: equal and finite, and not measured yet


class _Pass:
    """Work on many tensors in a few threads, each with buffers of its own."""

    def __init__(self, old: Checkpoint, new: Checkpoint, threads: int, track: Track) -> None:
        self.old, self.new, self.threads, self.track = old, new, threads, track
        self._local = local()

    def diffs(self, names: list[str]) -> list[TensorDiff]:
        """Compares tensors of equal shapes.

        The norms of the equal ones are wanted only for the totals of checkpoints that differ: two
        equal files are read once, at the speed of memory.
        """
        found = dict(zip(names, self._each(self._compare, names, "comparing"), strict=True))
        equal = [name for name in names if found[name].sums is None]
        norms: Iterable[Sums]
        if len(equal) < len(names):
            norms = self._each(self._measure_equal, equal, "measuring the unchanged")
        else:
            norms = [Sums(self.old[name].numel) for name in equal]
        found |= {name: _Found(False, sums) for name, sums in zip(equal, norms, strict=True)}
        return [self._diff(name, found[name]) for name in names]

    def _compare(self, name: str, space: Workspace) -> _Found:
        if self.old[name].dtype == self.new[name].dtype:
            stored = compare_bytes(self.old, self.new, name, space)
            if stored.same:
                return _Found(False, None if stored.finite else self._measure_equal(name, space))
        return _Found(True, measure_moved(self.old, self.new, name, space))

    def _measure_equal(self, name: str, space: Workspace) -> Sums:
        return measure_equal(self.old, name, space)

    def _diff(self, name: str, found: _Found) -> TensorDiff:
        info, dtypes = self.old[name], (self.old[name].dtype, self.new[name].dtype)
        return TensorDiff(name, info.shape, dtypes, found.sums or Sums(), found.changed)

    def _each(
        self, work: Callable[[str, Workspace], T], names: list[str], label: str
    ) -> Iterator[T]:
        """Does the work on each name, in any order; yields the results in the names' order."""

        def run(name: str) -> T:
            if not hasattr(self._local, "space"):
                self._local.space = Workspace()
            with np.errstate(all="ignore"):  # NaN and Inf are counted, not warned of
                return work(name, self._local.space)

        pool = ThreadPoolExecutor(self.threads)
        try:
            yield from self.track(pool.map(run, names), label, len(names))
        finally:
            pool.shutdown(cancel_futures=True)
