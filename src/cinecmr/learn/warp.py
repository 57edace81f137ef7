"""CineMA's changes of a sample: turned, shifted, sized, slanted, brighter or darker, grainy, with a hole.

One draw for the image and its labels, and for all channels of an image. (channels, x, y, z) intensities from 0 to 1 in
and out; everything is drawn from the generator given.

Source: CineMA (Fu et al.), section 4.1; specification of its code, sections 7, 8 and 12 (rows 2, 10, 11).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from cinecmr.learn.samples import linear, nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.learn.samples import Grid


@dataclass(frozen=True)
class Move:
    """How a sample is moved within its plane.

    Attributes:
        turn: largest angle, degrees. shift: largest way along x and y, voxels.
        size: largest share by which it grows or shrinks. slant: largest tangent of a shear.
        along_z: whether it grows along z too.
        stretch: grow along x only, as the published fine-tuning does unknowingly.
        chance: that it is moved at all.
    """

    turn: float = 180.0
    shift: float = 60.0
    size: float = 0.2
    slant: float = 0.0
    along_z: bool = False
    stretch: bool = False
    chance: float = 0.5

    def draw(self, rng: np.random.Generator) -> Moved | None:
        """One way of moving; None where chance leaves the sample alone."""
        if rng.random() >= self.chance:
            return None
        angle = np.radians(rng.uniform(-self.turn, self.turn))
        shift = rng.uniform(-self.shift, self.shift, 2)
        factor = 1 + rng.uniform(-self.size, self.size)
        slant = rng.uniform(-self.slant, self.slant, 2)
        turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = turned @ np.array([[1.0, slant[0]], [slant[1], 1.0]])
        matrix = matrix @ np.diag([factor, 1.0 if self.stretch else factor])
        return Moved(matrix, shift, factor if self.along_z else 1.0)


@dataclass(frozen=True, eq=False)
class Moved:
    """A drawn move: a point p from the middle of the plane goes to `matrix` p + `shift`; z grows by `depth`."""

    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]
    depth: float = 1.0

    def image(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """(channels, x, y, z) moved, bilinear, 0 outside."""
        moved = self._plane(np.asarray(image, np.float32), "bilinear")
        if self.depth == 1.0:
            return moved
        return np.stack([linear(channel, self._slices(channel.shape)) for channel in moved])

    def labels(self, labels: NDArray[np.uint8], outside: int = 0) -> NDArray[np.uint8]:
        """(x, y, z) codes moved, nearest."""
        above = np.asarray(labels, np.float32)[None] - outside  # so that what is outside reads as 0
        codes = np.rint(self._plane(above, "nearest")[0] + outside).astype(np.uint8)
        return codes if self.depth == 1.0 else nearest(codes, self._slices(codes.shape), outside)

    def points(self, points: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
        """(..., 2) pixel positions, moved with an image of that shape (x, y)."""
        middle = (np.asarray(shape[:2]) - 1) / 2
        return np.asarray((points - middle) @ self.matrix.T + self.shift + middle, np.float64)

    def _slices(self, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], ...]:
        middle = (shape[2] - 1) / 2
        x, y, z = (np.arange(n, dtype=np.float64) for n in shape)
        return x, y, middle + (z - middle) / self.depth

    def _plane(self, array: NDArray[np.float32], mode: str) -> NDArray[np.float32]:
        """All slices of all channels read at one grid of points."""
        channels, x, y, z = array.shape
        back = np.linalg.inv(self.matrix)
        half = np.maximum(np.array([x - 1, y - 1]) / 2, 0.5)
        u, v = np.meshgrid(np.arange(x) - (x - 1) / 2, np.arange(y) - (y - 1) / 2, indexing="ij")
        at = (np.stack([u, v], -1) - self.shift) @ back.T / half
        grid = torch.from_numpy(at[None, ..., ::-1].astype(np.float32))
        planes = torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2))).reshape(1, channels * z, x, y)
        moved = functional.grid_sample(planes, grid, mode=mode, padding_mode="zeros", align_corners=True)
        return moved.reshape(channels, z, x, y).permute(0, 2, 3, 1).numpy()


@dataclass(frozen=True)
class Changes:
    """Everything that may happen to a sample, in this order: gamma, noise, rescaling to 0..1, a move, a hole.

    Attributes:
        gamma: lowest and highest exponent; None for none. noise: largest standard deviation, after rescaling.
        move: see there; None for none.
        hole: voxels along x, y, z of a box set to 0 in the image only; None for none.
        chance: of gamma, of noise and of the hole.
    """

    gamma: tuple[float, float] | None = (0.5, 1.5)
    noise: float = 0.1
    move: Move | None = field(default_factory=Move)
    hole: tuple[int, int, int] | None = None
    chance: float = 0.5

    def draw(self, rng: np.random.Generator) -> Moved | None:
        """A move to share between images, for `__call__`."""
        return self.move.draw(rng) if self.move else None

    def __call__(
        self,
        image: NDArray[np.float32],
        rng: np.random.Generator,
        labels: NDArray[Any] | None = None,
        moved: Moved | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
        """A changed copy of an image, and its labels moved alike.

        Args:
            image: (channels, x, y, z), 0 to 1.
            rng: what is drawn from.
            labels: (x, y, z) codes.
            moved: a move that was drawn already; else one is drawn here.
        """
        image = np.asarray(image, np.float32)
        if self.gamma is not None and rng.random() < self.chance:
            image = image ** np.float32(rng.uniform(*self.gamma))
        image = rescaled(image)
        if self.noise and rng.random() < self.chance:
            grain = rng.standard_normal(image.shape, dtype=np.float32)
            image = rescaled(image + np.float32(rng.uniform(0, self.noise)) * grain)
        moved = moved or self.draw(rng)
        if moved is not None:
            image, labels = moved.image(image), None if labels is None else moved.labels(labels)
        if self.hole is not None and rng.random() < self.chance:
            image = _holed(image, self.hole, rng)
        return image, labels


def rescaled(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """From 0 to 1 over all channels together; a picture without contrast is left as it is."""
    low, high = float(image.min()), float(image.max())
    return image if high <= low else np.asarray((image - low) / (high - low), np.float32)


def _holed(image: NDArray[np.float32], size: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    corner = [int(rng.integers(max(n - s, 0) + 1)) for n, s in zip(image.shape[1:], size, strict=True)]
    x, y, z = (slice(c, c + s) for c, s in zip(corner, size, strict=True))
    image = image.copy()
    image[:, x, y, z] = 0
    return image


PRESETS = ("published", "official", "sound")


def for_labels(preset: str, long_axis: bool) -> Changes:
    """What fine-tuning does to labelled samples.

    "published" and "sound": as the paper, noise after rescaling where it has an effect, growth alike along both axes.
    "official": no noise that is seen, and growth along x only.

    Raises:
        ValueError: no such preset.
    """
    _known(preset)
    move = Move(180.0, 80.0 if long_axis else 60.0, 0.2, stretch=preset == "official")
    hole = (50, 50, 1) if long_axis else (40, 40, 2)
    return Changes(noise=0.0 if preset == "official" else 0.1, move=move, hole=hole)


def on_grid(changes: Changes, grid: Grid, turn: float = 0.0, shift_mm: float = 0.0) -> Changes:
    """Ranges that are told in pixels of 1 mm, as millimetres on another grid.

    Args:
        changes: see `for_labels`.
        grid: of the network.
        turn: another largest rotation, degrees, for runs too short to learn every orientation; 0 keeps it.
        shift_mm: another largest shift; 0 keeps it.
    """
    pixel, move, hole = grid.spacing[0] or 1.0, changes.move, changes.hole
    if move is not None:
        move = replace(move, turn=turn or move.turn, shift=(shift_mm or move.shift) / pixel)
    if hole is not None:
        hole = (max(1, round(hole[0] / pixel)), max(1, round(hole[1] / pixel)), min(hole[2], grid.size[2]))
    return replace(changes, move=move, hole=hole)


def for_pretraining(preset: str) -> Changes:
    """What pre-training does to a view.

    "published" and "sound": gamma, rotation, size, slant and shift, each view by itself. The paper names no ranges;
    these are ours. "official": size by a tenth along all axes, in half of the samples, and nothing else.

    Raises:
        ValueError: no such preset.
    """
    _known(preset)
    if preset == "official":
        return Changes(gamma=None, noise=0.0, move=Move(0.0, 0.0, 0.1, along_z=True))
    return Changes(noise=0.0, move=Move(turn=30.0, shift=10.0, size=0.1, slant=0.1))


def _known(preset: str) -> None:
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}: there are {', '.join(PRESETS)}")
