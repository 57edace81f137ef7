"""How CineMA's published segmentation networks read an image: their grid, their crop, their grey values, and back.

Pixels in, `Structure` codes on the image's own grid out. Arrays enter in the order in which they are stored.

Source: CineMA (Fu et al.), appendix B; specification of its code, sections 9 and 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from cinecmr.anatomy import Structure
from cinecmr.learn.samples import starts, window
from cinecmr.networks.inference import Ready
from cinecmr.networks.multiview import MultiView
from cinecmr.tasks.published_grid import NetworkGrid, quantised
from cinecmr.tasks.published_pieces import kept

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cinecmr.networks.inference import Way
    from cinecmr.study import Image

APPROACHES = 3  # times that a crop is moved to the left ventricle found in it
CINE = (int(Structure.BACKGROUND), int(Structure.RV), int(Structure.MYO), int(Structure.LV))


@dataclass(frozen=True)
class PublishedReadingSettings:
    """How a published segmentation network is asked.

    Attributes:
        view: "sax" (three axes) or a long-axis view (two).
        spacing: mm along x, y[, z] of what it learned from.
        patch: voxels along x, y[, z] that it takes.
        codes: `Structure` of each of its classes, in their order.
        pieces: what is kept of each frame: "all", as published for stacks; "largest", one left and one right
            ventricle; "nearest-rv", as published for long-axis views (see `published_pieces`).
        locate_frame: frame in which the heart is looked for where the image is larger than the patch; the first is near
            ED in a gated study.
    """

    view: str = "sax"
    spacing: tuple[float, ...] = (1.0, 1.0, 10.0)
    patch: tuple[int, ...] = (192, 192, 16)
    codes: tuple[int, ...] = CINE
    pieces: Literal["all", "largest", "nearest-rv"] = "largest"
    locate_frame: int = 0

    def __post_init__(self) -> None:
        if len(self.spacing) != len(self.patch) or len(self.patch) not in (2, 3):
            raise ValueError(f"spacing and patch need 2 or 3 axes alike, got {self.spacing} and {self.patch}")
        if self.pieces not in ("all", "largest", "nearest-rv"):
            raise ValueError(f"no pieces {self.pieces!r}: there are all, largest, nearest-rv")


class PublishedReader:
    """A published network and the way it is asked.

    Every frame is resampled to the network's spacing. Of an image that is wider than the patch a crop is read, centred
    on the left ventricle that the network finds in it, as the published preparation centres it on the one that was
    drawn: it starts in the middle of one frame and moves with what it finds. Where it finds nothing, that frame is
    read whole, in windows that overlap by half. Grey values are scaled in the crop.

    Args:
        network: class scores from (batch, 1, x, y[, z]), as a tensor or by view; or several, whose shares are averaged.
        settings: see there.
        device, way: where and how the network runs.
    """

    def __init__(
        self,
        network: nn.Module | Sequence[nn.Module],
        settings: PublishedReadingSettings | None = None,
        device: str = "cpu",
        way: Way | None = None,
    ) -> None:
        several = [network] if isinstance(network, nn.Module) else list(network)
        self.networks = [(Ready(one, device, way), isinstance(one, MultiView)) for one in several]
        self.settings = settings or PublishedReadingSettings()
        self.device = device

    def labels(self, image: Image, progress: Callable[[float], None] | None = None) -> NDArray[np.uint8]:
        """Label every frame.

        Args:
            image: of the network's view; missing slices of a stack are bridged from their neighbours.
            progress: called with the share done, 0 to 1.

        Returns:
            (x, y, z, t) `Structure` codes on the image's own grid; `UNSEEN` in missing slices.

        Raises:
            ValueError: a stack for a network of one plane, or every slice is missing.
        """
        self._check(image)
        grid = NetworkGrid.of(image, self.settings.spacing)
        codes = np.asarray(self.settings.codes, np.uint8)
        labels = np.zeros(image.data.shape, np.uint8)
        with torch.inference_mode():
            crop = self._crop(image, grid)
            for t in range(image.frames):
                volume = grid.resampled(image, t)[crop]
                shares = grid.returned(self._shares(quantised(volume)), crop)
                found = kept(codes[shares.argmax(0)], self.settings.pieces)
                labels[..., t] = found.reshape(labels.shape[:3])
                if progress:
                    progress((t + 1) / image.frames)
        labels[:, :, list(image.missing_slices)] = Structure.UNSEEN
        return labels

    def _check(self, image: Image) -> None:
        if len(self.settings.patch) == 2 and image.slices != 1:
            raise ValueError(f"the network reads one plane of view {self.settings.view}, got {image.slices} slices")
        if len(image.missing_slices) == image.slices:
            raise ValueError(f"all {image.slices} slices of the image are missing: there is nothing to label")

    def _crop(self, image: Image, grid: NetworkGrid) -> tuple[slice, ...]:
        """Where of the resampled image the network looks; slices are never cropped."""
        if all(n <= p for n, p in zip(grid.shape[:2], self.settings.patch[:2], strict=True)):
            return tuple(slice(0, n) for n in grid.shape)
        volume = grid.resampled(image, min(self.settings.locate_frame, image.frames - 1))
        crop = self._about([(n - 1) / 2 for n in volume.shape[:2]], volume.shape)
        for _ in range(APPROACHES):
            middle = self._left_middle(volume[crop])
            if middle is None:
                middle = self._left_middle(volume)  # in windows
                return crop if middle is None else self._about(middle, volume.shape)
            before, crop = crop, self._about([c.start + m for c, m in zip(crop, middle, strict=False)], volume.shape)
            if crop == before:
                break
        return crop

    def _about(self, middle: Sequence[float], shape: tuple[int, ...]) -> tuple[slice, ...]:
        """The patch about a place in plane, moved to lie within the image; all slices."""
        patch = self.settings.patch
        first = [window(at, at, n, p) for at, n, p in zip(middle, shape, patch, strict=False)]
        cut = [slice(f, min(f + p, n)) for f, p, n in zip(first, patch, shape, strict=False)]
        return (*cut, *(slice(0, n) for n in shape[2:]))

    def _left_middle(self, volume: NDArray[np.float32]) -> list[float] | None:
        """Middle of the left ventricle's box in plane, in voxels of the volume; None where there is none."""
        codes = np.asarray(self.settings.codes, np.uint8)
        left = kept(codes[self._shares(quantised(volume)).argmax(0)], "largest") == Structure.LV
        return [(int(at.min()) + int(at.max())) / 2 for at in left.nonzero()[:2]] if left.any() else None

    def _shares(self, volume: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class shares (classes, x, y[, z]) of grey values of any size: padded at the end, or read in windows."""
        size, patch = volume.shape, self.settings.patch
        padded = np.pad(volume, [(0, max(0, p - n)) for n, p in zip(size, patch, strict=True)])
        total = np.zeros((len(self.settings.codes), *padded.shape), np.float32)
        times = np.zeros(padded.shape, np.float32)
        for corner in product(*map(starts, padded.shape, patch)):
            seen = tuple(slice(c, c + p) for c, p in zip(corner, patch, strict=True))
            total[(slice(None), *seen)] += self._asked(padded[seen])
            times[seen] += 1
        inside = tuple(slice(0, n) for n in size)
        return np.asarray((total / times)[(slice(None), *inside)], np.float32)

    def _asked(self, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        eaten = torch.from_numpy(np.ascontiguousarray(patch))[None, None].to(self.device)
        total = torch.zeros(())
        for network, by_view in self.networks:
            answer = network({self.settings.view: eaten} if by_view else eaten)
            scores: torch.Tensor = answer[self.settings.view] if by_view else answer
            total = total + scores[0].softmax(0).cpu()
        return np.asarray((total / len(self.networks)).numpy(), np.float32)
