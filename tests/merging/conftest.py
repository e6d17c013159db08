"""Small checkpoints with every kind of tensor, and ways to edit them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ckptedit.files import Checkpoint, Spec, encode, write

FLOATS = {
    "model.diffusion_model.input_blocks.1.1.attn2.to_k.weight": ("F16", (12, 8)),
    "model.diffusion_model.output_blocks.3.1.attn2.to_v.weight": ("BF16", (12, 8)),
    "model.diffusion_model.time_embed.0.weight": ("F32", (5, 4)),
    "model.diffusion_model.middle_block.0.weight": ("F64", (7,)),
    "cond_stage_model.embedding.weight": ("F8_E5M2", (6, 5)),
    "first_stage_model.conv.weight": ("F16", (4, 3, 3, 3)),
    "logit_scale": ("F32", ()),
    "empty": ("F16", (0, 4)),
}
INTEGERS = {"position_ids": ("I64", np.arange(7)), "mask": ("BOOL", np.array([True, False]))}

Make = Callable[..., Path]


def values(shift: int) -> dict[str, np.ndarray]:
    """Numbers for a base (shift 0) or for one of its edits."""
    base, change = np.random.default_rng(0), np.random.default_rng(shift)
    found = {}
    for name, (_, shape) in FLOATS.items():
        start = base.standard_normal(shape)
        found[name] = start + (change.standard_normal(shape) * 0.1 if shift else 0)
    return found


def save(path: Path, tensors: dict[str, tuple], metadata=None) -> Path:
    """tensors: name -> (dtype, values), or (dtype, stored bytes, shape)"""
    specs, data = [], []
    for name, (dtype, value, *shape) in tensors.items():
        specs.append(Spec(name, dtype, shape[0] if shape else np.shape(value)))
        data.append(value if shape else encode(np.asarray(value), dtype, name=name))
    write(path, specs, data, metadata or {}, force=True)
    return path


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make("a", 1, {...}) writes edit 1 as a.safetensors, with some tensors replaced or, where the
    replacement is None, left out."""

    def build(stem, shift=0, replace=None, metadata=None) -> Path:
        tensors = {n: (FLOATS[n][0], v.astype(np.float64)) for n, v in values(shift).items()}
        tensors |= INTEGERS
        tensors |= replace or {}
        kept = {name: pair for name, pair in tensors.items() if pair is not None}
        return save(tmp_path / f"{stem}.safetensors", kept, metadata)

    return build


@pytest.fixture
def base(make: Make) -> Path:
    return make("base", metadata={"format": "pt", "author": "somebody"})


@pytest.fixture
def edits(make: Make) -> list[Path]:
    return [make(f"edit{i}", i) for i in (1, 2, 3)]


def numbers(path: Path) -> dict[str, np.ndarray]:
    with Checkpoint(path) as checkpoint:
        return {name: checkpoint.values(name) for name in checkpoint}


def stored(path: Path) -> dict[str, bytes]:
    with Checkpoint(path) as checkpoint:
        return {name: checkpoint.raw(name).tobytes() for name in checkpoint}
