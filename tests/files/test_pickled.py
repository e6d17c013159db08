"""Pickles: their tensors are read, and nothing in them is run."""

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch

from ckptedit.errors import BadCheckpoint
from ckptedit.files.pickled import Unpickled, is_pickle

RAN = []


class Program:
    """What unpickling it would do is known by RAN, in this process."""

    def __reduce__(self):
        return RAN.append, ("ran",)


class Other:
    pass


TABLES = {
    "flat": {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2).half()},
    "nested": {"unet": {"a.weight": torch.ones(2, 3)}, "modifier_token": {}},
    "wrapped": {"state_dict": OrderedDict({"a.weight": torch.nn.Parameter(torch.ones(2, 3))})},
    "a view": {"a.weight": torch.arange(100.0).reshape(10, 10)[:2].t()},
    "two of one storage": dict.fromkeys(["a.weight", "b"], torch.arange(3, dtype=torch.bfloat16)),
}
NAMES = {"nested": {"unet.a.weight"}, "wrapped": {"a.weight"}, "a view": {"a.weight"}}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_tensors_are_read_as_a_checkpoint(tmp_path, kind, legacy):
    path = tmp_path / "x.pt"
    torch.save(TABLES[kind], path, _use_new_zipfile_serialization=not legacy)
    assert is_pickle(path)
    read = Unpickled(path)
    assert set(read) == NAMES.get(kind, {"a.weight", "b"})
    first = next(iter(read))
    table = TABLES[kind].get("unet") or TABLES[kind].get("state_dict") or TABLES[kind]
    expected = next(iter(table.values())).detach()
    assert read[first].shape == tuple(expected.shape)
    np.testing.assert_array_equal(read.values(first), expected.float().numpy())
    assert b"".join(bytes(piece) for piece in read.chunks(first, 4)) == read.raw(first).tobytes()
    assert len(read.data_sha256()) == 64


REFUSED = [
    ({"state_dict": {"a": torch.ones(1)}, "a": torch.zeros(1)}, "holds a twice"),
    ({"a": Program()}, "asks for (builtins.)?getattr"),
    ({"a": Other()}, r"asks for files\.test_pickled\.Other"),
    ({"a": np.float64(3)}, "asks for numpy"),
    ({"a": torch.nn.Linear(2, 2)}, r"asks for torch\.nn\.modules\.linear\.Linear"),
    ({"a": torch.ones(1), "epoch": 3}, "epoch is of type int"),
    ({"a": {"b": [torch.ones(1)]}}, r"a\.b is of type list"),
    ([torch.ones(2)], "all of it is of type list"),
    (torch.ones(2), "all of it is of type Tensor"),
    ({1: torch.ones(2)}, "all of it is of type dict"),
    ({"a": torch.ones(1).expand(10**9)}, r"a has 4 bytes, and its shape \[1000000000\] takes 4000"),
    ({"a": torch.eye(3).to_sparse()}, "a is a tensor of no kind that can be read"),
    (
        {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": torch.ones(1)}}}}}}}}},
        "is of type dict",
    ),
]


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("value, message", REFUSED)
def test_whatever_else_is_in_it_is_refused_by_name_in_one_line(tmp_path, value, message, legacy):
    path = tmp_path / "x.pt"
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(BadCheckpoint, match=message) as caught:
        Unpickled(path)
    assert "\n" not in str(caught.value) and not RAN


class Touch:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_program_in_it_is_not_run(tmp_path, legacy, monkeypatch):
    """Not even where the environment asks torch to run it."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path = tmp_path / "x.pt"
    torch.save({"a": Touch(tmp_path / "ran")}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(BadCheckpoint, match=r"asks for posix\.mkdir, which is no tensor"):
        Unpickled(path)
    assert not (tmp_path / "ran").exists()
    torch.load(path, weights_only=False)  # it is a program indeed
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("data", [
    b"PK\x03\x04" + bytes(60), b"\x80\x02garbage", pickle.dumps({"a": 1}), b"\x80\x04.",
    pickle.dumps({"a": "x" * 1000})[:500],
])  # fmt: skip
def test_what_torch_did_not_write_is_refused_in_one_line(tmp_path, data):
    (tmp_path / "x.pt").write_bytes(data)
    with pytest.raises(
        BadCheckpoint, match=r"no file of tensors as torch\.save writes it"
    ) as caught:
        Unpickled(tmp_path / "x.pt")
    assert "\n" not in str(caught.value) and "weights_only" not in str(caught.value)
