"""Small checkpoints that hold every kind of tensor, written by the safetensors library."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ckptedit.files.torch_dtypes import to_raw


def tensors() -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(1)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng)

    return {
        "attn2.to_k.weight": randn(6, 4),
        "attn2.to_v.weight": randn(6, 4).half(),
        "conv.weight": randn(2, 3, 3, 3).bfloat16(),
        "double": randn(3).double(),
        "fp8.e4m3": randn(3, 5).to(torch.float8_e4m3fn),
        "fp8.e5m2": randn(7).to(torch.float8_e5m2),
        "logit_scale": torch.tensor(4.6),
        "position_ids": torch.arange(7),
        "signed": torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "mask": torch.tensor([True, False, True]),
        "empty": torch.zeros(0, 4),
    }


def raw_file(header: object, data: bytes = b"") -> bytes:
    """A safetensors file with any header, right or wrong. header: an object, text, or bytes."""
    if not isinstance(header, str | bytes):
        header = json.dumps(header)
    text = header.encode() if isinstance(header, str) else header
    return len(text).to_bytes(8, "little") + text + data


def same_bits(a: Tensor, b: Tensor) -> bool:
    return (a.dtype, a.shape) == (b.dtype, b.shape) and bytes(to_raw(a)) == bytes(to_raw(b))


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.safetensors"
    save_file(tensors(), path, metadata={"format": "pt"})
    return path
