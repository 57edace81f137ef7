"""How far the wall has moved since end-diastole, as arrows that the player of the report draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.geometry import apply_affine
from cinecmr.measure.clock import beat_shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.analyze.display import DisplayAxes
    from cinecmr.study import Findings, Study

    Array = NDArray[np.float64]

A_SLICE = 36  # arrows, about


def of_slices(study: Study, found: Findings) -> dict[int, tuple[Array, Array]]:
    """Where arrows begin in each short-axis slice, and how far they reach in each frame.

    Args:
        study: with a short axis.
        found: its labels, end-diastole and motion; none without any of them.

    Returns:
        By z: (n, 2) pixel indices x, y of muscle at end-diastole, and (t, n, 2) pixels it has moved in the plane.
    """
    labels = found.labels.get((View.SAX, Contrast.CINE))
    if found.motion is None or labels is None or "LV_ED" not in found.cycle:
        return {}
    image, rest = study[View.SAX], labels[..., found.cycle["LV_ED"]]
    chosen = []
    for z in range(image.slices):
        muscle = np.argwhere(rest[:, :, z] == Structure.MYO)
        muscle = muscle[:: max(1, len(muscle) // A_SLICE)]
        chosen.append(np.column_stack([muscle, np.full(len(muscle), z)]).astype(np.float64))
    index = np.concatenate(chosen)
    points, back = apply_affine(image.affine, index), np.linalg.inv(image.affine[:3, :3])
    moved = [found.motion.displacement(points, float(share)) @ back.T for share in beat_shares(image)]
    by = np.stack(moved)[..., :2]
    return {int(z): (index[index[:, 2] == z, :2], by[:, index[:, 2] == z]) for z in np.unique(index[:, 2])}


def on_screen(
    arrows: tuple[Array, Array], crop: tuple[slice, slice], axes: DisplayAxes, unit: int
) -> dict[str, list[int] | list[list[int]]]:
    """Arrows of one slice as report.js draws them.

    Args:
        arrows: see `of_slices`.
        crop: of the tile.
        axes: the turn of the tile.
        unit: whole numbers a pixel.

    Returns:
        "from": [column, row, ...] of the crop; "by": the same for each frame.
    """
    places, by = arrows
    size = [cut.stop - cut.start for cut in crop]
    places, by = places - [cut.start for cut in crop], by.copy()
    order = [1, 0] if axes.swap else [0, 1]  # columns of the screen run along y, or along x
    places, by = places[:, order], by[..., order]
    for axis, flip in enumerate((axes.flip_columns, axes.flip_rows)):
        if flip:
            places[:, axis] = size[order[axis]] - 1 - places[:, axis]
            by[..., axis] *= -1
    whole = [np.rint(unit * values).astype(int) for values in (places, by)]
    return {"from": whole[0].ravel().tolist(), "by": [frame.ravel().tolist() for frame in whole[1]]}
