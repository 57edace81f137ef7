"""Where the right ventricle ends at its base in systole: a slice below where the left one does.

The tricuspid plane comes down by 20 mm and more, the mitral one by 12. So in systole readers leave out a slice that
still shows the left ventricle: beside it lie the atrium and the root of the outflow tract. A network that decides slice
by slice calls part of that right ventricle. A ventricle is widest at its base; a last slice smaller than the one below
it is such a part. Label map in, label map out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.measure.coherence import apex_first

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Chosen on the 60 ACDC subjects of the development data.
EJECTED = 0.1  # of the largest cavity: a beat that ejects less does not tell systole from diastole
CLOSED = 0.35  # cavity over both, middle slices; of the network's labels of those 60, two at ED and 34 at ES are below


def systolic(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Frames in which the left ventricle is nearer to its smallest cavity than to its largest.

    Args:
        labels: (x, y, z, t) `Structure` codes.

    Returns:
        (t,). Where the frames do not tell, as one alone, those whose cavity is narrow for its wall (`CLOSED`).
    """
    cavity = (labels == Structure.LV).sum(axis=(0, 1))  # (z, t)
    volume = cavity.sum(axis=0)
    least, most = float(volume.min()), float(volume.max())
    if least < (1 - EJECTED) * most:
        return np.asarray(volume < (least + most) / 2)
    whole = cavity + (labels == Structure.MYO).sum(axis=(0, 1))
    return np.array([_closed(cavity[:, t], whole[:, t]) for t in range(labels.shape[3])])


def _closed(cavity: NDArray[np.intp], whole: NDArray[np.intp]) -> bool:
    held = np.flatnonzero(cavity)
    middle = held[len(held) // 4 : len(held) - len(held) // 4]
    return bool(middle.size and cavity[middle].sum() < CLOSED * whole[middle].sum())


def without_outflow(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Take the right ventricle out of its last slice in systole, where that is no base of it.

    Args:
        labels: (x, y, z, t) `Structure` codes; base or apex first.

    Returns:
        A copy. A right ventricle that ends below the left one already, and one that is widest where it ends, stand.
    """
    result = labels.copy()
    for t in np.flatnonzero(systolic(labels)):
        frame = labels[..., t]
        right, left = ((frame == code).sum(axis=(0, 1)) for code in (Structure.RV, Structure.LV))
        order = np.arange(frame.shape[2])[:: -1 if apex_first(frame) else 1]  # base to apex
        held = order[right[order] > 0]
        if held.size < 2 or not left.any():
            continue
        last, below = int(held[0]), int(held[1])
        if last == order[left[order] > 0][0] and right[last] < right[below]:
            result[:, :, last, t][frame[..., last] == Structure.RV] = Structure.BACKGROUND
    return result
