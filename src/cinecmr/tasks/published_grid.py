"""The grid and grey values that CineMA's published networks learned from, and the way back to an image's own grid.

Source: specification of CineMA's code, sections 9 and 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.learn.samples import linear

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cinecmr.study import Image

CLIPPED = (0.95, 99.5)  # percentiles; the first is 0.95, not 5, as in the published code
LEVELS = 255.0


@dataclass(frozen=True)
class NetworkGrid:
    """An image's extent cut into voxels of the network's size.

    Attributes:
        shape: voxels along the network's axes.
        step: voxels of the image a voxel of the network.
        own: voxels of the image along the same axes.
        bridge: (own slices, 2) slices that stand for each slice: itself, or the seen neighbours of a missing one.
        lean: (own slices,) weight of the second of them.
    """

    shape: tuple[int, ...]
    step: tuple[float, ...]
    own: tuple[int, ...]
    bridge: NDArray[np.intp]
    lean: NDArray[np.float32]

    @classmethod
    def of(cls, image: Image, spacing: Sequence[float]) -> NetworkGrid:
        """The grid of an image for a network that learned at `spacing`, mm; two axes leave the slices alone."""
        own = image.data.shape[: len(spacing)]
        step = tuple(float(s / i) for s, i in zip(spacing, image.spacing, strict=False))
        shape = tuple(max(1, round(n / s)) for n, s in zip(own, step, strict=True))
        return cls(shape, step, own, *_bridges(image.slices, image.missing_slices))

    def resampled(self, image: Image, t: int) -> NDArray[np.float32]:
        """One frame on this grid, linear, 0 outside the image's extent; whole numbers stay whole, the rest cut off."""
        data = np.asarray(image.data[..., t], np.float32)
        if image.missing_slices:
            first, second = data[:, :, self.bridge[:, 0]], data[:, :, self.bridge[:, 1]]
            data = first + self.lean * (second - first)
        if len(self.shape) == 2:
            data = data[:, :, 0]
        data = linear(
            data, [(step - 1) / 2 + step * np.arange(n) for n, step in zip(self.shape, self.step, strict=True)]
        )
        return np.trunc(data) if np.issubdtype(image.data.dtype, np.integer) else data

    def returned(self, shares: NDArray[np.float32], crop: tuple[slice, ...]) -> NDArray[np.float32]:
        """Class shares of a part of this grid on the image's own grid, linear; background outside that part.

        Args:
            shares: (classes, x, y[, z]) of the part.
            crop: the part.

        Returns:
            (classes, x, y[, z]) on the image's own grid.
        """
        places = []
        for own, whole, step, part in zip(self.own, self.shape, self.step, crop, strict=True):
            low = 0.0 if part.start == 0 else -np.inf  # the extent was rounded to whole voxels: its ends are held
            high = whole - 1.0 if part.stop == whole else np.inf
            places.append(np.clip((np.arange(own) + 0.5) / step - 0.5, low, high) - part.start)
        moved = np.stack([linear(share, places) for share in shares])
        moved[0] += 1 - moved.sum(0)
        return moved


def _bridges(slices: int, missing: Sequence[int]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """For each slice the two it is made of and the weight of the second."""
    seen = np.setdiff1d(np.arange(slices), missing)
    pairs, lean = np.empty((slices, 2), np.intp), np.zeros(slices, np.float32)
    for z in range(slices):
        below, above = seen[seen <= z], seen[seen >= z]
        first = below[-1] if below.size else seen[0] if seen.size else z
        second = above[0] if above.size else first
        pairs[z] = first, second
        lean[z] = (z - first) / (second - first) if below.size and second > first else 0.0
    return pairs, lean


def quantised(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grey values 0 to 1 in 255 steps, between two percentiles; 0 throughout where all are one value.

    The published preparation stores 8-bit images and loads them as shares of their largest value. Where all grey
    values are whole numbers, so are the two bounds, the rest cut off.
    """
    low, high = np.percentile(volume, CLIPPED)
    if np.array_equal(volume, np.trunc(volume)):
        low, high = np.trunc(low), np.trunc(high)
    if not high > low:
        return np.zeros(volume.shape, np.float32)
    # In 64 bits: at the edge of a step the last digit of 32 bits decides.
    levels = np.floor((np.clip(volume.astype(np.float64), low, high) - low) / (high - low) * LEVELS)
    return np.asarray(levels / LEVELS, np.float32)
