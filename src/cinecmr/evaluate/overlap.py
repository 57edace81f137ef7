"""How well found labels cover true ones: Dice, HD95, ASD. numpy and scipy only.

Voxels labelled `UNSEEN` in the truth are skipped, for nobody knows what is there. A structure absent from both is
perfect (Dice 1, distances 0); absent from one only it is missed (Dice 0, distances infinite): a miss must never
improve a mean, so average distances with the misses counted apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cinecmr.anatomy import Structure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def dice(found: NDArray[np.uint8], truth: NDArray[np.uint8], structure: Structure) -> float:
    """Dice overlap, 0 to 1.

    Args:
        found: `Structure` codes, any shape.
        truth: the same shape; `UNSEEN` where nobody looked.
        structure: what to compare.

    Raises:
        ValueError: the shapes differ.

    >>> dice(np.array([3, 3, 0, 3]), np.array([3, 3, 3, 255]), Structure.LV)
    0.8
    """
    ours, theirs = _both(found, truth, structure)
    total = int(ours.sum()) + int(theirs.sum())
    return 1.0 if total == 0 else 2.0 * int((ours & theirs).sum()) / total


def hd95(found: NDArray[np.uint8], truth: NDArray[np.uint8], structure: Structure, spacing: Sequence[float]) -> float:
    """95 % Hausdorff distance, mm: the larger of the two directed 95th percentiles between the surfaces.

    Args:
        found: `Structure` codes, 2-D or 3-D.
        truth: the same shape.
        structure: what to compare.
        spacing: voxel spacing along each axis, mm.

    Raises:
        ValueError: the shapes differ.

    Source: the definition of MONAI's `HausdorffDistanceMetric(percentile=95)`.
    """
    there, back = surface_distances(found, truth, structure, spacing)
    if min(there.size, back.size) == 0:
        return _of_the_absent(there, back)
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def asd(found: NDArray[np.uint8], truth: NDArray[np.uint8], structure: Structure, spacing: Sequence[float]) -> float:
    """Average symmetric surface distance, mm: the mean over the surface voxels of both.

    Args:
        found: `Structure` codes, 2-D or 3-D.
        truth: the same shape.
        structure: what to compare.
        spacing: voxel spacing along each axis, mm.

    Raises:
        ValueError: the shapes differ.
    """
    there, back = surface_distances(found, truth, structure, spacing)
    if min(there.size, back.size) == 0:
        return _of_the_absent(there, back)
    return float(np.concatenate([there, back]).mean())


def _of_the_absent(there: NDArray[np.float64], back: NDArray[np.float64]) -> float:
    """Distance where a structure is missing: 0 from both, infinite from one."""
    return 0.0 if there.size == back.size == 0 else float("inf")


def surface_distances(
    found: NDArray[np.uint8], truth: NDArray[np.uint8], structure: Structure, spacing: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance of each surface voxel to the other surface.

    Returns:
        Found to truth and truth to found, mm, one entry a surface voxel. Where the structure is absent from one, its
        entry is empty and the other holds zeros that mean nothing.

    A surface voxel belongs to the structure and touches, by a face, one that does not; beyond the image there is none.
    """
    ours, theirs = _both(found, truth, structure)
    our_surface, their_surface = _surface(ours), _surface(theirs)
    if not our_surface.any() or not their_surface.any():
        return np.zeros(int(our_surface.sum())), np.zeros(int(their_surface.sum()))
    to_theirs = ndimage.distance_transform_edt(~their_surface, sampling=tuple(spacing))
    to_ours = ndimage.distance_transform_edt(~our_surface, sampling=tuple(spacing))
    return to_theirs[our_surface], to_ours[their_surface]


def _surface(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    inner: NDArray[np.bool_] = ndimage.binary_erosion(region)
    return region & ~inner


def _both(
    found: NDArray[np.uint8], truth: NDArray[np.uint8], structure: Structure
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    if np.shape(found) != np.shape(truth):
        raise ValueError(f"found labels {np.shape(found)} and true labels {np.shape(truth)} differ in shape")
    seen = np.asarray(truth) != Structure.UNSEEN
    return (np.asarray(found) == structure) & seen, np.asarray(truth) == structure
