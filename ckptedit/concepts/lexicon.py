"""A list of concepts that a model is likely to know: neighbours are looked for among them."""

from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Lexicon:
    """styles and objects (animals, people by role, places, things), each in the file's order."""

    styles: tuple[str, ...]
    objects: tuple[str, ...]

    def __getitem__(self, kind: str) -> tuple[str, ...]:
        """The concepts of a kind. Raises BadParam for a kind that is none."""
        require_kind(kind)
        return self.styles if kind == "style" else self.objects

    def __iter__(self) -> Iterator[str]:
        """All concepts."""
        return iter((*self.styles, *self.objects))

    def kinds_of(self, concept: str) -> list[str]:
        """The kinds under which it has a concept: none, one or both."""
        form = normal(concept)
        return [kind for kind in KINDS if form in map(normal, self[kind])]


def lexicon_of(family: Family, path: Path | None = None) -> Lexicon:
    """What a family's models are likely to know.

    path: the user's own list; without it a family that has a lexicon.txt in its folder, because it
          knows a small world only, answers from that, and any other from the general one
    """
    own = family.folder / "lexicon.txt" if family.folder else None
    return read_lexicon(path or (own if own and own.is_file() else GENERAL))


def general() -> Lexicon:
    """What models of the size of Stable Diffusion know."""
    return read_lexicon(GENERAL)


@cache
def read_lexicon(path: Path) -> Lexicon:
    """Reads a file with [style] and [object] sections. Raises BadParam for anything else."""
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    section = None
    for text in lines_of(_read(path)):
        if text.startswith("[") and text.endswith("]"):
            section = text[1:-1].strip()
        if section not in found:
            raise BadParam(f"{escape(path)}: {escape(text)} is in no [style] or [object] section")
        if not text.startswith("["):
            found[section].append(name_of(text))
    return Lexicon(*(tuple(distinct(found[kind])) for kind in KINDS))


def _read(path: Path) -> str:
    try:
        return read_text(path, pipe=True)
    except CkptError as error:
        raise BadParam(f"cannot read the lexicon {error}") from error
