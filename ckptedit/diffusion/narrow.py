"""Frozen layers that keep their weights as narrow as the file, and compute in what they are given.

A processor without instructions for half precision computes in float32; a UNet widened for it would
take twice its file. Here a layer widens its weight while it computes and drops it, in the backward
pass too, where autograd would otherwise keep every wide weight of the network alive. Widening
rounds nothing, so results are those of the wide network.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import Conv2d, Linear, Module
from torch.nn.functional import conv2d, linear
from torch.nn.grad import conv2d_input


class _Linear(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.weight = weight  # frozen, so it is the same when the gradient comes
        return linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,) = gradients
        return gradient @ ctx.weight.to(gradient.dtype), None, None


class _Conv2d(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any
    ) -> Tensor:
        ctx.weight, ctx.shape, ctx.steps = weight, x.shape, (stride, padding)
        bias = None if bias is None else bias.to(x.dtype)
        return conv2d(x, weight.to(x.dtype), bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,) = gradients
        weight = ctx.weight.to(gradient.dtype)
        return conv2d_input(ctx.shape, weight, gradient, *ctx.steps), None, None, None, None


class NarrowLinear(Linear):
    """A linear layer of frozen, narrow weights."""

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = _Linear.apply(x, self.weight, self.bias)
        return found


class NarrowConv2d(Conv2d):
    """A convolution of frozen, narrow weights; of one group, without dilation."""

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = _Conv2d.apply(x, self.weight, self.bias, self.stride, self.padding)
        return found


def hold_narrow(module: Module) -> None:
    """Replaces the layers in a module whose weights are of half the width, by ones that widen them
    when they compute. The parameters stay the same objects."""
    for name, layer in list(module.named_modules()):
        if not isinstance(layer, Linear | Conv2d) or layer.weight.dtype.itemsize > 2:
            continue
        parent, _, leaf = name.rpartition(".")
        setattr(module.get_submodule(parent), leaf, _narrow(layer))


def _narrow(layer: Linear | Conv2d) -> Module:
    bias = layer.bias is not None
    made: Linear | Conv2d
    with torch.device("meta"):
        if isinstance(layer, Linear):
            made = NarrowLinear(layer.in_features, layer.out_features, bias)
        else:
            stride: Any = layer.stride
            padding: Any = layer.padding
            size: Any = layer.kernel_size
            made = NarrowConv2d(
                layer.in_channels, layer.out_channels, size, stride, padding, bias=bias
            )
    made.weight, made.bias = layer.weight, layer.bias
    return made.train(layer.training)
