"""Which tensors an edit touched, as patterns that the ledger keeps: short, and exact.

`["**.attn2.to_k.weight"]` says of a checkpoint what 70 names would. Of an edit of nearly all, the
rest is said: `["**", "!**.embeddings.position_ids"]`. They are those of `--keys` (`globs.py`).
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ckptedit.errors import BadParam
from ckptedit.globs import LONGEST, compiled, literal, matches

TOUCHED = "touched"  # the key of an entry
ENDING = 3  # segments of a name that say what kind of tensor it is: attn2.to_k.weight


def patterns(touched: Collection[str], names: Collection[str]) -> dict[str, Any]:
    """The fact for a ledger's entry: {"touched": patterns}.

    touched: what may have another value; names: of all tensors of the output
    Empty if a name is too long for a pattern.
    """
    chosen = set(touched)
    rest = [name for name in names if name not in chosen]
    if len(rest) < len(chosen):
        found = ["**", *("!" + pattern for pattern in _short(rest, names))]
    else:
        found = _short([name for name in names if name in chosen], names)
    return {TOUCHED: found} if all(len(pattern) < LONGEST for pattern in found) else {}


def _short(chosen: Sequence[str], names: Collection[str]) -> list[str]:
    """Patterns that pick these of the names and no others."""
    left, others = dict.fromkeys(chosen), set(names) - set(chosen)
    closed = {_ending(name) for name in others}
    found: dict[str, None] = {}
    for name in left:
        ending = _ending(name)
        alone = not ending or ending in closed
        found[literal(name) if alone else f"**.{literal(ending)}"] = None
    return list(found)


def _ending(name: str) -> str:
    """The last segments of a name that has more than these."""
    segments = name.split(".")
    return ".".join(segments[-ENDING:]) if len(segments) > ENDING else ""


def recorded(lines: Iterable[Mapping[str, Any]]) -> list[list[str]] | None:
    """The patterns of each entry; None if one does not say, as version 0.1 did not, or says what is
    no pattern."""
    found = [line.get(TOUCHED) for line in lines]
    good = all(isinstance(each, list) and all(map(_is_pattern, each)) for each in found)
    return [list(each or ()) for each in found] if good else None


def _is_pattern(text: object) -> bool:
    """Whether it is one that `patterns` makes: of expressions, names alone, since a stranger's may
    take for ever."""
    if not isinstance(text, str):
        return False
    pattern = text.removeprefix("!")
    if pattern.startswith("re:") and literal(re.sub(r"\\(.)", r"\1", pattern[3:])) != pattern:
        return False
    try:
        compiled(pattern)
    except BadParam:
        return False
    return True


def may_differ(name: str, lists: Iterable[Sequence[str]]) -> bool:
    """Whether one of the entries says that it touched this tensor."""
    return any(matches(name, each) for each in lists)
