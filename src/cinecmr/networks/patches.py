"""Images cut into patches that do not overlap, and put together again."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

AXES = "xyz"


def patch_grid(size: Sequence[int], patch: Sequence[int], what: str = "image") -> tuple[int, ...]:
    """Patches along every axis.

    Args:
        size: voxels along x, y[, z].
        patch: voxels of one patch along the same axes.
        what: what is cut, for the error message.

    Raises:
        ValueError: another number of axes, or an axis that the patch does not divide: named, with the sizes around it
            that fit.

    >>> patch_grid((192, 192, 16), (16, 16, 1))
    (12, 12, 16)
    """
    if len(size) != len(patch):
        raise ValueError(f"{what} has {len(size)} spatial axes, patches of {_times(patch)} need {len(patch)}")
    for axis, voxels, step in zip(AXES, size, patch, strict=False):
        if voxels < 1 or voxels % step:
            below = voxels // step * step
            fitting = f"{below} or {below + step}" if below > 0 else str(step)
            raise ValueError(
                f"{what} has {voxels} voxels along {axis}, which must be a multiple of {step}: pad or crop to {fitting}"
            )
    return tuple(voxels // step for voxels, step in zip(size, patch, strict=True))


def _times(numbers: Sequence[int]) -> str:
    return " x ".join(str(number) for number in numbers)


def patchify(image: Tensor, patch: Sequence[int]) -> Tensor:
    """Cut an image into patches.

    Args:
        image: (batch, channels, x, y[, z]).
        patch: voxels of one patch along x, y[, z].

    Returns:
        (batch, patches, voxels of a patch * channels). Patches run with the last axis fastest, and so do the voxels
        inside one; the channel is fastest of all.

    Raises:
        ValueError: an axis that the patch does not divide.
    """
    grid = patch_grid(tuple(image.shape[2:]), patch)
    dims = len(grid)
    pairs = [n for g, p in zip(grid, patch, strict=True) for n in (g, p)]
    cut = image.reshape(*image.shape[:2], *pairs)
    order = [0, *range(2, 2 + 2 * dims, 2), *range(3, 3 + 2 * dims, 2), 1]
    return cut.permute(order).reshape(len(image), prod(grid), -1)


def unpatchify(patches: Tensor, patch: Sequence[int], grid: Sequence[int]) -> Tensor:
    """Put patches together again; the inverse of `patchify`.

    Args:
        patches: (batch, patches, voxels of a patch * channels).
        patch: voxels of one patch along x, y[, z].
        grid: patches along x, y[, z].

    Returns:
        (batch, channels, x, y[, z]).

    Raises:
        ValueError: a number of patches or of values that the grid and the patch do not make.
    """
    batch, count, values = patches.shape
    if count != prod(grid) or values % prod(patch):
        raise ValueError(
            f"{count} patches of {values} values do not fill a grid of {_times(grid)} patches of {_times(patch)} voxels"
        )
    dims = len(grid)
    cut = patches.reshape(batch, *grid, *patch, -1)
    order = [0, 1 + 2 * dims, *(axis for i in range(dims) for axis in (1 + i, 1 + dims + i))]
    return cut.permute(order).reshape(batch, -1, *(g * p for g, p in zip(grid, patch, strict=True)))
