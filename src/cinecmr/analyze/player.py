"""The moving part of the report as data: every slice's frames as one picture, and its contours as numbers.

`tiles` gives what report.js plays. A tile is one slice of one image, cropped to the heart, turned for the screen.
"""

from __future__ import annotations

import base64
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.analyze import arrows
from cinecmr.analyze.display import atria_contours, contours, display_axes, heart_box, slices_from_base
from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.geometry import apply_affine
from cinecmr.measure.hinges import POINTS, TRICUSPID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cinecmr.analyze.display import DisplayAxes
    from cinecmr.study import Findings, Image, Study

COORDINATE = 16  # contour coordinates are whole numbers of this fraction of a pixel
LOSSLESS_PIXELS = 4_000_000  # up to here PNG (about a byte a pixel), above JPEG, so that a page stays under 6 MB
MOST_PIXELS = 24_000_000  # above, frames are reduced
_LAX_WINDOW_MM = 190.0


def tiles(study: Study, found: Findings) -> list[dict[str, Any]]:
    """One entry for each slice to play, short axis from base to apex first, then the long-axis cines.

    Returns:
        Dictionaries for JSON: "title", "note", "edges" (letters at top, right, bottom, left), "width" and "height"
        (pixels of the crop), "aspect" (width to height in mm), "frames", "columns" and "cell" (the picture's
        layout), "source" (data URI; absent if not acquired), "contours": for each name and frame a list of
        polygons `[x0, y0, dx1, dy1, ...]` in 1/`COORDINATE` pixel, null where nobody looked; "arrows" where a motion
        was found, see `arrows.on_screen`; "marks" in long-axis views with landmarks, see `_marks`.
    """
    cines = [view for view in View if view in study]
    crops = {view: _crop(study, found, view) for view in cines}
    pixels = sum(_pixels(study[view], crops[view]) for view in cines)
    coding = _Coding(lossless=pixels <= LOSSLESS_PIXELS, shrink=math.ceil(math.sqrt(pixels / MOST_PIXELS)))
    moved = arrows.of_slices(study, found) if View.SAX in study else {}
    made: list[dict[str, Any]] = []
    for view in cines:
        image, labels = study[view], found.labels.get((view, Contrast.CINE))
        axes = display_axes(image.affine)
        grey = _to_grey(image, crops[view])
        for z in slices_from_base(image.affine, image.slices, labels) if view is View.SAX else range(image.slices):
            made.append(_tile(image, labels, z, crops[view], axes, grey, coding))
            if view is not View.SAX:
                made[-1] |= _marks(found, image, crops[view], axes)
            if view is View.SAX and z in moved and "source" in made[-1]:
                made[-1]["arrows"] = arrows.on_screen(moved[z], crops[view], axes, COORDINATE)
    return made


class _Coding:
    """How frames become a picture: PNG or JPEG, and by how much they are reduced."""

    def __init__(self, *, lossless: bool, shrink: int) -> None:
        self.lossless, self.shrink = lossless, max(1, shrink)

    def encode(self, frames: NDArray[np.uint8]) -> tuple[str, list[int], int]:
        """(frame, row, column) to a data URI, its cell size (width, height) and its number of columns."""
        from PIL import Image as Picture

        count, height, width = frames.shape
        height, width = -(-height // self.shrink), -(-width // self.shrink)
        # Cells are whole 8 x 8 blocks, so that JPEG never mixes two frames.
        cell_height, cell_width = -(-height // 8) * 8, -(-width // 8) * 8
        columns = max(1, round(math.sqrt(count * cell_height / cell_width)))
        sheet = np.zeros((-(-count // columns) * cell_height, columns * cell_width), np.uint8)
        for index, frame in enumerate(frames):
            if self.shrink > 1:
                frame = np.asarray(Picture.fromarray(frame).resize((width, height), Picture.Resampling.BOX))
            top, left = index // columns * cell_height, index % columns * cell_width
            padded = np.pad(frame, ((0, cell_height - height), (0, cell_width - width)), mode="edge")
            sheet[top : top + cell_height, left : left + cell_width] = padded
        kind, options = ("png", {"optimize": True}) if self.lossless else ("jpeg", {"quality": 90})
        buffer = io.BytesIO()
        Picture.fromarray(sheet).save(buffer, format=kind, **options)
        text = base64.b64encode(buffer.getvalue()).decode("ascii")
        return f"data:image/{kind};base64,{text}", [cell_width, cell_height], columns


def _pixels(image: Image, crop: tuple[slice, slice]) -> int:
    x, y, z, t = image.data[crop].shape
    return int(x * y * z * t)


def _crop(study: Study, found: Findings, view: View) -> tuple[slice, slice]:
    """Around the labels; a long-axis view without any is cut around the heart that the short axis shows."""
    image, labels = study[view], found.labels.get((view, Contrast.CINE))
    if labels is not None or view is View.SAX:
        return heart_box(labels, image)
    centre = _heart_centre(study, found)
    whole = slice(0, image.data.shape[0]), slice(0, image.data.shape[1])
    if centre is None:
        return whole
    index = apply_affine(np.asarray(np.linalg.inv(image.affine), np.float64), centre)[:2]
    box = []
    for axis in (0, 1):
        half = _LAX_WINDOW_MM / 2 / image.spacing[axis]
        start, stop = max(0, round(index[axis] - half)), min(image.data.shape[axis], round(index[axis] + half))
        if stop - start < half / 2:  # the planes do not meet: show all rather than the wrong part
            return whole
        box.append(slice(start, stop))
    return box[0], box[1]


def _heart_centre(study: Study, found: Findings) -> NDArray[np.float64] | None:
    """(3,) mean position of all labelled voxels of the short axis, RAS mm."""
    labels = found.labels.get((View.SAX, Contrast.CINE))
    if labels is None or View.SAX not in study:
        return None
    inside = np.argwhere(((labels > 0) & (labels != Structure.UNSEEN)).any(axis=3))
    if not len(inside):
        return None
    return apply_affine(study[View.SAX].affine, inside.mean(axis=0).astype(np.float64))


def _to_grey(image: Image, crop: tuple[slice, slice]) -> tuple[float, float]:
    """The intensities that become black and white.

    White is twice what the brightest parts of the middle of the crop show, blood and fat around the heart: fat under
    the coil may be several times brighter and would leave the heart dark. The player shows the lower half at first.
    """
    there = [z for z in range(image.slices) if z not in image.missing_slices]
    values = image.data[crop][:, :, there]
    if values.size == 0:
        return 0.0, 1.0
    x, y = values.shape[:2]
    middle = values[x // 4 : x - x // 4, y // 4 : y - y // 4]
    low, high = float(np.percentile(values, 0.5)), float(np.percentile(middle, 98))
    return low, low + max(2 * (high - low), 1e-6)


def _tile(
    image: Image,
    labels: NDArray[np.uint8] | None,
    z: int,
    crop: tuple[slice, slice],
    axes: DisplayAxes,
    grey: tuple[float, float],
    coding: _Coding,
) -> dict[str, Any]:
    planes = axes.apply(image.data[(*crop, z)])  # (row, column, t)
    height, width = planes.shape[:2]
    step_x, step_y = (image.spacing[1], image.spacing[0]) if axes.swap else (image.spacing[0], image.spacing[1])
    tile: dict[str, Any] = {
        "title": f"Slice {z}" if image.view is View.SAX else image.view.title.rpartition(", ")[2].capitalize(),
        "view": image.view.value,
        "edges": axes.edges,
        "width": width,
        "height": height,
        "aspect": round(float(width * step_x / (height * step_y)), 4),
        "frames": image.frames,
    }
    if z in image.missing_slices:
        return tile | {"note": "not acquired"}
    scaled = (np.moveaxis(planes, 2, 0).astype(np.float32) - grey[0]) * (255.0 / (grey[1] - grey[0]))
    source, cell, columns = coding.encode(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))
    tile |= {"source": source, "cell": cell, "columns": columns, "note": "", "shrink": coding.shrink}
    if labels is None:
        return tile | {"note": "no contours"}
    turned = axes.apply(labels[(*crop, z)])
    atria = image.view is not View.SAX
    drawn = [_frame_contours(turned[:, :, t], atria) for t in range(image.frames)]
    names = ("endo", "epi", "rv", *(("la", "ra") if atria else ()))
    tile["contours"] = {name: [frame and frame[name] for frame in drawn] for name in names}
    return tile | {"note": "" if any(frame is not None for frame in drawn) else "no contours"}


def _marks(found: Findings, image: Image, crop: tuple[slice, slice], axes: DisplayAxes) -> dict[str, Any]:
    """Under "marks", for each frame, the x and y on the screen of every landmark found in a long-axis view."""
    names = {View.LAX_2C: POINTS[View.LAX_2C], View.LAX_4C: (*POINTS[View.LAX_4C], *TRICUSPID)}.get(image.view, ())
    points = [found.landmarks[name] for name in names if name in found.landmarks]
    points = [each for each in points if len(each) == image.frames]
    if not points:
        return {}
    index = apply_affine(np.asarray(np.linalg.inv(image.affine), np.float64), np.stack(points, axis=1))[..., :2]
    size = [part.stop - part.start for part in crop]
    index = index - [part.start for part in crop]
    across, down = (1, 0) if axes.swap else (0, 1)
    x = size[across] - 1 - index[..., across] if axes.flip_columns else index[..., across]
    y = size[down] - 1 - index[..., down] if axes.flip_rows else index[..., down]
    at = np.stack([x, y], axis=-1).reshape(image.frames, -1, 2)
    known = [one[np.isfinite(one).all(axis=1)] for one in at]
    return {"marks": [np.rint(one * COORDINATE).astype(int).ravel().tolist() for one in known]}


def _frame_contours(plane: NDArray[np.uint8], atria: bool) -> dict[str, list[list[int]]] | None:
    """Polygons of one frame as differences of whole numbers; None where nobody looked."""
    if (plane == Structure.UNSEEN).all():
        return None
    seen = np.where(plane == Structure.UNSEEN, 0, plane).astype(np.uint8)
    borders = contours(seen) | (atria_contours(seen) if atria else {})
    return {name: [list(_differences(line)) for line in lines] for name, lines in borders.items()}


def _differences(line: NDArray[np.float64]) -> Iterator[int]:
    whole = np.rint(line * COORDINATE).astype(int)
    yield from whole[0].tolist()
    for step in np.diff(whole, axis=0).tolist():
        if step != [0, 0]:
            yield from step
