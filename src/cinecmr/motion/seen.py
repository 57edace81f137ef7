"""Which points of the wall a stack shows in systole, when the base comes down between its slices."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import AHA_SEGMENTS, Structure
from cinecmr.errors import RefusedInput
from cinecmr.geometry import apply_affine
from cinecmr.measure.strain import CAP
from cinecmr.motion.evidence import with_whole_rings
from cinecmr.motion.shell import MUSCLE
from cinecmr.study import Flag, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.study import Motion, WallPoints

    Array = NDArray[np.float64]

FAR_MM = 6.0  # above the highest whole ring: beyond, how thick the wall is and how it thickens is a guess
NOWHERE = 0  # segment of wall points that belong to none of which anything is told
_LEFT = 0.5  # of a segment's volume: with no more of it seen, nothing is told of it


def seen(
    motion: Motion, wall: WallPoints, labels: NDArray[np.uint8], affine: Array, shares: Array
) -> NDArray[np.bool_]:
    """(n,) points that lie no more than `FAR_MM` above a whole ring in most frames around end-systole.

    The tissue of a basal slice is some 12 mm lower then. Where slices are further apart, it lies in a gap whose upper
    slice shows the atrium.

    Args:
        motion: of the wall.
        wall: at end-diastole.
        labels: (x, y, z, t) `Structure` codes of the short axis.
        affine: of its image.
        shares: (t,) share of the cycle of each frame.
    """
    heights = apply_affine(affine, np.array([[0.0, 0.0, z] for z in range(labels.shape[2])])) @ wall.long_axis
    votes = []
    for t in _systole(labels):
        whole = with_whole_rings(labels[..., t])
        rings = (whole == Structure.LV).any(axis=(0, 1)) & np.isin(whole, MUSCLE).any(axis=(0, 1))
        if rings.any():
            now = (wall.points + motion.displacement(wall.points, float(shares[t]))) @ wall.long_axis
            votes.append(now - heights[rings].max() <= FAR_MM)
    return np.asarray(np.mean(votes, axis=0) > 0.5 if votes else np.ones(len(wall), bool))


def _systole(labels: NDArray[np.uint8]) -> list[int]:
    """The labelled frame of the smallest cavity and its labelled neighbours."""
    size = (labels == Structure.LV).sum(axis=(0, 1, 2))
    es = int(np.argmin(np.where(size > 0, size, size.max() + 1)))
    return [t for t in (es - 1, es, es + 1) if 0 <= t < len(size) and size[t] > 0]


def without_unseen(wall: WallPoints, there: NDArray[np.bool_]) -> tuple[WallPoints, tuple[Flag, ...]]:
    """The wall that is seen, and what is said of segments that are not, by half or more: nothing is told of them.

    What is seen of them still counts for the whole wall, as of no segment: a segment that is seen by just less than
    half instead of just more would otherwise change the global strains by several percent.

    Args:
        wall: at end-diastole.
        there: see `seen`.

    Raises:
        RefusedInput: no segment is seen.
    """
    volume = {n: float(wall.weights[wall.segments == n].sum()) for n in AHA_SEGMENTS}
    left = {n: float(wall.weights[(wall.segments == n) & there].sum()) for n in AHA_SEGMENTS}
    lost = [n for n in AHA_SEGMENTS if volume[n] > 0 and left[n] <= _LEFT * volume[n]]
    if there.all():
        return wall, ()
    if not (there & (wall.segments != CAP)).any():
        raise RefusedInput("no-wall", "in systole the wall lies where no slice shows a whole ring of it")
    rows = ("points", "radial", "circumferential", "longitudinal", "segments", "depth", "weights")
    less = replace(wall, **{name: getattr(wall, name)[there] for name in rows})
    less = replace(less, segments=np.where(np.isin(less.segments, lost), NOWHERE, less.segments))
    if not lost:
        return less, ()
    said = (
        f"segments {', '.join(map(str, lost))}: in systole their wall lies more than {FAR_MM:.0f} mm above the highest "
        "slice that shows a whole ring; their strain is not told, and GCS, GRS and GLS leave that part of them out"
    )
    return less, (Flag("strain-not-seen", Severity.FLAG, said),)
