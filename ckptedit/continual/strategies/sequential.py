"""Each request is erased from the result of the one before, as they come.

θ_n = U(θ_{n-1}, {c_n}): Lee et al., ICLR 2026, https://arxiv.org/abs/2511.07970, where it is shown
to collapse unless guards hold what stays. Each file's ledger tells the next erasure of the targets
before, so that they are held erased. Cheapest of all to train; what was built upon cannot be
withdrawn.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ckptedit.continual.strategies.strategy import Step, Strategy, Work, erased_together
from ckptedit.files import Checkpoint


class Sequential(Strategy):
    """Each request from the last result."""

    takes_back = False
    anew = False
    remedy = "erase it again, or take --strategy recomputed, which builds on nothing"

    def step(
        self, work: Work, number: int, newest: Checkpoint, output: Path, tighter: Mapping[str, Any]
    ) -> Step:
        asked = work.entries[number - 1 : number]
        return Step(erased_together(work, asked, newest, output, tighter))
