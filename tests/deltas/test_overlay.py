"""An overlay is, tensor by tensor and byte by byte, the checkpoint that `apply` writes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ckptedit.deltas import apply, write_delta
from ckptedit.deltas.overlay import Overlay
from ckptedit.errors import DoesNotFit
from ckptedit.files import Checkpoint

SHAPES = {"a.weight": (64, 32), "b.weight": (300, 500), "c.bias": (7,), "steps": (3,)}


def tensors(seed: int) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    made = {name: torch.randn(*shape, generator=rng).half() for name, shape in SHAPES.items()}
    return made | {"steps": torch.tensor([1, 2, seed])}


def test_an_overlay_reads_as_what_apply_writes(tmp_path: Path) -> None:
    old = tensors(0)
    new = old | {name: tensors(1)[name] for name in ("b.weight", "c.bias", "steps")}
    for name, table in (("old", old), ("new", new)):
        save_file(table, tmp_path / name)
    write_delta(tmp_path / "old", tmp_path / "new", tmp_path / "delta", exact=True)
    apply(tmp_path / "old", tmp_path / "delta", tmp_path / "out.safetensors")
    overlay = Overlay(Checkpoint(tmp_path / "old"), Checkpoint(tmp_path / "delta"))
    written = Checkpoint(tmp_path / "out.safetensors")
    assert list(overlay) == list(Checkpoint(tmp_path / "old"))
    assert overlay.data_sha256() == written.data_sha256()
    for name in overlay:
        assert overlay.in_file(name) == (name == "a.weight")
        assert np.array_equal(overlay.raw(name), written.raw(name))
        assert b"".join(map(bytes, overlay.chunks(name, 1000))) == written.raw(name).tobytes()
        assert np.array_equal(overlay.values(name), written.values(name))


def test_a_delta_of_another_base_is_refused(tmp_path: Path) -> None:
    for seed in range(3):
        save_file(tensors(seed), tmp_path / str(seed))
    write_delta(tmp_path / "0", tmp_path / "1", tmp_path / "delta")
    with pytest.raises(DoesNotFit, match="was not made from"):
        Overlay(Checkpoint(tmp_path / "2"), Checkpoint(tmp_path / "delta"))
