"""What a run leaves on disk beside checkpoints: its settings, and a line for every request.

`run.json` says what the run is; one that goes on must be the same. `results.jsonl` has one JSON
object a line. Both are replaced as a whole, so that a killed run leaves no torn line; a request is
finished when its line is there.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ckptedit.errors import BadParam, OutputExists, WriteFailed
from ckptedit.files import escape
from ckptedit.files.bounded import parse_json, read_bytes, read_json
from ckptedit.files.leftovers import lock
from ckptedit.files.sinks import new_files

SETTINGS, RESULTS, DELTAS = "run.json", "results.jsonl", "deltas"
SUMS, ALONE = "sums.safetensors", "alone.safetensors"  # in the folder of deltas
MADE, MEASURED = (SUMS, ALONE), re.compile(r"[0-9]{3,}\.json")
SCHEMA_VERSION = 1
LARGEST = 1 << 28  # bytes of results.jsonl
LATER = ("tokenizer", "text_encoder")  # settings that older runs do not say
FREE = ("max_drift", "on_drift", "requests", "asked")  # settings that may change as it goes on


class Journal:
    """The records of a run in a folder. `lines`: of finished requests, the base's first if any."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[dict[str, Any]] = []

    @property
    def done(self) -> int:
        """How many requests are finished."""
        return max((line["request"] for line in self.lines), default=0)

    @property
    def newest(self) -> dict[str, Any] | None:
        """The line of the last finished request; None if there is none."""
        return self.lines[-1] if self.done else None

    def begin(self, settings: Mapping[str, Any], *, force: bool) -> None:
        """Goes on with the run in the folder, or begins one.

        settings: JSON; "requests" is the list of their digests; of those that are not finished, it
                  may have others
        force: whether a run with other settings, or other requests, may be thrown away; one that
               has finished no request may
        Raises BadParam if there is such a run, OutputExists if the folder holds something else.
        """
        path = self.folder / SETTINGS
        if path.exists():
            known = read_json(path)
            self.lines = self._finished()
            differing = _difference(known, settings, self.done)
            if differing and self.done and not force:
                raise BadParam(
                    f"{escape(self.folder)} holds a run with {differing}; name another folder, or "
                    f"begin anew with --force"
                )
            if differing or force:
                self._discard()
        elif any(self.folder.iterdir()):
            raise OutputExists(f"{escape(self.folder)} is neither empty nor of a run; name another")
        write_text(path, json.dumps(settings, indent=2) + "\n")

    def append(self, line: Mapping[str, Any]) -> None:
        """Adds the line of a request; one of a request that was stopped is replaced by the next."""
        self.lines = [each for each in self.lines if not stopped(each)]
        written = [*self.lines, dict(line)]
        text = "".join(json.dumps(each, allow_nan=False) + "\n" for each in written)
        write_text(self.folder / RESULTS, text)
        if not stopped(line):
            self.lines = written

    def _finished(self) -> list[dict[str, Any]]:
        return [line for line in read_lines(self.folder) if not stopped(line)]

    def _discard(self) -> None:
        """Removes the records and the checkpoints of a run, and nothing else."""
        for line in self.lines:
            remove(self.folder, line.get("output"))
            remove(self.folder, line.get("delta"))
        for path in (self.folder / DELTAS).glob("*.*"):
            if path.name in MADE or MEASURED.fullmatch(path.name):
                path.unlink()
        for name in (RESULTS, SETTINGS):
            (self.folder / name).unlink(missing_ok=True)
        self.lines = []


def read_lines(folder: Path) -> list[dict[str, Any]]:
    """All lines in the folder of a run, a stopped request's too. Raises BadCheckpoint."""
    path = folder / RESULTS
    if not path.exists():
        return []
    rows = read_bytes(path, LARGEST).splitlines()
    return [parse_json(row, f"{escape(path)}: line {n}") for n, row in enumerate(rows, 1)]


def stopped(line: Mapping[str, Any]) -> bool:
    """Whether the line is of a request that a drift budget stopped."""
    budget = line.get("budget")
    return isinstance(budget, Mapping) and budget.get("outcome") == "stopped"


def remove(folder: Path, name: object) -> None:
    """Removes a checkpoint of a run, by the name that a line has; a file or a folder."""
    import shutil

    if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
        return
    path = folder / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Makes the folder, and keeps other runs out of it. Raises WriteFailed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise WriteFailed(f"{escape(folder)}: {error.strerror}") from error
    try:
        if not lock(fd, wait=False) and _can_lock():
            raise WriteFailed(f"another run is at work in {escape(folder)}; wait for it")
        yield
    finally:
        os.close(fd)


def _can_lock() -> bool:
    try:
        import fcntl
    except ImportError:
        return False
    return bool(fcntl)


def _difference(known: Mapping[str, Any], settings: Mapping[str, Any], done: int) -> str:
    """What differs, in words; "" if a run may go on. done: requests that are finished"""
    new = json.loads(json.dumps(settings))
    for name in new:
        unsaid = name in LATER and name not in known
        if name not in FREE and not unsaid and known.get(name) != new[name]:
            return f"another {name} ({_shown(known.get(name))}, not {_shown(new[name])})"
    before: Sequence[str] = known.get("requests", [])[:done]
    for number, (old, asked) in enumerate(zip(before, new["requests"], strict=False), start=1):
        if old != asked:
            return f"another request {number}"
    if len(before) > len(new["requests"]):
        return f"{len(before)} requests, not {len(new['requests'])}"
    return ""


def _shown(value: Any) -> str:
    return escape(value if isinstance(value, str) else json.dumps(value))


def write_text(path: Path, text: str) -> None:
    """Writes a small file whole: the old one or the new, never a part."""
    content = text.encode()
    with new_files([(path, len(content))], replace=True) as (file,):
        file.write(memoryview(content))
