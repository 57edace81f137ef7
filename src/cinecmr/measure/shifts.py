"""Slices of the short axis that were acquired in another breath-hold position, told from the labels.

The left ventricle's outline runs smoothly from slice to slice; one whose middle lies far from the line through the
middles of its two neighbours was shifted in the plane. Where long-axis views cross a slice they tell it better
(`measure.crossings`). Volumes hardly change by it, shapes and strain do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.study import Flag, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHIFTED_MM = 6.0  # the heart's own curvature, and labels at base and apex, explain less
WHOLE_RING = 0.6  # of the cavity's neighbours' area: slices that end in an atrium or the apex have no middle to trust


def shift_mm(labels: NDArray[np.uint8], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each slice's left ventricle lies, in plane, from the line through those of its neighbours.

    Args:
        labels: (x, y, z) `Structure` codes of one frame.
        affine: (4, 4) voxel index to patient RAS, mm.

    Returns:
        (z,) mm; NaN for the outermost slices of the ventricle and where a slice or a neighbour was not seen.
    """
    ventricle = (labels == Structure.LV) | (labels == Structure.MYO)
    area, blood = ventricle.sum(axis=(0, 1)), (labels == Structure.LV).sum(axis=(0, 1))
    spacing = np.linalg.norm(affine[:3, :2], axis=0)
    middles = np.full((labels.shape[2], 2), np.nan)
    for z in map(int, np.flatnonzero((area > 0) & (blood > 0))):
        middles[z] = np.argwhere(ventricle[:, :, z]).mean(axis=0) * spacing
    found = np.full(labels.shape[2], np.nan)
    for z in range(1, labels.shape[2] - 1):
        if area[z - 1 : z + 2].min() >= WHOLE_RING * area[z - 1 : z + 2].max():
            found[z] = np.linalg.norm(middles[z] - (middles[z - 1] + middles[z + 1]) / 2)
    return found


def shift_flags(
    labels: NDArray[np.uint8], affine: NDArray[np.float64], measured: NDArray[np.float64] | None = None
) -> list[Flag]:
    """A flag for each slice that lies `SHIFTED_MM` or more off.

    Args:
        labels: as `shift_mm`.
        affine: as `shift_mm`.
        measured: (z, 2) mm, see `crossings.slice_shifts`; where it is NaN or None, neighbours tell.
    """
    off = np.nan_to_num(shift_mm(labels, affine))
    flags = []
    if measured is not None:
        known = np.isfinite(measured).all(axis=1)
        off[known] = 0.0
        far = np.flatnonzero(known & (np.linalg.norm(np.nan_to_num(measured), axis=1) >= SHIFTED_MM))
        for z in far.tolist():
            message = (f"slice {z} lies {np.linalg.norm(measured[z]):.0f} mm off where the long-axis views show it, as "
                       "in another breath-hold: shapes suffer by it, volumes hardly")  # fmt: skip
            flags.append(Flag("slice-shift", Severity.FLAG, message))
    while off.max(initial=0.0) >= SHIFTED_MM:
        largest = int(np.argmax(off))
        message = (f"slice {largest} lies about {off[largest]:.0f} mm off the line through its neighbours, as after "
                   "another breath-hold: shapes suffer by it, volumes hardly")  # fmt: skip
        flags.append(Flag("slice-shift", Severity.FLAG, message))
        off[max(0, largest - 1) : largest + 2] = (
            0.0  # a shifted slice makes its neighbours look shifted the other way, by half
        )
    return flags
