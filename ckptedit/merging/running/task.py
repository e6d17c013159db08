"""Task arithmetic continued: the sum is all there is, to the bit (`methods/task.py`)."""

from ckptedit.merging.running.sums import Parts, Sums
from ckptedit.merging.stack import Array


class TaskSums(Sums):
    parts = ("sum",)

    def fold(self, sums: Parts, delta: Array) -> None:
        sums["sum"] += delta

    def merged(self, sums: Parts, count: int) -> Array:
        return sums["sum"]
