"""DoRA: the weight with its change keeps its direction, and a magnitude of its own is put on it.

Liu et al., DoRA: Weight-Decomposed Low-Rank Adaptation, 2024, https://arxiv.org/abs/2402.09353,
equation 5: W' = m · (W + ΔW) / ‖W + ΔW‖. The norm is of each row (m of [out, 1], as PEFT and
LyCORIS by default have it) or of each column (m of [1, in], as LyCORIS once had it, over all of a
convolution's window). So the change depends on the weight, and cannot be taken out of a sum.
Departs from ComfyUI, which takes the norm of W alone for rows (that of W + ΔW for columns), and
from lycoris-lora, which at a strength s puts (1 + s (m / ‖W + ΔW‖ - 1)) on W + ΔW, so that strength
0 does not give W: here it is W + s (W' - W). At strength 1 ours is LyCORIS' and PEFT's.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas.change import BLOCK, Change, Float64
from ckptedit.deltas.kinds.kind import Kind, Parts, Shape
from ckptedit.deltas.rows import BaseRows, cut

LYCORIS, PEFT = "dora_scale", "magnitude_vector"  # parts, of which a module has one
MAGNITUDES = frozenset({LYCORIS, PEFT})


@dataclass(frozen=True)
class Decomposed:
    """magnitude: [out] or, if by_column, [in]; change: ΔW, before the magnitude is put on it"""

    magnitude: NDArray[Any]
    change: Change
    weight: BaseRows
    by_column: bool

    def stretch(self, start: int, stop: int) -> Float64:
        return cut(self._rows, self.weight.width, start, stop)

    def _rows(self, first: int, last: int) -> Float64:
        old = self.weight.rows(first, last)
        new = self._directed(old, first, last)
        if self.by_column:
            new *= self._of_columns
        else:
            norms = np.linalg.norm(new, axis=1, keepdims=True)
            new *= _ratio(self.magnitude[first:last, None], norms)
        new -= old
        return new

    def _directed(self, old: Float64, first: int, last: int) -> Float64:
        width = self.weight.width
        return old + self.change.stretch(first * width, last * width).reshape(old.shape)

    @cached_property
    def _of_columns(self) -> Float64:
        """[width] what each column is multiplied by; a convolution's window counts as one."""
        out, columns = self.weight.shape[0], len(self.magnitude)
        squares = np.zeros(columns)
        step = max(BLOCK // 4 // self.weight.width, 1)
        for first in range(0, out, step):
            last = min(first + step, out)
            new = self._directed(self.weight.rows(first, last), first, last)
            windows = new.reshape(last - first, columns, -1)
            squares += np.einsum("ocw,ocw->c", windows, windows)
        return np.repeat(_ratio(self.magnitude, np.sqrt(squares)), self.weight.width // columns)


def _ratio(magnitude: NDArray[Any], norms: Float64) -> Float64:
    """What is zero has no direction, and stays zero."""
    return np.divide(magnitude, norms, out=np.zeros_like(norms), where=norms != 0)


def by_column(parts: Parts, weight: Shape) -> bool | None:
    """Whether the magnitude is one of columns; None if it is none of a weight of this shape.

    PEFT's is one of rows always, and of a convolution [1, out, 1, 1].
    """
    if len(weight) < 2:
        return None
    ones = (1,) * (len(weight) - 2)
    if PEFT in parts:
        rows = ((weight[0],), (1, weight[0], *ones))
        return False if parts.shape(PEFT) in rows else None
    if parts.shape(LYCORIS) == (weight[0], 1, *ones):
        return False
    return True if parts.shape(LYCORIS) == (1, weight[1], *ones) else None


def decomposed(kind: Kind) -> Kind:
    """The same kind with a magnitude put on the weight that it changes."""

    def change(parts: Parts, weight: BaseRows) -> Decomposed:
        magnitude = parts.values(PEFT if PEFT in parts else LYCORIS).reshape(-1)
        columns = bool(by_column(parts, weight.shape))
        return Decomposed(magnitude, kind.change(parts, weight), weight, columns)

    name, parts = f"dora of {kind.name}", kind.parts | MAGNITUDES
    return kind._replace(name=name, parts=parts, change=change, one_way=True)
