"""One CLIP text transformer, and what of it a denoiser reads.

Which layer, and whether under the final norm, is the family's: SD1 reads the last one under the
norm, SD2 the one before under the norm, SDXL the one before of two encoders without it, and the
projected end of the second. "Clip skip" counts the layers as A1111 does: 1 is the last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from ckptedit.errors import BadParam
from ckptedit.families.family import Reader

LAYERS, NORM = "encoder.layers", "final_layer_norm"
FIRST_OUTPUT = f"{LAYERS}.0.self_attn.out_proj"
USUAL = Reader("")


@dataclass(frozen=True)
class Read:
    """tokens: [n, L, d] float32; pooled: [n, p] float32, where the tower has one that is read."""

    tokens: Tensor
    pooled: Tensor | None

    @staticmethod
    def join(parts: "Sequence[Read]") -> "Read":
        """Prompts of one tower, one after the other."""
        pooled = [part.pooled for part in parts if part.pooled is not None]
        return Read(
            torch.cat([part.tokens for part in parts]), torch.cat(pooled) if pooled else None
        )


class Tower:
    """transformer: CLIPTextModel, or CLIPTextModelWithProjection if its pooled vector is read.

    skip:    the layer to read, counted from the last one of the model as it was trained, which is 1
    stored:  all of its weights, if it does not hold them itself (`families/streaming.py`)
    """

    def __init__(
        self,
        transformer: Module,
        reader: Reader = USUAL,
        skip: int | None = None,
        *,
        stored: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Raises BadParam if there is no such layer."""
        self.transformer, self.reader = transformer, reader
        self._stored = stored
        self.layer = reader.layer if skip is None else skip
        self.layers: Any = _part(transformer, LAYERS)
        self.norm: Any = _part(transformer, NORM)
        least, most = 1 + reader.left_out, len(self.layers) + reader.left_out
        if not least <= self.layer <= most:
            raise BadParam(f"clip skip must be from {least} to {most} here, not {self.layer}")

    @property
    def config(self) -> Any:
        return self.transformer.config

    @property
    def width(self) -> int:
        width: int = self.config.hidden_size
        return width

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """All of the transformer's, as it names them."""
        return self.transformer.state_dict() if self._stored is None else self._stored

    def to(self, device: torch.device | str) -> None:
        """Moves the transformer. One that does not hold its weights stays on the CPU."""
        if self._stored is None:
            self.transformer.to(device)

    def __call__(self, ids: Tensor) -> Read:
        """ids: [n, L] token numbers"""
        read = self.layers[len(self.layers) - (self.layer - self.reader.left_out)]
        states, output = _seen(self.transformer, read, ids)
        tokens = self.norm(states) if self.reader.norm else states
        return Read(tokens.float(), output.text_embeds.float() if self.reader.pooled else None)

    def gathered(self, ids: Tensor) -> Tensor:
        """What the heads of the first self-attention gather, before its output projection.

        ids: [n, L] token numbers -> [n, L, d] float32
        """
        seen: list[Tensor] = []
        hook = _part(self.transformer, FIRST_OUTPUT).register_forward_pre_hook(
            lambda module, given: seen.append(given[0].float())
        )
        try:
            self.transformer(ids)
        finally:
            hook.remove()
        return torch.cat(seen)


def _part(transformer: Module, end: str) -> Any:
    """A submodule, whether its name begins with "text_model." or not."""
    return next(module for name, module in transformer.named_modules() if name.endswith(end))


def _seen(transformer: Module, layer: Module, ids: Tensor) -> tuple[Tensor, Any]:
    """What a layer puts out, without any norm, and what the transformer does."""
    seen: list[Tensor] = []

    def keep(module: Module, given: Any, output: Any) -> None:
        seen.append(output[0] if isinstance(output, tuple) else output)

    hook = layer.register_forward_hook(keep)
    try:
        output = transformer(ids)
    finally:
        hook.remove()
    return seen[0], output
