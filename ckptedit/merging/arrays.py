"""Merging arrays in memory: a method on plain task vectors, for tests and for Python users."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ckptedit.merging.stack import Array, Counts, Kernel, Stack, Stretch, WholeMerge


@dataclass(eq=False)
class ArrayStack(Stack):
    """A stack that is in memory already.

    vectors: [n, *shape] task vectors; converted to float32
    weights: [n]; all 1 if left out
    start:   [*shape] the base's weights; zeros if left out
    grams:   [n, d, d]
    """

    vectors: Array
    weights: tuple[float, ...] = ()
    start: Array | None = None
    grams: Array | None = None
    name: str = "weight"
    tally: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self.vectors = np.asarray(self.vectors, np.float32)
        self.shape = self.vectors.shape[1:]
        self.weights = self.weights or (1.0,) * len(self.vectors)
        self.model = WholeMerge(lambda: iter([self]))

    def read(self, start: int, stop: int, edits: Sequence[int]) -> Stretch:
        flat = self.vectors.reshape(len(self.vectors), -1)[list(edits), start:stop]
        base = self.start
        return Stretch(
            start, np.zeros_like(flat[0]) if base is None else base.reshape(-1)[start:stop], flat
        )

    def gram(self, edit: int) -> Array | None:
        return None if self.grams is None else self.grams[edit]


def merge_arrays(method: Callable[..., Kernel], stack: ArrayStack, **params: Any) -> Array:
    """The merged task vector [*shape] of a stack in memory.

    method: from METHODS; params: its keyword-only parameters
    """
    kernel = method(stack, **params)
    edits = range(len(stack.weights))
    spans = stack.spans(whole_rows=getattr(method, "by_rows", False))
    merged = [kernel(stack.read(start, stop, edits)) for start, stop in spans]
    flat = np.concatenate(merged) if merged else np.zeros(0, np.float32)
    return flat.reshape(stack.shape)
