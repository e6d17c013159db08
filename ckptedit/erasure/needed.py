"""Which prompts an erasure reads, for whoever embeds them elsewhere: `erase --list-prompts`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.erasure.erase import erase
from ckptedit.families import detect
from ckptedit.files import Checkpoint
from ckptedit.text.embeddings import wanted_prompts


def prompts_needed(
    checkpoint: Checkpoint,
    concepts: str | Sequence[str],
    *,
    embeddings: str | Path | None = None,
    lexicon: str | Path | None = None,
    **options: Any,
) -> list[str]:
    """The prompts that the same erasure would look for in a file of embeddings, and not find.

    embeddings: what is there already; which neighbours are retained is told from them, so that a
                first list may not be the whole of it: embed, and ask again until it is empty
    options:    as `erase` takes them
    Computes the erasure with noise in place of what is missing, and writes nothing.
    """
    family = detect(checkpoint)
    names = list(lexicon_of(family, Path(lexicon) if lexicon else None))
    how = {"lexicon": lexicon, **options}
    return wanted_prompts(
        family.text_width,
        names,
        embeddings,
        lambda table: erase(checkpoint, concepts, None, embeddings=table, **how),
    )
