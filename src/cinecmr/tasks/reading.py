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
from cinecmr.tasks.blood import where_blood_is_seen
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
        zooms: other pixel sizes, as factors, at which the heart is looked for.
        zoom_margin: how much more of a ring another zoom must show to be taken; files that record a wrong spacing are
            rare, and a stomach is a ring too.
        turns: copies (mirrored, turned) whose answers are averaged: 1, 2, 4 or 8.
        smooth_time: weight of each neighbouring frame in the average of shares.
        locate_frames: frames in which the heart is looked for.
    """

    pixel_mm: float = 1.7
    pixels: int = 112
    zooms: tuple[float, ...] = (0.75, 1.35)
    zoom_margin: float = 0.25
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
        """Label every frame, (x, y, z, t) `Structure` codes; see `read`."""
        return self.read(image, progress)[0]

    def read(
        self, image: Image, progress: Callable[[float], None] | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """Label every frame, and tell how sure the network is of each slice.

        Args:
            image: short axis; slices in `image.missing_slices` are left out of the stack the network sees.
            progress: called with the share done, 0 to 1.

        Returns:
            (x, y, z, t) `Structure` codes on the image's own grid, `UNSEEN` in missing slices; and (z, t) the Dice that
            the network's shares promise (`expected_dice`), NaN where no heart was found.

        Raises:
            ValueError: every slice is missing.
        """
        seen = [z for z in range(image.slices) if z not in image.missing_slices]
        if not seen:
            raise ValueError(f"all {image.slices} slices of the image are missing: there is nothing to label")
        with torch.inference_mode():
            window = self._locate(image, seen)
            shares = []
            for t in range(image.frames):
                shares.append(self._shares(image, seen, t, window).half())
                if progress:
                    progress((t + 1) / image.frames)
            found = self._decide(shares, window, image)
        found = clean(found, image.spacing)
        labels = np.full(image.data.shape, Structure.UNSEEN, np.uint8)
        sure = np.full(image.data.shape[2:], np.nan)
        for t in range(image.frames):
            labels[:, :, seen, t] = where_blood_is_seen(found[..., t], image.data[:, :, seen, t])
            heart = found[..., t].any(axis=(0, 1))
            sure[seen, t] = np.where(heart, expected_dice(shares[t].float()).numpy(), np.nan)
        return labels, sure

    def _frame(self, image: Image, seen: list[int], t: int) -> Tensor:
        data = np.ascontiguousarray(np.moveaxis(image.data[:, :, seen, t], 2, 0), dtype=np.float32)
        return torch.from_numpy(data)

    def _locate(self, image: Image, seen: list[int]) -> Window:
        """The window on the heart: the whole picture is read at several zooms, and the best ring of muscle wins.

        Files may not record their pixel size, and hearts are of all sizes; the network's own pixel size is kept
        unless another shows clearly more of a left ventricle.
        """
        frames = np.unique(np.linspace(0, image.frames, self.settings.locate_frames, endpoint=False).astype(int))
        best, centre, quality = 1.0, ((image.data.shape[0] - 1) / 2, (image.data.shape[1] - 1) / 2), 0.0
        for zoom in (1.0, *self.settings.zooms):
            at, ring = self._find(image, seen, frames, self._whole(image, zoom))
            if ring > quality + (self.settings.zoom_margin if zoom != 1.0 else 0.0):
                best, centre, quality = zoom, at, ring
        step = self.settings.pixel_mm * best / image.spacing
        return Window(centre, (step[0], step[1]), (self.settings.pixels,) * 2)

    def _whole(self, image: Image, zoom: float) -> Window:
        """A window on the whole picture, at most 288 network pixels a side."""
        step = self.settings.pixel_mm * zoom / image.spacing[:2]
        shape = np.asarray(image.data.shape[:2])
        pixels = [int(np.clip(np.ceil(n / s / 16) * 16, 32, 288)) for n, s in zip(shape, step, strict=True)]
        middle = (shape - 1) / 2
        return Window((middle[0], middle[1]), (step[0], step[1]), (pixels[0], pixels[1]))

    def _find(
        self, image: Image, seen: list[int], frames: NDArray[np.intp], window: Window
    ) -> tuple[tuple[float, float], float]:
        """Centre of the heart in image pixels, and how whole its ring of muscle is, 0 (nothing found) to 1."""
        middle = seen[len(seen) // 6 : max(len(seen) - len(seen) // 6, 1)] or seen
        total = torch.zeros(window.pixels)
        rings = []
        for t in frames:
            codes = self._scores(window.sample(self._frame(image, middle, int(t)))).argmax(0)
            total += (codes > 0).sum(0) + (codes >= Structure.MYO).sum(0)
            rings.append(_ring(codes))
        if total.sum() < 20:
            return window.centre, 0.0
        # The bulk, not the mean: a stray patch far away must not pull the window.
        bulk = blurred(total[None], 12.0)[0]
        total = total * (bulk > 0.25 * bulk.max())
        u, v = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in window.pixels), indexing="ij")
        at = [float((total * w).sum() / total.sum()) for w in (u, v)]
        centre = tuple(
            c + s * (a - (n - 1) / 2) for c, s, a, n in zip(window.centre, window.step, at, window.pixels, strict=True)
        )
        return (centre[0], centre[1]), float(np.mean(rings))

    def _scores(self, stack: Tensor) -> Tensor:
        """(slices, x, y) intensities -> (classes, slices, x, y) shares."""
        eaten = torch.from_numpy(standardised(percentile_scaled(stack.numpy())))[None, None].to(self.device)
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


def expected_dice(shares: Tensor) -> Tensor:
    """Dice that labels drawn where each share is largest would have, were truth drawn from the shares.

    Args:
        shares: (classes, slices, x, y), of sum 1; class 0 is everything else.

    Returns:
        (slices,) of all structures together: twice the share of what was labelled over the pixels labelled and the
        shares of any structure, 0 to 1; NaN where nothing is labelled.

    Source: the soft Dice of Drozdzal et al. 2016, with the labels in the place of truth.
    """
    top, codes = shares.max(0)
    labelled = codes > 0
    agreed = (top * labelled).sum((1, 2))
    total = labelled.sum((1, 2)) + (1 - shares[0]).sum((1, 2))
    return torch.where(labelled.any(2).any(1), 2 * agreed / total, torch.nan)


def _ring(codes: Tensor) -> float:
    """Share of the cavity's border that touches muscle, mean over slices (slices, x, y); 0 where there is no cavity."""
    cavity = (codes == Structure.LV).float()[:, None]
    border = (functional.max_pool2d(cavity, 3, 1, 1) > cavity)[:, 0]
    touching = (border & (codes == Structure.MYO)).sum((1, 2)) / border.sum((1, 2)).clamp(min=1)
    large = cavity.sum((1, 2, 3)) >= 12
    return float((touching * large).mean())


def percentile_scaled(stack: NDArray[np.float32]) -> NDArray[np.float32]:
    """As training stacks are kept: between the 0.5th and 99.5th percentile."""
    low, high = np.percentile(stack, (0.5, 99.5))
    scaled = np.clip((stack - low) / max(float(high - low), 1e-6), 0, 1)
    return np.asarray(scaled, np.float32)
