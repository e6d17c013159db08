"""Names that a ledger keeps as salted hashes: it can be asked for a name, and lists none.

A hidden name is `sha256:SALT:DIGEST`: 16 hexadecimal digits, and the first 32 of sha256 of the
salt, a colon and the name's normal form, so that all its spellings are one. One salt serves the
whole history of a file: it is taken over from the entries before, and else follows from the parent
and the names (the same request writes the same bytes, and no table for a known base fits it).

This keeps a list of names from being read, not from being guessed: whoever has the file can try
names one by one, and see from the weights what they no longer draw.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ckptedit.concepts.names import distinct, normal
from ckptedit.concepts.targets import Target, erased
from ckptedit.errors import BadParam
from ckptedit.families import FAMILIES
from ckptedit.files.ledger import concepts_of

HIDDEN = re.compile(r"sha256:([0-9a-f]{16}):([0-9a-f]{32})")
LISTS = ("concepts", "retain", "asked", "changed")  # facts of an entry that are lists of names
IN_PARAMS = ("debias",)  # parameters of methods that are names, with commas between them
USUAL = {anchor for family in FAMILIES.values() for anchor in family.anchors}  # say nothing

EARLIER = "--earlier"

Line = Mapping[str, Any]


def is_hidden(text: str) -> bool:
    return bool(HIDDEN.fullmatch(text))


def hidden(name: str, salt: str) -> str:
    """What stands for a name; a hidden one stays as it is."""
    if is_hidden(name):
        return name
    digest = hashlib.sha256(f"{salt}:{normal(name)}".encode()).hexdigest()
    return f"sha256:{salt}:{digest[:32]}"


def stands_for(text: str, name: str) -> bool:
    """Whether what a ledger has, hidden or not, is this name."""
    if match := HIDDEN.fullmatch(text):
        return hidden(name, match[1]) == text
    return normal(text) == normal(name)


def tells_of(lines: Sequence[Line], name: str) -> bool:
    """Whether a concept is among those that a ledger says are erased."""
    return any(stands_for(text, name) for text in concepts_of(lines))


def salt_of(lines: Iterable[Line], parent_sha256: str, names: Iterable[str]) -> str:
    """The salt of a file's history; of the first hidden entry, one of its own."""
    for text in _texts(lines):
        if match := HIDDEN.fullmatch(text):
            return match[1]
    told = "\n".join([parent_sha256, *sorted(map(normal, names))])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def hides(lines: Iterable[Line]) -> bool:
    """Whether an entry has a hidden name; whoever adds to it hides theirs as well."""
    return any(map(is_hidden, _texts(lines)))


def _texts(lines: Iterable[Line]) -> Iterator[str]:
    for line in lines:
        for key in LISTS:
            yield from map(str, line.get(key) or [])


def hide(line: Mapping[str, Any], salt: str) -> dict[str, Any]:
    """Facts or options of an entry with all names in them hidden, but for usual anchors."""
    found = dict(line)
    for key in LISTS:
        if key in found:
            found[key] = [hidden(name, salt) for name in found[key]]
    if "targets" in found:
        found["targets"] = [
            {**t, "anchor": _anchor(t["anchor"], salt)}
            | {key: hidden(t[key], salt) for key in ("concept", "alias_of") if key in t}
            for t in found["targets"]
        ]
    if isinstance(found.get("basis"), Mapping):
        found["basis"] = hide(found["basis"], salt)
    if isinstance(found.get("params"), Mapping):
        found["params"] = {o: _params(own, salt) for o, own in found["params"].items()}
    return found


def _anchor(name: str, salt: str) -> str:
    return name if name in USUAL else hidden(name, salt)


def _params(own: Mapping[str, Any], salt: str) -> dict[str, Any]:
    names = {key: own[key] for key in IN_PARAMS if own.get(key)}
    return {**own, **{key: ",".join(hidden(each.strip(), salt) for each in text.split(","))
                      for key, text in names.items()}}  # fmt: skip


def revealed(targets: Sequence[Target], names: Sequence[str], option: str) -> list[Target]:
    """Targets of a ledger under their names, which the user gives where they are hidden.

    option: by which; the message names it
    Raises BadParam if one is not among the names.
    """
    found = [
        replace(
            target,
            concept=_named(target.concept, names),
            anchor=_named(target.anchor, names),
            alias_of=_named(target.alias_of, names),
        )
        for target in targets
    ]
    require_revealed([name for target in found for name in (target.concept, target.anchor)], option)
    return found


def _named(text: str, names: Sequence[str]) -> str:
    if not is_hidden(text):
        return text
    return next((name for name in names if stands_for(text, name)), text)


def revealed_names(texts: Sequence[str], names: Sequence[str], option: str) -> list[str]:
    """As `revealed`, of a list of names."""
    found = distinct(_named(text, names) for text in texts)
    require_revealed(found, option)
    return found


def erased_before(lines: Sequence[Line], names: Sequence[str]) -> list[Target]:
    """What a ledger says is erased, under names that `--earlier` gives where they are hidden.

    Raises BadParam if one is not given.
    """
    return revealed(erased(lines), names, EARLIER)


def require_told(lines: Sequence[Line], names: Sequence[str]) -> None:
    """Raises BadParam if a name is given that a ledger does not hide."""
    kept = {*_texts(lines), *(target.anchor for target in erased(lines))}
    for name in names:
        if not any(is_hidden(text) and stands_for(text, name) for text in kept):
            raise BadParam(f"{name!r} is none of the names that the ledger hides: see {EARLIER}")


def require_revealed(texts: Iterable[str], option: str) -> None:
    """Raises BadParam if one is hidden."""
    if count := len({text for text in texts if is_hidden(text)}):
        raise BadParam(
            f"the ledger keeps {count} of the names that this needs as salted hashes: give them, "
            f"targets and what was drawn instead of them, with {option} NAME or @file"
        )
