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
from cinecmr.tasks.blood import where_blood_is_seen, with_blood_beside
from cinecmr.tasks.cleaning import clean
from cinecmr.tasks.right_base import without_outflow
from cinecmr.tasks.segmentation import standardised
from cinecmr.tasks.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from cinecmr.study import Image


LEFT_OF_HEART = 0.85  # of a slice's wall and cavity, where walls are drawn thinner; less is a slice it is unsure of
_BULK_PX = 12.0  # network pixels over which the heart's mass is gathered where it is looked for


@dataclass(frozen=True)
class Asking:
    """How any network is asked.

    Attributes:
        pixel_mm: pixel size the network learned at. pixels: of its window; a multiple of the network's.
        turns: copies (mirrored, turned) whose answers are averaged: 1, 2, 4 or 8.
        smooth_time: weight of each neighbouring frame in the average of shares.
        locate_frames: frames in which the heart is looked for.
    """

    pixel_mm: float = 1.7
    pixels: int = 112
    turns: int = 4
    smooth_time: float = 0.15
    locate_frames: int = 3

    def __post_init__(self) -> None:
        if self.turns not in (1, 2, 4, 8):
            raise ValueError(f"turns must be 1, 2, 4 or 8, got {self.turns}")


@dataclass(frozen=True)
class ReadingSettings(Asking):
    """How a short-axis network is asked; the rest as in `Asking`.

    Attributes:
        zooms: other pixel sizes, as factors, at which the heart is looked for.
        zoom_margin: how much more of a ring another zoom must show to be taken; files that record a wrong spacing are
            rare, and a stomach is a ring too.
        wall: what a share of muscle counts beside one of anything else. A loss of overlap rewards thin structures drawn
            too thick: on the 60 ACDC subjects of the development data the wall held an eighth more than readers
            drew, and the cavity a twentieth less. Where muscle hardly wins it gives way (`labelled`).

    Raises:
        ValueError: `wall` is no weight.
    """

    zooms: tuple[float, ...] = (0.75, 1.35)
    zoom_margin: float = 0.25
    wall: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.wall <= 1:
            raise ValueError(f"wall must lie above 0 and not above 1, got {self.wall}")


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
            picture = image.data[:, :, seen, t]
            labels[:, :, seen, t] = with_blood_beside(where_blood_is_seen(found[..., t], picture), picture)
            heart = found[..., t].any(axis=(0, 1))
            sure[seen, t] = np.where(heart, expected_dice(shares[t].float()).numpy(), np.nan)
        labels[:, :, seen] = without_outflow(labels[:, :, seen])
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
            at, ring = self._find(image, seen, frames, Window.whole(image, self.settings.pixel_mm * zoom))
            if ring > quality + (self.settings.zoom_margin if zoom != 1.0 else 0.0):
                best, centre, quality = zoom, at, ring
        step = self.settings.pixel_mm * best / image.spacing
        return Window(centre, (step[0], step[1]), (self.settings.pixels,) * 2)

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
        centre = window.bulk(total, _BULK_PX)
        return (centre, float(np.mean(rings))) if centre else (window.centre, 0.0)

    def _scores(self, stack: Tensor) -> Tensor:
        """(slices, x, y) intensities -> (classes, slices, x, y) shares."""
        eaten = torch.from_numpy(standardised(percentile_scaled(stack.numpy())))[None, None].to(self.device)
        scores: Tensor = self.network(eaten)[0]
        return scores.softmax(0).float().cpu()

    def _shares(self, image: Image, seen: list[int], t: int, window: Window) -> Tensor:
        """Shares averaged over turned and mirrored copies, (classes, slices, *pixels)."""
        stack = window.sample(self._frame(image, seen, t))
        return over_turns(self._scores, stack, self.settings.turns)

    def _decide(self, shares: list[Tensor], window: Window, image: Image) -> NDArray[np.uint8]:
        """Codes (x, y, slices, t) after a short average over time."""
        shape = (image.data.shape[0], image.data.shape[1])
        codes = []
        for t in range(len(shares)):
            mean = over_time(shares, t, self.settings.smooth_time)
            codes.append(labelled(window.spread(mean, shape), self.settings.wall).permute(1, 2, 0).numpy())
        return np.stack(codes, axis=-1)


def over_turns(ask: Callable[[Tensor], Tensor], planes: Tensor, turns: int) -> Tensor:
    """A network's answer averaged over turned and mirrored copies of what it is asked.

    Args:
        ask: (planes, x, y) intensities -> (classes, planes, x, y).
        planes: (planes, x, y), square.
        turns: how many copies: 1, 2, 4 or 8.
    """
    total = torch.zeros(())
    for number in range(turns):
        quarter, mirror = (number * 2) % 4 + (number // 4), number % 4 >= 2
        copy = torch.rot90(planes, quarter, (1, 2))
        answer = ask((copy.flip(1) if mirror else copy).contiguous())
        total = total + torch.rot90(answer.flip(2) if mirror else answer, -quarter, (2, 3))
    return total / turns


def over_time(answers: list[Tensor], t: int, weight: float) -> Tensor:
    """The answer at frame `t` averaged with its two neighbours, each of `weight`; the beat is a circle."""
    if len(answers) <= 4 or weight <= 0:
        return answers[t].float()
    beside = answers[t - 1].float() + answers[(t + 1) % len(answers)].float()
    return (1 - 2 * weight) * answers[t].float() + weight * beside


def labelled(shares: Tensor, wall: float = 1.0) -> Tensor:
    """Labels where each share is largest, muscle's counted less; a slice whose wall would break or shrink keeps it.

    Args:
        shares: (classes, slices, x, y), of the `Structure` codes 0 to 3.
        wall: see `ReadingSettings`.

    Returns:
        (slices, x, y) uint8.
    """
    plain = shares.argmax(0)
    if wall == 1:
        return plain.to(torch.uint8)
    weighed = shares.clone()
    weighed[Structure.MYO] *= wall
    thin = weighed.argmax(0)
    heart = (_area(thin), _area(plain))
    whole = (heart[0] >= LEFT_OF_HEART * heart[1]) & (_open_border(thin) <= _open_border(plain))
    return torch.where(whole[:, None, None], thin, plain).to(torch.uint8)


def _area(codes: Tensor) -> Tensor:
    """Pixels of the left ventricle and its wall, (slices,)."""
    return ((codes == Structure.LV) | (codes == Structure.MYO)).sum((1, 2))


def _border(codes: Tensor) -> Tensor:
    """Pixels around the cavity, (slices, x, y)."""
    cavity = (codes == Structure.LV).float()[:, None]
    return (functional.max_pool2d(cavity, 3, 1, 1) > cavity)[:, 0]


def _open_border(codes: Tensor) -> Tensor:
    """Pixels around the cavity that are no wall, (slices,)."""
    return (_border(codes) & (codes != Structure.MYO)).sum((1, 2))


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
    border = _border(codes)
    touching = (border & (codes == Structure.MYO)).sum((1, 2)) / border.sum((1, 2)).clamp(min=1)
    large = (codes == Structure.LV).sum((1, 2)) >= 12
    return float((touching * large).mean())


def percentile_scaled(stack: NDArray[np.float32]) -> NDArray[np.float32]:
    """As training stacks are kept: between the 0.5th and 99.5th percentile."""
    low, high = np.percentile(stack, (0.5, 99.5))
    scaled = np.clip((stack - low) / max(float(high - low), 1e-6), 0, 1)
    return np.asarray(scaled, np.float32)
