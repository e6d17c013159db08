"""Tells NaN and Inf from the stored bits, at the speed of memory and without decoding."""

import numpy as np
from numpy.typing import NDArray

from ckptedit.files.narrow import NARROW

SPECIAL = {  # dtype -> integer type of its width, least magnitude that is Inf or NaN
    "F64": ("<i8", 0x7FF0000000000000),
    "F32": ("<i4", 0x7F800000),
    **{dtype: (form.signed, form.special) for dtype, form in NARROW.items()},
}


NAN = {"F8_E8M0": 0xFF, "F8_E4M3FNUZ": 0x80, "F8_E5M2FNUZ": 0x80}  # the one byte that is special


def holds_nonfinite(raw: NDArray[np.uint8], dtype: str) -> bool:
    """Whether NaN or Inf is among stored values. raw: [n * width]

    Integers, BOOL and floats of 4 and 6 bits have none.

    Read as a signed integer, a positive special is greater than any finite value; read as an
    unsigned one, a negative special is. So two maxima tell, and no array is made.
    """
    if dtype in NAN:
        return bool((raw == NAN[dtype]).any())
    if dtype == "C64":
        return holds_nonfinite(raw, "F32")
    if dtype not in SPECIAL or not len(raw):
        return False
    signed, special = SPECIAL[dtype]
    bits = raw.view(signed)
    sign_bit = 1 << (bits.itemsize * 8 - 1)
    negative = bits.view(signed.replace("i", "u")).max()
    return bool(bits.max() >= special or negative >= sign_bit + special)


def count_nonfinite(raw: NDArray[np.uint8], dtype: str) -> tuple[int, int]:
    """How many stored values are NaN, and how many Inf. raw: [n * width]; C64: of either part."""
    if not holds_nonfinite(raw, dtype):
        return 0, 0
    if dtype in NAN:
        return int((raw == NAN[dtype]).sum()), 0
    if dtype == "C64":
        return count_nonfinite(raw, "F32")
    signed, special = SPECIAL[dtype]
    bits = raw.view(signed)
    magnitude = bits & np.iinfo(signed).max
    if dtype == "F8_E4M3":  # has no Inf
        return int((magnitude == special).sum()), 0
    return int((magnitude > special).sum()), int((magnitude == special).sum())
