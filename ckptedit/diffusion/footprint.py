"""What a pass of a UNet takes of memory, from its shapes: it is run where tensors have no data.

What a pass with gradients keeps grows with the pictures in it. Two ways to keep less cost one more
pass forward: to cut a batch into rows, each of which is computed anew when its gradient is wanted;
and to compute single blocks anew (Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016,
https://arxiv.org/abs/1604.06174).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import Module

from ckptedit.families import kv_role

BLOCKS = ("ResnetBlock2D", "BasicTransformerBlock")  # what diffusers computes anew, each by itself


@dataclass(frozen=True)
class Footprint:
    """Bytes of one picture in a pass with gradients.

    held:  kept for the gradients; thin: if blocks are computed anew; block: kept of the largest one
    """

    held: int
    thin: int
    block: int


def footprint(
    build: Callable[[], Any], shape: tuple[int, int, int], text: tuple[int, int], dtype: torch.dtype
) -> Footprint:
    """Runs a UNet on nothing.

    build: makes it; shape: [c, h, w] of what it takes; text: [L, d]; dtype: that it computes in
    """
    with torch.device("meta"):
        unet = build().requires_grad_(False)
    unet.set_attn_processor(_Fused())
    for name, parameter in unet.named_parameters():
        parameter.data = parameter.data.to(dtype)
        parameter.requires_grad_(bool(kv_role(name)))
    plain = _run(unet, shape, text)
    unet.enable_gradient_checkpointing()
    return Footprint(plain.total, _run(unet.train(), shape, text).total, plain.block)


def _run(unet: Any, shape: tuple[int, int, int], text: tuple[int, int]) -> "_Tally":
    tally = _Tally(unet)
    dtype = next(iter(unet.parameters())).dtype

    def nothing(*shape: int) -> Tensor:
        return torch.empty(1, *shape, device="meta", dtype=dtype)

    added = None
    if unet.config.addition_embed_type == "text_time":
        rest = unet.config.projection_class_embeddings_input_dim
        pooled = rest - 6 * unet.config.addition_time_embed_dim
        added = {"text_embeds": nothing(pooled), "time_ids": nothing(6)}
    with tally.listening():
        t = torch.full((1,), 500, device="meta")
        unet(nothing(*shape), t, encoder_hidden_states=nothing(*text), added_cond_kwargs=added)
    return tally


class _Tally:
    """Adds up what is kept for gradients, each tensor's memory once; weights do not count.

    block: of the block that keeps most by itself
    """

    def __init__(self, unet: Module) -> None:
        self.weights = {id(parameter) for parameter in unet.parameters()}
        self.blocks = [m for m in unet.modules() if type(m).__name__ in BLOCKS]
        self.kept: dict[int, Tensor] = {}
        self.total = self.block = 0

    def listening(self) -> Any:
        hooks = [block.register_forward_pre_hook(self._enter) for block in self.blocks]
        hooks += [block.register_forward_hook(self._leave) for block in self.blocks]
        return _Until(hooks, saved_tensors_hooks(self._add, lambda tensor: tensor))

    def _add(self, tensor: Tensor) -> Tensor:
        whole = tensor if tensor._base is None else tensor._base
        if id(whole) not in self.weights and id(whole) not in self.kept:
            self.kept[id(whole)] = whole  # alive, so that no other takes its number
            self.total += whole.numel() * whole.element_size()
        return tensor

    def _enter(self, block: Module, given: tuple[Tensor, ...]) -> None:
        self._add(given[0])  # what a block that is computed anew is computed from
        self.before = self.total

    def _leave(self, block: Module, given: Any, output: Any) -> None:
        self.block = max(self.block, self.total - self.before)


class _Until:
    """Hooks that end with a block."""

    def __init__(self, hooks: list[Any], saved: Any) -> None:
        self.hooks, self.saved = hooks, saved

    def __enter__(self) -> None:
        self.saved.__enter__()

    def __exit__(self, *error: object) -> None:
        self.saved.__exit__(*error)
        for hook in self.hooks:
            hook.remove()


class _Fused:
    """Attention that keeps what a fused kernel does: q, k, v and its output, no probabilities."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        read = (attn.to_q(hidden_states), attn.to_k(text), attn.to_v(text))
        found: Tensor = attn.to_out[0](_Attend.apply(*read))
        return found


class _Attend(Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        output = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, output)
        return output
