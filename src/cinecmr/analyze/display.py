"""How planes and contours are shown: turned for the screen, cropped to the heart, bordered by colour.

`display_axes` turns the pixels of a plane the way a radiologist expects them; `contours` draws the borders of labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.geometry import plane_normal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.study import Image

# On dark images. Orange, bluish green and sky blue of Okabe and Ito, lightened: told apart by colour-blind readers too.
CONTOUR_COLOURS = {"endo": "#ffa726", "epi": "#38d6a4", "rv": "#6cb8ff", "la": "#ff8fa3", "ra": "#c9a7ff"}
ATRIA = ("la", "ra")  # drawn in long-axis views alone
CONTOUR_TITLES = {
    "endo": "LV endocardium", "epi": "LV epicardium", "rv": "RV endocardium", "la": "Left atrium", "ra": "Right atrium"
}  # fmt: skip

_SMOOTHING_PX = 0.7  # blurs the stairs of pixels away and moves a border of radius 10 pixels by 0.03 pixels


@dataclass(frozen=True)
class DisplayAxes:
    """How the x-y plane of an image is turned for the screen.

    Attributes:
        swap: rows of the screen run along x, not along y.
        flip_rows, flip_columns: order reversed after the swap.
        edges: letters at top, right, bottom and left: the patient's R, L, A, P, H (head), F (feet).
    """

    swap: bool
    flip_rows: bool
    flip_columns: bool
    edges: tuple[str, str, str, str]

    def apply(self, plane: NDArray[Any]) -> NDArray[Any]:
        """(x, y, ...) to (row, column, ...) of the screen.

        >>> axes = DisplayAxes(swap=False, flip_rows=False, flip_columns=True, edges=("H", "L", "F", "R"))
        >>> axes.apply(np.array([[1, 2], [3, 4], [5, 6]]))  # x = 0, 1, 2 from right to left
        array([[5, 3, 1],
               [6, 4, 2]])
        """
        turned = plane if self.swap else np.swapaxes(plane, 0, 1)
        if self.flip_rows:
            turned = turned[::-1]
        return turned[:, ::-1] if self.flip_columns else turned


def display_axes(affine: NDArray[np.float64]) -> DisplayAxes:
    """The turn that shows a plane as radiologists do: the patient seen from the feet, the front or the left.

    Which of the three, the body plane nearest to the image decides: transverse (to the right lies left, down lies
    back), coronal (left, feet) or sagittal (back, feet). Scanners store most cine planes just so.

    Args:
        affine: (4, 4) voxel index to patient RAS, mm.
    """
    x, y = (affine[:3, axis] / np.linalg.norm(affine[:3, axis]) for axis in (0, 1))
    nearest = int(np.abs(plane_normal(affine)).argmax())
    left, back, feet = -np.eye(3)
    wanted_right, wanted_down = ((back, feet), (left, feet), (left, back))[nearest]
    best, best_score = DisplayAxes(False, False, False, ("", "", "", "")), -np.inf
    for swap in (False, True):
        column, row = (y, x) if swap else (x, y)
        for flip_rows in (False, True):
            for flip_columns in (False, True):
                right, down = (-column if flip_columns else column), (-row if flip_rows else row)
                score = float(right @ wanted_right + down @ wanted_down)
                if score > best_score:
                    edges = (_letters(-down), _letters(right), _letters(down), _letters(-right))
                    best, best_score = DisplayAxes(swap, flip_rows, flip_columns, edges), score
    return best


def _letters(direction: NDArray[np.float64]) -> str:
    """The one or two patient directions nearest to a unit vector, nearest first."""
    letters = [("L", "R"), ("P", "A"), ("F", "H")]
    order = np.argsort(-np.abs(direction))[:2]
    return "".join(letters[axis][int(direction[axis] > 0)] for axis in order if abs(direction[axis]) > 0.38)


def slices_from_base(affine: NDArray[np.float64], slices: int, labels: NDArray[np.uint8] | None = None) -> list[int]:
    """The z indices from base to apex.

    Args:
        affine: (4, 4); the apex points left, forwards and down.
        slices: how many.
        labels: (x, y, z, t) `Structure` codes. Where they show clearly to which side the heart tapers, they
            decide: the affine of a converted file may be a mere placeholder.
    """
    to_apex = float(affine[:3, 2] @ (-1.0, 1.0, -1.0))
    if labels is not None:
        heart = np.isin(labels, (Structure.RV, Structure.MYO, Structure.LV)).sum(axis=(0, 1, 3))
        held = heart[heart > 0]
        third = len(held) // 3
        if third:
            first, last = float(held[:third].mean()), float(held[-third:].mean())
            if max(first, last) > 1.25 * min(first, last):
                to_apex = first - last
    return list(range(slices)) if to_apex >= 0 else list(range(slices))[::-1]


def contours(plane: NDArray[np.uint8]) -> dict[str, list[NDArray[np.float64]]]:
    """Borders of the structures in one plane of labels.

    Args:
        plane: (rows, columns) `Structure` codes.

    Returns:
        Under "endo" (LV blood pool), "epi" (outer border of LV blood pool and myocardium) and "rv": closed
        polygons, (n, 2) as (column, row), in pixel indices: a pixel's centre is a whole number. Borders are
        rounded below the size of a pixel for the eye; numbers come from the labels themselves.

    >>> plane = np.zeros((40, 40), np.uint8)
    >>> plane[10:30, 12:28] = Structure.LV
    >>> (ring,) = contours(plane)["endo"]
    >>> bool(abs(ring[:, 0].min() - 11.5) < 0.1 and abs(ring[:, 1].max() - 29.5) < 0.1)
    True
    """
    from scipy import ndimage

    wall = ndimage.binary_fill_holes(np.isin(plane, (Structure.LV, Structure.MYO)))
    return {"endo": _borders(plane == Structure.LV), "epi": _borders(wall), "rv": _borders(plane == Structure.RV)}


def atria_contours(plane: NDArray[np.uint8]) -> dict[str, list[NDArray[np.float64]]]:
    """Borders of the atria in one plane of labels, under "la" and "ra"; as `contours`."""
    return {"la": _borders(plane == Structure.LA), "ra": _borders(plane == Structure.RA)}


def _borders(inside: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Polygons around `inside`; regions too small to survive the smoothing keep their own stairs."""
    from scipy import ndimage

    if not inside.any():
        return []
    regions, count = ndimage.label(inside)
    smooth = ndimage.gaussian_filter(np.pad(inside, 2).astype(np.float32), _SMOOTHING_PX)
    for region in range(1, count + 1):
        part = np.pad(regions == region, 2)
        if smooth[part].max() < 0.6:
            smooth[part] = 1.0
    return [line - 2 for line in _level(smooth)]


def _level(values: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    import contourpy

    lines = contourpy.contour_generator(z=values, line_type=contourpy.LineType.Separate).lines(0.5)
    return [np.asarray(line, np.float64) for line in lines]


def heart_box(labels: NDArray[np.uint8] | None, image: Image, margin_mm: float = 25.0) -> tuple[slice, slice]:
    """The x-y window that holds every labelled structure of every slice and frame, and a margin.

    Args:
        labels: (x, y, z, t) `Structure` codes, or None.
        image: on whose grid they lie.
        margin_mm: kept around them, mm.

    Returns:
        Slices of x and y; the whole plane where nothing is labelled.
    """
    whole = (slice(0, image.data.shape[0]), slice(0, image.data.shape[1]))
    if labels is None:
        return whole
    there = ((labels > 0) & (labels != Structure.UNSEEN)).any(axis=(2, 3))
    if not there.any():
        return whole
    box = []
    for axis in (0, 1):
        along = np.flatnonzero(there.any(axis=1 - axis))
        margin = int(np.ceil(margin_mm / image.spacing[axis]))
        box.append(slice(max(0, along[0] - margin), min(there.shape[axis], along[-1] + margin + 1)))
    return box[0], box[1]
