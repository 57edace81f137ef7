"""A study's images on a network's grid, and what the network says back on the study's own grid.

The grid has the image's own directions, another spacing and a fixed size, so voxel indices go from one to the other
axis by axis; points in mm go through the affine. Nothing is turned, and nothing shifts by half a voxel. No torch.

Source: specification of CineMA's code, section 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cinecmr.anatomy import Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.geometry import apply_affine, plane_normal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from cinecmr.study import Image, Study


@dataclass(frozen=True)
class Grid:
    """What a network eats of one view.

    Attributes:
        size: voxels along x, y, z; a long-axis view has z = 1.
        spacing: mm along x, y, z; 0 keeps the image's own.
        percentiles: of the intensities, that become 0 and 1.
        pad: where an image that is too small gets its zeros: around it, or at its end as in the published code.
        whole_numbers: cut the percentiles of integer images to whole numbers, as the published code does unknowingly.
    """

    size: tuple[int, int, int] = (192, 192, 16)
    spacing: tuple[float, float, float] = (1.0, 1.0, 10.0)
    percentiles: tuple[float, float] = (0.95, 99.5)
    pad: Literal["centre", "end"] = "centre"
    whole_numbers: bool = False

    def __post_init__(self) -> None:
        if min(self.size) < 1 or min(self.spacing) < 0:
            raise ValueError(f"a grid needs a size of 1 or more and no negative spacing, got {self}")
        if not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise ValueError(f"percentiles rise, from 0 to 100, got {self.percentiles}")


LONG = Grid((256, 256, 1), (1.0, 1.0, 0.0))
PUBLISHED = {View.SAX: Grid(), View.LAX_2C: LONG, View.LAX_3C: LONG, View.LAX_4C: LONG}


@dataclass(frozen=True)
class Placing:
    """Where a grid lies on an image: own index = `step` * grid index + `first`, along each axis.

    Attributes:
        shape: (x, y, z) of the image. size: of the grid.
        step, first: (3,) see above, in the image's voxels.
        affine: (4, 4) grid index to patient RAS, mm.
        grid: how intensities are scaled.
    """

    shape: tuple[int, int, int]
    size: tuple[int, int, int]
    step: NDArray[np.float64]
    first: NDArray[np.float64]
    affine: NDArray[np.float64]
    grid: Grid

    @cached_property
    def _own_at(self) -> tuple[NDArray[np.float64], ...]:
        """Own index of every grid voxel, axis by axis."""
        return tuple(s * np.arange(n) + f for n, s, f in zip(self.size, self.step, self.first, strict=True))

    @cached_property
    def _grid_at(self) -> tuple[NDArray[np.float64], ...]:
        """Grid index of every own voxel, axis by axis."""
        return tuple((np.arange(n) - f) / s for n, s, f in zip(self.shape, self.step, self.first, strict=True))

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """(x, y, z) of the grid: whether the image reaches there; the rest is padding."""
        x, y, z = (within(at, n) for at, n in zip(self._own_at, self.shape, strict=True))
        return x[:, None, None] & y[None, :, None] & z[None, None, :]

    def image(self, frame: NDArray[Any]) -> NDArray[np.float32]:
        """A frame (x, y, z) on the grid, linear, 0 to 1, and 0 outside.

        Raises:
            RefusedInput: the frame holds what is no number (`not-finite`), or has another shape than the image.
        """
        self._check(frame, self.shape)
        if not np.isfinite(frame).all():
            raise RefusedInput(
                "not-finite", "an image holds values that are no numbers (NaN or infinite); export it again"
            )
        moved = linear(frame, self._own_at)
        acquired = moved[self.inside]
        whole = self.grid.whole_numbers and np.issubdtype(frame.dtype, np.integer)
        return scaled(np.trunc(moved + 1e-4) if whole else moved, acquired, self.grid.percentiles, whole) * self.inside

    def labels(self, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Label codes (x, y, z) of the image on the grid, nearest; background outside."""
        self._check(codes, self.shape)
        return nearest(codes, self._own_at, Structure.BACKGROUND)

    def back(self, codes: NDArray[np.uint8], outside: int = Structure.BACKGROUND) -> NDArray[np.uint8]:
        """Label codes (x, y, z) of the grid on the image's own grid, nearest.

        Args:
            codes: on the grid.
            outside: code of the image's voxels in plane that the grid does not reach. Whole slices that it does not
                reach are `UNSEEN`: nobody looked.
        """
        self._check(codes, self.size)
        return self._unseen(nearest(codes, self._grid_at, outside))

    def back_scores(self, scores: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
        """The code with the highest of (classes, x, y, z) scores, interpolated on the image's own grid.

        Smoother than `back` of the grid's own codes. Background in plane where the grid does not reach.
        """
        self._check(scores[0], self.size)
        moved = np.stack([linear(score, self._grid_at, outside=-np.inf) for score in scores])
        return self._unseen(np.where(np.isfinite(moved).any(0), moved.argmax(0), Structure.BACKGROUND).astype(np.uint8))

    def _unseen(self, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        codes[:, :, ~within(self._grid_at[2], self.size[2])] = Structure.UNSEEN
        return codes

    def to_grid(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 3) patient RAS, mm, to grid indices."""
        return apply_affine(_inverse(self.affine), points)

    def to_patient(self, indices: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 3) grid indices to patient RAS, mm."""
        return apply_affine(self.affine, indices)

    def _check(self, array: NDArray[Any], shape: tuple[int, ...]) -> None:
        if array.shape != shape:
            raise ValueError(f"expected an array of shape {shape}, got {array.shape}")


def place(image: Image, grid: Grid, centre: NDArray[np.float64] | None = None) -> Placing:
    """Lay a grid on an image.

    Args:
        image: any view; its own directions are kept.
        grid: see there.
        centre: (3,) patient RAS, mm, about which an image that is too large is cut; its middle when None.

    Raises:
        RefusedInput: the image has no voxel size (`no-spacing`).
    """
    if not (np.isfinite(image.affine).all() and (image.spacing > 0).all()):
        raise RefusedInput("no-spacing", "an image states no voxel size; export it again, or give its spacing")
    shape = (image.data.shape[0], image.data.shape[1], image.data.shape[2])
    target = np.where(np.asarray(grid.spacing) > 0, grid.spacing, image.spacing)
    step = target / image.spacing
    voxels = np.maximum(np.rint(np.asarray(shape) / step), 1).astype(int)
    middle = (np.asarray(shape) - 1) / 2
    at = middle if centre is None else apply_affine(_inverse(image.affine), np.asarray(centre, float))
    at = (at - 0.5 * (step - 1)) / step  # of the resampled image
    lower = np.array([window(a, a, n, size, grid.pad) for a, n, size in zip(at, voxels, grid.size, strict=True)])
    first = step * lower + 0.5 * (step - 1)  # outer edges of the voxels coincide, not their centres
    affine = image.affine.copy()
    affine[:3, :3] = image.affine[:3, :3] * step
    affine[:3, 3] = apply_affine(image.affine, first)
    return Placing(shape, grid.size, step, first, affine, grid)


def _inverse(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(affine), np.float64)


def window(low: float, high: float, voxels: int, size: int, pad: Literal["centre", "end"] = "end") -> int:
    """First voxel of a window about a structure; never beyond an image that is large enough, below 0 where one pads.

    Args:
        low: the structure's first voxel.
        high: its last voxel.
        voxels: of the image along this axis.
        size: of the window.
        pad: where a shorter image gets its padding.

    Source: specification of CineMA's code, section 10.

    >>> window(10, 20, 100, 32), window(90, 100, 100, 32), window(3, 9, 20, 32), window(3, 9, 20, 32, "centre")
    (0, 68, 0, -6)
    """
    if voxels <= size:
        return -((size - voxels) // 2) if pad == "centre" else 0
    return int(np.clip(np.ceil((low + high) / 2 - size / 2), 0, voxels - size))


def starts(voxels: int, size: int) -> tuple[int, ...]:
    """First voxels of windows that cover an axis: half a window apart, the last one flush with the end.

    >>> starts(40, 32), starts(21, 16), starts(16, 16)
    ((0, 8), (0, 5), (0,))
    """
    if voxels <= size:
        return (0,)
    return (*range(0, voxels - size, size - size // 2), voxels - size)


def within(at: NDArray[np.float64], voxels: int) -> NDArray[np.bool_]:
    """Whether indices lie in one of the voxels, whose outer edges are half a voxel beyond their centres."""
    return np.asarray((at >= -0.5) & (at <= voxels - 0.5))


def linear(array: NDArray[Any], at: Iterable[NDArray[np.float64]], outside: float = 0.0) -> NDArray[np.float32]:
    """Read an array at a grid of indices, axis by axis; the outermost half voxel repeats its centre."""
    moved: NDArray[Any] = np.asarray(array, np.float32)
    reached = []
    for axis, wanted in enumerate(at):
        size = moved.shape[axis]
        clipped = np.clip(wanted, 0, size - 1)
        below = np.minimum(clipped.astype(np.intp), max(size - 2, 0))
        share = (clipped - below).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(moved.ndim)])
        above = np.minimum(below + 1, size - 1)
        moved = moved.take(below, axis) * (1 - share) + moved.take(above, axis) * share
        reached.append(within(wanted, size))
    return _filled(moved, reached, outside)


def nearest(array: NDArray[np.uint8], at: Iterable[NDArray[np.float64]], outside: int = 0) -> NDArray[np.uint8]:
    """Read label codes at a grid of indices."""
    moved, reached = array, []
    for axis, wanted in enumerate(at):
        size = moved.shape[axis]
        moved = moved.take(np.clip(np.floor(wanted + 0.5), 0, size - 1).astype(np.intp), axis)
        reached.append(within(wanted, size))
    return _filled(moved.copy(), reached, outside)


def _filled(array: NDArray[Any], reached: list[NDArray[np.bool_]], value: float) -> NDArray[Any]:
    for axis, there in enumerate(reached):
        array[(slice(None),) * axis + (~there,)] = value
    return array


def scaled(
    array: NDArray[Any], acquired: NDArray[Any], percentiles: tuple[float, float], whole_numbers: bool = False
) -> NDArray[np.float32]:
    """Intensities between two percentiles of what was acquired, as 0 to 1; all 0 where nothing differs."""
    low, high = np.percentile(acquired, percentiles) if acquired.size else (0.0, 0.0)
    if whole_numbers:
        low, high = np.trunc(low), np.trunc(high)
    if high <= low:
        return np.zeros(array.shape, np.float32)
    return np.asarray((np.clip(array, low, high) - low) / (high - low), np.float32)


def heart_centre(study: Study) -> NDArray[np.float64]:
    """Where the planes of a study's views meet, mm: near the middle of the left ventricle, which all are planned on.

    With fewer than three planes, the point on all of them that is nearest to the middle of the first view.

    Returns:
        (3,) patient RAS, mm.

    Raises:
        RefusedInput: the study has no cine (`no-cine`).
    """
    images = [study[view] for view in study.views]
    if not images:
        raise RefusedInput("no-cine", f"study {study.subject} has no cine; nothing can be laid on a network's grid")
    middles = [apply_affine(i.affine, (np.asarray(i.data.shape[:3]) - 1) / 2) for i in images]
    normals = np.stack([plane_normal(i.affine) for i in images])
    offsets = np.array([n @ (m - middles[0]) for n, m in zip(normals, middles, strict=True)])
    moved, *_ = np.linalg.lstsq(normals, offsets, rcond=0.1)
    found = middles[0] + moved
    index = apply_affine(_inverse(images[0].affine), found)
    seen = (index >= -0.5).all() and (index <= np.asarray(images[0].data.shape[:3]) - 0.5).all()
    return np.asarray(found if seen else middles[0], np.float64)


def labelled_centre(
    labels: NDArray[np.uint8], image: Image, structure: Structure = Structure.LV
) -> NDArray[np.float64]:
    """Middle of the box around a structure's voxels in a frame (x, y, z), patient RAS, mm.

    Raises:
        RefusedInput: the structure is not there (`no-such-labels`).
    """
    at = np.argwhere(labels == structure)
    if not len(at):
        raise RefusedInput("no-such-labels", f"no voxel is labelled {structure.name}: the crop has no centre")
    return apply_affine(image.affine, (at.min(0) + at.max(0)) / 2)
