"""Float formats of 8 and 16 bits, in numpy alone.

numpy's own float32 -> float16 is 40 times slower on subnormal results, which is what the
differences of two models are made of.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Narrow:
    """A float format of 8 or 16 bits, described by how its bits move into a float32."""

    signed: str  # the integer type of its width; widening it copies the sign into the top bits
    shift: int  # from its last bit to the bit of the same worth in a float32
    bias: int  # what its exponents lack to those of float32
    special: int  # the least magnitude, as bits, that is Inf or NaN

    @property
    def unsigned(self) -> str:
        return self.signed.replace("i", "u")

    @property
    def magnitude(self) -> int:  # all bits but the sign
        return 0x7F if self.signed == "i1" else 0x7FFF

    @property
    def limit(self) -> np.float32:
        """The least float32 that rounds to Inf or NaN."""
        last, step = self.special - 1, 1 << (self.shift - 1)
        tie = (last << self.shift) + (self.bias << 23) + step
        return np.float32(np.uint32(tie + (last % 2 == 0)).view(np.float32))


NARROW = {
    "F16": Narrow("<i2", shift=13, bias=112, special=0x7C00),
    "BF16": Narrow("<i2", shift=16, bias=0, special=0x7F80),
    "F8_E5M2": Narrow("i1", shift=21, bias=112, special=0x7C),
    "F8_E4M3": Narrow("i1", shift=20, bias=120, special=0x7F),
}


def widen(raw: Bytes, form: Narrow, out: NDArray[np.float32]) -> None:
    """Writes the numbers that raw holds into out. Exact.

    Moves exponent and mantissa into place, then corrects the exponent by a multiplication, which is
    exact and makes subnormals right as well.
    """
    narrow, wide = raw.view(form.signed), out.view(np.int32)
    np.copyto(wide, narrow)
    np.left_shift(wide, form.shift, out=wide)
    if not form.bias:
        return
    np.bitwise_and(wide, np.int32(form.magnitude << form.shift | -(1 << 31)), out=wide)
    np.multiply(out, np.float32(2.0**form.bias), out=out)
    top, bottom = narrow.max(initial=0), raw.view(form.unsigned).max(initial=0)
    if top >= form.special or bottom > form.magnitude + form.special:
        _restore_special(narrow, form, wide)


def _restore_special(narrow: NDArray[Any], form: Narrow, wide: NDArray[np.int32]) -> None:
    special = (narrow & narrow.dtype.type(form.magnitude)) >= form.special
    np.bitwise_or(wide, np.int32(0x7F800000), out=wide, where=special)


def narrow(values: NDArray[np.float32], form: Narrow, out: Bytes) -> bool:
    """Rounds values to a narrow format; False, and nothing useful, if Inf or NaN would come out.

    values: [n]; out: [n * width]
    """
    bits = np.abs(values).view(np.int32)
    if not bits.view(np.float32).max() < form.limit:
        return False
    if form.bias:
        _round_bits(bits.view(np.float32), form)
    else:
        _round_upper_half(bits)
    stored = out.view(form.unsigned)
    sign = values.view(np.int32) >> np.int32(32 - stored.itemsize * 8)
    sign &= np.int32(form.magnitude + 1)
    sign |= bits
    np.copyto(stored, sign, casting="unsafe")
    return True


def _round_bits(wide: NDArray[np.float32], form: Narrow) -> None:
    """Turns magnitudes, in place, into those of the narrow format, as bits.

    Adding a power of two that is 2^shift times the value's own drops exactly the bits that do not
    fit, rounded to even by the processor; taking it off again is exact.
    """
    bits = wide.view(np.int32)
    power = bits & np.int32(0x7F800000)
    np.maximum(power, np.int32((form.bias + 1) << 23), out=power)
    power += np.int32(form.shift << 23)
    wide += power.view(np.float32)
    wide -= power.view(np.float32)
    wide *= np.float32(2.0**-form.bias)
    bits >>= np.int32(form.shift)


def _round_upper_half(bits: NDArray[np.int32]) -> None:
    """Turns the bits of magnitudes, in place, into those of bfloat16."""
    odd = bits >> np.int32(16)
    odd &= np.int32(1)
    odd += np.int32(0x7FFF)
    bits += odd
    bits >>= np.int32(16)


def round_to_odd(x: NDArray[np.float64]) -> NDArray[np.float32]:
    """Truncated, with the last bit set if inexact: rounds on to fewer bits as x itself would."""
    nearest = x.astype(np.float32)
    bits = nearest.view(np.int32)
    back = nearest.astype(np.float64)
    bits -= (np.abs(back) > np.abs(x)) & np.isfinite(x)
    bits |= (back != x) & np.isfinite(x)
    return nearest
