"""Stored bytes to numbers and back, with torch as the oracle."""

import numpy as np
import pytest
import torch
from both_ways import both_ways

from ckptedit.errors import Incompatible, Overflow
from ckptedit.files import decode, decode_into, dtypes, encode, encode_into, number_type
from ckptedit.files.dtypes import BLOCK, FLOATS
from ckptedit.files.header import BITS
from ckptedit.files.narrow import NARROW
from ckptedit.files.torch_dtypes import TORCH, to_raw

LARGEST = {"F16": 65504.0, "BF16": 3.3895313892515355e38, "F8_E4M3": 448.0, "F8_E5M2": 57344.0}

way = both_ways(dtypes, "COMPILED")


def every_pattern(dtype: str) -> np.ndarray:
    """All values of an 8- or 16-bit dtype, as stored: [n] uint8."""
    count = 1 << BITS[dtype]
    return np.arange(count, dtype=NARROW[dtype].unsigned).view(np.uint8)


def by_torch(raw: np.ndarray, dtype: str) -> np.ndarray:
    return torch.from_numpy(raw.copy()).view(TORCH[dtype]).float().numpy()


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal including the sign of zero; NaN equals NaN, whatever its sign."""
    signs = (np.signbit(a) == np.signbit(b)) | np.isnan(a)
    return bool(np.array_equal(a, b, equal_nan=True) and signs.all())


@pytest.mark.parametrize("dtype", NARROW)
def test_every_stored_value_decodes_as_in_torch(dtype):
    raw = every_pattern(dtype)
    assert same(decode(raw, dtype), by_torch(raw, dtype))


@pytest.mark.parametrize("dtype", NARROW)
def test_a_single_nan_or_inf_decodes_as_in_torch(dtype):
    patterns = every_pattern(dtype).view(NARROW[dtype].unsigned)
    for special in patterns[~np.isfinite(decode(patterns.view(np.uint8), dtype))][::97]:
        raw = np.array([0, 1, special], patterns.dtype).view(np.uint8)
        assert same(decode(raw, dtype), by_torch(raw, dtype))


@pytest.mark.parametrize("dtype", NARROW)
def test_every_finite_value_comes_back_bit_for_bit(dtype):
    raw = every_pattern(dtype)
    values = decode(raw, dtype)
    finite = np.isfinite(values)
    stored = raw.view(NARROW[dtype].unsigned)[finite]
    for kind in (np.float32, np.float64):
        back = encode(values[finite].astype(kind), dtype, name="w")
        assert np.array_equal(back.view(stored.dtype), stored)


def hard_values(dtype: str) -> np.ndarray:
    """Ties, their neighbours, subnormals and whatever bits come up: [n] float32, all finite."""
    grid = decode(every_pattern(dtype), dtype)
    grid = np.unique(grid[np.isfinite(grid)])
    ties = ((grid[1:].astype(np.float64) + grid[:-1]) / 2).astype(np.float32)
    near = [np.nextafter(x, np.float32(side)) for x in (ties, grid) for side in (-np.inf, np.inf)]
    rng = np.random.default_rng(0)
    anything = rng.integers(0, 2**32, 1 << 18, dtype=np.uint32).view(np.float32)
    small = rng.standard_normal(1 << 18).astype(np.float32) * np.float32(1e-6)
    values = np.concatenate([grid, ties, *near, anything, small, -small * np.float32(1e-3)])
    return values[np.isfinite(values)]


@pytest.mark.parametrize("dtype", NARROW)
def test_rounds_to_the_nearest_ties_to_even_as_torch_does(dtype):
    values = hard_values(dtype)
    values = values[np.abs(values) <= np.float32(LARGEST[dtype])]
    expected = to_raw(torch.from_numpy(values).to(TORCH[dtype]))
    assert np.array_equal(encode(values, dtype, name="w"), expected)


@pytest.mark.parametrize("dtype", NARROW)
def test_float64_is_rounded_once_and_not_by_way_of_float32(dtype):
    grid = decode(every_pattern(dtype), dtype)
    grid = np.unique(grid[np.isfinite(grid) & (grid >= 0)]).astype(np.float64)
    low, high = grid[:-1], grid[1:]
    tie = (low + high) / 2
    above, below = np.nextafter(tie, np.inf), np.nextafter(tie, -np.inf)
    assert np.array_equal(decode(encode(above, dtype, name="w"), dtype), high)
    assert np.array_equal(decode(encode(below, dtype, name="w"), dtype), low)


@pytest.mark.parametrize(
    "dtype, least",
    [
        ("F16", 65520.0),
        ("BF16", float(np.uint32(0x7F7F8000).view(np.float32))),
        ("F8_E4M3", float(np.nextafter(np.float32(464), np.float32(500)))),
        ("F8_E5M2", 61440.0),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_value_that_does_not_fit_is_an_error_that_names_the_tensor(dtype, least, sign):
    fits = np.nextafter(np.float32(least), np.float32(0))
    stored = encode(np.array([sign * fits], np.float32), dtype, name="w")
    assert decode(stored, dtype)[0] == sign * LARGEST[dtype]
    for kind in (np.float32, np.float64):
        with pytest.raises(Overflow, match=rf"tensor w\\n: the new value .* fit into its {dtype}"):
            encode(np.array([0, sign * least], kind), dtype, name="w\n")


def test_float64_that_does_not_fit_into_float32_is_an_error():
    with pytest.raises(Overflow, match="new value 1e\\+39 does not fit into its F32"):
        encode(np.array([1e39]), "F32", name="w")
    assert encode(np.array([3.4e38]), "F32", name="w").view(np.float32)[0] == np.float32(3.4e38)


@pytest.mark.parametrize("dtype", sorted(FLOATS))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_are_never_stored(dtype, value):
    values = np.zeros(3 * BLOCK, np.float32)
    values[-1] = value
    with pytest.raises(Overflow, match="NaN or Inf among the new values"):
        encode(values, dtype, name="w")


@pytest.mark.parametrize("dtype", NARROW)
def test_blocks_join_without_a_seam(dtype):
    rng = np.random.default_rng(0)
    values = rng.uniform(-2, 2, (3, BLOCK // 2 + 1)).astype(np.float32)
    whole = encode(values, dtype, name="w")
    assert np.array_equal(whole, to_raw(torch.from_numpy(values).to(TORCH[dtype])))
    assert np.array_equal(decode(whole, dtype), by_torch(whole, dtype))


@pytest.mark.parametrize("dtype", sorted(FLOATS - {"F64"}))
def test_decoding_into_a_reused_buffer_is_the_same(dtype):
    values = np.linspace(-3, 3, 1000, dtype=np.float32)
    raw = encode(values, dtype, name="w")
    out, wide = np.full(1000, np.nan, np.float32), np.full(1000, np.nan)
    decode_into(raw, dtype, out)
    decode_into(raw, dtype, wide)
    assert np.array_equal(out, decode(raw, dtype))
    assert np.array_equal(wide, decode(raw, dtype))


def test_encoding_into_a_reused_buffer_is_the_same():
    values = np.linspace(-3, 3, 1000, dtype=np.float32)
    out = np.full(2000, 255, np.uint8)
    encode_into(values, "F16", out, name="w")
    assert np.array_equal(out, encode(values, "F16", name="w"))


def test_float64_stays_float64():
    values = np.array([1 / 3, -0.0, 1e300])
    raw = encode(values, "F64", name="w")
    assert number_type("F64") == np.float64
    assert same(decode(raw, "F64"), values)
    assert np.array_equal(
        decode(encode(np.float32([0.1]), "F64", name="w"), "F64"), np.float32([0.1])
    )


@pytest.mark.parametrize("dtype", ["I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64"])
def test_integers_keep_every_bit(dtype):
    kind = number_type(dtype)
    extremes = np.array([np.iinfo(kind).min, 0, np.iinfo(kind).max], kind)
    raw = encode(extremes, dtype, name="w")
    assert np.array_equal(decode(raw, dtype), extremes)
    with pytest.raises(Incompatible, match=f"is stored as {dtype}, not as float32"):
        encode(np.zeros(3, np.float32), dtype, name="w")


def test_values_of_a_float_dtype_must_be_float32_or_float64():
    with pytest.raises(Incompatible, match="int64 values"):
        encode(np.arange(3), "F16", name="w")


def test_dtypes_without_arithmetic_say_so():
    with pytest.raises(Incompatible, match="can only be copied"):
        decode(np.zeros(2, np.uint8), "F8_E8M0")


@pytest.mark.parametrize("values", [np.zeros((0, 4), np.float32), np.float32(2.5)])
def test_empty_tensors_and_scalars(values):
    raw = encode(np.asarray(values), "F16", name="w")
    assert np.array_equal(decode(raw, "F16"), np.ravel(values))


def test_values_need_not_be_contiguous():
    values = np.arange(12, dtype=np.float32).reshape(3, 4).T
    assert np.array_equal(decode(encode(values, "BF16", name="w"), "BF16"), values.ravel())


def test_buffers_that_do_not_fit_are_an_error():
    _convert = pytest.importorskip("ckptedit.files._convert")
    raw, values = np.zeros(6, np.uint8), np.zeros(4, np.float32)
    for convert, buffers in ((_convert.decode, (raw, values)), (_convert.encode, (values, raw))):
        with pytest.raises(ValueError, match="do not fit"):
            convert(*buffers, "F16")
        with pytest.raises(ValueError, match="do not fit F64"):
            convert(values, values, "F64")


def test_stored_bytes_may_lie_at_odd_addresses():
    values = np.linspace(-3, 3, 1000, dtype=np.float32)
    room = np.zeros(2001, np.uint8)
    encode_into(values, "F16", room[1:], name="w")
    assert np.array_equal(decode(room[1:], "F16"), values.astype(np.float16).astype(np.float32))
