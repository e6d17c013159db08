"""The compiled kernel: every value it can meet, one by one, and the numpy way as its peer."""

import shutil
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ckptedit.diff import kernel, norms
from ckptedit.files.dtypes import BITS, decode

DTYPES = ["F16", "BF16", "F32"]

built = pytest.mark.skipif(not kernel.DTYPES, reason="the kernel was not compiled")


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_it_is_built_where_there_is_a_compiler():
    assert set(DTYPES) == kernel.DTYPES


@built
@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_every_value_of_sixteen_bits_is_decoded_exactly(dtype):
    bits = np.arange(1 << 16, dtype=np.uint16)
    with np.errstate(all="ignore"):
        values = decode(bits.view(np.uint8), dtype).astype(np.float64)
    zero = np.zeros(2, np.uint8)
    for pattern, value in zip(bits, values, strict=True):
        sums = kernel.measured(zero, pattern[None].view(np.uint8), dtype, 1)
        if np.isfinite(value):
            assert sums is not None
            assert (sums.l1, sums.linf, sums.delta2) == (abs(value), abs(value), value**2)
            assert (sums.new2, sums.changed) == (value**2, int(pattern != 0))
        else:
            assert sums is None


@built
@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_any_bits_of_any_length_measure_as_in_numpy(dtype, data):
    """Lengths that fill no whole vector, values of any size; only what is finite."""
    width = BITS[dtype] // 8
    size = data.draw(st.integers(1, 70))
    raw = data.draw(arrays(np.uint8, (2, size * width)))
    values = np.zeros((3, 1, norms.ROW))
    with np.errstate(all="ignore"):
        for row, stored in zip(values, raw, strict=False):
            row[0, :size] = decode(stored, dtype)
    found = kernel.measured(*raw, dtype, size)
    if not np.isfinite(values).all():
        assert found is None
        return
    changed = int((raw[0].view(f"u{width}") != raw[1].view(f"u{width}")).sum())
    wanted = asdict(norms.moved(values, size, changed))
    scale = wanted["old2"] + wanted["new2"]  # what a scalar product is exact to
    assert asdict(found) == pytest.approx(wanted, rel=1e-12, abs=1e-12 * scale)


@built
def test_buffers_that_do_not_fit_are_refused():
    from ckptedit.diff._kernel import measure

    for old, new, dtype in ((4, 2, "F16"), (4, 4, "F64"), (4, 4, "")):
        with pytest.raises(ValueError, match="unknown dtype"):
            measure(np.zeros(old, np.uint8), np.zeros(new, np.uint8), dtype)
