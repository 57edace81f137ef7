"""Slices onto a network's grid, moved, turned, scaled and mirrored in one interpolation; and scores back again.

All of a batch at once, torch, on any device; everything random is drawn from the numpy generator given.

Source: specification of the self-supervised study's code, section 2.1; fixtures/ssp/resampling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from cinecmr.learn.slices import Slice

Centring = Literal["field", "labels"]


@dataclass(frozen=True)
class Geometry:
    """Where a sample lies on its slice.

    Attributes:
        pixels, spacing_mm: of the network's square grid.
        shift: largest translation along each axis, pixels of that grid.
        turn: largest rotation, degrees.
        scale: smallest and largest factor of the grid: above 1 the heart shrinks.
        mirror: chance of each axis.
        turn_chance, scale_chance: chance that there is any rotation, any scaling.
        centring: "field" puts the middle of the image in the middle; "labels" the heart's centre, which takes labels.
        exact_centre: place that centre to the pixel; the published code is up to half a pixel off.
    """

    pixels: int = 256
    spacing_mm: float = 1.25
    shift: float = 40.0
    turn: float = 180.0
    scale: tuple[float, float] = (0.7, 1.4)
    mirror: float = 0.5
    turn_chance: float = 1.0
    scale_chance: float = 1.0
    centring: Centring = "field"
    exact_centre: bool = True

    def __post_init__(self) -> None:
        if self.pixels < 1 or self.spacing_mm <= 0 or not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"pixels, spacing_mm and scale must be above 0, scale ascending, got {self}")
        if self.centring not in ("field", "labels"):
            raise ValueError(f"no centring {self.centring!r}: there are field, labels")

    def still(self) -> Geometry:
        """The same grid without any change: for checking, and for finding labels."""
        return Geometry(self.pixels, self.spacing_mm, 0, 0, (1, 1), 0)

    def draw(self, rng: np.random.Generator, count: int) -> Moves:
        """Random moves of `count` samples, in the published order: rotation, scale, mirroring, translation."""
        turn = rng.uniform(-self.turn, self.turn, count) * (rng.random(count) < self.turn_chance)
        scale = np.where(rng.random(count) < self.scale_chance, rng.uniform(*self.scale, count), 1.0)
        mirror = np.where(rng.random((count, 2)) < self.mirror, -1.0, 1.0)
        shift = rng.uniform(-self.shift, self.shift, (count, 2))
        return Moves(turn, scale[:, None] * mirror, shift)


@dataclass(frozen=True, eq=False)
class Moves:
    """Of a batch.

    Attributes:
        turn: (n,) degrees. scale: (n, 2) factor along x and y, negative where mirrored.
        shift: (n, 2) pixels of the network's grid along x and y.
    """

    turn: NDArray[np.float64]
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]


def matrices(slices: Sequence[Slice], moves: Moves, geometry: Geometry) -> NDArray[np.float64]:
    """(n, 3, 3) from places on the network's grid to places on each slice.

    Places are shares of the field: (0, 0) its middle, -1 and 1 its edges, along (y, x) as `affine_grid` has them. From
    right to left: translation, scale, rotation, ratio of the fields, centre.

    Raises:
        ValueError: centring on labels, and a slice has no centre.
    """
    many = np.tile(np.eye(3), (len(slices), 1, 1))
    shift, scale, turn, ratio, centre = (many.copy() for _ in range(5))
    shift[:, :2, 2] = 2 * moves.shift[:, ::-1] / geometry.pixels
    scale[:, 0, 0], scale[:, 1, 1] = moves.scale[:, 1], moves.scale[:, 0]
    angle = np.deg2rad(moves.turn)
    turn[:, 0, 0] = turn[:, 1, 1] = np.cos(angle)
    turn[:, 0, 1], turn[:, 1, 0] = -np.sin(angle), np.sin(angle)
    field = geometry.pixels * geometry.spacing_mm
    sizes = np.array([s.pixels.shape for s in slices], float)
    mm = sizes * np.array([s.spacing for s in slices], float)
    ratio[:, 0, 0], ratio[:, 1, 1] = field / mm[:, 1], field / mm[:, 0]
    if geometry.centring == "labels":
        centre[:, :2, 2] = _centres(slices, sizes, geometry.exact_centre)[:, ::-1]
    return centre @ ratio @ turn @ scale @ shift


def _centres(slices: Sequence[Slice], sizes: NDArray[np.float64], exact: bool) -> NDArray[np.float64]:
    """(n, 2) centres of the hearts along x and y, as shares of the field."""
    missing = [s.subject for s in slices if s.centre is None]
    if missing:
        raise ValueError(
            f"crops cannot be centred on the heart of {missing[0]}, who has no labels: centre on the field"
        )
    centres = np.array([s.centre for s in slices], float)
    return (2 * centres + 1) / sizes - 1 if exact else 2 * centres / (sizes - 1) - 1


def sample(
    planes: Sequence[NDArray[np.float32]] | Sequence[NDArray[np.uint8]],
    matrix: NDArray[np.float64],
    pixels: int,
    mode: Literal["bicubic", "nearest"] = "bicubic",
    device: str = "cpu",
) -> Tensor:
    """Read planes of any sizes on the network's grid; 0 outside.

    Args:
        planes: n arrays (x, y).
        matrix: (n, 3, 3), see `matrices`.
        pixels: of the network's grid, along both axes.
        mode: of the interpolation.
        device: where the result shall be.

    Returns:
        (n, 1, pixels, pixels) float.
    """
    # One batch needs one size: planes are padded with the zeros that lie outside anyway, and places follow.
    sizes = np.array([np.shape(plane) for plane in planes])
    largest = sizes.max(axis=0)
    padded = torch.zeros((len(planes), 1, *largest.tolist()))
    for number, (plane, (x, y)) in enumerate(zip(planes, sizes.tolist(), strict=True)):
        padded[number, 0, :x, :y] = torch.from_numpy(np.asarray(plane, np.float32))
    share = (sizes / largest)[:, ::-1]
    into = np.tile(np.eye(3), (len(planes), 1, 1))
    into[:, 0, 0], into[:, 1, 1] = share[:, 0], share[:, 1]
    into[:, :2, 2] = share - 1
    theta = torch.from_numpy((into @ matrix)[:, :2].astype(np.float32)).to(device)
    grid = functional.affine_grid(theta, [len(planes), 1, pixels, pixels], align_corners=False)
    return functional.grid_sample(padded.to(device), grid, mode, "zeros", align_corners=False)


def shifted(shifts: NDArray[np.float64]) -> Moves:
    """Moves by (n, 2) pixels of the network's grid and nothing else."""
    return Moves(np.zeros(len(shifts)), np.ones((len(shifts), 2)), shifts)


def windows(one: Slice, geometry: Geometry) -> Moves:
    """Where the network's field must lie to see all of a slice: as few places as lie half a field apart or nearer.

    Source: nnU-Net's sliding window; specification of the self-supervised study's code, section 12.
    """
    field, along = geometry.pixels * geometry.spacing_mm, []
    for size, step in zip(one.pixels.shape, one.spacing, strict=True):
        beyond = max(0.0, size * step - field)
        count = int(np.ceil(beyond / (field / 2) - 1e-9)) + 1
        along.append(np.linspace(-beyond / 2, beyond / 2, count) / geometry.spacing_mm)
    return shifted(np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, 2))


def back(
    scores: Tensor,
    slices: Sequence[Slice],
    geometry: Geometry,
    moves: Moves | None = None,
    beyond: Literal["border", "zeros"] = "border",
) -> list[Tensor]:
    """Scores on a network's grid, read on the slices' own pixels.

    Args:
        scores: (n, classes, pixels, pixels).
        slices: of which they are.
        geometry: the grid.
        moves: that made the samples; none for those of `still()` geometry.
        beyond: what is read beyond the network's field: its nearest edge, or 0.

    Returns:
        n tensors (classes, x, y).
    """
    moves = moves or shifted(np.zeros((len(slices), 2)))
    theta = torch.from_numpy(np.linalg.inv(matrices(slices, moves, geometry))[:, :2].astype(np.float32))
    found = []
    for number, one in enumerate(slices):
        size = [1, 1, *one.pixels.shape]
        grid = functional.affine_grid(theta[number : number + 1], size, align_corners=False).to(scores.device)
        read = functional.grid_sample(scores[number : number + 1], grid, "bicubic", beyond, align_corners=False)
        found.append(read[0])
    return found
