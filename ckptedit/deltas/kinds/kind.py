"""What a kind of change is made of: the parts that a file has of a module, and the base's weight.

Every kind is a file with one constant of its name; a line in KINDS makes it known. Nothing is read
until a stretch of the change is asked for, and nothing larger than one weight is ever built.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas.change import Change
from ckptedit.deltas.rows import BaseRows
from ckptedit.errors import BadCheckpoint
from ckptedit.files import Checkpoint, escape

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Parts:
    """What a file has of one module.

    keys:  part (a value of ENDS) -> its key in the file
    alpha: of a rank, the scale, if no tensor says it; None: 1
    """

    file: Checkpoint
    keys: Mapping[str, str]
    alpha: Callable[[int | None], float] | None = None

    def __contains__(self, part: str) -> bool:
        return part in self.keys

    def shape(self, part: str) -> Shape:
        return self.file[self.keys[part]].shape

    def values(self, part: str) -> NDArray[Any]:
        """[*shape] of a float dtype, or an integer for a scale; BadCheckpoint for NaN or Inf."""
        values = self.file.values(self.keys[part])
        if not np.isfinite(values).all():
            key = escape(self.keys[part])
            raise BadCheckpoint(f"{self.file.label}: tensor {key} holds NaN or Inf")
        return values

    def matrix(self, part: str) -> NDArray[Any]:
        """[first axis, all others]"""
        values = self.values(part)
        return values.reshape(len(values), -1)

    def scale(self, rank: int | None) -> float:
        """alpha / rank; 1 where the file has no alpha, or no factor has a rank."""
        if "alpha" in self:
            if rank is None:
                return 1.0
            return float(self.values("alpha").reshape(())) / rank
        return self.alpha(rank) if self.alpha else 1.0


class Kind(NamedTuple):
    """A kind of change.

    name:   as a user reads it
    parts:  that it has; alpha may be beside them
    shape:  [out, *rest] of the change that the parts make; None if they do not go together
    change: what they make of a weight of the base
    decomposes: whether a magnitude may be beside them (DoRA)
    one_way: whether the change depends on the weight that it is applied to
    """

    name: str
    parts: frozenset[str]
    shape: Callable[[Parts], Shape | None]
    change: Callable[[Parts, BaseRows], Change]
    decomposes: bool = True
    one_way: bool = False


def product(up: Shape, down: Shape) -> Shape | None:
    """Of factors [out, r] and [r, *rest], those of a convolution [out, r, 1, 1]; None: no product.

    A file may flatten what stands behind out; whether the weight agrees is seen by `fits`.
    """
    if len(up) < 2 or len(down) < 2 or prod(up[2:]) != 1 or not up[1] == down[0] > 0:
        return None
    return (up[0], *down[1:])


def tucker(core: Shape, first: Shape, second: Shape) -> Shape | None:
    """Of core [r, s, *k], first [r, out] and second [s, in]: [out, in, *k]"""
    if len(core) < 2 or len(first) != 2 or len(second) != 2 or 0 in core:
        return None
    if first[0] != core[0] or second[0] != core[1]:
        return None
    return (first[1], second[1], *core[2:])


def through(core: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """core [r, s, *k] and second [s, in] as the second factor of a product: [r, in * k]"""
    mixed = np.einsum("rs...,si->ri...", core.astype(np.float64), second.astype(np.float64))
    return mixed.reshape(len(core), -1)


def fits(made: Shape | None, weight: Shape) -> bool:
    """Whether a change of this shape is one of a weight: alike but for axes of length 1, or with
    all behind the first axis flattened."""
    if made is None or not weight or not made or made[0] != weight[0]:
        return made == weight
    flat = (prod(weight[1:]),)
    return made[1:] == flat or _without_ones(made[1:]) == _without_ones(weight[1:])


def _without_ones(shape: Shape) -> Shape:
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return shape
