"""The kinds of changes that files of other tools hold. One is a file here, and a line in KINDS."""

from ckptedit.deltas.kinds.diff import DIFF
from ckptedit.deltas.kinds.dora import MAGNITUDES, by_column, decomposed
from ckptedit.deltas.kinds.kind import Kind, Parts, fits
from ckptedit.deltas.kinds.loha import LOHA
from ckptedit.deltas.kinds.lokr import LOKR
from ckptedit.deltas.kinds.lora import LORA
from ckptedit.deltas.kinds.values import VALUES

KINDS = (LORA, LOHA, LOKR, DIFF, VALUES)

__all__ = ["KINDS", "MAGNITUDES", "Kind", "Parts", "by_column", "decomposed", "fits"]
