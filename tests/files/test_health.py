"""Digests, and values that no model should have."""

import hashlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ckptedit.files import Checkpoint
from ckptedit.files.health import Unhealthy, examine
from ckptedit.files.nonfinite import SPECIAL, count_nonfinite, holds_nonfinite
from ckptedit.files.torch_dtypes import TORCH, to_raw
from tests.files.conftest import raw_file
from tests.files.test_layout import shards

__all__ = ["shards"]  # a fixture


def test_digests_are_those_of_the_data_and_of_the_file(base):
    health = examine(Checkpoint(base))
    assert health.sha256 == Checkpoint(base).data_sha256()
    assert health.file_sha256 == hashlib.sha256(base.read_bytes()).hexdigest()
    assert health.unhealthy == ()


def test_shards_have_no_digest_of_a_file(shards):
    health = examine(Checkpoint(shards))
    assert health.file_sha256 is None and health.sha256 == Checkpoint(shards).data_sha256()


@pytest.mark.parametrize("dtype", SPECIAL)
def test_nan_and_inf_are_counted_in_every_float_dtype(dtype, tmp_path):
    values = torch.tensor([0, -0.0, 1, torch.nan, -torch.inf, torch.inf, -torch.nan, -2, 448])
    stored = values.to(TORCH[dtype])
    nan, inf = int(stored.double().isnan().sum()), int(stored.double().isinf().sum())
    assert nan >= 2 and (inf == 2 or dtype == "F8_E4M3")
    assert count_nonfinite(to_raw(stored), dtype) == (nan, inf)
    save_file({"w": stored, "fine": torch.ones(3)}, tmp_path / "w.safetensors")
    unhealthy = examine(Checkpoint(tmp_path / "w.safetensors")).unhealthy
    assert unhealthy == (Unhealthy("w", nan, inf, 0),)


@pytest.mark.parametrize("dtype", [d for d in SPECIAL if d not in ("F32", "F64")])
def test_every_pattern_is_told_apart(dtype):
    signed, special = SPECIAL[dtype]
    every = np.arange(1 << np.iinfo(signed).bits).astype(signed)
    values = torch.from_numpy(every.copy()).view(TORCH[dtype]).double()
    nan, inf = int(values.isnan().sum()), int(values.isinf().sum())
    assert count_nonfinite(every.view(np.uint8), dtype) == (nan, inf)
    sign = -np.iinfo(signed).max - 1
    for pattern in [p + s for p in (0, special - 1, special, special + 1) for s in (0, sign)]:
        alone = np.array([0, pattern], np.int64).astype(signed)
        value = torch.from_numpy(alone.copy()).view(TORCH[dtype])[1].double()
        assert holds_nonfinite(alone.view(np.uint8), dtype) == (not value.isfinite())


@pytest.mark.parametrize("dtype", ["F8_E8M0", "C64"])
def test_dtypes_without_arithmetic_have_nan_too(dtype):
    values = np.array([255] * 4 + [0, 0, 128, 127] + [127] * 3 + [0] * 5, np.uint8)
    assert holds_nonfinite(values, dtype)
    assert count_nonfinite(values, dtype) == ((4, 0) if dtype == "F8_E8M0" else (1, 1))
    assert count_nonfinite(values[8:], dtype) == (0, 0)


@pytest.mark.parametrize("dtype", ["I64", "BOOL", "U8", "F4", "F6_E2M3"])
def test_other_dtypes_have_none(dtype):
    assert not holds_nonfinite(np.full(8, 255, np.uint8), dtype)


def test_malformed_bools_are_counted(tmp_path):
    fields = {"dtype": "BOOL", "shape": [4], "data_offsets": [0, 4]}
    (tmp_path / "bool.safetensors").write_bytes(raw_file({"m": fields}, b"\x01\x02\x00\xff"))
    health = examine(Checkpoint(tmp_path / "bool.safetensors"))
    assert health.unhealthy == (Unhealthy("m", 0, 0, 2),)


def test_progress_is_reported_tensor_by_tensor(base):
    seen = []

    def track(items, label, total=None, note=None):
        for item in items:
            seen.append((item, label, total))
            yield item

    examine(Checkpoint(base), track)
    assert seen == [(name, "reading", 12) for name in Checkpoint(base)]
