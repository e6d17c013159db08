"""Text from strangers, within bounds: configs, tokenizers, rules, lists, JSON in metadata.

A value or one CkptError comes out, whatever the file is: a device, a link to itself, gigabytes of
brackets, numbers of a million digits, half a surrogate pair.
"""

import json
import os
import stat
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn

from ckptedit.errors import BadCheckpoint
from ckptedit.files.names import escape

MAX_BYTES = 1 << 20  # of a config; a tokenizer is larger, its reader says how much
MAX_DEPTH = 100  # of lists and tables in each other; configs have four or five
MAX_DIGITS = 20  # of an integer: 2**64 has as many
MAX_ITEMS = 2_000_000  # commas and brackets: Python takes up to 100 bytes for what is between two


def read_bytes(path: str | Path, limit: int = MAX_BYTES, *, pipe: bool = False) -> bytes:
    """All of a small file.

    pipe: whether it may be one, as `<(command)` in a shell; for paths that a user types
    Raises BadCheckpoint if it is missing, a folder or a device, or has more than limit bytes.
    """
    label = escape(path)
    try:
        # whoever opens a pipe waits for its other end, unless told not to
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if pipe else os.O_NONBLOCK))
        try:
            _require_file(os.fstat(fd).st_mode, label, pipe)
            with os.fdopen(fd, "rb", closefd=False) as file:
                data = file.read(limit + 1)
        finally:
            os.close(fd)
    except FileNotFoundError:
        raise BadCheckpoint(f"{label}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        raise BadCheckpoint(f"{label}: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > limit:
        raise BadCheckpoint(f"{label}: more than {limit} bytes")
    return data


def _require_file(mode: int, label: str, pipe: bool) -> None:
    if not stat.S_ISREG(mode) and not (pipe and stat.S_ISFIFO(mode)):
        kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe"}
        raise BadCheckpoint(f"{label}: is a {kinds.get(stat.S_IFMT(mode), 'device')}, not a file")


def read_text(path: str | Path, limit: int = MAX_BYTES, *, pipe: bool = False) -> str:
    """As `read_bytes`, decoded: UTF-8, with or without a byte order mark."""
    try:
        return read_bytes(path, limit, pipe=pipe).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadCheckpoint(f"{escape(path)}: not UTF-8 text ({error.reason})") from error


def read_json(
    path: str | Path, limit: int = MAX_BYTES, *, depth: int = MAX_DEPTH
) -> dict[str, Any]:
    """Reads a JSON object from a small file. Raises BadCheckpoint for whatever else is there."""
    text = read_bytes(path, limit).removeprefix(b"\xef\xbb\xbf")
    return parse_json(text, f"{escape(path)}:", depth=depth)


def parse_json(
    text: bytes, what: str, *, depth: int = MAX_DEPTH, items: int = MAX_ITEMS
) -> dict[str, Any]:
    """Parses a JSON object. See `parse_json_value`."""
    parsed = parse_json_value(text, what, depth=depth, items=items)
    if not isinstance(parsed, dict):
        raise BadCheckpoint(f"{what} is not a JSON object")
    return parsed


def parse_json_value(
    text: bytes, what: str, *, depth: int = MAX_DEPTH, items: int = MAX_ITEMS
) -> Any:
    """Parses JSON that can be written again as it is: no duplicate keys, NaN or broken Unicode.

    what:  named in the message of the BadCheckpoint that is raised: "the index"
    depth: of lists and tables in each other, at most
    items: commas and brackets in the text, at most; counted before any memory is spent on them
    """
    if sum(map(text.count, (b",", b"[", b"{"))) > items:
        raise BadCheckpoint(f"{what} has more than {items} commas and brackets")
    try:
        parsed = json.loads(
            text.decode(),
            object_pairs_hook=without_duplicates,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_no_number,
        )
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{what} {error}") from None
    except RecursionError as error:
        raise BadCheckpoint(f"{what} is nested too deeply") from error
    except ValueError as error:
        raise BadCheckpoint(f"{what} is not valid JSON ({escape(error)})") from error
    _check(parsed, what, depth)
    return parsed


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A table of JSON, from its pairs. Raises BadCheckpoint if a key is there twice."""
    table = dict(pairs)
    if len(table) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BadCheckpoint(f"has {escape(twice)} twice")
    return table


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise BadCheckpoint(f"has the number {escape(text)}, out of range")
    return int(text)


def _number(text: str) -> float:
    if not isfinite(found := float(text)):
        raise BadCheckpoint(f"has the number {escape(text)}, out of range")
    return found


def _no_number(text: str) -> NoReturn:
    raise BadCheckpoint(f"has {text}, which is not JSON")


def _check(parsed: Any, what: str, depth: int) -> None:
    """Refuses what is nested beyond depth, and half a surrogate pair, which JSON can spell."""
    level = [parsed]  # what is inside of so many lists and tables; recursion would have a limit
    for _ in range(depth + 1):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value.keys()
                inner += value.values()
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, str) and not value.isascii():
                _require_unicode(value, what)
        if not inner:
            return
        level = inner
    raise BadCheckpoint(f"{what} is nested too deeply")


def _require_unicode(text: str, what: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadCheckpoint(f"{what} has text that is not Unicode") from error
