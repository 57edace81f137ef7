"""Long-axis frames learned with labels and points together: the objective that `learn.fit` trains.

One network for the 2C, 3C and 4C views: its first outputs are scores of `CODES`, then one of the vessels beside them,
its last ones hills over the points of `MARKS`. A valve's two hinges share one output with two hills, for nothing in a
picture that may be mirrored says which is which; `tasks.long_axis_reading` tells them apart by where the patient's
parts lie.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from cinecmr.anatomy import Structure
from cinecmr.learn.augment import Intensity
from cinecmr.learn.losses import dice_and_cross_entropy, hard_dice
from cinecmr.learn.objective import Loss
from cinecmr.networks.pretrained import differences
from cinecmr.networks.stack_unet import StackUNet, StackUNetConfig
from cinecmr.tasks.landmarks import heatmaps, peak
from cinecmr.tasks.long_axis_changes import FrameChanges
from cinecmr.tasks.segmentation import standardised

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

CODES = (Structure.BACKGROUND, Structure.RV, Structure.MYO, Structure.LV, Structure.LA, Structure.RA)
KINDS = len(CODES) + 1  # and blood in vessels (`long_axis_frames.VESSEL`), which reading takes for background
MARKS = {"mitral": (0, 1), "apex": (2,), "tricuspid": (3, 4)}  # which of a frame's five points each output shows
DICE_NAMES = ("dice_rv", "dice_myo", "dice_lv", "dice_la", "dice_ra", "dice_vessels")
SUREST = 0.1  # height of a hill below which there is no point
_RIDGE_PX = 2.5  # a summit is the highest place within this
_ENTROPY_WEIGHT = 4.0  # a hill covers a hundredth of the picture: its cross-entropy is small beside its overlap


@dataclass(frozen=True)
class LongAxisSettings:
    """What is learned and how.

    Attributes:
        network: size of the U-Net; it is shown one slice at a time, so none of its levels looks at neighbours.
        sigma: width of a hill, pixels.
        changes: of shape and blood, see `tasks.long_axis_changes`. intensity: after these, see `learn.augment`.
        hills: weight of the points against the labels.
        held_out: frames kept for checking, the last of the pool.
    """

    network: StackUNetConfig = field(
        default_factory=lambda: StackUNetConfig(classes=KINDS + len(MARKS), widths=(12, 24, 48, 96, 160), mixing_from=5)
    )
    sigma: float = 2.0
    changes: FrameChanges = field(default_factory=FrameChanges)
    intensity: Intensity = field(default_factory=Intensity)
    hills: float = 1.0
    held_out: int = 180

    def __post_init__(self) -> None:
        if self.network.classes != KINDS + len(MARKS):
            raise ValueError(f"the network answers {KINDS} codes and {len(MARKS)} kinds of points, "
                             f"not {self.network.classes} classes")  # fmt: skip
        if self.sigma <= 0 or self.hills < 0:
            raise ValueError(f"sigma is above 0 and hills 0 or more, got {self.sigma} and {self.hills}")

    def as_json(self) -> dict[str, object]:
        """For a `Recipe`."""
        return {"task": "long-axis", **asdict(self)}


@dataclass
class LongAxis:
    """Learn labels and points of long-axis frames.

    Attributes:
        arrays: `images` and `labels` (frames, x, y) uint8, `points` (frames, 5, 2) pixels.
        pixel_mm: of the frames, for what `check` tells in mm.
        settings: see there.
    """

    arrays: Mapping[str, NDArray[np.generic]]
    pixel_mm: float
    settings: LongAxisSettings = field(default_factory=LongAxisSettings)

    def __post_init__(self) -> None:
        images, labels, points = (self.arrays[name] for name in ("images", "labels", "points"))
        if images.shape != labels.shape or points.shape != (len(images), 5, 2):
            raise ValueError(f"images {images.shape}, labels {labels.shape} and points {points.shape} do not fit")
        if len(images) <= self.settings.held_out:
            raise ValueError(f"{len(images)} frames leave none to learn from beside {self.settings.held_out} held out")

    def network(self) -> nn.Module:
        """A fresh U-Net."""
        return StackUNet(self.settings.network)

    def begin(self, network: nn.Module, tensors: dict[str, Tensor]) -> None:
        """Start from weights of this task; earlier ones knew no vessels and begin by thinking them unlikely."""
        head, bias = tensors["head.weight"], tensors["head.bias"]
        if len(bias) == len(CODES) + len(MARKS):
            row = head[:1] * 0  # after the codes
            head = torch.cat([head[: len(CODES)], row, head[len(CODES) :]])
            bias = torch.cat([bias[: len(CODES)], bias[:1] * 0 - 1, bias[len(CODES) :]])
        if unlike := differences(network, tensors | {"head.weight": head, "head.bias": bias}):
            raise ValueError(str(unlike))
        network.load_state_dict(tensors | {"head.weight": head, "head.bias": bias})

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """(size, 1, 1, x, y) images, (size, x, y) codes and (size, 3, x, y) hills."""
        numbers = rng.integers(len(self.arrays["images"]) - self.settings.held_out, size=size)
        return self._made([self._changed(int(number), rng) for number in numbers])

    def _plain(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
        image = np.asarray(self.arrays["images"][number], np.float32) / np.float32(255)
        return image, np.asarray(self.arrays["labels"][number], np.uint8), np.asarray(self.arrays["points"][number])

    def _changed(
        self, number: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
        image, labels, points = turned(*self._plain(number), quarter=int(rng.integers(4)), mirror=rng.random() < 0.5)
        image, labels, points = self.settings.changes(image, labels, points, rng)
        return self.settings.intensity(image[None], rng)[0], labels, points

    def _made(
        self, samples: list[tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        images, labels, points = (np.stack(column) for column in zip(*samples, strict=True))
        eaten = np.stack([standardised(image) for image in images])[:, None, None]
        return torch.from_numpy(eaten), torch.from_numpy(labels), hills(torch.from_numpy(points), images.shape[1:],
                                                                        self.settings.sigma)  # fmt: skip

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Loss:
        """Soft Dice plus cross-entropy of the labels, and of the hills."""
        images, labels, truth = batch
        scores = network(images)[:, :, 0]
        dice, entropy = dice_and_cross_entropy(scores[:, :KINDS], labels)
        points = hill_loss(scores[:, KINDS:], truth)
        total = dice + entropy + self.settings.hills * points
        parts = {"dice_loss": dice, "cross_entropy": entropy, "hill_loss": points}
        return Loss(total, {name: float(part.detach()) for name, part in parts.items()})

    def check(self, network: nn.Module) -> dict[str, float]:
        """Dice of each structure, and the median distance of found from true points, mm, over the held-out frames."""
        codes, truth, far = [], [], {name: list[float]() for name in MARKS}
        for number in range(len(self.arrays["images"]) - self.settings.held_out, len(self.arrays["images"])):
            image, labels, points = self._plain(number)
            scores = network(self._made([(image, labels, points)])[0])[0, :, 0]
            codes.append(scores[:KINDS].argmax(0))
            truth.append(torch.from_numpy(labels))
            shares = scores[KINDS:].sigmoid().numpy()
            for heat, (name, which) in zip(shares, MARKS.items(), strict=True):
                far[name] += _distances(heat, points[list(which)])
        dice = hard_dice(torch.stack(codes), torch.stack(truth), KINDS)
        told = dict(zip(DICE_NAMES, dice, strict=True))
        return told | {f"{name}_mm": float(np.median(d)) * self.pixel_mm for name, d in far.items() if d}


def turned(
    image: NDArray[np.float32],
    labels: NDArray[np.uint8],
    points: NDArray[np.float32],
    *,
    quarter: int,
    mirror: bool,
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
    """The same square frame from another side: some quarter turns, then mirrored along x.

    >>> image = np.arange(9, dtype=np.float32).reshape(3, 3)
    >>> seen, _, at = turned(image, image.astype(np.uint8), np.array([[2.0, 1.0]], np.float32), quarter=1, mirror=True)
    >>> bool(seen[tuple(at[0].astype(int))] == image[2, 1])
    True
    """
    last = image.shape[0] - 1
    for _ in range(quarter):  # as np.rot90: what lay at (i, j) now lies at (last - j, i)
        points = np.stack([last - points[:, 1], points[:, 0]], axis=1)
    image, labels = np.rot90(image, quarter), np.rot90(labels, quarter)
    if mirror:
        image, labels, points = image[::-1], labels[::-1], np.stack([last - points[:, 0], points[:, 1]], axis=1)
    return np.ascontiguousarray(image), np.ascontiguousarray(labels), points


def hills(points: Tensor, size: tuple[int, ...], sigma: float) -> Tensor:
    """(batch, 5, 2) pixels, NaN where there is no point, to (batch, 3, x, y) hills of height 1, those of `MARKS`."""
    each = heatmaps(points.float(), size, sigma).nan_to_num(0.0)
    return torch.stack([each[:, list(which)].amax(1) for which in MARKS.values()], 1)


def hill_loss(scores: Tensor, truth: Tensor, smooth: float = 1.0) -> Tensor:
    """Overlap and cross-entropy of hills, both least where the sigmoid of the scores is the truth; (batch, n, x, y).

    The overlap is Milletari's, with squares in the denominator: soft Dice with plain sums would reward discs instead.
    """
    shares = scores.sigmoid()
    axes = (0, 2, 3)
    overlap, total = (shares * truth).sum(axes), (shares**2 + truth**2).sum(axes)
    missed = 1 - ((2 * overlap + smooth) / (total + smooth)).mean()
    return missed + _ENTROPY_WEIGHT * functional.binary_cross_entropy_with_logits(scores, truth)


def summits(heat: NDArray[np.float32], count: int, apart: float, least: float = SUREST) -> NDArray[np.float64]:
    """The highest places of a map of hills, between pixels.

    Args:
        heat: (x, y), 0 to 1.
        count: how many, the highest first.
        apart: pixels around one summit within which there is no other.
        least: height below which there is none.

    Returns:
        (count, 2) pixels, NaN for those that are not there.
    """
    left, found, number = heat.copy(), np.full((count, 2), np.nan), 0
    x, y = np.indices(heat.shape)
    while number < count and left.max() >= least:
        top = np.unravel_index(int(left.argmax()), heat.shape)
        far = np.hypot(x - top[0], y - top[1])
        left[far < apart] = 0
        if heat[far < _RIDGE_PX].max() > heat[top]:  # the shoulder of a wide hill that was found before
            continue
        found[number] = peak(np.where(far < apart, heat, 0))
        number += 1
    return found


def _distances(heat: NDArray[np.float32], points: NDArray[np.float32]) -> list[float]:
    """Of each true point to the nearest found one, pixels; a point that was not found is the picture's width away."""
    true = points[np.isfinite(points).all(axis=1)]
    found = summits(heat, len(points), 6.0)
    far = np.linalg.norm(true[:, None] - found[None], axis=2)
    return [float(np.nanmin(row)) if np.isfinite(row).any() else float(len(heat)) for row in far]
