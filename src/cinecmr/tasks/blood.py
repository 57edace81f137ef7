"""A cavity is where blood is seen: solid muscle is given back to muscle, and open blood to the right ventricle.

At end-systole a thick heart closes its apical half. Readers then draw a cavity only around the blood that is left,
and none where the wall is solid; a network that expects a cavity in every ring draws one of the usual size.
A dilated right ventricle is wider than most that it learned from, and a shadow across it looks like its end. Picture
and label map in, label map out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cinecmr.anatomy import Structure
from cinecmr.measure.right_blood import blood_beside
from cinecmr.tasks.hull import convex

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Chosen on the 60 ACDC subjects of the development data; the result moves little around them.
LEVEL = 0.35  # of the way from muscle to blood: brighter is blood
SHARE = 0.5  # of a cavity that must be blood for the whole of it to stand: papillary muscles take the rest
FEWEST_BLOOD = 3  # pixels; fewer are noise, and the cavity is closed
_FEWEST = 20  # pixels of cavity and of muscle that tell how bright either is


def where_blood_is_seen(labels: NDArray[np.uint8], picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Shrink cavities that are mostly muscle to the blood in them.

    How much brighter than muscle blood is comes from the slices of the same stack that show most of it; muscle's own
    brightness from each slice, as coils and flow differ from slice to slice.

    Args:
        labels: (x, y, z) codes of background, RV, MYO, LV.
        picture: (x, y, z) intensities of the same frame, any unit, 0 for no signal.

    Returns:
        A copy in which the cavity of such slices is the convex hull of its blood and one pixel around it, the rest
        muscle. Slices without a ring of muscle, and stacks whose contrast cannot be told, stand as they are.
    """
    result = labels.copy()
    contrast = _contrast(labels, picture)
    if not contrast > 1:
        return result
    for z in range(labels.shape[2]):
        cavity, muscle = labels[..., z] == Structure.LV, labels[..., z] == Structure.MYO
        if not cavity.any() or muscle.sum() < _FEWEST:
            continue
        level = (1 + LEVEL * (contrast - 1)) * np.median(picture[..., z][muscle])
        blood = cavity & (picture[..., z] > level)
        if blood.sum() < SHARE * cavity.sum():
            result[..., z][cavity & ~_around(blood)] = Structure.MYO
    return result


def with_blood_beside(labels: NDArray[np.uint8], picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The right ventricle with the blood that lies open beside it (`measure.right_blood`), holes in it filled.

    Args:
        labels: (x, y, z) codes of background, RV, MYO, LV.
        picture: (x, y, z) intensities of the same frame, any unit.

    Returns:
        A copy; slices with nothing to add stand as they are.
    """
    result = labels.copy()
    added = blood_beside(labels, picture)
    for z in np.flatnonzero(added.any(axis=(0, 1))):
        whole = ndimage.binary_fill_holes(added[..., z] | (labels[..., z] == Structure.RV))
        result[..., z][whole & (labels[..., z] == Structure.BACKGROUND)] = Structure.RV
    return result


def _contrast(labels: NDArray[np.uint8], picture: NDArray[np.float32]) -> float:
    """Brightness of blood over that of muscle, from the clearest quarter of the slices; NaN where no slice tells."""
    found = []
    for z in range(labels.shape[2]):
        cavity, muscle = labels[..., z] == Structure.LV, labels[..., z] == Structure.MYO
        if cavity.sum() > _FEWEST and muscle.sum() > _FEWEST:
            dark = float(np.median(picture[..., z][muscle]))
            if dark > 0:
                found.append(float(np.percentile(picture[..., z][cavity], 75)) / dark)
    return float(np.percentile(found, 75)) if found else float("nan")


def _around(blood: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Convex hull of the blood and one pixel around it; nothing where there is next to no blood."""
    points = np.argwhere(blood)
    if len(points) < FEWEST_BLOOD:
        return np.zeros_like(blood)
    return np.asarray(ndimage.binary_dilation(convex(blood)))
