"""Comparing: two checkpoints to numbers.

`compare` measures, `judge` holds the figures against `Rules`, `diff` does both, and the rest
of the room shows them: Markdown, JUnit, a picture. None of it needs torch.
"""

from ckptedit.drift.compare import compare, compared
from ckptedit.drift.gates import Judgement, Limit, Rules, Verdict, judge, require_matches
from ckptedit.drift.report import Group, Report, Reshaped, TensorDiff
from ckptedit.drift.run import diff, opened
from ckptedit.drift.sums import Figures, Sums

__all__ = [
    "Figures",
    "Group",
    "Judgement",
    "Limit",
    "Report",
    "Reshaped",
    "Rules",
    "Sums",
    "TensorDiff",
    "Verdict",
    "compare",
    "compared",
    "diff",
    "judge",
    "opened",
    "require_matches",
]
