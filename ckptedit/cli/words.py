"""Which tokenizer a command reads words with: found before anything slow is imported, and said."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ckptedit.cli.output import say_notes
from ckptedit.errors import BadParam

if TYPE_CHECKING:
    from ckptedit.families.vocabulary import Vocabulary
    from ckptedit.files import Checkpoint


def words_of(
    checkpoint: "Checkpoint", given: Path | None, *, download: bool, quiet: bool
) -> "Vocabulary | None":
    """The tokenizer of a checkpoint; None if its family has no text encoder that could use one.

    given: by the user; download: whether it may be fetched. What was found elsewhere is said.
    """
    from ckptedit.families import detect
    from ckptedit.families.vocabulary import GIVEN, SHIPPED, find_vocabulary
    from ckptedit.files import escape

    family = detect(checkpoint)
    if not family.readers:
        return None
    found = find_vocabulary(checkpoint, family, given, download=download)
    if found.source not in (GIVEN, SHIPPED):
        say_notes([f"tokenizer {found.source}: {escape(found.where)}"], quiet)
    return found


def require_own_words(folder: Path | None, embeddings: object, **of_its_own: object) -> None:
    """Raises BadParam for an option of the checkpoint's own text encoder where another is read.

    of_its_own: those options, None or False where they were not given
    """
    if folder is None and embeddings is None:
        return
    for name, value in of_its_own.items():
        if value:
            other = "--text-encoder" if embeddings is None else "--embeddings"
            raise BadParam(
                f"--{name.replace('_', '-')} is of a text encoder in the checkpoint, and {other} "
                "is read instead of it; leave one out"
            )


def require_alone(list_prompts: bool, **others: object) -> None:
    """Raises BadParam for --list-prompts beside an option that asks for another result.

    others: those options, None or False where they were not given
    """
    for name in others if list_prompts else ():
        if others[name]:
            raise BadParam(f"--list-prompts prints prompts, and no more; leave out --{name}")


def as_fact(found: "Vocabulary | None") -> dict[str, Any] | None:
    """What was used, under stable names."""
    return None if found is None else {"path": str(found.where), "source": found.source}
