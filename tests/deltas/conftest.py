"""A checkpoint with the names of the family mini, and edits of it, in any dtype."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ckptedit.files import Checkpoint, Spec, decode, encode, ledger, write

UNET = "model.diffusion_model."
KEY = f"{UNET}input_blocks.3.1.transformer_blocks.0.attn2.to_k.weight"
VALUE = f"{UNET}input_blocks.3.1.transformer_blocks.0.attn2.to_v.weight"
CONV = f"{UNET}input_blocks.1.0.in_layers.2.weight"
BIAS = f"{UNET}input_blocks.1.0.in_layers.2.bias"
TEXT = "cond_stage_model.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight"
VAE = "first_stage_model.decoder.conv_in.weight"
IDS = "cond_stage_model.transformer.text_model.embeddings.position_ids"

SHAPES = {
    KEY: (128, 256),
    VALUE: (128, 256),
    CONV: (48, 16, 3, 3),
    BIAS: (48,),
    TEXT: (64, 64),
    VAE: (8, 4, 3, 3),
    f"{UNET}out.2.bias": (4,),
}
ERASED = {"operation": "erase", "options": {}, "parent_sha256": "0", "concepts": ["Van Gogh"]}

Make = Callable[..., Path]


def rounded(values: np.ndarray, dtype: str) -> np.ndarray:
    """What a dtype makes of values, float32."""
    stored = decode(encode(np.asarray(values, np.float32), dtype, name="x"), dtype)
    return stored.astype(np.float32).reshape(np.shape(values))


def start() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(s).astype(np.float32) * 0.05 for name, s in SHAPES.items()}


def low_rank(shape: tuple[int, ...], rank: int, seed: int = 1, size: float = 0.1) -> np.ndarray:
    """A change of the given rank, its Frobenius norm `size` times that of the base's tensors."""
    rng = np.random.default_rng(seed)
    flat = (shape[0], int(np.prod(shape[1:])))
    change = rng.standard_normal((flat[0], rank)) @ rng.standard_normal((rank, flat[1]))
    change *= size * 0.05 * np.sqrt(change.size) / np.linalg.norm(change)
    return change.reshape(shape).astype(np.float32)


def dense(shape: tuple[int, ...], seed: int = 2, size: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) * 0.05 * size).astype(np.float32)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make("edited", "F16", {KEY: change}) writes the base, rounded, plus changes, rounded."""

    def build(stem, dtype="F16", changes=None, replace=None, lines=()):
        tensors = {name: rounded(values, dtype) for name, values in start().items()}
        for name, change in (changes or {}).items():
            tensors[name] = tensors[name].astype(np.float64) + change
        tensors |= replace or {}
        specs = [Spec(name, dtype, values.shape) for name, values in tensors.items()]
        data = [encode(values, dtype, name=name) for name, values in tensors.items()]
        specs.append(Spec(IDS, "I64", (7,)))
        data.append(np.arange(7))
        metadata = ledger.replaced({"author": "somebody"}, lines)
        path = tmp_path / f"{stem}.safetensors"
        write(path, specs, data, metadata, force=True)
        return path

    return build


def stored(path: Path) -> dict[str, bytes]:
    with Checkpoint(path) as checkpoint:
        return {name: checkpoint.raw(name).tobytes() for name in checkpoint}


def numbers(path: Path) -> dict[str, np.ndarray]:
    with Checkpoint(path) as checkpoint:
        return {name: checkpoint.values(name) for name in checkpoint}
