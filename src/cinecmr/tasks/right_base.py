"""Where the right ventricle ends at its base: not in a sliver, and in systole a slice below the left one.

A ventricle is widest at its base. A last slice of much less is the root of the outflow tract or a corner of the atrium,
which readers leave out and a network that decides slice by slice calls right ventricle. The tricuspid plane comes down
by 20 mm and more in systole, the mitral one by 12: then readers leave out a slice that still shows the left ventricle.
A dilated right ventricle hardly comes down, and its last slice stands. Label map in, label map out.
"""

from __future__ import annotations

from statistics import median_low
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.measure.coherence import apex_first

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Chosen on the 60 ACDC subjects of the development data.
SLIVER = 0.5  # of the slice below: a last slice of less is no base, in any frame
DILATED = 0.7  # of the left ventricle with its wall: a right one that holds more in systole hardly comes down
EJECTED = 0.1  # of the largest cavity: a beat that ejects less does not tell systole from diastole
CLOSED = 0.37  # cavity over both, middle slices; of the network's labels of those 60, two at ED and 34 at ES are below


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
    """Take the right ventricle out of a last slice that is no base of it.

    First slivers go, from every frame. Then in systole a last slice goes that is smaller than the one below, where it
    lies no lower than the last of the left ventricle, or than the right one's own last in diastole.

    Args:
        labels: (x, y, z, t) `Structure` codes; base or apex first.

    Returns:
        A copy. A right ventricle that has come down already, one that is widest where it ends, and a dilated one stand.
    """
    result = labels.copy()
    squeezed = systolic(labels)
    diastole = []
    for t in range(labels.shape[3]):
        held = _base_first(result[..., t], Structure.RV)
        if len(held) > 2 and _area(result, held[0], t) < SLIVER * _area(result, held[1], t):
            _leave_out(result, held[0], t)
            held = held[1:]
        if held and not squeezed[t]:
            diastole.append(held[0])
    for t in np.flatnonzero(squeezed).tolist():
        frame = result[..., t]
        held, left = _base_first(frame, Structure.RV), _base_first(frame, Structure.LV)
        if len(held) < 2 or not left or _dilated(frame):
            continue
        upward = 1 if held[0] > held[1] else -1  # towards the base
        lowest = min([left[0], *([median_low(diastole)] if diastole else [])], key=lambda z: upward * z)
        if upward * held[0] >= upward * lowest and _area(result, held[0], t) < _area(result, held[1], t):
            _leave_out(result, held[0], t)
    return result


def _base_first(frame: NDArray[np.uint8], code: Structure) -> list[int]:
    """Slices of (x, y, z) labels that hold a structure."""
    held = np.flatnonzero((frame == code).any(axis=(0, 1)))
    return [int(z) for z in held[:: -1 if apex_first(frame) else 1]]


def _area(labels: NDArray[np.uint8], z: int, t: int) -> int:
    return int((labels[:, :, z, t] == Structure.RV).sum())


def _leave_out(labels: NDArray[np.uint8], z: int, t: int) -> None:
    labels[:, :, z, t][labels[:, :, z, t] == Structure.RV] = Structure.BACKGROUND


def _dilated(frame: NDArray[np.uint8]) -> bool:
    left = (frame == Structure.MYO) | (frame == Structure.LV)
    return bool((frame == Structure.RV).sum() > DILATED * left.sum())
