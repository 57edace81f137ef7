"""Wall thickness by segment, and where the right ventricle joins the left, from short-axis labels of one frame.

Thickness is told in the plane of the slice, as readers measure it: the shortest way from each border of the wall to the
other. Borders are the smooth contours of `measure.wall`. The apical cap, which no ring crosses, has none; near the apex
a slice cuts the wall at a slant, and shows it thicker than it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from cinecmr.anatomy import AHA_SEGMENTS, Structure, aha_segments
from cinecmr.measure.wall import Stack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.measure.wall import Contour

    Array = NDArray[np.float64]

AROUND = 720  # points of a contour: 0.3 mm apart on a large one
FEWEST = 0.6  # of a segment's angles that its slices must tell
TOUCHING_MM = 3.0  # between a right ventricle's label and the wall that it lies on
FEWEST_SHARE = 0.04  # of the wall's circumference that must lie on it
_CAP = max(AHA_SEGMENTS)


def wall_thickness(labels: NDArray[np.uint8], affine: NDArray[np.float64]) -> Array:
    """Mean thickness of each AHA segment.

    Args:
        labels: (x, y, z) `Structure` codes of one frame.
        affine: (4, 4) voxel index to patient RAS, mm.

    Returns:
        (17,) mm of segments 1 to 17, NaN where no slice tells; the last, the cap, always is.

    Raises:
        RefusedInput: see `wall.wall_points`.
    """
    stack = Stack(np.asarray(labels), np.asarray(affine, np.float64))
    rings, lowest, highest = stack.rings()
    angles, widths, numbers = [], [], []
    theta = np.linspace(-np.pi, np.pi, AROUND, endpoint=False)
    for z, ring in rings.items():
        if ring.z != z or not stack.pool[:, :, z].any():
            continue  # cut by the mitral plane, or solid
        height = np.full(AROUND, (stack.height[z] - lowest) / (highest - lowest))
        angles.append(theta)
        widths.append(_between(ring.endo, ring.epi, theta))
        numbers.append(aha_segments(height, theta))
    angle, width, number = (np.concatenate(parts) for parts in (angles, widths, numbers))
    found = np.full(_CAP, np.nan)
    for segment in range(1, _CAP):
        here = number == segment
        told = np.unique(np.round(angle[here], 6)).size
        if told >= FEWEST * AROUND / (4 if segment >= 13 else 6):
            found[segment - 1] = width[here].mean()
    return found


def _between(endo: Contour, epi: Contour, theta: Array) -> Array:
    """(n,) mm at each angle: mean of the shortest ways from the inner border outwards and from the outer inwards."""
    out = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    inner, outer = (contour.radius(theta)[0][:, None] * out for contour in (endo, epi))
    ways = [cKDTree(there).query(here)[0] for here, there in ((inner, outer), (outer, inner))]
    return np.asarray((ways[0] + ways[1]) / 2)


def insertion_points(labels: NDArray[np.uint8], affine: NDArray[np.float64], z: int) -> tuple[Array, Array]:
    """Where the right ventricle's wall meets the left one's, in one slice.

    Args:
        labels: (x, y, z) `Structure` codes of one frame.
        affine: (4, 4) voxel index to patient RAS, mm.
        z: the slice.

    Returns:
        Anterior and inferior point on the outer border of the wall, (3,) patient RAS, mm; NaN where hardly any of the
        wall has a right ventricle on it.

    Raises:
        RefusedInput: see `wall.wall_points`.
    """
    stack = Stack(np.asarray(labels), np.asarray(affine, np.float64))
    nowhere = np.full(3, np.nan)
    right = np.argwhere(stack.labels[:, :, z] == Structure.RV)
    if not len(right) or not stack.muscle[:, :, z].any():
        return nowhere, nowhere
    ring = stack.ring(z)
    theta = np.linspace(-np.pi, np.pi, AROUND, endpoint=False)
    outer = ring.epi.radius(theta)[0][:, None] * np.stack([np.cos(theta), np.sin(theta)], axis=1)
    away = cKDTree(stack.plane(right, z) - ring.middle).query(outer)[0]
    on = away <= TOUCHING_MM
    if on.mean() < FEWEST_SHARE:
        return nowhere, nowhere
    first, last = _longest(on)
    ends = outer[[last, first]] + ring.middle  # angles turn from the septum to the anterior wall
    base = stack.axis * stack.height[z]
    anterior, inferior = (np.asarray(end @ stack.frame + base, np.float64) for end in ends)
    return anterior, inferior


def _longest(on: NDArray[np.bool_]) -> tuple[int, int]:
    """First and last index of the longest run of true around a circle."""
    if on.all():
        return 0, len(on) - 1
    start = int(np.flatnonzero(~on)[0])
    turned = np.roll(on, -start)
    steps = np.diff(np.concatenate([[0], turned.astype(int), [0]]))
    firsts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    best = int(np.argmax(ends - firsts))
    return (int(firsts[best]) + start) % len(on), (int(ends[best]) - 1 + start) % len(on)


def middle_slice(labels: NDArray[np.uint8]) -> int | None:
    """The slice halfway between the ends of the cavity that a right ventricle lies beside; None without any."""
    both = (labels == Structure.LV).any(axis=(0, 1)) & (labels == Structure.RV).any(axis=(0, 1))
    held = np.flatnonzero(both)
    return int(held[len(held) // 2]) if held.size else None
