"""A picture of one study the size of a stamp: its middle slice at end-diastole and end-systole, with contours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.analyze.display import display_axes, heart_box
from cinecmr.anatomy import Structure
from cinecmr.io.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.study import Image

SIDE = 128  # pixels of each of the two halves
COLOURS = {Structure.LV: (255, 196, 64), Structure.MYO: (64, 220, 140), Structure.RV: (92, 160, 255)}


def draw(path: Path, image: Image, labels: NDArray[np.uint8], cycle: Mapping[str, int]) -> None:
    """Write the picture, PNG.

    Args:
        path: where.
        image: short axis.
        labels: (x, y, z, t) on its grid.
        cycle: frames of ED and ES; the LV's, else the RV's, else the first and the middle frame.
    """
    from PIL import Image as Picture

    ed = cycle.get("LV_ED", cycle.get("RV_ED", 0))
    es = cycle.get("LV_ES", cycle.get("RV_ES", image.frames // 2))
    heart = ((labels > 0) & (labels != Structure.UNSEEN)).sum(axis=(0, 1, 3))
    held = np.flatnonzero(heart)
    z = int(held[len(held) // 2]) if len(held) else image.slices // 2
    both = np.concatenate([_half(image, labels, z, frame) for frame in (ed, es)], axis=1)
    write_atomically(path, lambda temporary: Picture.fromarray(both).save(temporary, format="PNG", optimize=True))


def _half(image: Image, labels: NDArray[np.uint8], z: int, frame: int) -> NDArray[np.uint8]:
    """(SIDE, SIDE, 3) one slice in grey, borders of the structures in colour."""
    box, axes = heart_box(labels, image), display_axes(image.affine)
    plane = axes.apply(np.asarray(image.data[(*box, z, frame)], np.float32))
    drawn = axes.apply(labels[(*box, z, frame)])
    low, high = np.percentile(plane, (1, 99.5))
    grey = np.clip((plane - low) / max(float(high - low), 1e-6), 0, 1) * 255
    rows, columns = (np.arange(SIDE) * size // SIDE for size in plane.shape)
    coloured = np.repeat(grey[np.ix_(rows, columns)][..., None], 3, axis=2).astype(np.uint8)
    large = drawn[np.ix_(rows, columns)]
    for structure, colour in COLOURS.items():
        inside = large == structure
        core = inside.copy()
        for axis in (0, 1):
            for step in (-1, 1):
                core &= np.roll(inside, step, axis)
        coloured[inside & ~core] = colour
    return coloured
