"""Blocks that several networks share: convolutions in two or three dimensions, their norms, residual blocks.

Tensors are (batch, channels, x, y) or (batch, channels, x, y, z). Parameter names are those of the published CineMA
weights, so that they load by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from cinecmr.networks._depthwise import depthwise

if TYPE_CHECKING:
    from collections.abc import Sequence

Norm = Literal["layer", "instance", "group"]
_CONVS: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, type[nn.ConvTranspose2d] | type[nn.ConvTranspose3d]] = {
    2: nn.ConvTranspose2d,
    3: nn.ConvTranspose3d,
}


def dimensions(dims: int) -> int:
    """`dims` itself if a network can have that many spatial axes.

    Raises:
        ValueError: neither 2 (x, y) nor 3 (x, y, z).
    """
    if dims not in _CONVS:
        raise ValueError(f"images have 2 (x, y) or 3 (x, y, z) spatial axes, not {dims}")
    return dims


def conv(dims: int, channels_in: int, channels_out: int, kernel: int) -> nn.Module:
    """Convolution with a kernel of `kernel` voxels along every axis that keeps the size."""
    make = _CONVS[dimensions(dims)]
    return make(channels_in, channels_out, kernel, padding=kernel // 2)


def patch_conv(channels_in: int, channels_out: int, patch: Sequence[int]) -> nn.Module:
    """Convolution over patches that do not overlap: each patch becomes one voxel."""
    size = tuple(patch)
    return _CONVS[dimensions(len(size))](channels_in, channels_out, size, stride=size)  # type: ignore[arg-type]


def unpatch_conv(channels_in: int, channels_out: int, patch: Sequence[int]) -> nn.Module:
    """Transposed convolution: each voxel becomes one patch, patches do not overlap."""
    size = tuple(patch)
    return _TRANSPOSED[dimensions(len(size))](channels_in, channels_out, size, stride=size)  # type: ignore[arg-type]


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each voxel, which sees no other voxel."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__(channels, eps=eps)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, channels, ...) in and out."""
        return super().forward(features.movedim(1, -1)).movedim(-1, 1)


def norm(kind: Norm, dims: int, channels: int) -> nn.Module:
    """The norm of a convolutional network.

    Args:
        kind: "layer" (over channels, affine), "instance" (no parameters) or "group" (at most 32 groups, affine).
        dims: spatial axes, 2 or 3.
        channels: channels of the features.

    Raises:
        ValueError: another kind.
    """
    if kind == "layer":
        return ChannelNorm(channels)
    if kind == "group":
        return nn.GroupNorm(min(32, channels), channels, eps=1e-6)
    if kind == "instance":
        make = nn.InstanceNorm2d if dimensions(dims) == 2 else nn.InstanceNorm3d
        return make(channels, eps=1e-6)
    raise ValueError(f"no norm {kind!r}: there are layer, instance, group")


class ConvNormAct(nn.Module):
    """Convolution, norm, GELU.

    Args:
        convolution: any convolution; its own number of output channels is taken.
        kind: the norm.
    """

    def __init__(self, convolution: nn.Module, kind: Norm = "layer") -> None:
        super().__init__()
        weight = convolution.weight
        assert isinstance(weight, Tensor)  # noqa: S101 - for the type checker
        self.conv = convolution
        self.norm = norm(kind, weight.ndim - 2, weight.shape[0])

    def forward(self, features: Tensor) -> Tensor:
        """(batch, channels, ...) in and out, sizes as the convolution makes them."""
        return nn.functional.gelu(self.norm(self.conv(features)))


class ConvResBlock(nn.Module):
    """Residual block: twice norm, GELU and a convolution of 3 voxels along every axis; dropout before the second.

    The shortcut is a convolution of one voxel where the number of channels changes, else the input itself.

    Args:
        first_norm: off leaves the input as it is before the first GELU (a norm over the channels of an image of one
            channel would leave nothing of it).
    """

    def __init__(
        self,
        dims: int,
        channels_in: int,
        channels_out: int,
        kind: Norm = "layer",
        dropout: float = 0.0,
        first_norm: bool = True,
    ) -> None:
        super().__init__()
        self.norm1 = norm(kind, dims, channels_in) if first_norm else nn.Identity()
        self.conv1 = conv(dims, channels_in, channels_out, 3)
        self.norm2 = norm(kind, dims, channels_out)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = conv(dims, channels_out, channels_out, 3)
        same = channels_in == channels_out
        self.shortcut = nn.Identity() if same else conv(dims, channels_in, channels_out, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, channels_in, ...) to (batch, channels_out, ...), the same size."""
        gelu = nn.functional.gelu
        changed = self.conv1(gelu(self.norm1(features)))
        changed = self.conv2(self.dropout(gelu(self.norm2(changed))))
        out: Tensor = changed + self.shortcut(features)
        return out


class Mlp(nn.Module):
    """Two layers with a GELU between them, over channels; linear for tokens, convolutions of one voxel for images."""

    def __init__(self, width: int, ratio: int = 4, dims: int | None = None) -> None:
        super().__init__()
        inner = ratio * width
        self.fc1 = nn.Linear(width, inner) if dims is None else conv(dims, width, inner, 1)
        self.fc2 = nn.Linear(inner, width) if dims is None else conv(dims, inner, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """The same shape in and out."""
        out: Tensor = self.fc2(nn.functional.gelu(self.fc1(features)))
        return out


class MaskedConvBlock(nn.Module):
    """A transformer block whose attention is a depthwise convolution that sees visible voxels only.

    Source: specification of CineMA's stem; MCMAE (Gao et al., NeurIPS 2022), section 3.1.
    """

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.conv1 = conv(dims, channels, channels, 1)
        self.dw_conv = depthwise(dims, channels, 5)
        self.conv2 = conv(dims, channels, channels, 1)
        self.norm2 = ChannelNorm(channels)
        self.mlp = Mlp(channels, dims=dims)

    def forward(self, features: Tensor, visible: Tensor | None = None) -> Tensor:
        """(batch, channels, ...) in and out; `visible` is (batch, 1, ...), 1 where seen and 0 where hidden."""
        inner = self.conv1(self.norm1(features))
        if visible is not None:
            inner = inner * visible.to(inner.dtype)
        features = features + self.conv2(self.dw_conv(inner))
        out: Tensor = features + self.mlp(self.norm2(features))
        return out


class DropPath(nn.Module):
    """Drops a residual branch for whole samples while training, and scales the kept ones up to the same mean."""

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"drop_path is a share from 0 up to but not including 1, got {rate}")
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """(batch, ...) in and out."""
        if not self.training or self.rate == 0:
            return branch
        kept = 1 - self.rate
        coin = torch.empty(branch.shape[:1] + (1,) * (branch.ndim - 1), dtype=branch.dtype, device=branch.device)
        return branch * coin.bernoulli_(kept) / kept
