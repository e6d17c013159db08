"""Which prompts an erasure reads, for whoever embeds them elsewhere: `erase --list-prompts`."""

from pathlib import Path
from typing import Any

from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.erasure.erase import erase
from ckptedit.errors import CkptError
from ckptedit.families import detect
from ckptedit.files import Checkpoint
from ckptedit.files.cache import uncached
from ckptedit.text.embeddings import Wanted, table_of


def prompts_needed(
    checkpoint: Checkpoint,
    concepts: str | list[str],
    *,
    embeddings: str | Path | None = None,
    lexicon: str | Path | None = None,
    **options: Any,
) -> list[str]:
    """The prompts that the same erasure would look for in a file of embeddings, and not find.

    embeddings: what is there already; which neighbours are retained is told from them, so that a
                first list may not be the whole of it: embed, and ask again until it is empty
    options:    as `erase` takes them
    Computes the erasure with noise in place of what is missing, and writes nothing. Raises what
    `erase` raises before anything is read.
    """
    family = detect(checkpoint)
    names = list(lexicon_of(family, Path(lexicon) if lexicon else None))
    with_file = None if embeddings is None else table_of(Checkpoint(embeddings), family.text_width)
    wanted = Wanted(family.text_width, with_file, names)
    try:
        with uncached():  # what comes from noise is not to be found again
            erase(checkpoint, concepts, None, embeddings=wanted.table, lexicon=lexicon, **options)
    except CkptError:  # of the noise, maybe
        if not wanted.prompts:
            raise
    return list(wanted.prompts)
