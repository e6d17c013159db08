"""What is true when a command is interrupted: nothing was written, or what was."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

OURS = ".cached.safetensors"  # the cache is no output


class Names(logging.Handler):
    """Keeps the names that outputs have got while the command ran."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        name = record.getMessage()
        if not name.endswith(OURS):
            self.found.append(name)

    def __str__(self) -> str:
        from ckptedit.files import escape

        there = filter(os.path.exists, dict.fromkeys(self.found))  # or taken back
        names = ", ".join(map(escape, there))
        return f"interrupted; {names or 'nothing'} was written"


@contextmanager
def names_written() -> Iterator[Names]:
    """Listens to what `ckptedit.files` says as files get their names."""
    names, log = Names(), logging.getLogger("ckptedit.written")
    before = log.level, log.propagate
    log.addHandler(names)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield names
    finally:
        log.removeHandler(names)
        log.level, log.propagate = before
