"""Every way to erase, as the registries and the docstrings tell of it."""

import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ckptedit.erasure.closed_forms import CLOSED_FORMS
from ckptedit.erasure.objectives import OBJECTIVES
from ckptedit.guards import GUARDS
from ckptedit.params import Explained, explained

SORTS = {"objective": OBJECTIVES, "closed form": CLOSED_FORMS, "guard": GUARDS}


@dataclass(frozen=True)
class Entry:
    """One name of a registry.

    sort:       a key of SORTS
    summary:    the first sentence of its file; its class's, where others came in that file before
    text:       the rest: equations, sources, and where it departs from them; once for a file
    note:       what its class says of itself
    roles:      of the weights that it can edit, its default first; none of a guard
    parameters: for `-p NAME=VALUE`
    """

    name: str
    sort: str
    summary: str
    text: str
    note: str
    roles: tuple[str, ...]
    parameters: list[Explained]


def entries() -> Iterator[Entry]:
    """All of them, sort by sort, in the order of the registries."""
    told: set[str] = set()
    for sort, registry in SORTS.items():
        for name in registry:
            kind = registry[name]
            yield _entry(name, sort, kind, told=kind.__module__ in told)
            told.add(kind.__module__)


def _entry(name: str, sort: str, kind: Any, *, told: bool) -> Entry:
    own, text = (
        inspect.cleandoc(thing.__doc__ or "") for thing in (kind, sys.modules[kind.__module__])
    )
    summary, _, rest = own.partition("\n\n") if told else text.partition("\n\n")
    return Entry(
        name,
        sort,
        " ".join(summary.split()),
        rest,
        "" if told else own,
        () if sort == "guard" else tuple(kind.roles),
        explained(kind),
    )
