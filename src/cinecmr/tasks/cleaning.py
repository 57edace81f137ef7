"""Removal of what cannot be heart: stray pieces, holes, rings without a cavity's neighbours.

Label maps in and out; arrays only. Rules are anatomical, each with its reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cinecmr.anatomy import Structure
from cinecmr.tasks.hull import convex

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PLANE = ndimage.generate_binary_structure(3, 1)  # faces touch
_FLAT = ndimage.generate_binary_structure(2, 1)[:, :, None]  # within a slice


def clean(labels: NDArray[np.uint8], spacing: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Clean every frame.

    Args:
        labels: (x, y, z, t) codes of background, RV, MYO, LV, and nothing else: not `UNSEEN`.
        spacing: (3,) mm; sizes below are in mm2.

    Returns:
        A cleaned copy.

    Raises:
        ValueError: another code is among the labels.
    """
    if labels.size and labels.max() > Structure.LV:
        raise ValueError(f"labels to clean hold codes 0 to {int(Structure.LV)}, got {int(labels.max())}")
    result = labels.copy()
    pixel = float(spacing[0] * spacing[1])
    for t in range(labels.shape[3]):
        result[..., t] = clean_frame(labels[..., t], pixel)
    return result


def clean_frame(labels: NDArray[np.uint8], pixel_mm2: float) -> NDArray[np.uint8]:
    """Clean one frame, (x, y, z): see the rules in the order they are applied."""
    result = labels.copy()
    left = _left_ventricle(result >= Structure.MYO, result == Structure.RV)
    result[(result >= Structure.MYO) & ~left] = Structure.BACKGROUND
    _one_column(result)
    for z in range(result.shape[2]):
        _clean_slice(result[..., z], pixel_mm2)
    right = _largest_with_parts(result == Structure.RV, 0.15)
    result[(result == Structure.RV) & ~right] = Structure.BACKGROUND
    return result


def _left_ventricle(where: NDArray[np.bool_], right: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One left ventricle, in one piece over neighbouring slices: of the large pieces the one that has an RV beside it.

    A stomach is a ring with a bright middle too, and sometimes the larger one, but no right ventricle lies on it.
    """
    pieces, count = ndimage.label(where, _PLANE)
    if count <= 1:
        return where
    numbers = np.arange(1, count + 1)
    sizes = ndimage.sum_labels(where, pieces, numbers)
    beside = ndimage.sum_labels(ndimage.binary_dilation(right, _FLAT, iterations=2), pieces, numbers)
    beside[sizes < 0.2 * sizes.max()] = -1
    best = int(np.argmax(beside)) if beside.max() > 0 else int(np.argmax(sizes))
    return np.asarray(pieces == 1 + best)


def _one_column(labels: NDArray[np.uint8]) -> None:
    """In place, (x, y, z): the cavity of each slice lies over that of the next, from the surest slice outwards.

    A dilated, thick right ventricle looks like a left one, and in some slices both are called so. The left ventricle
    is one column: the piece that overlaps the cavity of the slice before is it, whichever is larger. Other large
    pieces are the right ventricle, small ones muscle.
    """
    slices = [ndimage.label(labels[..., z] == Structure.LV) for z in range(labels.shape[2])]
    start = _surest(labels, slices)
    if start is None:
        return
    for way in (range(start[0], labels.shape[2]), range(start[0] - 1, -1, -1)):
        before = slices[start[0]][0] == start[1]
        for z in way:
            pieces, count = slices[z]
            if count:
                kept = _keep_piece(labels[..., z], pieces, count, before)
                before = kept if kept.any() else before


def _keep_piece(
    plane: NDArray[np.uint8], pieces: NDArray[np.int32], count: int, before: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The piece that lies most over the cavity before; others become right ventricle or muscle, in place."""
    shared = np.bincount(pieces[before], minlength=count + 1)
    shared[0] = 0
    best = int(np.argmax(shared))
    kept = (pieces == best) if shared[best] else np.zeros(plane.shape, bool)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    large = 1 + np.flatnonzero(sizes[1:] >= 0.5 * max(int(kept.sum()), int(before.sum())))
    others = (pieces > 0) & ~kept
    plane[others] = np.where(np.isin(pieces[others], large), Structure.RV, Structure.MYO)
    return np.asarray(kept)


def _surest(labels: NDArray[np.uint8], slices: list[tuple[NDArray[np.int32], int]]) -> tuple[int, int] | None:
    """Slice and piece of the cavity that is most surely left ventricle: a whole ring, a right ventricle beside it."""
    best, found = 0.0, None
    largest = max((int(np.bincount(pieces.ravel())[1:].max()) for pieces, count in slices if count), default=0)
    for z, (pieces, count) in enumerate(slices):
        right = bool((labels[..., z] == Structure.RV).sum() >= 0.1 * largest)
        for number in range(1, count + 1):
            piece = pieces == number
            rim = ndimage.binary_dilation(piece) & ~piece
            ring = float((labels[..., z][rim] == Structure.MYO).mean())
            sure = ring * (1.0 if right else 0.5) * min(1.0, 4 * piece.sum() / largest)
            if sure > best + 1e-3:
                best, found = sure, (z, number)
    return found


def _largest_with_parts(where: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """The largest piece and those at least `share` as large: a thin crescent breaks easily between slices."""
    pieces, count = ndimage.label(where, _PLANE)
    if count <= 1:
        return where
    sizes = ndimage.sum_labels(where, pieces, np.arange(1, count + 1))
    return np.isin(pieces, 1 + np.flatnonzero(sizes >= share * sizes.max()))


def _clean_slice(plane: NDArray[np.uint8], pixel_mm2: float) -> None:
    """In place, (x, y): one left ventricle, one cavity in it, no holes, no specks."""
    left = plane >= Structure.MYO
    if left.any():
        keep = _flat_largest(left)
        plane[left & ~keep] = Structure.BACKGROUND
        holes = ndimage.binary_fill_holes(keep) & ~keep
        plane[holes] = Structure.LV  # a gap inside the ring is cavity that was called something else
        cavity = plane == Structure.LV
        keep = _flat_largest(cavity)
        plane[cavity & ~keep] = Structure.MYO
        filled = ndimage.binary_fill_holes(keep)
        # Papillary muscles and trabeculae belong to the cavity, also where they reach it from the wall: readers draw
        # the cavity round. On 60 real hearts the hull brought cavity and muscle nearer to theirs in both phases.
        plane[convex(filled) & (plane == Structure.MYO)] = Structure.LV
    right = plane == Structure.RV
    if right.any():
        pieces, count = ndimage.label(right)
        sizes = ndimage.sum_labels(right, pieces, np.arange(1, count + 1))
        small = 1 + np.flatnonzero((sizes * pixel_mm2 < 30) | (sizes < 0.1 * sizes.max()))
        plane[np.isin(pieces, small)] = Structure.BACKGROUND


def _flat_largest(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    pieces, count = ndimage.label(where)
    if count <= 1:
        return where
    return np.asarray(pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:])))
