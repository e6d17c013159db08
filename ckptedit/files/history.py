"""A ledger as a graph: entries that refer to others by digest, each of them once.

The trunk is what was done to the checkpoint itself, one thing after the other. What it refers to,
and is not of it, are branches: they stand before the first entry that refers to them.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ckptedit.errors import BadCheckpoint

Line = Mapping[str, Any]  # an entry of a ledger

BRANCH = "branch"
REFERRING = ("added", "taken_out")  # lists of entries; `inputs` has tables with a `ledger` each


def digest(line: Line) -> str:
    """sha256 of what an entry says, hex: the same on a branch as in the trunk."""
    said = {key: value for key, value in line.items() if key != BRANCH}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def trunk(lines: Iterable[Line]) -> list[Line]:
    """What was done to the checkpoint itself."""
    return [line for line in lines if not line.get(BRANCH)]


def references(line: Line) -> list[Any]:
    """What an entry refers to: digests; in the form of version 0.1, the entries themselves.

    Raises BadCheckpoint if it is of another form.
    """
    lists = [line.get(key, []) for key in REFERRING]
    inputs = line.get("inputs", [])
    if isinstance(inputs, list):
        lists += [each["ledger"] for each in inputs if isinstance(each, dict) and "ledger" in each]
    for found in lists:
        if not isinstance(found, list) or not all(isinstance(x, str | Mapping) for x in found):
            raise BadCheckpoint("has an entry that refers to what is no entry")
    return [item for found in lists for item in found]


def flattened(lines: Sequence[Line], others: Iterable[Line] = ()) -> list[dict[str, Any]]:
    """The ledger of the trunk of these lines, with what it refers to.

    lines, others: flat, or nested as version 0.1 had it; others: only to be referred to
    Raises BadCheckpoint if an entry refers to none that there is.
    """
    known: dict[str, dict[str, Any]] = {}
    for line in [*others, *lines]:
        _flat(line, known)
    done: list[dict[str, Any]] = []
    seen: set[str] = set()
    for line in trunk(lines):
        mine = digest(_flat(line, known))
        for other in _before(mine, known, seen):
            done.append({**known[other], BRANCH: True})
        done.append(known[mine])
        seen.add(mine)
    return done


def _flat(line: Line, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """An entry with digests in place of entries; all of them are put into known."""
    found = {key: value for key, value in line.items() if key != BRANCH}
    if references(line):
        for key in REFERRING:
            if key in found:
                found[key] = [_digest_of(item, known) for item in found[key]]
        if isinstance(found.get("inputs"), list):
            found["inputs"] = [_input(each, known) for each in found["inputs"]]
    known[digest(found)] = found
    return found


def _input(each: Any, known: dict[str, dict[str, Any]]) -> Any:
    if not isinstance(each, dict) or "ledger" not in each:
        return each
    return {**each, "ledger": [_digest_of(item, known) for item in each["ledger"]]}


def _digest_of(item: Any, known: dict[str, dict[str, Any]]) -> str:
    return item if isinstance(item, str) else digest(_flat(item, known))


def _before(start: str, known: Mapping[str, Line], seen: set[str]) -> list[str]:
    """What an entry refers to, and these in turn, that was not seen; the referred to first.

    Without recursion: a chain of merges may be longer than Python's stack.
    """
    found: list[str] = []
    stack = [(start, iter(references(known[start])))]
    while stack:
        current, left = stack[-1]
        following = next((each for each in left if each not in seen), None)
        if following is None:
            stack.pop()
            if current != start:
                found.append(current)
            continue
        if following not in known:
            raise BadCheckpoint(f"refers to an entry that it does not have, {following[:12]!r}")
        seen.add(following)
        stack.append((following, iter(references(known[following]))))
    return found
