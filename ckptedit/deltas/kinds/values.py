"""Values that take the place of a weight's: `.set_weight`, and the tensors of a partial checkpoint.

ESD (Gandikota et al., 2023, https://arxiv.org/abs/2303.07345) and UCE (Gandikota et al., 2024,
https://arxiv.org/abs/2308.14761) save what they edited so, under diffusers' names.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas.change import Change, Float64, Replacement
from ckptedit.deltas.kinds.kind import Kind, Parts, Shape
from ckptedit.deltas.rows import BaseRows, cut
from ckptedit.files import encode

PARTS = ("set", "set_b")


@dataclass(frozen=True)
class Wanted:
    """New values of rows of the base, [rows, width]; the change is what they are away from it."""

    values: NDArray[Any]
    weight: BaseRows

    def stretch(self, start: int, stop: int) -> Float64:
        new = self.values.reshape(-1)[start:stop].astype(np.float64)
        return new - cut(self.weight.rows, self.weight.width, start, stop)


def _shape(parts: Parts) -> Shape | None:
    return parts.shape(next(part for part in PARTS if part in parts))


def _change(parts: Parts, weight: BaseRows) -> Change:
    values = parts.values(next(part for part in PARTS if part in parts))
    if (name := weight.whole) is None:
        return Wanted(values, weight)
    info = weight.base[name]
    new = encode(values, info.dtype, name=name)
    return Replacement(weight.base.raw(name), new, info.dtype, values.reshape(prod(info.shape)))


VALUES = Kind("values", frozenset(PARTS), _shape, _change, decomposes=False, one_way=True)
