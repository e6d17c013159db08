"""What people see on stderr while a command works: how far it is, and notes. With -q, neither."""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic
from typing import TypeVar

from ckptedit.cli.display import Display, Log, Silence, State, Terminal

T = TypeVar("T")

LOADING = "loading torch and diffusers"  # where a command needs them, it says so first
STATES = 1000  # of one stage that are shown at most, and looked at
SOON = 1.0  # seconds; before that, nobody can tell what is left


class Progress:
    """The progress of one command. It is the `Track` that the library is handed.

    Until `plan` says what the stages are, each call of it is a job of its own.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._stages: list[tuple[str, float]] = []
        self._at = -1  # index of the stage that is under way
        self._skipped = 0.0  # share of those that did not happen
        self._began = monotonic()

    def plan(self, stages: Sequence[tuple[str, float]]) -> None:
        """As `ckptedit.progress.plan` has it."""
        self._stages, self._at, self._skipped = list(stages), -1, 0.0

    def begin(self, label: str) -> None:
        """Shows what is being done where nothing can be counted: "loading torch"."""
        self._display.show(State(label), fresh=True)

    def say(self, text: str) -> None:
        """A line that stays, whatever is drawn at the moment."""
        self._display.say(text)

    def close(self) -> None:
        """Leaves nothing on stderr but whole lines."""
        self._display.close()

    def __call__(
        self,
        items: Iterable[T],
        label: str,
        total: int | None = None,
        note: Callable[[], str] | None = None,
    ) -> Iterator[T]:
        """Yields the items. label: what is being done; note: text beside the bar."""
        if total is None and isinstance(items, Sized):
            total = len(items)
        state, began = State(label, self._enter(label), total=total), monotonic()
        self._display.show(self._measured(state, began), fresh=True)
        often = max(1, (total or 0) // STATES)
        for done, item in enumerate(items, start=1):
            yield item
            if done % often and done != total:  # 100,000 tensors are not worth a look each
                continue
            state = replace(state, done=done, note=note() if note else "")
            self._display.show(self._measured(state, began), fresh=False)

    def _enter(self, label: str) -> tuple[int, int] | None:
        """Which stage begins or goes on, of how many; None if it is the only one, or unplanned."""
        labels = [label for label, _ in self._stages]
        if label in labels[self._at + 1 :]:
            index = labels.index(label, self._at + 1)
            self._began = self._began if self._at >= 0 else monotonic()
            self._skipped += sum(share for _, share in self._stages[self._at + 1 : index])
            self._at = index
        elif self._at < 0 or label != labels[self._at]:
            return None
        return (self._at + 1, len(labels)) if len(labels) > 1 else None

    def _measured(self, state: State, began: float) -> State:
        """The state with its share of the whole, and the time that is left at this pace."""
        whole = state.done / state.total if state.total else 0.0
        if state.stage is not None:
            number, began = state.stage[0], self._began
            shares = [share for _, share in self._stages]
            before, all_of_them = sum(shares[: number - 1]), sum(shares) - self._skipped
            whole = (before - self._skipped + whole * shares[number - 1]) / (all_of_them or 1.0)
        gone = monotonic() - began
        left = gone * (1 - whole) / whole if whole and gone > SOON else None
        return replace(state, whole=whole, left=left)


@contextmanager
def progress(quiet: bool = False) -> Iterator[Progress]:
    """Yields what tells of progress on stderr; what the library logs is a note there.

    quiet: neither, nor what other libraries warn of
    """
    job, log = Progress(Silence() if quiet else _display()), logging.getLogger("ckptedit")
    handler = _Notes(job)
    log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            if quiet:
                warnings.simplefilter("ignore")
            yield job
    finally:
        log.removeHandler(handler)
        job.close()


def _display() -> Display:
    plain = not sys.stderr.isatty() or os.environ.get("TERM") == "dumb"
    return Log(sys.stderr) if plain else Terminal(sys.stderr)


class _Notes(logging.Handler):
    def __init__(self, job: Progress) -> None:
        super().__init__(logging.WARNING)
        self._job = job

    def emit(self, record: logging.LogRecord) -> None:
        self._job.say(f"note: {record.getMessage()}")
