"""Where valves are hinged and where the apex lies, from long-axis label maps, for studies without marked landmarks.

Labels are (x, y, 1, t) `Structure` codes of one long-axis image; points come out in patient RAS, mm, NaN at frames
that do not show them, and are true to about a pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cinecmr.anatomy import Landmark, Structure, View
from cinecmr.geometry import apply_affine
from cinecmr.measure.clock import at_shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Both mitral hinges and the apex of each view that shows them.
POINTS = {
    View.LAX_2C: (Landmark.MITRAL_2C_ANTERIOR, Landmark.MITRAL_2C_INFERIOR, Landmark.APEX_2C),
    View.LAX_4C: (Landmark.MITRAL_4C_SEPTAL, Landmark.MITRAL_4C_LATERAL, Landmark.APEX_4C),
}
# The ends of the tricuspid valve in the four-chamber view.
TRICUSPID = (Landmark.TRICUSPID_4C_SEPTAL, Landmark.TRICUSPID_4C_LATERAL)
# The fastest hinge, the tricuspid's, moves up to 110 mm a beat at its steepest: 5 mm from frame to frame of 22.
_LEAP_MM, _LEAP_A_BEAT_MM = 7.0, 160.0
_FEWEST_FRAMES = 8  # with fewer, neighbours in time are no neighbours in place
_TOUCH = 1.5  # pixels between the centres of two that touch, corners too
_FRONT = np.array([0.0, 1.0, 1.0])  # in a two-chamber view the anterior wall lies to the front and up


def marks_from_labels(labels: NDArray[np.uint8], affine: Array, view: View) -> dict[Landmark, Array]:
    """Mitral hinges and apex of one view.

    Args:
        labels: with LV and MYO; in the four-chamber view also RV, which tells the septal hinge.
        affine: (4, 4) voxel index to patient RAS, mm.
        view: two- or four-chamber.

    Returns:
        (t, 3) each. The apex is the point of the cavity farthest from the middle of the hinges, at the frame where
        it is farthest, and the same at all frames: it hardly moves, and a cavity that closes in systole has lost it.

    Raises:
        ValueError: another view, or labels that are no single slice over time.
    """
    if view not in POINTS:
        raise ValueError(f"mitral hinges are read from the two- and the four-chamber view, not from {view.name}")
    ends = mitral_ends(labels, affine)
    apex, length = np.full(3, np.nan), 0.0
    for frame in np.flatnonzero(np.isfinite(ends).all(axis=(1, 2))):
        middle = ends[frame].mean(axis=0)
        cavity = _places(labels[:, :, 0, frame] == Structure.LV, affine)
        far = np.linalg.norm(cavity - middle, axis=1)
        if far.max() > length:
            apex, length = cavity[far.argmax()], float(far.max())
        ends[frame] = ordered(ends[frame], labels[..., frame], affine, view)
    known = np.asarray(np.isfinite(ends).all(axis=(1, 2)))
    points = ends[:, 0], ends[:, 1], np.where(known[:, None], apex, np.nan)
    return dict(zip(POINTS[view], points, strict=True))


def mitral_ends(labels: NDArray[np.uint8], affine: Array) -> Array:
    """The ends of the line along which the left cavity is open: bordered by neither its own wall nor itself.

    Args:
        labels: with LV and MYO; the atrium need not be drawn.
        affine: (4, 4) voxel index to patient RAS, mm.

    Returns:
        (t, 2, 3); of several openings the longest.

    Raises:
        ValueError: labels that are no single slice over time.
    """
    one_slice(labels)
    frames = range(labels.shape[3])
    return np.stack([_line_ends(_opening(labels[:, :, 0, frame]), affine) for frame in frames])


def valve_ends(
    labels: NDArray[np.uint8], affine: Array, ventricle: Structure = Structure.LV, atrium: Structure = Structure.LA
) -> Array:
    """The ends of the line along which ventricle and atrium touch.

    Args:
        labels: with both chambers.
        affine: (4, 4) voxel index to patient RAS, mm.
        ventricle: the chamber below the valve.
        atrium: the chamber above it.

    Returns:
        (t, 2, 3); NaN at frames where the two do not touch.

    Raises:
        ValueError: labels that are no single slice over time.
    """
    one_slice(labels)
    planes = [labels[:, :, 0, frame] for frame in range(labels.shape[3])]
    return np.stack([_line_ends(_border(plane == ventricle, plane == atrium, _TOUCH), affine) for plane in planes])


def lateral_end(ends: Array, labels: NDArray[np.uint8], affine: Array) -> Array:
    """(t, 3) of a valve's two ends (t, 2, 3) the one farther from the left ventricle; NaN where there is none."""
    found = np.full((len(ends), 3), np.nan)
    for frame, both in enumerate(ends):
        cavity = _places(labels[:, :, 0, frame] == Structure.LV, affine)
        if len(cavity) and np.isfinite(both).all():
            found[frame] = both[np.linalg.norm(both - cavity.mean(axis=0), axis=1).argmax()]
    return found


def settled(points: Array) -> Array:
    """A point over the beat without leaps and gaps: what lies far from both its neighbours in time is left out.

    Args:
        points: (t, 3), NaN at frames that do not show it; the beat is a circle.

    Returns:
        (t, 3); gaps are bridged linearly. NaN everywhere where fewer than two frames are known.
    """
    known = np.isfinite(points).all(axis=1)
    if len(points) >= _FEWEST_FRAMES:
        beside = np.stack([np.linalg.norm(points - np.roll(points, shift, axis=0), axis=1) for shift in (-1, 1)])
        nearer = np.where(np.isfinite(beside), beside, np.inf).min(axis=0)
        known &= ~((nearer > max(_LEAP_MM, _LEAP_A_BEAT_MM / len(points))) & np.isfinite(nearer))
    if known.sum() < 2:
        return np.full(points.shape, np.nan)
    shares = np.arange(len(points)) / len(points)
    return at_shares(points[known], shares[known], shares)


def one_slice(labels: NDArray[np.uint8]) -> None:
    """Raise ValueError unless labels are those of one long-axis image."""
    if labels.ndim != 4 or labels.shape[2] != 1:
        raise ValueError(f"labels of a long-axis image must be (x, y, 1, t), got {labels.shape}")


def ordered(both: Array, labels: NDArray[np.uint8], affine: Array, view: View) -> Array:
    """The two hinges of the mitral valve in the order of `POINTS`: anterior before inferior, septal before lateral.

    Args:
        both: (2, 3) patient RAS, mm.
        labels: (x, y, 1) codes of the frame; of a four-chamber view with RV, which tells the septal one.
        affine: (4, 4) voxel index to patient RAS, mm.
        view: two- or four-chamber.

    Returns:
        (2, 3); NaN where they cannot be told apart.
    """
    if not np.isfinite(both).all():
        return np.full((2, 3), np.nan)
    if view is View.LAX_2C:
        first = int((both @ _FRONT).argmax())
    else:
        right = _places(labels[:, :, 0] == Structure.RV, affine)
        if not len(right):
            return np.full((2, 3), np.nan)
        first = int(np.linalg.norm(both - right.mean(axis=0), axis=1).argmin())
    return both[[first, 1 - first]]


def _opening(plane: NDArray[np.uint8]) -> Array:
    """(n, 2) pixel indices along the longest stretch where the left cavity borders on something else than its wall."""
    cavity = plane == Structure.LV
    other = ~cavity & (plane != Structure.MYO)
    rim = cavity & ndimage.binary_dilation(other)
    parts, count = ndimage.label(rim, structure=np.ones((3, 3)))
    if not count:
        return np.zeros((0, 2))
    return _border(parts == 1 + np.bincount(parts[rim])[1:].argmax(), other, 1.0)


def _border(below: NDArray[np.bool_], above: NDArray[np.bool_], reach: float) -> Array:
    """(n, 2) indices half way between each pixel below that has one above within reach, and the nearest of those."""
    if not below.any() or not above.any():
        return np.zeros((0, 2))
    far, nearest = ndimage.distance_transform_edt(~above, return_indices=True)
    at = np.argwhere(below & (far <= reach))
    return np.asarray((at + nearest[:, at[:, 0], at[:, 1]].T) / 2)


def _line_ends(line: Array, affine: Array) -> Array:
    """(2, 3) the outermost of pixel indices (n, 2) along their main direction; NaN of fewer than two."""
    if len(line) < 2:
        return np.full((2, 3), np.nan)
    points = apply_affine(affine, np.column_stack([line, np.zeros(len(line))]))
    around = points - points.mean(axis=0)
    along = around @ np.linalg.svd(around, full_matrices=False)[2][0]
    return points[[along.argmin(), along.argmax()]]


def _places(region: NDArray[np.bool_], affine: Array) -> Array:
    """(n, 3) of the pixels of a region."""
    at = np.argwhere(region)
    return apply_affine(affine, np.column_stack([at, np.zeros(len(at))]))
