"""Work in a bounded number of threads, with results in the order of the jobs."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Workers:
    """A pool of threads; with one thread, no pool: jobs run when their result is asked for."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, "merge") if threads > 1 else None

    def ordered(self, jobs: Iterable[Callable[[], T]], ahead: int) -> Iterator[T]:
        """The results of jobs in their order, at most `ahead` of them begun or done beforehand.

        Jobs are taken from the iterable by the calling thread, so they may come from a generator
        that itself waits for results of the same pool.
        """
        if self._pool is None:
            yield from (job() for job in jobs)
            return
        begun: deque[Future[T]] = deque()
        for job in jobs:
            begun.append(self._pool.submit(job))
            if len(begun) >= ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
