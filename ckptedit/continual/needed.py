"""Which prompts a run reads, for whoever embeds them elsewhere: `continual --list-prompts`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.continual.plan import planned
from ckptedit.continual.requests import Requests
from ckptedit.continual.strategies.strategy import erased_together
from ckptedit.families import detect
from ckptedit.files import Checkpoint
from ckptedit.progress import silent
from ckptedit.text.embeddings import wanted_prompts
from ckptedit.text.table import PromptTable


def prompts_needed(
    base: Checkpoint,
    asked: Requests,
    *,
    strategy: str | None = None,
    options: Mapping[str, Any] | None = None,
    embeddings: str | Path | None = None,
) -> list[str]:
    """The prompts that the same run would look for in a file of embeddings, and not find.

    Arguments as of `unlearn`. As of `erase`, a first list may not be the whole of it: embed, and
    ask again until it is empty. Erases with noise in place of what is missing, and writes nothing.
    """
    how = dict.fromkeys(("threads", "tokenizer", "clip_skip", "text_encoder")) | {"device": "cpu"}

    def work(table: PromptTable) -> None:
        plan = planned(
            base, asked, Path(), strategy=strategy, joining={}, options=options or {},
            how=how | {"embeddings": table}, keep="last", eval=False, eval_at=(), budget=None,
            track=silent,
        )  # fmt: skip
        verifier = plan.verifier()
        for number, entry in enumerate(plan.work.entries, start=1):
            entries = plan.work.standing(number) if plan.strategy.jointly else [entry]
            if any(each.concepts for each in entries):
                made = erased_together(plan.work, entries, base, None, {})
                verifier.look(base, made.request.targets)

    names = list(lexicon_of(detect(base)))
    return wanted_prompts(detect(base).text_width, names, embeddings, work)
