"""How well found labels cover true ones: Dice, IoU, HD95, ASD, volumes. numpy and scipy only.

Voxels labelled `UNSEEN` in the truth are skipped, for nobody knows what is there. A structure absent from both is
perfect (Dice 1, distances 0); absent from one only it is missed (Dice 0, distances infinite): a miss must never
improve a mean, so average distances with the misses counted apart (`summary`). `Absent` also holds the rules of
published tables, in which misses do improve the mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cinecmr.anatomy import Structure

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    Structures = Structure | Collection[Structure]  # several count as one: infarct and no-reflow make the scar


class Absent(Enum):
    """What is scored where a structure is absent from the truth, from what was found, or from both."""

    SOUND = "sound"  # both: Dice 1, distance 0; one: Dice 0, distance infinite
    PUBLISHED = "published"  # CineMA, cine: absent from the truth is not scored (NaN); distances of misses neither
    PUBLISHED_SCAR = "published-scar"  # CineMA, EMIDEC and MyoPS: both Dice 1, one Dice 0; distances not scored

    def overlap(self, ours: int, theirs: int) -> float:
        """Dice or IoU of structures of which at least one has no voxel."""
        if self is Absent.PUBLISHED and theirs == 0:
            return math.nan
        return 1.0 if ours == theirs == 0 else 0.0

    def distance(self, ours: int, theirs: int) -> float:
        """Distance between structures of which at least one has no voxel."""
        if self is not Absent.SOUND:
            return math.nan
        return 0.0 if ours == theirs == 0 else math.inf


@dataclass(frozen=True)
class Overlap:
    """How well one structure of one label map was found.

    Attributes:
        dice, iou: 0 to 1.
        hd95, asd: mm.
        found_ml, true_ml: volumes of the voxels, ml; of a single slice area times its spacing.
    """

    dice: float
    iou: float
    hd95: float
    asd: float
    found_ml: float
    true_ml: float


def overlap(
    found: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    structure: Structures,
    spacing: Sequence[float],
    absent: Absent = Absent.SOUND,
) -> Overlap:
    """All scores of one structure, from one pass.

    Args:
        found: `Structure` codes, 3-D.
        truth: the same shape; `UNSEEN` where nobody looked.
        structure: what to compare; several count as one.
        spacing: voxel spacing along each axis, mm.
        absent: what an absent structure scores.

    Raises:
        ValueError: the shapes differ.
    """
    ours, theirs = _both(found, truth, structure)
    both, one, other = int((ours & theirs).sum()), int(ours.sum()), int(theirs.sum())
    voxel_ml = math.prod(spacing) / 1000
    volumes = one * voxel_ml, other * voxel_ml
    if min(one, other) == 0:
        share, distance = absent.overlap(one, other), absent.distance(one, other)
        return Overlap(share, share, distance, distance, *volumes)
    there, back = _distances(ours, theirs, spacing)
    return Overlap(2 * both / (one + other), both / (one + other - both), *_two_distances(there, back), *volumes)


def dice(
    found: NDArray[np.uint8], truth: NDArray[np.uint8], structure: Structures, absent: Absent = Absent.SOUND
) -> float:
    """Dice overlap, 0 to 1.

    Args:
        found: `Structure` codes, any shape.
        truth: the same shape; `UNSEEN` where nobody looked.
        structure: what to compare; several count as one.
        absent: what an absent structure scores.

    Raises:
        ValueError: the shapes differ.

    >>> dice(np.array([3, 3, 0, 3]), np.array([3, 3, 3, 255]), Structure.LV)
    0.8
    """
    ours, theirs = _both(found, truth, structure)
    one, other = int(ours.sum()), int(theirs.sum())
    return absent.overlap(one, other) if min(one, other) == 0 else 2.0 * int((ours & theirs).sum()) / (one + other)


def hd95(
    found: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    structure: Structures,
    spacing: Sequence[float],
    absent: Absent = Absent.SOUND,
) -> float:
    """95 % Hausdorff distance, mm: the larger of the two directed 95th percentiles between the surfaces.

    Args:
        found: `Structure` codes, 2-D or 3-D.
        truth: the same shape.
        structure: what to compare; several count as one.
        spacing: voxel spacing along each axis, mm.
        absent: what an absent structure scores.

    Raises:
        ValueError: the shapes differ.

    Source: the definition of MONAI's `HausdorffDistanceMetric(percentile=95)`.
    """
    there, back = surface_distances(found, truth, structure, spacing)
    if min(there.size, back.size) == 0:
        return absent.distance(there.size, back.size)
    return _two_distances(there, back)[0]


def asd(
    found: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    structure: Structures,
    spacing: Sequence[float],
    absent: Absent = Absent.SOUND,
) -> float:
    """Average symmetric surface distance, mm: the mean over the surface voxels of both. Arguments as of `hd95`."""
    there, back = surface_distances(found, truth, structure, spacing)
    if min(there.size, back.size) == 0:
        return absent.distance(there.size, back.size)
    return _two_distances(there, back)[1]


def surface_distances(
    found: NDArray[np.uint8], truth: NDArray[np.uint8], structure: Structures, spacing: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance of each surface voxel to the other surface.

    Returns:
        Found to truth and truth to found, mm, one entry a surface voxel. Where the structure is absent from one, its
        entry is empty and the other holds zeros that mean nothing.

    A surface voxel belongs to the structure and touches, by a face, one that does not; beyond the image there is none.
    """
    return _distances(*_both(found, truth, structure), spacing)


def _distances(
    ours: NDArray[np.bool_], theirs: NDArray[np.bool_], spacing: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    box = _box(ours | theirs)
    our_surface, their_surface = _surface(ours[box]), _surface(theirs[box])
    if not our_surface.any() or not their_surface.any():
        return np.zeros(int(our_surface.sum())), np.zeros(int(their_surface.sum()))
    to_theirs = ndimage.distance_transform_edt(~their_surface, sampling=tuple(spacing))
    to_ours = ndimage.distance_transform_edt(~our_surface, sampling=tuple(spacing))
    return to_theirs[our_surface], to_ours[their_surface]


def _two_distances(there: NDArray[np.float64], back: NDArray[np.float64]) -> tuple[float, float]:
    """HD95 and ASD."""
    far = max(np.percentile(there, 95), np.percentile(back, 95))
    return float(far), float(np.concatenate([there, back]).mean())


def _box(region: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box that holds a region: beyond it there is nothing to be near to."""
    found = ndimage.find_objects(region.astype(np.uint8))
    return tuple(found[0]) if found else (slice(0, 1),) * region.ndim


def _surface(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    inner: NDArray[np.bool_] = ndimage.binary_erosion(region)
    return region & ~inner


def _both(
    found: NDArray[np.uint8], truth: NDArray[np.uint8], structure: Structures
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    if np.shape(found) != np.shape(truth):
        raise ValueError(f"found labels {np.shape(found)} and true labels {np.shape(truth)} differ in shape")
    codes = [int(structure)] if isinstance(structure, Structure) else [int(one) for one in structure]
    seen = np.asarray(truth) != Structure.UNSEEN
    return np.isin(found, codes) & seen, np.isin(truth, codes)
