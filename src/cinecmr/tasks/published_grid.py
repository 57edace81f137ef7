"""The grid and grey values that CineMA's published networks learned from, and the way back to an image's own grid.

Source: specification of CineMA's code, sections 9 and 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    """

    shape: tuple[int, ...]
    step: tuple[float, ...]
    own: tuple[int, ...]

    @classmethod
    def of(cls, image: Image, spacing: Sequence[float]) -> NetworkGrid:
        """The grid of an image for a network that learned at `spacing`, mm; two axes leave the slices alone."""
        own = image.data.shape[: len(spacing)]
        step = tuple(float(s / i) for s, i in zip(spacing, image.spacing, strict=False))
        shape = tuple(max(1, round(n / s)) for n, s in zip(own, step, strict=True))
        return cls(shape, step, own)

    def resampled(self, image: Image, t: int) -> NDArray[np.float32]:
        """One frame on this grid, linear, 0 outside the image's extent; whole numbers stay whole, the rest cut off."""
        data = bridged(image, slice(t, t + 1))[..., 0].astype(np.float32)
        if len(self.shape) == 2:
            data = data[:, :, 0]
        data = linear(
            data,
            [
                np.asarray((step - 1) / 2 + step * np.arange(n), np.float64)
                for n, step in zip(self.shape, self.step, strict=True)
            ],
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


def bridged(image: Image, frames: slice = slice(None)) -> NDArray[Any]:
    """(x, y, z, t) pixels of some frames, missing slices filled in from the nearest seen ones, linear along z."""
    data = image.data[..., frames]
    missing = [z for z in image.missing_slices if z < image.slices]
    seen = np.setdiff1d(np.arange(image.slices), missing)
    if not missing or not seen.size:
        return data
    data = data.astype(np.float32)
    for z in missing:
        below, above = seen[seen < z], seen[seen > z]
        first = below[-1] if below.size else above[0]
        second = above[0] if above.size else below[-1]
        lean = np.float32((z - first) / (second - first)) if second != first else np.float32(0)
        data[:, :, z] = data[:, :, first] + lean * (data[:, :, second] - data[:, :, first])
    return data


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
