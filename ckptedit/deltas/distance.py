"""How far two versions of a tensor are apart: values that differ in their bits, and the worst."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit.files import decode
from ckptedit.files.dtypes import FLOATS

Bytes = NDArray[np.uint8]
Distance = tuple[int, float]


def apart(one: Bytes, other: Bytes, dtype: str) -> Distance:
    """Between stored bytes of one dtype: [nbytes] each. Of integers only the number counts."""
    if np.array_equal(one, other):
        return 0, 0.0
    if dtype not in FLOATS:
        return int((one != other).sum()), 0.0
    return apart_in_value(decode(one, dtype), decode(other, dtype))


def apart_in_value(one: NDArray[Any], other: NDArray[Any]) -> Distance:
    """Between numbers: [n] each, of any float dtype. Zeros of unlike sign differ."""
    x, y = one.astype(np.float64), other.astype(np.float64)
    differ = (x != y) | (np.signbit(x) != np.signbit(y))
    return int(differ.sum()), float(np.abs(x - y).max(initial=0.0))
