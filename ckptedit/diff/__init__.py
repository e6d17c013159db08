"""Comparing: two checkpoints to numbers.

`compare` measures, `judge` holds the figures against `Rules`, `diff_files` does both, and the rest
of the room shows them: Markdown, JUnit, a picture. None of it needs torch.
"""

from ckptedit.diff.compare import compare, compared
from ckptedit.diff.gates import Judgement, Limit, Rules, Verdict, judge, require_matches
from ckptedit.diff.report import Group, Report, Reshaped, TensorDiff
from ckptedit.diff.run import diff_files, opened
from ckptedit.diff.sums import Figures, Sums
from ckptedit.rooms import make_callable

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
    "diff_files",
    "judge",
    "opened",
    "require_matches",
]

make_callable(__name__, "ckptedit.diff.run:diff_files")
