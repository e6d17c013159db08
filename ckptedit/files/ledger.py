"""The ledger: what was done to a checkpoint, carried in its own metadata.

`__metadata__["ckptedit.ledger"]` is a JSON array of objects, oldest first. It holds no paths and no
time of day, so that the same edit writes the same bytes.
"""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from ckptedit import __version__
from ckptedit.errors import BadCheckpoint, BadParam

KEY = "ckptedit.ledger"

LISTS = {"concepts": str, "retain": str, "taken_out": dict}  # of entries, and what is in them

MAX_DEPTH = 200  # of lists and tables; a merge of merges of merges takes four for each

# what says which file this is; untrue once a tensor has changed
IDENTITY = ("sshs_", "modelspec.hash_sha256", "modelspec.thumbnail", "thumbnail")


def entry(
    operation: str,
    options: Mapping[str, Any],
    parent_sha256: str,
    *,
    seed: int | None = None,
    **facts: Any,
) -> dict[str, Any]:
    """One line of the ledger.

    operation: the command, "erase"; options: resolved, of a path only the last part is kept
    parent_sha256: of the tensor data of the checkpoint that was edited
    facts: more that later commands read, such as concepts=[...], kind, anchor
    """
    line = {
        "operation": operation,
        "options": _plain(options),
        "parent_sha256": parent_sha256,
        "tool": f"ckptedit {__version__}",
        **_plain(facts),
    }
    if seed is not None:
        line["seed"] = seed
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        line["date"] = _date(epoch)
    return line


def _date(epoch: str) -> str:
    try:
        return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError) as error:
        raise BadParam(f"SOURCE_DATE_EPOCH is {epoch!r}, not seconds since 1970") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.name if isinstance(value, PurePath) else value


def append(metadata: Mapping[str, str], line: Mapping[str, Any]) -> dict[str, str]:
    """Metadata for the edited checkpoint: the entry is added, stale identities are left out.

    A `format` is added if there is none: transformers refuses metadata without.
    """
    return replaced(metadata, [*read(metadata), line])


def replaced(metadata: Mapping[str, str], lines: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """As `append`, with a whole ledger in place of the old one; without entries there is none."""
    entries = [dict(line) for line in lines]
    text = json.dumps(entries, sort_keys=True, separators=(",", ":"), allow_nan=False)
    kept = {key: text for key, text in without_identity(metadata).items() if key != KEY}
    return {"format": "pt", **kept, **({KEY: text} if entries else {})}


def without_identity(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata without the hashes and thumbnails of the file that it came from."""
    return {key: text for key, text in metadata.items() if not key.startswith(IDENTITY)}


def read(metadata: Mapping[str, str]) -> list[dict[str, Any]]:
    """The entries, oldest first; none if there is no ledger.

    Raises BadCheckpoint if it is malformed, or could not be written again: NaN, broken Unicode.
    """
    try:
        lines = json.loads(metadata.get(KEY, "[]"))
        json.dumps(lines, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadCheckpoint(f"the ledger in its metadata ({KEY}) is not JSON") from error
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise BadCheckpoint(f"the ledger in its metadata ({KEY}) is not a list of entries")
    for line in lines:
        for key, kind in LISTS.items():
            found = line.get(key, [])
            if not isinstance(found, list) or not all(isinstance(item, kind) for item in found):
                raise BadCheckpoint(f"the ledger in its metadata ({KEY}) has odd {key}")
    if _deeper(lines, MAX_DEPTH):
        raise BadCheckpoint(f"the ledger in its metadata ({KEY}) is nested too deeply")
    return lines


def _deeper(value: Any, most: int) -> bool:
    """Whether there are lists and tables in each other beyond `most`. Without recursion itself."""
    level = [value]
    for _ in range(most):
        groups = [each.values() if isinstance(each, dict) else each for each in level]
        level = [item for group in groups for item in group if isinstance(item, list | dict)]
    return bool(level)


def beyond(
    known: Sequence[Mapping[str, Any]], lines: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The entries of a ledger after those that it begins with in common with another."""
    shared = 0
    for one, other in zip(known, lines, strict=False):
        if one != other:
            break
        shared += 1
    return list(lines[shared:])


def concepts_of(lines: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The concepts of ledger entries, each once, in order; not of those taken out again."""
    found: list[Any] = []
    for line in lines:
        gone = concepts_of(line.get("taken_out", []))
        found = [concept for concept in found if concept not in gone]
        for concept in line.get("concepts", []):
            if concept not in found:
                found.append(concept)
    return found
