"""The ledger: what was done to a checkpoint, carried in its own metadata.

`__metadata__["ckptedit.ledger"]` is a JSON array of objects, oldest first. It holds no paths and no
time of day, so that the same edit writes the same bytes. An entry may refer to others by their
digests: a merge to what was done to its inputs, an `apply -R` to what it took out. Those stand
before it in the same array, each once, and say `"branch": true` where they are not of this
checkpoint's own line. (Version 0.1 nested them; `read` flattens what it wrote.)
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from ckptedit import __version__
from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.files.bounded import parse_json_value
from ckptedit.files.history import Line, digest, flattened, trunk
from ckptedit.files.names import escape

KEY = "ckptedit.ledger"

# of entries, and what is in them
LISTS = {"concepts": str, "retain": str, "asked": str, "changed": str}

MAX_DEPTH = 400  # of lists and tables; the merges of version 0.1 took four each, up to 200

MAX_ITEMS = 20_000_000  # commas and brackets; a header of 100 MB may have as many

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
    if date := date_of_build():
        line["date"] = date
    return line


def date_of_build() -> str | None:
    """The time that SOURCE_DATE_EPOCH sets, as 2026-11-27T00:00:00Z; None where it is not set."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return None
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


def append(
    metadata: Mapping[str, str], line: Mapping[str, Any], others: Iterable[Line] = ()
) -> dict[str, str]:
    """Metadata for the edited checkpoint: the entry is added, stale identities are left out.

    others: ledgers of more that the entry refers to
    A `format` is added if there is none: transformers refuses metadata without.
    """
    return replaced(metadata, [*read(metadata), line], others)


def replaced(
    metadata: Mapping[str, str], lines: Sequence[Line], others: Iterable[Line] = ()
) -> dict[str, str]:
    """As `append`, with a whole ledger in place of the old one; without entries there is none."""
    kept = {key: text for key, text in without_identity(metadata).items() if key != KEY}
    text = as_text(lines, others)
    return {"format": "pt", **kept, **({KEY: text} if text != "[]" else {})}


def as_text(lines: Sequence[Line], others: Iterable[Line] = ()) -> str:
    """A ledger as it is stored. Raises BadParam for what `read` would refuse."""
    try:
        entries = flattened(lines, others)
        text = json.dumps(entries, sort_keys=True, separators=(",", ":"), allow_nan=False)
        read({KEY: text})
    except (BadCheckpoint, ValueError, TypeError, RecursionError) as error:
        raise BadParam(f"the ledger cannot hold this entry: {escape(error)}") from error
    return text


def without_identity(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata without the hashes and thumbnails of the file that it came from."""
    return {key: text for key, text in metadata.items() if not key.startswith(IDENTITY)}


def read(metadata: Mapping[str, str]) -> list[dict[str, Any]]:
    """The entries, oldest first, flat; none if there is no ledger.

    Raises BadCheckpoint if it is malformed, or could not be written again: NaN, broken Unicode.
    """
    what = f"the ledger in its metadata ({KEY})"
    text = metadata.get(KEY, "[]").encode(errors="surrogatepass")
    lines = parse_json_value(text, what, depth=MAX_DEPTH, items=MAX_ITEMS)
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise BadCheckpoint(f"{what} is not a list of entries")
    for line in lines:
        for key, kind in LISTS.items():
            found = line.get(key, [])
            if not isinstance(found, list) or not all(isinstance(item, kind) for item in found):
                raise BadCheckpoint(f"{what} has odd {key}")
        if not isinstance(line.get("operation", ""), str):
            raise BadCheckpoint(f"{what} has an odd operation")
    try:
        return flattened(lines)
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{what} {error}") from None


def beyond(known: Sequence[Line], lines: Sequence[Line]) -> list[Line]:
    """The entries of a ledger's trunk after those that it begins with in common with another."""
    shared, ours = 0, trunk(lines)
    for one, other in zip(trunk(known), ours, strict=False):
        if one != other:
            break
        shared += 1
    return ours[shared:]


def concepts_of(lines: Sequence[Line]) -> list[str]:
    """The concepts of a ledger's entries, each once, in order; not of those taken out again."""
    flat = flattened(lines)
    by_digest = {digest(line): line for line in flat}
    undone: dict[str, list[str]] = {}  # what each entry takes away again

    def standing(digests: Iterable[str]) -> list[str]:
        found: list[str] = []
        for each in digests:
            new = by_digest[each].get("concepts", [])
            found = [concept for concept in found if concept not in undone[each]]
            found += [concept for concept in dict.fromkeys(new) if concept not in found]
        return found

    for each, line in by_digest.items():
        undone[each] = standing(line.get("taken_out", []))
    return standing(digest(line) for line in trunk(flat))
