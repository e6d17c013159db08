"""A closed form over all that is asked for so far, from the original weights.

Nothing is built on what went before: no drift adds up, requests may come in any order and be
withdrawn, and the ledger of the result has one entry. A closed form needs second moments of the
targets' prompts only. One encoder reads for all requests, and `balanced` keeps a moment of each
target with it, so that a request costs the reading of its own targets, and of what stays.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from ckptedit.continual.strategies.strategy import Step, Strategy, Work, copied, erased_together
from ckptedit.files import Checkpoint


class Recomputed(Strategy):
    """All targets at once, in closed form, from the original."""

    jointly = True
    trained: ClassVar[bool | None] = False
    remedy = "make the method erase more (-p), or give its request another anchor"

    def step(
        self, work: Work, number: int, newest: Checkpoint, output: Path, tighter: Mapping[str, Any]
    ) -> Step:
        entries = work.standing(number)
        if not entries:
            copied(work.base, output)
            return Step(None)
        if work.verifier:
            work = replace(work, how={**work.how, "embeddings": work.verifier.words.encoder})
        return Step(erased_together(work, entries, work.base, output, tighter))
