"""A change is computed stretch by stretch: none is ever built whole, whatever it is made of."""

import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import save_file

from ckptedit.deltas import plan
from ckptedit.deltas.change import patched
from ckptedit.files import Checkpoint

N = 1280
FILES = {
    "lokr": {"lokr_w1": (8, 8), "lokr_w2": (N // 8, N // 8)},
    "loha": {"hada_w1_a": (N, 4), "hada_w1_b": (4, N), "hada_w2_a": (N, 4), "hada_w2_b": (4, N)},
    "dora of rows": {"lora_B.weight": (N, 4), "lora_A.weight": (4, N), "dora_scale": (N, 1)},
    "dora of columns": {"lora_B.weight": (N, 4), "lora_A.weight": (4, N), "dora_scale": (1, N)},
}


@pytest.mark.parametrize("kind", FILES)
def test_no_more_than_the_weight_is_held_beside_its_bytes_before_and_after(tmp_path, kind):
    rng = np.random.default_rng(0)
    file = {f"m.{k}": rng.standard_normal(s).astype(np.float32) for k, s in FILES[kind].items()}
    save_file({"m.weight": np.ones((N, N), np.float16)}, tmp_path / "base.safetensors")
    save_file(file, tmp_path / "file.safetensors")
    with (
        Checkpoint(tmp_path / "base.safetensors") as base,
        Checkpoint(tmp_path / "file.safetensors") as theirs,
    ):
        delta = plan(base, theirs, fuzz=True).delta
        raw = base.raw("m.weight")
        tracemalloc.start()
        patched(raw, base["m.weight"], delta.change("m.weight"), 1)
        peak = tracemalloc.get_traced_memory()[1] - raw.nbytes
        tracemalloc.stop()
    assert peak < N * N * 8  # the change alone, in float64
