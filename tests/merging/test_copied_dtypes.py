"""Dtypes without arithmetic are copied bit for bit, and never computed with."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ckptedit.deltas import apply, write_delta
from ckptedit.errors import Incompatible
from ckptedit.files import Checkpoint
from ckptedit.merging import METHODS, merge
from merging.conftest import stored

DTYPES = {
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "F8_E8M0": torch.float8_e8m0fnu,
    "C64": torch.complex64,
}
EVERY = torch.arange(256, dtype=torch.uint8)  # all bytes, those of NaN among them
TWO = {"slerp", "add-difference"}


def save(path, weight, odd=EVERY):
    tensors = {name: odd.clone().view(dtype) for name, dtype in DTYPES.items()}
    save_file({"w": torch.tensor([weight, 2.0]), **tensors}, path)
    return path


def test_they_come_through_merge_and_apply_with_every_bit(tmp_path):
    base = save(tmp_path / "base.safetensors", 1.0)
    edits = [save(tmp_path / f"{i}.safetensors", 1.0 + i) for i in (1, 2)]
    out = tmp_path / "out.safetensors"
    for method in METHODS:
        if method != "fuse":  # wants matrices
            merge(base, edits, out, method=method, allow_nonfinite=True, force=True)
            assert_copied(out, base)
    delta = write_delta(base, edits[0], tmp_path / "d.safetensors")
    there = apply(base, delta.path, tmp_path / "there.safetensors")
    assert_copied(there.path, base)
    assert stored(there.path) == stored(edits[0])


def assert_copied(path, base):
    theirs = load_file(path)  # safetensors reads what we wrote
    for name, dtype in DTYPES.items():
        assert theirs[name].dtype == dtype
        assert stored(path)[name] == stored(base)[name] == EVERY.numpy().tobytes()


@pytest.mark.parametrize("name", DTYPES)
def test_where_they_differ_a_merge_says_what_to_do(tmp_path, name):
    base, edit = save(tmp_path / "base.safetensors", 1.0), tmp_path / "edit.safetensors"
    tensors = load_file(base)
    tensors[name] = EVERY.flip(0).view(DTYPES[name])
    save_file(tensors, edit)
    with pytest.raises(Incompatible, match=rf"{name}.*with other bytes.*--keys '!{name}'"):
        merge(base, [edit], tmp_path / "out.safetensors", allow_nonfinite=True)
    keys = ["**", f"!{name}"]
    left = merge(base, [edit], tmp_path / "o.safetensors", keys=keys, allow_nonfinite=True)
    assert stored(left.path) == stored(base)


@pytest.mark.parametrize("name", DTYPES)
def test_as_a_tensor_of_torch_they_have_the_same_bytes(tmp_path, name):
    with Checkpoint(save(tmp_path / "x.safetensors", 1.0)) as checkpoint:
        found = checkpoint.tensor(name)
    assert found.dtype == DTYPES[name]
    assert np.array_equal(found.view(torch.uint8), EVERY)
