"""What a continued merge keeps: for every tensor a few arrays of sums over the edits so far."""

from collections.abc import Mapping, MutableMapping
from typing import Any, ClassVar

import numpy as np

from ckptedit.merging.stack import Array

Parts = MutableMapping[str, Array]  # name of a sum -> [m] float32


class Sums:
    """The sums of one method, every edit with weight 1. Its hyperparameters are the method's.

    parts: names of the arrays that are kept of each tensor
    """

    parts: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **params: Any) -> None:
        self.params = params

    @classmethod
    def can(cls, params: Mapping[str, Any]) -> bool:
        """Whether sums are enough with these hyperparameters, resolved."""
        return True

    def empty(self, size: int) -> dict[str, Array]:
        """The sums of no edit at all."""
        return {part: np.zeros(size, np.float32) for part in self.parts}

    def fold(self, sums: Parts, delta: Array) -> None:
        """Adds one task vector [m] to the sums, in place."""
        raise NotImplementedError

    def merged(self, sums: Parts, count: int) -> Array:
        """The merged task vector [m] of so many edits; what `merge` makes of all of them."""
        raise NotImplementedError
