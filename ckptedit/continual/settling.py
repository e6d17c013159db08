"""Requests in the lexicon's spelling, refused for what is wrong with their words."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ckptedit.concepts.lexicon import Lexicon
from ckptedit.concepts.names import distinct, normal
from ckptedit.concepts.spelling import respelled
from ckptedit.concepts.targets import Target
from ckptedit.concepts.wish import Wish, settle
from ckptedit.continual.requests import Asked, require_sound, standing
from ckptedit.errors import BadParam, CkptError

Line = Mapping[str, Any]


def settled(
    entries: Sequence[Asked], options: Mapping[str, Any], known: Lexicon, ledger: Sequence[Line]
) -> tuple[tuple[Asked, ...], list[str]]:
    """(the requests, spelled as the lexicon spells them; what was understood otherwise)

    options: keywords of `erase` for all of them; ledger: the base's
    Raises BadParam, naming the request, for what `settle` refuses.
    """
    found: list[Asked] = []
    notes: list[str] = []
    for entry in entries:
        exact = entry.option("exact_name", options.get("exact_name", False))
        if entry.withdraw:
            back = [name if exact else respelled(name, known) for name in entry.withdraw]
            asked = {normal(name): name for name in concepts_of(standing(found))}
            spelled = tuple(asked.get(normal(name), name) for name in back)
            found.append(replace(entry, withdraw=spelled))
            continue
        before = [name for each in standing(found) for name in each.names]
        again = tuple(Target(name, "auto", "") for name in before)
        kind = entry.option("kind", options.get("kind", "auto"))
        wish = Wish(
            entry.concepts,
            kind,
            entry.option("anchor", options.get("anchor", "")),
            entry.option("retain", []),
            lexicon=_path(options.get("lexicon")),
            exact_name=exact,
            again=again,
        )
        try:
            wish = settle(wish, known, ledger)
        except CkptError as error:
            raise BadParam(f"{entry.where}: {error}") from error
        notes += [f"{entry.where}: {note}" for note in wish.notes]
        own = dict(entry.options)
        if kinds := known.kinds_of(wish.concepts[0]) if entry.aliases and kind == "auto" else ():
            own["kind"] = kinds[0]  # the lexicon need not know the other names
        found.append(replace(entry, concepts=tuple(wish.concepts), options=own))
    require_sound(found)
    return tuple(found), notes


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def names_of(entries: Sequence[Asked]) -> list[str]:
    """All names that are asked for, aliases among them, each once."""
    return distinct(name for entry in entries for name in entry.names)


def concepts_of(entries: Sequence[Asked]) -> list[str]:
    """What is asked for, without aliases, each once."""
    return distinct(name for entry in entries for name in entry.concepts)
