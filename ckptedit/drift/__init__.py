"""Comparing: two checkpoints to numbers.

`compare` measures, `judge` holds the figures against `Rules`, `diff` does both, and the rest
of the room shows them: Markdown, JUnit, a picture. None of it needs torch.
"""

from ckptedit.drift.compare import compare, compared
from ckptedit.drift.comparison import Comparison, Group, Reshaped, TensorDiff
from ckptedit.drift.gates import Judgement, Limit, Outcome, Rules, judge, require_matches
from ckptedit.drift.run import Drift, diff
from ckptedit.drift.sums import Figures, Sums

__all__ = [
    "Comparison",
    "Drift",
    "Figures",
    "Group",
    "Judgement",
    "Limit",
    "Outcome",
    "Reshaped",
    "Rules",
    "Sums",
    "TensorDiff",
    "compare",
    "compared",
    "diff",
    "judge",
    "require_matches",
]
