"""How long work reports progress without printing: the caller hands in a `Track`.

The library calls `track(items, "label")` around its loops; the command line passes one that draws a
bar on stderr, everyone else gets `silent`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Track(Protocol):
    def __call__(
        self,
        items: Iterable[T],
        label: str,
        total: int | None = None,
        note: Callable[[], str] | None = None,
    ) -> Iterator[T]:
        """Yields the items. label: what is being done; note: text beside the bar."""


def plan(track: Track, stages: Sequence[tuple[str, float]]) -> None:
    """Tells a track that wants to know it which labels will come, in order.

    stages: label and share of the whole; one that does not come, being cached, is passed over
    """
    getattr(track, "plan", lambda _: None)(stages)


def silent(
    items: Iterable[T],
    label: str,
    total: int | None = None,
    note: Callable[[], str] | None = None,
) -> Iterator[T]:
    """A Track that reports nothing."""
    yield from items
