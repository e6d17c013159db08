"""Which prompts an audit reads, for whoever embeds them elsewhere: `audit --list-prompts`."""

from pathlib import Path
from typing import Any

from ckptedit.audits.audit import audit
from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.families import detect
from ckptedit.files import Checkpoint
from ckptedit.text.embeddings import wanted_prompts


def prompts_needed(
    checkpoint: Checkpoint,
    concept: str | None,
    *,
    original: Checkpoint,
    embeddings: str | Path | None = None,
    **options: Any,
) -> list[str]:
    """The prompts that the same audit would look for in a file of embeddings, and not find.

    options: as `audit` takes them. Audits with noise in place of what is missing.
    """
    family = detect(original)
    return wanted_prompts(
        family.text_width,
        list(lexicon_of(family)),
        embeddings,
        lambda table: audit(checkpoint, concept, original=original, embeddings=table, **options),
    )
