"""How progress looks: a line drawn again and again on a terminal, now and then one in a log."""

import os
from dataclasses import dataclass
from time import monotonic
from typing import Protocol, TextIO

EVERY = 10.0  # seconds between two lines of a log
REDRAW = 0.1  # seconds between two states of the line on a terminal
WIDEST, NARROWEST = 40, 8  # columns of the bar; a shorter one tells nothing
CLEAR = "\r\x1b[K"  # back to the beginning of the line, and remove what is on it
BAR, PLAIN_BAR = "━─", "#-"  # of what is done and what is left


@dataclass
class State:
    """What there is to say at one moment.

    stage: which of how many, from 1; None if nobody said how many there are
    done:  items of this stage; total: None if that is not known
    whole: share of the whole job that is done; left: seconds, None if that is not known yet
    """

    label: str
    stage: tuple[int, int] | None = None
    done: int = 0
    total: int | None = None
    whole: float = 0.0
    left: float | None = None
    note: str = ""

    @property
    def name(self) -> str:
        if self.stage is None:
            return self.label
        return f"stage {self.stage[0]} of {self.stage[1]}: {self.label}"

    @property
    def rest(self) -> str:
        return "" if self.left is None else f"{clock(self.left)} left"


def clock(seconds: float) -> str:
    """0:07, 12:05, 1:00:30"""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


class Display(Protocol):
    def show(self, state: State, *, fresh: bool) -> None:
        """Shows it, if it is time to. fresh: it is the first state of its stage."""

    def say(self, text: str) -> None:
        """Writes a line that stays."""

    def close(self) -> None:
        """Leaves nothing but whole lines."""


class Silence:
    """That of -q."""

    def show(self, state: State, *, fresh: bool) -> None: ...

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


class Terminal:
    """One line, of the terminal's width as it is at the moment."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._when = stream, -REDRAW

    def show(self, state: State, *, fresh: bool) -> None:
        now = monotonic()
        if fresh or state.done == state.total or now - self._when >= REDRAW:
            self._when = now
            self._write(CLEAR + drawn(state, self._columns() - 1, _bar(self._stream)))

    def say(self, text: str) -> None:
        self._write(f"{CLEAR}{text}\n")

    def close(self) -> None:
        self._write(CLEAR)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80


def drawn(state: State, columns: int, bar: str = BAR) -> str:
    """The state in at most so many columns: its name, a bar of the whole job, what is left."""
    count = f"{state.done}/{state.total}" if state.total else ""
    after = "  ".join(filter(None, (count, state.rest, state.note)))
    room = min(columns - len(state.name) - len(after) - 4, WIDEST)
    if room < NARROWEST or not (state.total or state.stage):
        room = 0
    filled = round(room * state.whole)
    parts = (state.name, bar[0] * filled + bar[1] * (room - filled), after)
    return "  ".join(filter(None, parts))[:columns]


def _bar(stream: TextIO) -> str:
    try:
        BAR.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return PLAIN_BAR
    return BAR


class Log:
    """A line when a numbered stage begins, and one after every ten seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._when = stream, monotonic()

    def show(self, state: State, *, fresh: bool) -> None:
        now = monotonic()
        if (fresh and state.stage) or now - self._when >= EVERY:
            self._when = now
            count = f"{state.done} of {state.total}" if state.done and state.total else ""
            self.say(", ".join(filter(None, (state.name, count, state.rest, state.note))))

    def say(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def close(self) -> None: ...
