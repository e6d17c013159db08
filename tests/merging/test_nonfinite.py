"""NaN and Inf in what is merged or copied: never without a word."""

import numpy as np
import pytest

from ckptedit.errors import BadCheckpoint
from ckptedit.files import Checkpoint
from ckptedit.merging import copying, merge
from merging.conftest import stored

SPECIAL = {  # stored bits of NaN with a payload, and of Inf
    "F16": np.array([1, 0x7C01], np.uint16), "BF16": np.array([1, 0xFF80], np.uint16),
    "F32": np.array([1, 0x7F800123], np.uint32), "F64": np.array([1, 0x7FF0 << 48], np.uint64),
    "F8_E5M2": np.array([1, 0xFC], np.uint8), "F8_E4M3": np.array([1, 0xFF], np.uint8),
}  # fmt: skip


def sick(dtype="F16"):
    return {"sick": (dtype, SPECIAL[dtype].tobytes(), (2,))}


def merged(base, edit, **settings):
    out = base.with_name("out.safetensors")
    return merge(base, [edit], out, **settings), out


@pytest.mark.parametrize("dtype", SPECIAL)
def test_nan_in_a_tensor_that_no_edit_touches_is_refused_or_copied(make, dtype, monkeypatch):
    monkeypatch.setattr(copying, "COPY", 8)  # in the last of several pieces
    base, edit = make("base", 0, sick(dtype)), make("edit", 1, sick(dtype))
    with pytest.raises(
        BadCheckpoint, match=r"base\.safetensors: tensor sick holds NaN or Inf; --al"
    ):
        merged(base, edit)
    assert not base.with_name("out.safetensors").exists()
    report, out = merged(base, edit, allow_nonfinite=True)
    assert stored(out)["sick"] == SPECIAL[dtype].tobytes()
    assert report.nonfinite == ["sick"] and "(sick) hold NaN or Inf" in report.notes[0]


def test_nan_in_a_tensor_that_keys_leave_out_is_refused(make):
    base, edit = make("base", 0, sick()), make("edit", 1)
    with pytest.raises(BadCheckpoint, match="tensor sick holds NaN or Inf"):
        merged(base, edit, keys=["logit_scale"])


def test_nan_in_a_tensor_that_is_added_is_refused_or_copied(base, make):
    edit = make("edit", 1, sick())
    with pytest.raises(BadCheckpoint, match=r"edit\.safetensors: tensor sick holds NaN or Inf"):
        merged(base, edit, extra="keep")
    report, out = merged(base, edit, extra="keep", allow_nonfinite=True)
    assert stored(out)["sick"] == SPECIAL["F16"].tobytes() and report.nonfinite == ["sick"]


def test_nan_in_a_tensor_that_is_merged_is_refused_even_so(base, make):
    bits = np.full(1, 0x7FC00000, np.uint32).tobytes()
    edit = make("edit", 1, {"logit_scale": ("F32", bits, ())})
    with pytest.raises(BadCheckpoint, match=r"edit.*logit_scale holds NaN or Inf, and cannot be"):
        merged(base, edit, allow_nonfinite=True)


def test_finite_extremes_are_not_taken_for_inf(make):
    large = {"large": ("F16", np.array([0x7BFF, 0xFBFF], np.uint16).tobytes(), (2,))}
    report, out = merged(make("base", 0, large), make("edit", 1, large))
    assert report.nonfinite == [] and report.notes == []
    with Checkpoint(out) as checkpoint:
        assert checkpoint.values("large").tolist() == [65504, -65504]
