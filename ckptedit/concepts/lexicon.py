"""A list of concepts that a model is likely to know: neighbours are looked for among them."""

from functools import cache
from pathlib import Path

from ckptedit.concepts.templates import require_kind
from ckptedit.errors import BadParam
from ckptedit.families import Family

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


@cache
def _sections(path: Path) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {"style": [], "object": []}
    section = None
    for line in _read(path).splitlines():
        text = line.strip()
        if text.startswith("[") and text.endswith("]"):
            section = text[1:-1]
        elif text and not text.startswith("#"):
            if section not in found:
                raise BadParam(f"{path.name}: {text!r} is in no [style] or [object] section")
            found[section].append(text)
    return {kind: tuple(words) for kind, words in found.items()}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadParam(f"cannot read the lexicon {path}: {error}") from error
