"""Which pieces of a label map are kept: as published for long-axis views, or one left and one right ventricle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import ndimage

from cinecmr.anatomy import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOT_LEFT = (Structure.BACKGROUND, Structure.RV)


def kept(labels: NDArray[np.uint8], pieces: Literal["all", "largest", "nearest-rv"]) -> NDArray[np.uint8]:
    """One frame without the pieces that are not kept.

    Args:
        labels: (x, y[, z]) `Structure` codes; voxels whose faces touch are one piece.
        pieces: "all" keeps every one. "largest" keeps the largest of the left ventricle with its muscle, and the
            largest of the right ventricle. "nearest-rv" keeps, of the left cavity and of its muscle each, the piece
            whose middle is nearest to that of the right ventricle, by the sum of distances along the axes; without a
            right ventricle it keeps the largest.

    Returns:
        A copy; what is not kept is background.
    """
    labels = labels.copy()
    if pieces == "largest":
        for part in (~np.isin(labels, NOT_LEFT), labels == Structure.RV):
            labels[part & ~_largest(part)] = Structure.BACKGROUND
    elif pieces == "nearest-rv":
        right = labels == Structure.RV
        for code in (Structure.MYO, Structure.LV):
            part = labels == code
            best = _nearest(part, right) if right.any() else _largest(part)
            labels[part & ~best] = Structure.BACKGROUND
    return labels


def _largest(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    numbered, count = ndimage.label(where)
    if count <= 1:
        return where
    return np.asarray(numbered == 1 + int(np.argmax(np.bincount(numbered.ravel())[1:])))


def _nearest(where: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.bool_]:
    numbered, count = ndimage.label(where)
    if count <= 1:
        return where
    middle = np.array(ndimage.center_of_mass(other))
    middles = np.array(ndimage.center_of_mass(where, numbered, np.arange(1, count + 1)))
    return np.asarray(numbered == 1 + int(np.argmin(np.abs(middles - middle).sum(1))))
