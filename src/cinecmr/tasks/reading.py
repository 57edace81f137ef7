"""How a trained short-axis network reads an image: find the heart, label it at the network's scale, go back.

Pixels in, `Structure` codes on the image's own grid out. Nothing here depends on slice order, orientation or units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from cinecmr.anatomy import Structure
from cinecmr.tasks.cleaning import clean
from cinecmr.tasks.segmentation import standardised

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from cinecmr.study import Image


@dataclass(frozen=True)
class ReadingSettings:
    """How a network is asked.

    Attributes:
        pixel_mm: pixel size the network learned at. pixels: of its window; a multiple of the network's.
        heart_mm: diameter of both ventricles in the middle of the training range; a heart found larger or smaller
            than the limits below is read again at a pixel size that brings it there.
        size_limits: smallest and largest share of `heart_mm` read as it is.
        turns: copies (mirrored, turned) whose answers are averaged: 1, 2, 4 or 8.
        smooth_time: weight of each neighbouring frame in the average of shares.
        locate_frames: frames in which the heart is looked for.
    """

    pixel_mm: float = 1.7
    pixels: int = 112
    heart_mm: float = 95.0
    size_limits: tuple[float, float] = (0.8, 1.25)
    turns: int = 4
    smooth_time: float = 0.15
    locate_frames: int = 3

    def __post_init__(self) -> None:
        if self.turns not in (1, 2, 4, 8):
            raise ValueError(f"turns must be 1, 2, 4 or 8, got {self.turns}")


@dataclass(frozen=True)
class Window:
    """A square of the network's pixels on an image: centre in image pixels, step in image pixels a window pixel."""

    centre: tuple[float, float]
    step: tuple[float, float]
    pixels: tuple[int, int]

    def sample(self, frame: Tensor) -> Tensor:
        """(slices, x, y) of the image -> (slices, *pixels), linear, the edge repeated outside."""
        grid = self._grid(frame.shape[1:]).expand(1, -1, -1, -1)
        scale = (self.step[0] + self.step[1]) / 2
        if scale > 1.3:  # the image is finer than the window: take away what the window cannot hold
            frame = _blurred(frame, 0.4 * scale)
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


def _blurred(frame: Tensor, sigma: float) -> Tensor:
    reach = max(1, int(2 * sigma + 0.5))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(frame.dtype)
    rows = functional.conv2d(
        functional.pad(frame[:, None], (0, 0, reach, reach), mode="replicate"), kernel[None, None, :, None]
    )
    both = functional.conv2d(functional.pad(rows, (reach, reach, 0, 0), mode="replicate"), kernel[None, None, None, :])
    return both[:, 0]


class Reader:
    """A network and the way it is asked.

    Args:
        network: scores (batch, classes, slices, x, y) from (batch, 1, slices, x, y).
        settings: see there.
        device: where the network runs.
    """

    def __init__(self, network: nn.Module, settings: ReadingSettings | None = None, device: str = "cpu") -> None:
        self.network = network.to(device).eval()
        self.settings = settings or ReadingSettings()
        self.device = device

    def labels(self, image: Image, progress: Callable[[float], None] | None = None) -> NDArray[np.uint8]:
        """Label every frame.

        Args:
            image: short axis; slices in `image.missing_slices` are left out of the stack the network sees.
            progress: called with the share done, 0 to 1.

        Returns:
            (x, y, z, t) `Structure` codes on the image's own grid; `UNSEEN` in missing slices.
        """
        seen = [z for z in range(image.slices) if z not in image.missing_slices]
        with torch.inference_mode():
            window = self._locate(image, seen)
            shares = []
            for t in range(image.frames):
                shares.append(self._shares(image, seen, t, window).half())
                if progress:
                    progress((t + 1) / image.frames)
            found = self._decide(shares, window, image)
        labels = np.full(image.data.shape, Structure.UNSEEN, np.uint8)
        labels[:, :, seen] = clean(found, image.spacing)
        return labels

    def _frame(self, image: Image, seen: list[int], t: int) -> Tensor:
        data = np.ascontiguousarray(np.moveaxis(image.data[:, :, seen, t], 2, 0), dtype=np.float32)
        return torch.from_numpy(data)

    def _locate(self, image: Image, seen: list[int]) -> Window:
        """The window on the heart: the whole picture is read at a few moments, then the size is checked."""
        frames = np.unique(np.linspace(0, image.frames, self.settings.locate_frames, endpoint=False).astype(int))
        whole = self._whole(image, 1.0)
        centre, size = self._find(image, seen, frames, whole)
        low, high = self.settings.size_limits
        ratio = size / self.settings.heart_mm
        if size and not low <= ratio <= high:
            whole = self._whole(image, float(np.clip(ratio, 0.4, 2.0)))
            centre, size = self._find(image, seen, frames, whole)
            ratio = size / self.settings.heart_mm if size else ratio
        zoom = 1.0 if low <= ratio <= high else float(np.clip(ratio, 0.4, 2.0))
        step = self.settings.pixel_mm * zoom / image.spacing
        return Window(centre, (step[0], step[1]), (self.settings.pixels,) * 2)

    def _whole(self, image: Image, zoom: float) -> Window:
        """A window on the whole picture, at most 1.5 times 192 network pixels a side."""
        step = self.settings.pixel_mm * zoom / image.spacing[:2]
        shape = np.asarray(image.data.shape[:2])
        pixels = [int(np.clip(np.ceil(n / s / 16) * 16, 32, 288)) for n, s in zip(shape, step, strict=True)]
        middle = (shape - 1) / 2
        return Window((middle[0], middle[1]), (step[0], step[1]), (pixels[0], pixels[1]))

    def _find(
        self, image: Image, seen: list[int], frames: NDArray[np.intp], window: Window
    ) -> tuple[tuple[float, float], float]:
        """Centre of the heart in image pixels, and its largest diameter over the slices, mm (0: nothing found)."""
        middle = seen[len(seen) // 6 : max(len(seen) - len(seen) // 6, 1)] or seen
        total = torch.zeros(window.pixels)
        largest = 0.0
        for t in frames:
            shares = self._scores(window.sample(self._frame(image, middle, int(t))))
            heart = (shares[1:].sum(0) > 0.5).float()
            left = (shares[2:].sum(0) > 0.5).float()
            total += (heart + left).sum(0)
            largest = max(largest, float(heart.sum((1, 2)).quantile(0.8)))
        if total.sum() < 20:
            return window.centre, 0.0
        # The bulk, not the mean: a stray patch far away must not pull the window.
        bulk = _blurred(total[None], 12.0)[0]
        total = total * (bulk > 0.25 * bulk.max())
        u, v = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in window.pixels), indexing="ij")
        at = [float((total * w).sum() / total.sum()) for w in (u, v)]
        centre = tuple(
            c + s * (a - (n - 1) / 2) for c, s, a, n in zip(window.centre, window.step, at, window.pixels, strict=True)
        )
        diameter = 2 * np.sqrt(largest / np.pi) * window.step[0] * image.spacing[0]
        return (centre[0], centre[1]), float(diameter)

    def _scores(self, stack: Tensor) -> Tensor:
        """(slices, x, y) intensities -> (classes, slices, x, y) shares."""
        eaten = torch.from_numpy(standardised(_percentile_scaled(stack.numpy())))[None, None].to(self.device)
        scores: Tensor = self.network(eaten)[0]
        return scores.softmax(0).float().cpu()

    def _shares(self, image: Image, seen: list[int], t: int, window: Window) -> Tensor:
        """Shares averaged over turned and mirrored copies, (classes, slices, *pixels)."""
        stack = window.sample(self._frame(image, seen, t))
        total = torch.zeros(())
        for number in range(self.settings.turns):
            quarter, mirror = (number * 2) % 4 + (number // 4), number % 4 >= 2
            copy = torch.rot90(stack, quarter, (1, 2))
            copy = copy.flip(1) if mirror else copy
            answer = self._scores(copy.contiguous())
            answer = answer.flip(2) if mirror else answer
            total = total + torch.rot90(answer, -quarter, (2, 3))
        return total / self.settings.turns

    def _decide(self, shares: list[Tensor], window: Window, image: Image) -> NDArray[np.uint8]:
        """Codes (x, y, slices, t) after a short average over time."""
        shape = (image.data.shape[0], image.data.shape[1])
        n, w = len(shares), self.settings.smooth_time
        codes = []
        for t in range(n):
            mean = shares[t].float()
            if n > 4 and w > 0:  # the beat is a circle
                mean = (1 - 2 * w) * mean + w * (shares[t - 1].float() + shares[(t + 1) % n].float())
            codes.append(window.spread(mean, shape).argmax(0).to(torch.uint8).permute(1, 2, 0).numpy())
        return np.stack(codes, axis=-1)


def _percentile_scaled(stack: NDArray[np.float32]) -> NDArray[np.float32]:
    """As training stacks are kept: between the 0.5th and 99.5th percentile."""
    low, high = np.percentile(stack, (0.5, 99.5))
    scaled = np.clip((stack - low) / max(float(high - low), 1e-6), 0, 1)
    return np.asarray(scaled, np.float32)
