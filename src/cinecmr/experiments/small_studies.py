"""Small synthetic studies, read at end-diastole and end-systole alone: many for the time of a few.

The stack covers the heart with the usual slices, so that volumes and EF mean what they mean elsewhere; there are fewer
pixels and frames, no long axes and no files, and the network is asked for the frames of the true ED and ES only,
which leaves out how well the moments are chosen and the smoothing over time. The heart is looked for in one frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cinecmr.analyze.models import Model
    from cinecmr.study import Findings, Image, Study

FRAMES, MATRIX = 8, (128, 128)
WORDS = f"small: {FRAMES} frames of {MATRIX[0]} x {MATRIX[1]} pixels, read at ED and ES"
SAX = View.SAX, Contrast.CINE


@dataclass(frozen=True)
class Sparing:
    """A model that reads the frames it is told to and leaves the others unseen.

    Attributes:
        model: what reads.
        frames: which, in order.
    """

    model: Model
    frames: tuple[int, ...]

    @property
    def source(self) -> str:
        """Who answers for the labels."""
        return self.model.source

    def segment(self, image: Image, progress: Callable[[float], None] | None = None) -> NDArray[np.uint8]:
        """(x, y, z, t) `Structure` codes, `UNSEEN` in the other frames."""
        return self.segment_surely(image, progress)[0]

    def segment_surely(
        self, image: Image, progress: Callable[[float], None] | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """The same, and (z, t) the Dice that the model expects of its labels; NaN in the other frames.

        Raises:
            RefusedInput: the model does not tell how sure it is (`no-confidence`).
        """
        chosen = list(self.frames)
        few = replace(image, data=image.data[..., chosen], times=image.times[chosen])
        found, told = self.model.segment_surely(few, progress)
        if told is None:
            raise RefusedInput("no-confidence", "this model does not tell how sure it is of its labels")
        labels = np.full(image.data.shape, Structure.UNSEEN, np.uint8)
        sure = np.full(image.data.shape[2:], np.nan)
        labels[..., chosen], sure[:, chosen] = found, told
        return labels, sure


def model_of(name: str, device: str = "cpu") -> Model:
    """A model that looks for the heart in one frame, which of two or three is as good and takes half the time."""
    from cinecmr.analyze import models

    card = models.card(name)
    sparing = card.model_copy(update={"reading": {**card.reading, "locate_frames": 1}})
    return models.Model(sparing, models.weights_path(name), device)


def make(seed: int) -> tuple[Study, Findings, tuple[int, ...]]:
    """A study, what is true of it, and the frames in which a ventricle is largest or smallest."""
    from cinecmr.phantom.study import synthetic_study

    study, truth = synthetic_study(seed, frames=FRAMES, long_axis=False, matrix=MATRIX)
    names = [f"{ventricle}_{phase}" for ventricle in ("LV", "RV") for phase in ("ED", "ES")]
    return study, truth, tuple(sorted({truth.cycle[name] for name in names}))
