"""Where a UNet looks: the probabilities of its cross-attention, while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.nn import Module

TEXT = "attn2"  # the attention that reads the text, by diffusers' name


class Looking:
    """An attention processor that keeps the probabilities [b, heads, pixels, L], with their graph.

    Computes what diffusers' own does, in the open: softmax(q kᵀ / sqrt(d)) v.
    """

    def __init__(self, kept: list[Tensor]) -> None:
        self.kept = kept

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        def heads(x: Tensor) -> Tensor:
            return x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)  # [b, heads, positions, d]

        text = encoder_hidden_states
        query, key = heads(attn.to_q(hidden_states)), heads(attn.to_k(text))
        value = heads(attn.to_v(text))
        chances = (query @ key.mT * attn.scale).float().softmax(-1)
        self.kept.append(chances)
        read: Tensor = attn.to_out[0]((chances.to(value) @ value).transpose(1, 2).flatten(2))
        return read


@contextmanager
def watched(unet: Module) -> Iterator[list[Tensor]]:
    """Yields a list to which each layer that reads the text adds where it looks, as the UNet runs:
    [b, heads, pixels, L] float32, in the order of the layers."""
    layers: list[Any] = [module for name, module in unet.named_modules() if name.endswith(TEXT)]
    before = [layer.processor for layer in layers]
    kept: list[Tensor] = []
    try:
        for layer in layers:
            layer.set_processor(Looking(kept))
        yield kept
    finally:
        for layer, processor in zip(layers, before, strict=True):
            layer.set_processor(processor)
