"""Longitudinal strain from long-axis contours: how much shorter the cavity's border is than at end-diastole.

From label maps alone, without following any point: of the whole border from hinge to hinge through the apex only the
length is known, so there is one number a view (GLS) and none for a segment. Points are patient RAS, mm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cinecmr.anatomy import Structure
from cinecmr.geometry import apply_affine
from cinecmr.measure.hinges import one_slice
from cinecmr.study import Measurement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_SOFT_PX = 0.7  # the stairs of pixels make a border longer; rounding them off takes that away
_POINTS = 48  # of a border: finer would follow the stairs again
_FEWEST_PIXELS = 12  # of a cavity that has a border worth the name


def border_lengths(labels: NDArray[np.uint8], affine: Array, ends: Array) -> Array:
    """Length of the endocardial border at every frame.

    Args:
        labels: (x, y, 1, t) `Structure` codes with LV.
        affine: (4, 4) voxel index to patient RAS, mm.
        ends: (t, 2, 3) hinges of the mitral valve, patient RAS mm.

    Returns:
        (t,) mm from hinge to hinge through the apex; NaN where there is no cavity or a hinge is unknown.

    Raises:
        ValueError: labels that are no single slice over time, or ends of other frames.
    """
    one_slice(labels)
    if ends.shape != (labels.shape[3], 2, 3):
        raise ValueError(f"ends of a valve must be ({labels.shape[3]}, 2, 3), got {ends.shape}")
    planes = [labels[:, :, 0, t] == Structure.LV for t in range(labels.shape[3])]
    return np.array([_length(inside, affine, both) for inside, both in zip(planes, ends, strict=True)])


def strain_curve(lengths: Array, ed: float) -> Array:
    """(t,) Lagrangian strain, %: 0 at the length `ed`, negative where the border is shorter.

    >>> strain_curve(np.array([200.0, 160.0]), 200.0)
    array([  0., -20.])
    """
    return np.asarray(100 * (lengths / ed - 1))


def global_strain(borders: Mapping[str, Array], cycle: Mapping[str, int], source: str) -> dict[str, Measurement]:
    """GLS: mean over the views of the strain from end-diastole to end-systole.

    Args:
        borders: (t,) lengths at the frames of the cycle, by the name of their view.
        cycle: "LV_ED" and "LV_ES".
        source: who drew the labels.

    Returns:
        Empty where no view is known at both moments.
    """
    ed, es = cycle.get("LV_ED"), cycle.get("LV_ES")
    if ed is None or es is None:
        return {}
    told = {view: float(strain_curve(curve, curve[ed])[es]) for view, curve in borders.items()}
    told = {view: value for view, value in told.items() if np.isfinite(value)}
    if not told:
        return {}
    method = f"length of the endocardial border from hinge to hinge, ED to ES, {_listed(list(told))}"
    return {"GLS": Measurement(float(np.mean(list(told.values()))), "%", method, source, frame=es)}


def _listed(views: Sequence[str]) -> str:
    return views[0] if len(views) == 1 else f"mean of {', '.join(views[:-1])} and {views[-1]}"


def _length(inside: NDArray[np.bool_], affine: Array, ends: Array) -> float:
    if inside.sum() < _FEWEST_PIXELS or not np.isfinite(ends).all():
        return np.nan
    ring = _border(inside, affine)
    if len(ring) < 4:
        return np.nan
    cuts = sorted(int(np.linalg.norm(ring - end, axis=1).argmin()) for end in ends)
    ways = ring[cuts[0] : cuts[1] + 1], np.concatenate([ring[cuts[1] :], ring[: cuts[0] + 1]])
    middle = ends.mean(axis=0)
    far = max(ways, key=lambda way: float(np.linalg.norm(way - middle, axis=1).max()))
    steps = np.linalg.norm(np.diff(_even(far), axis=0), axis=1)
    return float(steps.sum()) or np.nan


def _border(inside: NDArray[np.bool_], affine: Array) -> Array:
    """(n, 3) closed border of the largest piece."""
    import contourpy

    pieces, _ = ndimage.label(inside)
    largest = pieces == 1 + np.bincount(pieces[inside])[1:].argmax()
    soft = ndimage.gaussian_filter(np.pad(largest, 3).astype(np.float32), _SOFT_PX)
    level = 0.5 if soft.max() > 0.5 else 0.5 * float(soft.max())
    lines = contourpy.contour_generator(z=soft, line_type=contourpy.LineType.Separate).lines(level)
    longest = max((np.asarray(line, np.float64) for line in lines), key=len)
    line = longest[:, ::-1] - 3  # (column, row) of the padded plane
    return apply_affine(affine, np.column_stack([line, np.zeros(len(line))]))


def _even(line: Array) -> Array:
    """The same line by `_POINTS` points that lie equally far apart along it."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    wanted = np.linspace(0, along[-1], _POINTS)
    return np.stack([np.interp(wanted, along, column) for column in line.T], axis=1)
