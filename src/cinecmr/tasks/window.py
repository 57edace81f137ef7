"""A square of a network's pixels laid on an image: pixels are taken from it and answers spread back, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

    from cinecmr.study import Image

_NEAR = 0.25  # of the most crowded place; what is thinner is a stray patch far away


@dataclass(frozen=True)
class Window:
    """A square of the network's pixels on an image: centre in image pixels, step in image pixels a window pixel."""

    centre: tuple[float, float]
    step: tuple[float, float]
    pixels: tuple[int, int]

    @classmethod
    def whole(cls, image: Image, pixel_mm: float) -> Window:
        """On the whole picture, at most 288 pixels of `pixel_mm` a side."""
        step = pixel_mm / image.spacing[:2]
        shape = np.asarray(image.data.shape[:2])
        pixels = [int(np.clip(np.ceil(n / s / 16) * 16, 32, 288)) for n, s in zip(shape, step, strict=True)]
        middle = (shape - 1) / 2
        return cls((middle[0], middle[1]), (step[0], step[1]), (pixels[0], pixels[1]))

    def bulk(self, mass: Tensor, reach: float) -> tuple[float, float] | None:
        """Where the bulk of a mass on this window lies, in image pixels.

        The bulk, not the mean: a stray patch far away must not pull the centre.

        Args:
            mass: (*pixels), 0 or more.
            reach: window pixels over which the mass is gathered.

        Returns:
            The centre; None where there is hardly any mass (under 20).
        """
        if mass.sum() < 20:
            return None
        crowd = blurred(mass[None], reach)[0]
        near = mass * (crowd > _NEAR * crowd.max())
        u, v = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in self.pixels), indexing="ij")
        x, y = (
            c + s * (float((near * w).sum() / near.sum()) - (n - 1) / 2)
            for c, s, w, n in zip(self.centre, self.step, (u, v), self.pixels, strict=True)
        )
        return x, y

    def sample(self, frame: Tensor) -> Tensor:
        """(slices, x, y) of the image -> (slices, *pixels), linear, the edge repeated outside."""
        grid = self._grid(frame.shape[1:]).expand(1, -1, -1, -1)
        scale = (self.step[0] + self.step[1]) / 2
        if scale > 1.3:  # the image is finer than the window: take away what the window cannot hold
            frame = blurred(frame, 0.4 * scale)
        return functional.grid_sample(frame[None], grid, mode="bilinear", padding_mode="border", align_corners=True)[0]

    def spread(self, shares: Tensor, shape: tuple[int, int]) -> Tensor:
        """(classes, slices, *pixels) -> (classes, slices, *shape) of the image, linear; background outside."""
        coords = []
        for axis in (0, 1):
            at = (torch.arange(shape[axis], dtype=torch.float32) - self.centre[axis]) / self.step[axis]
            coords.append(at / ((self.pixels[axis] - 1) / 2))
        u, v = torch.meshgrid(coords[0], coords[1], indexing="ij")
        grid = torch.stack([v, u], -1)[None]
        classes, slices = shares.shape[:2]
        moved: Tensor = functional.grid_sample(
            shares.flatten(0, 1)[None], grid, mode="bilinear", padding_mode="zeros", align_corners=True
        )
        moved = moved[0].reshape(classes, slices, *shape)
        moved[0] += 1 - moved.sum(0)
        return moved

    def _grid(self, shape: tuple[int, ...] | torch.Size) -> Tensor:
        coords = []
        for axis in (0, 1):
            at = self.centre[axis] + self.step[axis] * (torch.arange(self.pixels[axis]) - (self.pixels[axis] - 1) / 2)
            coords.append(2 * at / max(shape[axis] - 1, 1) - 1)
        u, v = torch.meshgrid(coords[0], coords[1], indexing="ij")
        return torch.stack([v, u], -1)


def blurred(frame: Tensor, sigma: float) -> Tensor:
    """(slices, x, y) under a Gaussian of `sigma` pixels, the edge repeated outside."""
    reach = max(1, int(2 * sigma + 0.5))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(frame.dtype)
    rows = functional.conv2d(
        functional.pad(frame[:, None], (0, 0, reach, reach), mode="replicate"), kernel[None, None, :, None]
    )
    both = functional.conv2d(functional.pad(rows, (reach, reach, 0, 0), mode="replicate"), kernel[None, None, None, :])
    return both[:, 0]
