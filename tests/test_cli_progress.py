"""Progress and notes on stderr: one line on a terminal, a few in a log, none with -q."""

import io
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ckptedit.cli import display
from ckptedit.cli import progress as module
from ckptedit.cli.display import CLEAR, Log, Silence, State, Terminal, clock, drawn
from ckptedit.cli.progress import Progress, progress
from ckptedit.progress import plan, silent


class Shown(Silence):
    """A display that remembers all that it is told."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self.fresh: list[str] = []

    def show(self, state: State, *, fresh: bool) -> None:
        self.states.append(state)
        self.fresh += [state.name] * fresh


class Clock:
    """Time passes when somebody says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for room in (display, module):
        monkeypatch.setattr(room, "monotonic", clock)
    return clock


def walk(job: Progress, label: str, count: int, time: Clock | None = None, each: float = 1) -> None:
    for _ in job(range(count), label):
        if time:
            time.now += each


def test_items_pass_unchanged_whether_their_number_is_known_or_not() -> None:
    shown = Shown()
    assert list(Progress(shown)(iter("abc"), "x")) == ["a", "b", "c"]
    assert list(Progress(shown)([1, 2], "x")) == [1, 2]
    assert [(s.done, s.total) for s in shown.states] == [
        (0, None), (1, None), (2, None), (3, None), (0, 2), (1, 2), (2, 2)
    ]  # fmt: skip


def test_the_note_is_the_newest() -> None:
    shown, losses = Shown(), [0]
    for _ in Progress(shown)("ab", "x", None, lambda: f"loss {losses[-1]}"):
        losses.append(losses[-1] + 1)
    assert [state.note for state in shown.states] == ["", "loss 1", "loss 2"]


def test_planned_stages_are_numbered_in_order_each_time_they_come() -> None:
    shown = Shown()
    job = Progress(shown)
    plan(job, [("draw", 1), ("teach", 1), ("draw", 1), ("teach", 1), ("erase", 1)])
    for label in ("draw", "teach", "draw", "teach", "erase"):
        walk(job, label, 2)
    assert [name.partition(":")[0] for name in shown.fresh] == [
        f"stage {n} of 5" for n in range(1, 6)
    ]


def test_a_stage_that_comes_in_parts_keeps_its_number_and_an_unknown_one_has_none() -> None:
    shown = Shown()
    job = Progress(shown)
    plan(job, [("read", 1), ("write", 1)])
    for label in ("read", "read", "other", "write"):
        walk(job, label, 1)
    assert shown.fresh == [
        "stage 1 of 2: read",
        "stage 1 of 2: read",
        "other",
        "stage 2 of 2: write",
    ]


def test_a_job_of_one_stage_has_no_numbers() -> None:
    shown = Shown()
    job = Progress(shown)
    plan(job, [("draw", 1)])
    walk(job, "draw", 2)
    assert shown.fresh == ["draw"]


def test_the_bar_is_of_the_whole_job_and_what_is_cached_is_no_part_of_it() -> None:
    shown = Shown()
    job = Progress(shown)
    plan(job, [("a", 1), ("cached", 4), ("b", 3)])
    walk(job, "a", 2)
    walk(job, "b", 3)
    assert [s.whole for s in shown.states] == pytest.approx(
        [0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1]
    )


def test_what_is_left_goes_by_the_pace_so_far(time: Clock) -> None:
    shown = Shown()
    job = Progress(shown)
    plan(job, [("a", 1), ("b", 3)])
    time.now += 50  # loading is no part of what was planned
    walk(job, "a", 2, time, each=10)
    walk(job, "b", 3, time, each=20)
    assert [s.left and round(s.left) for s in shown.states] == [None, 70, 60, 60, 40, 20, 0]


def test_silent_takes_no_notice_of_a_plan() -> None:
    plan(silent, [("a", 1)])
    assert list(silent("ab", "x")) == ["a", "b"]


@pytest.mark.parametrize(
    "seconds, text", [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (725, "12:05"), (3630, "1:00:30")]
)
def test_times_are_read_as_on_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


FULL = State("erasing", (3, 5), 75, 150, 0.5, 61.0, "loss 0.1234")


def test_the_line_has_all_there_is_room_for() -> None:
    line = "stage 3 of 5: erasing  {}  75/150  1:01 left  loss 0.1234"
    assert drawn(FULL, 110) == line.format("━" * 20 + "─" * 20)
    assert drawn(FULL, 79) == line.format("━" * 12 + "─" * 12)
    assert drawn(FULL, 63) == line.format("━" * 4 + "─" * 4)
    assert drawn(FULL, 62) == line.format("").replace("    ", "  ")
    assert drawn(FULL, 110, "#-") == line.format("#" * 20 + "-" * 20)
    assert drawn(State("loading torch"), 80) == "loading torch"


def test_the_line_is_never_wider_than_the_terminal() -> None:
    for columns in range(1, 130):
        assert len(drawn(FULL, columns)) <= columns


def test_a_terminal_has_one_line_that_is_gone_in_the_end(time: Clock) -> None:
    stream = io.StringIO()
    job = Progress(Terminal(stream))
    walk(job, "merging", 100, time, each=0.03)
    job.say("note: it is said")
    job.close()
    *lines, end = stream.getvalue().split(CLEAR)
    assert end == "" and lines[-1] == "note: it is said\n"
    assert not any("\n" in line for line in lines[:-1])
    assert lines[1].startswith("merging") and "100/100" in lines[-2]
    assert 25 < len(lines) < 40  # not one for each item


def test_a_log_has_a_line_for_each_stage_and_one_after_ten_seconds(time: Clock) -> None:
    stream = io.StringIO()
    job = Progress(Log(stream))
    job.begin("loading")
    plan(job, [("drawing", 1), ("erasing", 9)])
    walk(job, "drawing", 2, time, each=1)
    walk(job, "erasing", 9, time, each=4)
    job.close()
    assert stream.getvalue().splitlines() == [
        "stage 1 of 2: drawing",
        "stage 2 of 2: erasing, 0:18 left",
        "stage 2 of 2: erasing, 3 of 9, 0:21 left",
        "stage 2 of 2: erasing, 6 of 9, 0:11 left",
        "stage 2 of 2: erasing, 9 of 9, 0:00 left",
    ]


def test_a_job_that_is_done_in_no_time_writes_nothing_into_a_log(time: Clock) -> None:
    stream = io.StringIO()
    walk(Progress(Log(stream)), "merging", 1000, time, each=0.009)
    assert stream.getvalue() == ""


class Tty(io.StringIO):
    encoding = "ascii"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tty]:
    stream = Tty()
    monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=stream))  # sys.stderr is pytest's
    monkeypatch.setenv("TERM", "xterm")
    yield stream


def work(quiet: bool) -> None:
    with progress(quiet) as track:
        track.begin("loading")
        list(track("ab", "working"))
        logging.getLogger("ckptedit").warning("made %s", "anew")
        warnings.warn("foreign", stacklevel=1)


def test_notes_of_the_library_stay_above_the_line(stderr: Tty) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work(quiet=False)
    assert f"{CLEAR}note: made anew\n" in stderr.getvalue()
    assert stderr.getvalue().endswith(CLEAR) and "#" in stderr.getvalue()
    assert [str(warning.message) for warning in caught] == ["foreign"]
    logging.getLogger("ckptedit").warning("afterwards")
    assert "note: afterwards" not in stderr.getvalue()


def test_quiet_is_silent(stderr: Tty) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work(quiet=True)
    assert stderr.getvalue() == "" and not caught


def test_a_terminal_that_cannot_draw_gets_lines(
    stderr: Tty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with pytest.warns(UserWarning, match="foreign"):
        work(quiet=False)
    assert CLEAR not in stderr.getvalue() and "note: made anew\n" in stderr.getvalue()


def test_the_line_is_gone_before_an_error_is_told(stderr: Tty) -> None:
    with pytest.raises(KeyError), progress() as track:
        track.begin("loading")
        raise KeyError
    assert stderr.getvalue().endswith(CLEAR)


def test_the_first_word_comes_before_anything_slow_is_imported(tmp_path: Path) -> None:
    """On a terminal, within a second of processor time."""
    import pty

    base = tmp_path / "base.safetensors"
    command = [sys.executable, "-m", "ckptedit"]
    subprocess.run([*command, "demo", "-o", str(base)], check=True, capture_output=True)
    leader, follower = pty.openpty()
    code = (
        "import sys, resource, builtins\n"
        "from ckptedit.cli import app, progress\n"
        "def begin(self, label):\n"
        "    used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "    print(label, used.ru_utime + used.ru_stime, 'torch' in sys.modules)\n"
        "    sys.exit(0)\n"
        "progress.Progress.begin = begin\n"
        "app(sys.argv[1:])"
    )
    try:
        for name, *more in (["sample", "cat"], ["eval"], ["project", "--concept", "Cat"]):
            done = subprocess.run(
                [sys.executable, "-c", code, name, str(base), *more],
                stdout=subprocess.PIPE, stderr=follower, text=True, env=os.environ,
            )  # fmt: skip
            label, seconds, torch = done.stdout.rsplit(" ", 2)
            assert label == module.LOADING and torch.strip() == "False" and float(seconds) < 1
    finally:
        os.close(leader)
        os.close(follower)
