"""A depthwise convolution whose gradients are convolutions too: the library's take a fifth of a bf16 step on a CPU.

oneDNN has a fast way forward through a depthwise convolution in three dimensions and a slow one back, 15 to 30 times as
slow at the sizes of CineMA's stem. But both gradients are convolutions of the fast kind:

    y = x * w                  each channel with a kernel of its own, zeros around x
    dL/dx = dL/dy * flipped w  as far around
    dL/dw = x * dL/dy          each channel and sample with the gradient as its kernel, then summed over samples

`benchmarks/learning.py` tells what it is worth.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_CONVOLVE: dict[int, Any] = {4: nn.functional.conv2d, 5: nn.functional.conv3d}  # by axes of a tensor


def _convolved(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    around = tuple(n // 2 for n in weight.shape[2:])
    made: Tensor = _CONVOLVE[features.ndim](features, weight, bias, padding=around, groups=len(weight))
    return made


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(features, weight)
        return _convolved(features, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, change: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        features, weight = ctx.saved_tensors
        axes = tuple(range(2, change.ndim))
        of_features = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_features = _convolved(change, weight.flip(axes), None)
        if ctx.needs_input_grad[1]:
            samples, channels, *size = features.shape
            around = tuple(n // 2 for n in weight.shape[2:])
            of_each = _CONVOLVE[change.ndim](
                features.reshape(1, -1, *size), change.reshape(-1, 1, *size), padding=around, groups=samples * channels
            )
            of_weight = of_each.reshape(samples, *weight.shape).sum(0)
        if ctx.needs_input_grad[2]:
            of_bias = change.sum((0, *axes))
        return of_features, of_weight, of_bias


class _Depthwise:
    """What convolutions of two and three dimensions do alike."""

    by_hand = True  # off, gradients are the library's; they are the same

    def _conv_forward(self, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        kind = features.device.type
        if not (self.by_hand and kind == "cpu" and torch.is_grad_enabled()) or torch.compiler.is_compiling():
            return _convolved(features, weight, bias)
        if torch.is_autocast_enabled(kind):  # here, where the gradient passes the change of type, and not within
            half = torch.get_autocast_dtype(kind)
            features, weight = features.to(half), weight.to(half)
            bias = None if bias is None else bias.to(half)
        made: Tensor = _Convolution.apply(features, weight, bias)  # type: ignore[no-untyped-call]
        return made


class Depthwise2d(_Depthwise, nn.Conv2d):
    """Each channel of (batch, channels, x, y) with an odd kernel of its own, to the same size."""


class Depthwise3d(_Depthwise, nn.Conv3d):
    """Each channel of (batch, channels, x, y, z) with an odd kernel of its own, to the same size."""


def depthwise(dims: int, channels: int, kernel: int) -> Depthwise2d | Depthwise3d:
    """A convolution of `dims` axes whose parameters are those of the library's.

    Raises:
        ValueError: an even kernel, which has no middle.
    """
    if kernel % 2 == 0:
        raise ValueError(f"a kernel that keeps the size is odd, got {kernel}")
    make: type[Depthwise2d] | type[Depthwise3d] = Depthwise2d if dims == 2 else Depthwise3d
    return make(channels, channels, kernel, padding=kernel // 2, groups=channels)
