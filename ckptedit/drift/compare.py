"""Compares two checkpoints, tensor by tensor."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from ckptedit.drift import kernel
from ckptedit.drift.comparison import Comparison, Reshaped, TensorDiff
from ckptedit.drift.sums import Sums
from ckptedit.errors import BadParam
from ckptedit.files import Checkpoint
from ckptedit.globs import select
from ckptedit.progress import Track, silent

if TYPE_CHECKING:
    from ckptedit.drift.pieces import Pieces

T = TypeVar("T")

JOB = 1 << 22  # bytes of each file that a thread compares before it reports


def compare(
    old: Checkpoint,
    new: Checkpoint,
    *,
    keys: Sequence[str] = (),
    threads: int = 2,
    track: Track = silent,
) -> Comparison:
    """Measures how far each tensor moved from old to new, in constant memory and without torch.

    keys: patterns for the names to be compared (`ckptedit.globs`); all, if there are none
    threads: 1 or more; the figures are the same for any number
    Raises UnknownName if a pattern fits no tensor, BadCheckpoint if a file cannot be read.
    """
    if threads < 1:
        raise BadParam(f"threads is {threads}; it must be 1 or more")
    every = compared(old, new)
    names = select(every, keys)
    both = [name for name in names if name in old and name in new]
    shaped = [name for name in both if old[name].shape == new[name].shape]
    alone = [name for name in names if name not in old or name not in new]
    reshaped = sorted(set(both) - set(shaped))
    passing = _Pass(old, new, threads, track)
    return Comparison(
        old.label,
        new.label,
        tensors=passing.diffs(shaped),
        added=sorted(name for name in alone if name in new),
        removed=sorted(name for name in alone if name in old),
        reshaped=[Reshaped(name, old[name].shape, new[name].shape) for name in reshaped],
        uncompared_nonfinite=passing.nonfinite([*alone, *reshaped]),
        left_out=len(every) - len(names),
    )


def compared(old: Checkpoint, new: Checkpoint, keys: Sequence[str] = ()) -> list[str]:
    """The names that `compare` takes: all on either side, or those that the patterns pick."""
    return select([*old, *(name for name in new if name not in old)], keys)


class _Pass:
    """Work on many tensors in a few threads."""

    def __init__(self, old: Checkpoint, new: Checkpoint, threads: int, track: Track) -> None:
        self.old, self.new, self.threads, self.track = old, new, threads, track

    @cached_property
    def _pieces(self) -> "Pieces":
        """What the kernel does not take. Most comparisons do without, and without numpy."""
        from ckptedit.drift.pieces import Pieces

        return Pieces(self.old, self.new)

    def diffs(self, names: list[str]) -> list[TensorDiff]:
        """Compares tensors of equal shapes.

        The norms of the equal ones are wanted only for the totals of checkpoints that differ. The
        kernel has them anyway; numpy takes a second pass for them, if anything differs.
        """
        found = dict(zip(names, self._each(self._compare, names, "comparing"), strict=True))
        equal = [name for name in names if found[name][1] is None]
        if any(changed for changed, _ in found.values()):
            sums = self._each(self._measure_equal, equal, "measuring the unchanged")
            found |= {name: (False, each) for name, each in zip(equal, sums, strict=True)}
        return [self._diff(name, *found[name]) for name in names]

    def nonfinite(self, names: list[str]) -> dict[str, int]:
        """How many values are NaN or Inf in tensors that one side has, or both in other shapes."""
        counts = self._each(self._count_nonfinite, names, "looking for NaN") if names else ()
        return {name: count for name, count in zip(names, counts, strict=True) if count}

    def _count_nonfinite(self, name: str) -> int:
        from ckptedit.drift.pieces import nonfinite

        return sum(nonfinite(side, name) for side in (self.old, self.new) if name in side)

    def _compare(self, name: str) -> tuple[bool, Sums | None]:
        dtype = self.old[name].dtype
        same = dtype == self.new[name].dtype
        if same and dtype in kernel.DTYPES and self.new.in_file(name):
            sums = kernel.measured(self.old, self.new, name)
            if sums:
                return sums.changed > 0, sums
        return self._pieces.compare(name)

    def _measure_equal(self, name: str) -> Sums:
        return self._pieces.measure_equal(name)

    def _diff(self, name: str, changed: bool, sums: Sums | None) -> TensorDiff:
        info, dtypes = self.old[name], (self.old[name].dtype, self.new[name].dtype)
        return TensorDiff(name, info.shape, dtypes, sums or Sums(info.numel), changed)

    def _each(self, work: Callable[[str], T], names: list[str], label: str) -> Iterator[T]:
        """Does the work on each name, in any order; yields the results in the names' order."""
        pool = ThreadPoolExecutor(self.threads)
        done = pool.map(lambda job: [work(name) for name in job], self._jobs(names))
        try:
            yield from self.track(chain.from_iterable(done), label, len(names))
        finally:
            pool.shutdown(cancel_futures=True)

    def _jobs(self, names: list[str]) -> Iterator[list[str]]:
        """Names in bundles: most tensors are too small to be worth a job of their own."""
        job, size = list[str](), 0
        for name in names:
            job.append(name)
            size += (self.old if name in self.old else self.new)[name].nbytes
            if size >= JOB:
                yield job
                job, size = [], 0
        yield job
