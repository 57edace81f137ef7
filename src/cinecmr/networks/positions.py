"""Where a patch lies, as sines and cosines added to its token; fixed, never learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence


def sincos_table(grid: Sequence[int], width: int) -> Tensor:
    """One row of sines and cosines for every patch of a grid.

    Every axis has an equal, even share of the columns (what is left over at the end stays 0): sines, then cosines of
    the index times 10000^(-i/n) for i < n, n being half the share. The first share is that of y and the second that
    of x, as in the published CineMA weights. On grids with different numbers of patches along x and y the reference
    scrambles its table (it fills it for the transposed grid); here the rows stay with their patches. No published
    weights have such a grid.

    Args:
        grid: patches along x, y[, z].
        width: columns.

    Returns:
        (1, patches, width) float32; patches with the last axis fastest.

    Raises:
        ValueError: fewer than two columns for every axis.

    Source: Vaswani et al. 2017, section 3.5, per axis as in MAE (He et al. 2022).
    """
    share = width // len(grid) // 2 * 2
    if share < 2:
        raise ValueError(f"a table of positions on {len(grid)} axes needs {2 * len(grid)} columns or more, got {width}")
    half = torch.arange(share // 2, dtype=torch.float32)
    frequencies = 10000.0 ** (-half / (share / 2))
    indices = list(torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in grid), indexing="ij"))
    indices[0], indices[1] = indices[1], indices[0]
    table = torch.zeros(indices[0].numel(), width)
    for axis, index in enumerate(indices):
        angle = index.reshape(-1, 1) * frequencies
        table[:, axis * share : (axis + 1) * share] = torch.cat([angle.sin(), angle.cos()], 1)
    return table[None]


def resized_table(table: Tensor, grid: Sequence[int], wanted: Sequence[int]) -> Tensor:
    """A table of positions for another grid: bicubic in 2D, trilinear in 3D, corners not aligned, no smoothing.

    Args:
        table: (1, patches of `grid`, width).
        grid: patches along x, y[, z] that the table is for.
        wanted: patches along the same axes that it shall be for.

    Returns:
        (1, patches of `wanted`, width); `table` itself if the grids agree.
    """
    if tuple(grid) == tuple(wanted):
        return table
    image = table.reshape(*grid, -1).movedim(-1, 0)[None]
    mode = "bicubic" if len(grid) == 2 else "trilinear"
    resized = torch.nn.functional.interpolate(image.float(), size=tuple(wanted), mode=mode, align_corners=False)
    return resized.flatten(2).transpose(1, 2).to(table.dtype)
