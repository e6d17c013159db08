"""Stored bytes to numbers and back, in numpy alone.

Decoding is exact. Encoding rounds once, to the nearest, ties to even. Both work in blocks that stay
in the processor's cache; numpy's own float32 -> float16 is 40 times slower on subnormal results,
which is what the differences of two models are made of.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit.errors import Incompatible, Overflow
from ckptedit.files.header import BITS
from ckptedit.files.names import escape

Bytes = NDArray[np.uint8]

BLOCK = 1 << 16  # values per block: 256 KiB of float32, which fits into a core's own cache

# fmt: off
NATIVE = {  # dtypes that numpy has
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
    "U64": "<u8", "I64": "<i8", "F64": "<f8", "F32": "<f4", "F16": "<f2", "C64": "<c8",
}
# fmt: on

FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})


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


def decode_into(raw: Bytes, dtype: str, out: NDArray[Any]) -> None:
    """Writes the numbers that raw holds into out, which is reused from call to call. Exact.

    raw: [n * width] stored bytes; out: [n] contiguous float32, where nothing is allocated, or
    float64. F64 and wide integers are rounded if out is float32.
    """
    if dtype in NARROW and out.dtype != np.float32:
        np.copyto(out, decode(raw, dtype))
    elif dtype in NARROW:
        _widen(raw, NARROW[dtype], out)
    else:
        np.copyto(out, raw.view(_native(dtype)), casting="unsafe")


def _widen(raw: Bytes, form: Narrow, out: NDArray[np.float32]) -> None:
    """Moves exponent and mantissa into place, then corrects the exponent by a multiplication.

    The product is exact, and makes subnormals right as well.
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


def _native(dtype: str) -> str:
    if dtype not in NATIVE:
        raise Incompatible(f"no arithmetic is known for the dtype {dtype}; it can only be copied")
    return NATIVE[dtype]


def number_type(dtype: str) -> np.dtype[Any]:
    """What `values` returns for a stored dtype: float32, or the stored type of F64, ints, BOOL."""
    return np.dtype(np.float32 if dtype in FLOATS - {"F64"} else _native(dtype))


def decode(raw: Bytes, dtype: str) -> NDArray[Any]:
    """The numbers that raw holds, exactly: [n] float32, or as `number_type` says."""
    kind = number_type(dtype)
    out = np.empty(len(raw) * 8 // BITS[dtype], kind)
    if kind != np.float32:
        out[:] = raw.view(kind)
        return out
    width = BITS[dtype] // 8
    for i in range(0, len(out), BLOCK):
        decode_into(raw[i * width : (i + BLOCK) * width], dtype, out[i : i + BLOCK])
    return out


def encode(values: NDArray[Any], dtype: str, *, name: str) -> Bytes:
    """The stored bytes of values, rounded once to the nearest, ties to even.

    values: float32 or float64 of any shape for a float dtype, else exactly the stored type
    name: of the tensor, for the message
    Returns [numel * width] uint8. Raises Overflow if a result is Inf or NaN.
    """
    out = np.empty(values.size * BITS[dtype] // 8, np.uint8)
    encode_into(values, dtype, out, name=name)
    return out


def encode_into(values: NDArray[Any], dtype: str, out: Bytes, *, name: str) -> None:
    """As `encode`, into bytes that are reused: out [numel * width] uint8, contiguous."""
    flat = np.ascontiguousarray(values).reshape(-1)
    if dtype not in FLOATS:
        if flat.dtype != np.dtype(_native(dtype)):
            raise Incompatible(f"tensor {escape(name)} is stored as {dtype}, not as {flat.dtype}")
        out[:] = flat.view(np.uint8)
        return
    if flat.dtype not in (np.float32, np.float64):
        raise Incompatible(f"tensor {escape(name)}: {flat.dtype} values; they must be float32")
    width, form = BITS[dtype] // 8, NARROW.get(dtype)
    scratch = np.empty((2, min(BLOCK, len(flat)) if form else 0), np.int32)
    for i in range(0, len(flat), BLOCK):
        block, target = flat[i : i + BLOCK], out[i * width : (i + BLOCK) * width]
        with np.errstate(all="ignore"):
            if form:
                fits = _narrow(block, form, target.view(form.unsigned), scratch[:, : len(block)])
            else:
                fits = _copy(block, target.view(_native(dtype)))
        if not fits:
            raise Overflow(_overflow(flat, dtype, name))


def _copy(block: NDArray[Any], stored: NDArray[Any]) -> bool:
    np.copyto(stored, block, casting="unsafe")
    return bool(np.isfinite(stored).all())


def _narrow(
    block: NDArray[Any], form: Narrow, bits: NDArray[Any], scratch: NDArray[np.int32]
) -> bool:
    """Rounds a block to a narrow format; False, and nothing useful, if Inf or NaN would come out.

    block: [n] float32 or float64; bits: [n] the unsigned type of form; scratch: [2, n]
    """
    x = _round_to_odd(block) if block.dtype == np.float64 else block
    wide = scratch[0].view(np.float32)
    np.abs(x, out=wide)
    if not wide.max() < form.limit:
        return False
    if form.bias:
        _round_bits(wide, form, scratch[1])
    else:
        _round_upper_half(scratch[0], scratch[1])
    sign = scratch[1]
    np.right_shift(x.view(np.int32), np.int32(32 - bits.itemsize * 8), out=sign)
    sign &= np.int32(form.magnitude + 1)
    sign |= scratch[0]
    np.copyto(bits, sign, casting="unsafe")
    return True


def _round_bits(wide: NDArray[np.float32], form: Narrow, power: NDArray[np.int32]) -> None:
    """Turns magnitudes, in place, into those of the narrow format, as bits; power is scratch.

    Adding a power of two that is 2^shift times the value's own drops exactly the bits that do not
    fit, rounded to even by the processor; taking it off again is exact.
    """
    bits = wide.view(np.int32)
    np.bitwise_and(bits, np.int32(0x7F800000), out=power)
    np.maximum(power, np.int32((form.bias + 1) << 23), out=power)
    power += np.int32(form.shift << 23)
    wide += power.view(np.float32)
    wide -= power.view(np.float32)
    wide *= np.float32(2.0**-form.bias)
    bits >>= np.int32(form.shift)


def _round_upper_half(bits: NDArray[np.int32], odd: NDArray[np.int32]) -> None:
    """Turns the bits of magnitudes, in place, into those of bfloat16; odd is scratch."""
    np.right_shift(bits, np.int32(16), out=odd)
    odd &= np.int32(1)
    odd += np.int32(0x7FFF)
    bits += odd
    bits >>= np.int32(16)


def _round_to_odd(x: NDArray[np.float64]) -> NDArray[np.float32]:
    """Truncated, with the last bit set if inexact: rounds on to fewer bits as x itself would."""
    nearest = x.astype(np.float32)
    bits = nearest.view(np.int32)
    back = nearest.astype(np.float64)
    bits -= (np.abs(back) > np.abs(x)) & np.isfinite(x)
    bits |= (back != x) & np.isfinite(x)
    return nearest


def _overflow(flat: NDArray[Any], dtype: str, name: str) -> str:
    if not np.isfinite(flat).all():
        return f"tensor {escape(name)}: NaN or Inf among the new values"
    largest = float(np.abs(flat).max())
    return f"tensor {escape(name)}: the new value {largest:.6g} does not fit into its {dtype}"
