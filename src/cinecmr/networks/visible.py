"""A stem over seen patches only: what is hidden is not computed at all, and the answers stay the same.

A stem's layers see one voxel, or one patch that does not overlap others; only the depthwise convolutions look around,
and they read zeros where patches are hidden. So all else works on rows, (batch, seen, voxels of a patch, channels),
voxels with y fastest, and a quarter of the patches costs a quarter. Weights are the modules' own.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cinecmr.networks._blocks import MaskedConvBlock
    from cinecmr.networks.multiview import Stage


def voxels_of(seen: Tensor, grid: Sequence[int], side: int) -> Tensor:
    """Where the voxels of seen patches lie in an image of `side` voxels a patch along x and y.

    Args:
        seen: (batch, number) indices of patches.
        grid: patches along x, y[, z].
        side: voxels of a patch along x and y; one along z.

    Returns:
        (batch, number * side * side) indices into the flattened image, in the order of rows.
    """
    x, y, *z = torch.unravel_index(seen, tuple(grid))
    inner = torch.arange(side, device=seen.device)
    down = (x[..., None] * side + inner)[..., None]
    across = (y[..., None] * side + inner)[..., None, :]
    flat = down * (grid[1] * side) + across
    if z:
        flat = flat * grid[2] + z[0][..., None, None]
    return flat.flatten(1)


def regrouped(rows: Tensor, step: int) -> Tensor:
    """(batch, seen, voxels, channels) to (batch, seen, voxels / step², channels * step²), as a convolution reads it."""
    batch, seen, voxels, channels = rows.shape
    side = round(voxels**0.5) // step
    cut = rows.reshape(batch, seen, side, step, side, step, channels)
    return cut.permute(0, 1, 2, 4, 6, 3, 5).reshape(batch, seen, side * side, -1)


def pointwise(rows: Tensor, layer: Any) -> Tensor:
    """A convolution whose patches do not overlap, on rows that are regrouped for it."""
    return functional.linear(rows, layer.weight.flatten(1), layer.bias)


def normed(rows: Tensor, layer: Any) -> Tensor:
    """A norm over channels."""
    return functional.layer_norm(rows, layer.normalized_shape, layer.weight, layer.bias, layer.eps)


def around(rows: Tensor, layer: Any, at: Tensor, size: Sequence[int]) -> Tensor:
    """A depthwise convolution over the whole image, hidden patches being zero, read at the seen ones."""
    batch, _, _, channels = rows.shape
    where = at[..., None].expand(-1, -1, channels)
    image = rows.new_zeros(batch, prod(size), channels).scatter(1, where, rows.flatten(1, 2))
    image = cast("Tensor", layer(image.view(batch, *size, channels).movedim(-1, 1)))
    return image.movedim(1, -1).flatten(1, -2).gather(1, where).view_as(rows)


def block(rows: Tensor, layers: MaskedConvBlock, at: Tensor, size: Sequence[int]) -> Tensor:
    """A masked convolution block."""
    inner = pointwise(normed(rows, layers.norm1), layers.conv1)
    rows = rows + pointwise(around(inner, layers.dw_conv, at, size), layers.conv2)
    wide = functional.gelu(pointwise(normed(rows, layers.norm2), layers.mlp.fc1))
    return rows + pointwise(wide, layers.mlp.fc2)


def stage(rows: Tensor, layers: Stage, step: int, seen: Tensor, grid: Sequence[int]) -> Tensor:
    """Patches to channels, then masked convolution blocks.

    Args:
        rows: (batch, seen, voxels, channels) of the stage before, or of the image.
        layers: the stage.
        step: voxels along x and y that become one.
        seen: (batch, number) indices of the seen patches.
        grid: patches along x, y[, z].

    Returns:
        (batch, seen, voxels / step², channels of the stage).
    """
    embed = layers.patch_embed
    rows = functional.gelu(normed(pointwise(regrouped(rows, step), embed.conv), embed.norm))
    side = round(rows.shape[2] ** 0.5)
    at, size = voxels_of(seen, grid, side), (grid[0] * side, grid[1] * side, *grid[2:])
    for layer in layers.conv:
        rows = block(rows, layer, at, size)  # type: ignore[arg-type]
    return rows
