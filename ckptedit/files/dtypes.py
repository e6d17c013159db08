"""Stored bytes to numbers and back, and the values of an edit in whatever form it has them.

Decoding is exact. Encoding rounds once, to the nearest, ties to even. F16 and BF16 have a compiled
pass; where it was not built, and for F8, numpy does the same in a dozen (`narrow.py`), in blocks
that stay in the processor's cache.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ckptedit.errors import Incompatible, Overflow
from ckptedit.files.header import BITS, TensorInfo
from ckptedit.files.names import escape
from ckptedit.files.narrow import NARROW, Bytes, narrow, round_to_odd, widen
from ckptedit.files.nonfinite import holds_nonfinite

# numpy array, torch tensor, or a function without arguments that returns one
NewValues: TypeAlias = Any

try:
    from ckptedit.files import _convert
except ImportError:
    COMPILED: frozenset[str] = frozenset()
else:
    COMPILED = frozenset({"F16", "BF16"})

BLOCK = 1 << 16  # values per block: 256 KiB of float32, which fits into a core's own cache

# fmt: off
NATIVE = {  # dtypes that numpy has
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
    "U64": "<u8", "I64": "<i8", "F64": "<f8", "F32": "<f4", "F16": "<f2", "C64": "<c8",
}
# fmt: on

FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})


def decode_into(raw: Bytes, dtype: str, out: NDArray[Any]) -> None:
    """Writes the numbers that raw holds into out, which is reused from call to call. Exact.

    raw: [n * width] stored bytes; out: [n] contiguous float32, where nothing is allocated, or
    float64. F64 and wide integers are rounded if out is float32.
    """
    if dtype in NARROW and out.dtype != np.float32:
        np.copyto(out, decode(raw, dtype))
    elif dtype in COMPILED:
        _convert.decode(raw, out, dtype)
    elif dtype in NARROW:
        widen(raw, NARROW[dtype], out)
    else:
        np.copyto(out, raw.view(_native(dtype)), casting="unsafe")


def _native(dtype: str) -> str:
    if dtype not in NATIVE:
        raise Incompatible(f"no arithmetic is known for the dtype {dtype}; it can only be copied")
    return NATIVE[dtype]


def number_type(dtype: str) -> np.dtype[Any]:
    """What `values` returns for a stored dtype: float32, or the stored type of F64, ints, BOOL."""
    return np.dtype(np.float32 if dtype in FLOATS - {"F64"} else _native(dtype))


def largest(dtype: str) -> float:
    """The largest finite value of a float dtype."""
    if dtype not in NARROW:
        return float(np.finfo(_native(dtype)).max)
    form = NARROW[dtype]
    return float(decode(np.array([form.special - 1], form.unsigned).view(np.uint8), dtype)[0])


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
    width = BITS[dtype] // 8
    for i in range(0, len(flat), BLOCK):
        with np.errstate(all="ignore"):
            fits = _store(flat[i : i + BLOCK], dtype, out[i * width : (i + BLOCK) * width])
        if not fits:
            raise Overflow(_overflow(flat, dtype, name))


def _store(block: NDArray[Any], dtype: str, out: Bytes) -> bool:
    if dtype not in NARROW:
        return _copy(block, out.view(_native(dtype)))
    values = round_to_odd(block) if block.dtype == np.float64 else block
    if dtype in COMPILED:
        return _convert.encode(values, out, dtype)
    return narrow(values, NARROW[dtype], out)


def _copy(block: NDArray[Any], stored: NDArray[Any]) -> bool:
    np.copyto(stored, block, casting="unsafe")
    return bool(np.isfinite(stored).all())


def _overflow(flat: NDArray[Any], dtype: str, name: str) -> str:
    if not np.isfinite(flat).all():
        return f"tensor {escape(name)}: NaN or Inf among the new values"
    largest = float(np.abs(flat).max())
    return f"tensor {escape(name)}: the new value {largest:.6g} does not fit into its {dtype}"


def stored_bytes(edit: NewValues, info: TensorInfo) -> NDArray[np.uint8]:
    """An edit as the bytes to store for a tensor: [nbytes] uint8, rounded once.

    edit: float32 or float64 values in the tensor's shape, a torch tensor of any float dtype, values
    that have the stored dtype already, the stored bytes [nbytes] uint8 themselves, or a function
    without arguments that returns one of these
    Raises Incompatible if the shape or dtype does not fit, Overflow if the stored values would be
    Inf or NaN. Stored bytes are not looked at.
    """
    value = edit() if callable(edit) and not hasattr(edit, "dtype") else edit
    if not isinstance(value, np.ndarray):
        return _from_torch(value, info)
    if value.dtype == np.uint8 and value.shape == (info.nbytes,) and info.dtype != "U8":
        return value
    _require_shape(value, info)
    if value.dtype == np.float16 and info.dtype == "F16":
        return _finite(np.ascontiguousarray(value).reshape(-1).view(np.uint8), info)
    return encode(value, info.dtype, name=info.name)


def _from_torch(value: Any, info: TensorInfo) -> NDArray[np.uint8]:
    import torch

    from ckptedit.files.torch_dtypes import TORCH, to_raw

    _require_shape(value, info)
    if value.dtype == TORCH.get(info.dtype):
        return _finite(to_raw(value), info)
    wide = value.detach().cpu()
    numbers = wide if wide.dtype == torch.float64 else wide.float()
    return encode(numbers.numpy(), info.dtype, name=info.name)


def _require_shape(value: Any, info: TensorInfo) -> None:
    if tuple(value.shape) != info.shape:
        raise Incompatible(
            f"tensor {escape(info.name)} has the shape {list(info.shape)}, "
            f"its new values {list(value.shape)}"
        )


def _finite(raw: NDArray[np.uint8], info: TensorInfo) -> NDArray[np.uint8]:
    if holds_nonfinite(raw, info.dtype):
        raise Overflow(f"tensor {escape(info.name)}: NaN or Inf among the new values")
    return raw
