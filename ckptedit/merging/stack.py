"""What a merge method sees: the task vectors of one tensor, a stretch at a time.

    stack      the n task vectors (edited minus base) of one tensor, with their weights
    stretch    a run of consecutive entries of all of them, small enough for the processor's cache
    kernel     what a method returns: stretch -> merged task vector of these entries

A method that only combines entries returns its kernel at once. One that needs to know the whole
tensor first (a threshold, a norm) walks through `stack.stretches()` before. Either way nobody holds
n whole tensors in memory, and a tensor of any size can be merged. Everything here is float32; only
the last addition, base plus merged task vector, is float64 where the checkpoint stores that.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from threading import Lock, RLock
from typing import Any, TypeVar

from numpy.typing import NDArray

from ckptedit.errors import BadParam

Array = NDArray[Any]
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

STRETCH = 1 << 18  # entries: fewer leave threads waiting for each other, more leave the caches


@dataclass(frozen=True, slots=True)
class Stretch:
    """Entries start, start + 1, ... of a flattened tensor."""

    start: int
    base: Array  # [m] the base's weights
    deltas: Array  # [n, m] the task vectors

    @property
    def stop(self) -> int:
        return self.start + len(self.base)


Kernel = Callable[[Stretch], Array]  # -> [m]; leaves the stretch as it is


class Stack(ABC):
    """The n task vectors of one tensor.

    name:    of the tensor
    shape:   of the tensor
    weights: [n], one factor per edit; what it means is the method's to say
    model:   all stacks of this merge, for methods that look beyond one tensor
    tally:   figures that the method counts, for the report
    """

    name: str
    shape: tuple[int, ...]
    weights: tuple[float, ...]
    model: "WholeMerge"
    tally: "Counts"

    @abstractmethod
    def read(self, start: int, stop: int, edits: Sequence[int]) -> Stretch:
        """Entries start to stop of some of the task vectors. The arrays are overwritten by the next
        call from the same thread."""

    @abstractmethod
    def gram(self, edit: int) -> Array | None:
        """[d, d] E Eᵀ of the embeddings that an edit was made for, if it carries that."""

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def row(self) -> int:
        """Entries of one slice along the first axis: of one row of a matrix, of one output channel.
        A vector is one row."""
        return prod(self.shape[1:]) if len(self.shape) > 1 else self.size

    def spans(self, whole_rows: bool = False) -> Iterator[tuple[int, int]]:
        """(start, stop) of all stretches: the same grid for every reader, so that sums do not
        depend on the number of threads."""
        step = max(1, STRETCH // max(self.row, 1)) * self.row if whole_rows else STRETCH
        for start in range(0, self.size, max(step, 1)):
            yield start, min(start + step, self.size)

    def stretches(self, edits: Sequence[int] | None = None) -> Iterator[Stretch]:
        """The whole tensor in order; only some of the task vectors, if edits says so."""
        chosen = range(len(self.weights)) if edits is None else edits
        for start, stop in self.spans():
            yield self.read(start, stop, chosen)


@dataclass(eq=False)
class WholeMerge:
    """All tensors that one merge works on, and what has been found out about them together."""

    stacks: Callable[[], Iterator[Stack]]  # in file order
    _found: dict[Any, Any] = field(default_factory=dict)
    _lock: Any = field(default_factory=RLock)  # what is sought may itself need what else is known

    def once(self, key: Any, find: Callable[[], T]) -> T:
        """find(), called the first time that somebody asks for the key, and remembered."""
        with self._lock:
            if key not in self._found:
                self._found[key] = find()
            value: T = self._found[key]
            return value


@dataclass(eq=False)
class Counts:
    """Counts that kernels add to from any thread."""

    counts: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    def add(self, **counts: int) -> None:
        with self._lock:
            self.counts.update(counts)


def by_rows(method: F) -> F:
    """Marks a method whose kernel must see whole rows of a matrix."""
    method.by_rows = True  # type: ignore[attr-defined]
    return method


def resolved_by(resolve: Callable[..., dict[str, Any]]) -> Callable[[F], F]:
    """Marks a method some of whose hyperparameters stand for others: resolve(**hyperparameters)
    spells all of them out, for the report and the ledger."""

    def mark(method: F) -> F:
        method.resolve = resolve  # type: ignore[attr-defined]
        return method

    return mark


def shared_by(shares: Callable[..., Sequence[float]]) -> Callable[[F], F]:
    """Marks a method that multiplies edits by something else than their weights:
    shares(weights, **hyperparameters) is one number per edit. Its sign tells, for the ledger,
    whether the edit is added, taken away, or left out."""

    def mark(method: F) -> F:
        method.shares = shares  # type: ignore[attr-defined]
        return method

    return mark


def require_edits(stack: Stack, method: str, least: int, most: int | None = None) -> None:
    """Raises BadParam unless the number of edits is in range."""
    count = len(stack.weights)
    if count < least or (most is not None and count > most):
        wanted = (
            f"{least}" if most == least else f"{least} to {most}" if most else f"{least} or more"
        )
        raise BadParam(f"{method} merges {wanted} edits, got {count}")


def require_share(name: str, value: float) -> None:
    """Raises BadParam unless 0 < value <= 1."""
    if not 0 < value <= 1:
        raise BadParam(f"{name} must be in (0, 1], got {value}")
