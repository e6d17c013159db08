"""The task vectors of one tensor, read from files a stretch at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit.errors import BadCheckpoint
from ckptedit.files import Checkpoint, decode_into, escape
from ckptedit.merging.scratch import Scratch
from ckptedit.merging.stack import Array, Counts, Stack, Stretch, WholeMerge
from ckptedit.merging.task_vectors import Filler, TaskVectors, read_float64, refuse_nonfinite


@dataclass(eq=False)
class Inputs:
    """What one merge reads.

    weights: one per edit
    grams:   one [d, d] per edit, None where it carries none
    """

    base: Checkpoint
    edits: Sequence[TaskVectors]
    weights: tuple[float, ...]
    model: WholeMerge
    tally: Counts = field(default_factory=Counts)
    scratch: Scratch = field(default_factory=Scratch)

    @cached_property
    def grams(self) -> list[NDArray[Any] | None]:
        return [edit.gram() for edit in self.edits]


class FileStack(Stack):
    """A stack of a tensor that is in the base and perhaps in edits."""

    def __init__(self, inputs: Inputs, name: str) -> None:
        """Compares the bytes of base and edits; raises Incompatible if they do not fit together."""
        self.inputs, self.name = inputs, name
        self.info = inputs.base[name]
        self.shape, self.weights = self.info.shape, inputs.weights
        self.model, self.tally = inputs.model, inputs.tally
        self.fillers: list[Filler | None] = [edit.fill(inputs.base, name) for edit in inputs.edits]

    @property
    def untouched(self) -> bool:
        """Whether every edit leaves this tensor as the base has it."""
        return not any(self.fillers)

    @property
    def width(self) -> int:
        """Stored bytes per entry."""
        return self.info.nbytes // self.size if self.size else 1

    def gram(self, edit: int) -> NDArray[Any] | None:
        return self.inputs.grams[edit]

    def read(self, start: int, stop: int, edits: Sequence[int]) -> Stretch:
        count, scratch = stop - start, self.inputs.scratch
        base = scratch.take("base", count, np.float32)
        self._read_base(start, count, base)
        deltas = scratch.take("deltas", len(edits) * count, np.float32).reshape(-1, count)
        for row, edit in zip(deltas, edits, strict=True):
            fill = self.fillers[edit]
            if fill is None:
                row[:] = 0
            else:
                fill(start, stop, base, row)
        return Stretch(start, base, deltas)

    def _read_base(self, start: int, count: int, out: Array) -> None:
        raw = self.inputs.scratch.take("raw", count * self.width, np.uint8)
        self.inputs.base.read_into(self.name, raw, start * self.width)
        decode_into(raw, self.info.dtype, out)

    def exact_base(self, stretch: Stretch) -> Array:
        """The base's values of a stretch, float64 if they are stored so: [m]"""
        if self.info.dtype != "F64":
            return stretch.base
        return read_float64(self.inputs.base, self.name, stretch.start, stretch.stop)

    def require_finite(self, start: int, stop: int) -> None:
        """Raises BadCheckpoint, naming the file, if base or a task vector is not finite in this
        stretch; a base of float64 may go beyond float32."""
        stretch = self.read(start, stop, range(len(self.weights)))
        finite = np.isfinite(stretch.deltas).all()
        if finite and np.isfinite(stretch.base).all():
            return
        checkpoints = [self.inputs.base, *(s for edit in self.inputs.edits for s in edit.sources)]
        for checkpoint in checkpoints:
            refuse_nonfinite(checkpoint, self.name)
        if not finite:
            raise BadCheckpoint(
                f"tensor {escape(self.name)}: a task vector is not finite in float32"
            )
