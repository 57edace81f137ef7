"""Blood that lies open beside the right ventricle's label: a part of the ventricle that was missed.

A dark wall ends a ventricle. Where its label ends and blood as bright goes on over a broad front, with no wall in
between, the label ends too soon: a reader who sees a band or a shadow cross a wide ventricle stops there. Sizes are
told in diameters of the left ventricle, so that a file's pixel size does not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cinecmr.anatomy import Structure
from cinecmr.measure.coherence import apex_first

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Chosen on the 60 ACDC subjects of the development data; the result moves little around them.
LEVEL = (0.5, 2.0)  # of the way from muscle to the ventricle's blood: what lies between is blood, what is brighter fat
THIN = 0.06  # diameters: narrower links are walls seen half, and fat between them
BROAD = 0.15  # contact that tells a ventricle going on from a vessel that touches it
MOST = 2.5  # times the label's own area: a scrap of a label does not tell which of its bright neighbours it belongs to
REACH = 0.45  # from the label: what lies beyond is another chamber, or the liver
_FEWEST = 20  # pixels of ventricle and of muscle that tell how bright either is


def blood_beside(labels: NDArray[np.uint8], picture: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Pixels of missed right ventricle.

    The most basal of its slices is left alone: there atrium and outflow tract lie open beside it, and no wall tells.

    Args:
        labels: (x, y, z) `Structure` codes of one frame; base or apex first.
        picture: (x, y, z) intensities of the same frame, any unit.

    Returns:
        (x, y, z), true in no labelled pixel.
    """
    found = np.zeros(labels.shape, bool)
    left = ((labels == Structure.MYO) | (labels == Structure.LV)).sum(axis=(0, 1))
    diameter = float(np.sqrt(left.max(initial=0) * 4 / np.pi))
    held = np.flatnonzero((labels == Structure.RV).any(axis=(0, 1)))[:: -1 if apex_first(labels) else 1]
    reach = int(np.ceil((REACH + THIN) * diameter)) + 2
    for z in held[1:]:
        x, y = np.nonzero(labels[..., z] == Structure.RV)  # the rest of the picture cannot matter
        box = tuple(slice(max(int(at.min()) - reach, 0), int(at.max()) + reach + 1) for at in (x, y))
        found[(*box, z)] = _beside(labels[(*box, z)], picture[(*box, z)], diameter)
    return found


def _beside(plane: NDArray[np.uint8], picture: NDArray[np.floating], diameter: float) -> NDArray[np.bool_]:
    """One slice, (x, y), cut to what lies within reach."""
    ventricle, muscle = plane == Structure.RV, plane == Structure.MYO
    found = np.zeros(plane.shape, bool)
    if ventricle.sum() < _FEWEST or muscle.sum() < _FEWEST:
        return found
    dark, bright = (float(np.median(picture[where])) for where in (muscle, ventricle))
    if bright <= dark:
        return found
    free = plane == Structure.BACKGROUND
    share = (picture - dark) / (bright - dark)
    blood = free & (share > LEVEL[0]) & (share < LEVEL[1])
    wide = ndimage.binary_opening(blood | ventricle, _disc(THIN * diameter / 2))
    near = ndimage.distance_transform_edt(~ventricle) < REACH * diameter
    pieces, count = ndimage.label(wide & free & near)
    if count:
        touching = ndimage.binary_dilation(ventricle)
        contact = ndimage.sum_labels(touching, pieces, np.arange(1, count + 1))
        found = np.isin(pieces, 1 + np.flatnonzero(contact >= BROAD * diameter))
    return found if found.sum() <= MOST * ventricle.sum() else np.zeros_like(found)


def _disc(radius: float) -> NDArray[np.bool_]:
    """(2 n + 1, 2 n + 1), n at least 1."""
    n = max(1, round(radius))
    x, y = np.mgrid[-n : n + 1, -n : n + 1]
    return np.asarray(x * x + y * y <= n * n + 0.5)
