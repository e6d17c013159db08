"""The mean continued: a sum, divided at the end; the same as `methods/linear.py` to rounding."""

import numpy as np

from ckptedit.merging.running.sums import Parts
from ckptedit.merging.running.task import TaskSums
from ckptedit.merging.stack import Array


class LinearSums(TaskSums):
    def merged(self, sums: Parts, count: int) -> Array:
        mean: Array = sums["sum"] / np.float32(count)
        return mean
