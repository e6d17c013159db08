"""Noise as a function of words and a seed, the same on every machine, in any batch and order."""

from hashlib import sha256

import torch
from torch import Tensor


def noise_for(shape: tuple[int, ...], *key: str | int) -> Tensor:
    """Standard normal noise of this shape, float32 on the CPU, that depends on the key alone.

    key: words and numbers, for example (style, object, seed)
    """
    # lengths keep ("ab", "c") apart from ("a", "bc"), the type keeps 1 apart from "1"
    text = "".join(f"{type(word).__name__}{len(str(word))}:{word}" for word in key)
    seed = int.from_bytes(sha256(text.encode()).digest()[:8], "little") >> 1
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def noises_for(shape: tuple[int, ...], keys: list[tuple[str | int, ...]]) -> Tensor:
    """One noise per key, [n, *shape]."""
    return torch.stack([noise_for(shape, *key) for key in keys])
