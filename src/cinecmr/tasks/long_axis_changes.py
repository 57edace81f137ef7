"""Changes of a long-axis frame that keep its labels true: another shape of heart, other blood, muscles in the cavity.

What a synthetic heart lacks of a real one is drawn here as variety: its blood is as bright in one chamber as in the
next, its cavities are nearly empty of papillary muscle, and its chambers are in one proportion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cinecmr.anatomy import Structure
from cinecmr.learn.warp import Move

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.float32]
    Codes = NDArray[np.uint8]

_SOFT_PX = 0.8  # how softly one brightness passes into the next
_MUSCLE_PX = ((2.5, 8.0), (0.9, 2.2))  # half the length and half the width of a papillary muscle as a plane cuts it


@dataclass(frozen=True)
class FrameChanges:
    """How strongly frames are changed, before `learn.augment`.

    Attributes:
        move: turns, shears and shifts heart and chest alike.
        tint: spread of the logarithm of the brightness of each structure. tinted: share of the structures changed.
        muscles: most papillary muscles drawn into the left cavity; half of the frames get none.
    """

    move: Move = field(default_factory=lambda: Move(turn=180.0, shift=10.0, size=0.15, slant=0.15, chance=0.7))
    tint: float = 0.25
    tinted: float = 0.4
    muscles: int = 3

    def __call__(
        self, image: Picture, labels: Codes, points: Picture, rng: np.random.Generator
    ) -> tuple[Picture, Codes, Picture]:
        """A changed copy.

        Args:
            image: (x, y) 0 to 1.
            labels: (x, y) codes.
            points: (n, 2) pixels; NaN where there is none.
            rng: what is drawn from.

        Returns:
            The same three; points that left the picture are NaN.
        """
        if self.muscles and rng.random() < 0.5:
            image = with_muscles(image, labels, int(rng.integers(1, self.muscles + 1)), rng)
        if self.tint:
            image = tinted(image, labels, self.tint, self.tinted, rng)
        moved = self.move.draw(rng)
        if moved is None:
            return image, labels, points
        image = moved.image(image[None, :, :, None])[0, :, :, 0]
        at = moved.points(points.astype(np.float64), image.shape).astype(np.float32)
        at[((at < 0) | (at > np.array(image.shape) - 1)).any(axis=1)] = np.nan
        return image, moved.labels(labels[:, :, None])[:, :, 0], at


def tinted(image: Picture, labels: Codes, spread: float, share: float, rng: np.random.Generator) -> Picture:
    """Some structures brighter or darker: blood flows in at one end and is saturated at the other."""
    factor = np.ones(256, np.float32)
    there = np.unique(labels[labels > 0])
    chosen = there[rng.random(len(there)) < share]
    factor[chosen] = np.exp(rng.normal(0, spread, len(chosen)))
    return np.asarray(np.clip(image * ndimage.gaussian_filter(factor[labels], _SOFT_PX), 0, 1), np.float32)


def with_muscles(image: Picture, labels: Codes, count: int, rng: np.random.Generator) -> Picture:
    """Dark bars in the left cavity, as bright as its wall; their label stays cavity."""
    cavity = np.argwhere(labels == Structure.LV)
    wall = image[labels == Structure.MYO]
    if not len(cavity) or not len(wall):
        return image
    x, y = np.indices(image.shape)
    cover = np.zeros(image.shape, np.float32)
    for _ in range(count):
        at, angle = cavity[rng.integers(len(cavity))], rng.uniform(0, np.pi)
        long, wide = (rng.uniform(*reach) for reach in _MUSCLE_PX)
        along = (x - at[0]) * np.cos(angle) + (y - at[1]) * np.sin(angle)
        across = (y - at[1]) * np.cos(angle) - (x - at[0]) * np.sin(angle)
        cover[(along / long) ** 2 + (across / wide) ** 2 < 1] = rng.uniform(0.5, 1.0)
    cover = np.where(labels == Structure.LV, ndimage.gaussian_filter(cover, 0.5), 0)
    return np.asarray(image * (1 - cover) + cover * np.median(wall), np.float32)
