"""A base of a few weights in float64, so that what a file changes can be compared to the last bits,
and what `apply` makes of a file beside it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ckptedit.deltas import apply

SHAPES = {
    "linear": (12, 8),
    "square": (4, 4),
    "conv": (6, 4, 3, 3),
    "point": (6, 4, 1, 1),
    "even": (4, 4, 3, 3),
    "norm": (5,),
}
Tensors = dict[str, np.ndarray]
Changed = Callable[..., Tensors]


def weights() -> Tensors:
    rng = np.random.default_rng(7)
    found = {f"{name}.weight": rng.standard_normal(shape) for name, shape in SHAPES.items()}
    return found | {"linear.bias": rng.standard_normal(12)}


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


@pytest.fixture
def changed(tmp_path: Path) -> Changed:
    """changed({"linear.alpha": ...}) applies a file of these tensors; what it adds, by name."""

    def run(tensors: Tensors, metadata=None, **options) -> Tensors:
        base = weights()
        save_file(base, tmp_path / "base.safetensors")
        save_file(tensors, tmp_path / "theirs.safetensors", metadata=metadata)
        out = tmp_path / "out.safetensors"
        apply(tmp_path / "base.safetensors", tmp_path / "theirs.safetensors", out, fuzz=True,
              force=True, **options)  # fmt: skip
        found = load_file(out)
        return {n: found[n] - base[n] for n in base if not np.array_equal(found[n], base[n])}

    return run
