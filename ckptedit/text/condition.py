"""All that a denoiser reads of its prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

TOKENS, POOLED = "tokens", "pooled"


@dataclass(frozen=True)
class Condition:
    """What n prompts are to a denoiser.

    tokens: [n, L, d], one embedding for each position: what cross-attention reads
    pooled: [n, p], one vector for the whole prompt, where an architecture reads one (SDXL)
    extras: name -> [n, ...], whatever else it reads (SDXL's sizes and crops)

    K/V weights read `tokens` only: an edit of them cannot touch what comes through the others.
    """

    tokens: Tensor
    pooled: Tensor | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, rows: Tensor | slice) -> "Condition":
        """Some of the prompts, in the order of `rows`."""
        return self._with({name: tensor[rows] for name, tensor in self._tensors().items()})

    def to(self, device: torch.device | str) -> "Condition":
        return self._with({name: tensor.to(device) for name, tensor in self._tensors().items()})

    def repeat(self, times: int) -> "Condition":
        """Every prompt `times` times, in a row."""
        return self[torch.arange(len(self), device=self.tokens.device).repeat_interleave(times)]

    def split(self, size: int) -> "list[Condition]":
        """Parts of at most `size` prompts."""
        return [self[start : start + size] for start in range(0, len(self), size)]

    @staticmethod
    def join(parts: "Sequence[Condition]") -> "Condition":
        """Prompts of one encoder, one after the other."""
        tables = [part._tensors() for part in parts]
        return parts[0]._with({name: torch.cat([t[name] for t in tables]) for name in tables[0]})

    def _tensors(self) -> dict[str, Tensor]:
        pooled = {} if self.pooled is None else {POOLED: self.pooled}
        return {TOKENS: self.tokens, **pooled, **self.extras}

    def _with(self, tensors: dict[str, Tensor]) -> "Condition":
        tokens, pooled = tensors.pop(TOKENS), tensors.pop(POOLED, None)
        return Condition(tokens, pooled, tensors)
