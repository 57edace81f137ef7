"""Arrows of a field before any training, on a middle slice at end-systole: figures 4 and 5."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Structure, View
from cinecmr.experiments.curves import save_svg
from cinecmr.experiments.tagged_prior.laboratory import made
from cinecmr.experiments.tagged_prior.rows import Fit
from cinecmr.geometry import apply_affine
from cinecmr.io.files import write_text
from cinecmr.measure.clock import beat_shares
from cinecmr.motion import beat

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.experiments.table import Table
    from cinecmr.experiments.tagged_prior.cohorts import Subject
    from cinecmr.experiments.tagged_prior.laboratory import Laboratory
    from cinecmr.study import Motion

    Array = NDArray[np.float64]

DRAWN = ("fig_4", "fig_5")
_EVERY_MM, _MARGIN_MM = 6.0, 18.0  # between arrows, and of picture beyond the muscle


def beside(name: str, table: Table, lab: Laboratory, page: Path) -> None:
    """Draw the fields of a table's rows for the first subject of each cohort, and show the drawing on its page."""
    if not name.endswith(DRAWN):
        return
    rows = [row for row in table.rows if isinstance(row, Fit)]
    fields = []
    for row in rows:
        one = made(row.training.data, 0, lab.scale)
        fields.append((" ".join((row.labels[0], row.start.title)), one, lab.network_motion(row.start, one, 0)))
    path = page.with_suffix(".svg")
    _draw(fields, path)
    head, *rest = page.read_text("utf-8").split("\n")
    write_text(page, "\n".join([head, "", f"![{table.title}]({path.name})", *rest]))


def arrows(motion: Motion, one: Subject) -> tuple[Array, Array, Array]:
    """A middle slice at end-systole cut about the heart, and the field in it.

    Args:
        motion: of the subject.
        one: the subject.

    Returns:
        (x, y) picture; (n, 2) places and (n, 2) displacements in its plane, pixels of the picture.
    """
    image = one.study[View.SAX]
    reference = beat.end_diastole(one.labels, image)
    muscle = one.labels[..., reference] == Structure.MYO
    z = int(np.median(np.flatnonzero(muscle.any(axis=(0, 1)))))
    index = np.argwhere(muscle[:, :, z])
    margin = np.ceil(_MARGIN_MM / image.spacing[:2]).astype(int)
    low = np.maximum(index.min(axis=0) - margin, 0)
    high = np.minimum(index.max(axis=0) + margin + 1, image.data.shape[:2])
    es = one.truth.cycle["LV_ES"]
    step = np.maximum(np.rint(_EVERY_MM / image.spacing[:2]), 1).astype(int)
    grid = np.meshgrid(np.arange(low[0], high[0], step[0]), np.arange(low[1], high[1], step[1]), indexing="ij")
    places = np.column_stack([grid[0].ravel(), grid[1].ravel(), np.full(grid[0].size, z)]).astype(np.float64)
    moved = motion.displacement(apply_affine(image.affine, places), float(beat_shares(image)[es]))
    in_index = moved @ np.linalg.inv(image.affine[:3, :3]).T
    picture = image.data[low[0] : high[0], low[1] : high[1], z, es].astype(np.float64)
    return picture, places[:, :2] - low, in_index[:, :2]


def _draw(fields: Sequence[tuple[str, Subject, Motion]], path: Path) -> None:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    across = 2 if len(fields) % 2 == 0 else 3
    down = -(-len(fields) // across)
    drawing = Figure(figsize=(3.2 * across, 3.4 * down), layout="constrained")
    FigureCanvasSVG(drawing)
    for axis, (title, one, motion) in zip(drawing.subplots(down, across, squeeze=False).ravel(), fields, strict=False):
        picture, places, moved = arrows(motion, one)
        axis.imshow(picture.T, cmap="gray", interpolation="bilinear")
        axis.quiver(places[:, 0], places[:, 1], moved[:, 0], moved[:, 1], color="#ffb000", angles="xy",
                    scale_units="xy", scale=1, width=0.006)  # fmt: skip
        axis.set(xticks=[], yticks=[], xlim=(-0.5, picture.shape[0] - 0.5), ylim=(picture.shape[1] - 0.5, -0.5))
        axis.set_title(title, fontsize=8)
    save_svg(drawing, path)
