"""A list of concepts that a model is likely to know: neighbours are looked for among them."""

from functools import cache
from pathlib import Path

from ckptedit.concepts.lists import lines_of, name_of
from ckptedit.concepts.names import distinct, normal
from ckptedit.concepts.templates import KINDS, require_kind
from ckptedit.errors import BadParam, CkptError
from ckptedit.families import Family
from ckptedit.files import escape
from ckptedit.files.bounded import read_text

GENERAL = Path(__file__).parent / "lexicon.txt"


def lexicon(kind: str, family: Family | None = None) -> tuple[str, ...]:
    """The concepts of a kind, in the file's order.

    kind:   "style" or "object" (animals, people by role, places, things)
    family: one with a lexicon.txt of its own, because it knows a small world only, answers from it
    """
    require_kind(kind)
    return _sections(lexicon_path(family))[kind]


def lexicon_path(family: Family | None) -> Path:
    """The lexicon that serves a family: the user's, its own, or the general one."""
    if family and family.lexicon:
        return family.lexicon
    own = family.folder / "lexicon.txt" if family and family.folder else None
    return own if own and own.is_file() else GENERAL


def kinds_of(concept: str, family: Family | None = None) -> list[str]:
    """The kinds under which a lexicon has a concept: none, one or both."""
    form = normal(concept)
    return [kind for kind in KINDS if form in map(normal, lexicon(kind, family))]


@cache
def _sections(path: Path) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    section = None
    for text in lines_of(_read(path)):
        if text.startswith("[") and text.endswith("]"):
            section = text[1:-1].strip()
        if section not in found:
            raise BadParam(f"{escape(path)}: {escape(text)} is in no [style] or [object] section")
        if not text.startswith("["):
            found[section].append(name_of(text))
    return {kind: tuple(distinct(words)) for kind, words in found.items()}


def _read(path: Path) -> str:
    try:
        return read_text(path, pipe=True)
    except CkptError as error:
        raise BadParam(f"cannot read the lexicon {error}") from error
