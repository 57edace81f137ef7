"""How CineMA's published networks are asked for what is no label map: classes, one number, three landmarks.

The picture is prepared as for labels (`published_grid`): the network's spacing, a crop, 255 grey values, zeros at its
end. ED and ES frame are read together where the network learned from pairs, else one by one.

Source: CineMA (Fu et al.), appendix B; specification of its code, sections 8 to 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from cinecmr.anatomy import View
from cinecmr.geometry import apply_affine
from cinecmr.learn.samples import starts, window
from cinecmr.measure.hinges import POINTS
from cinecmr.networks.inference import Ready
from cinecmr.networks.multiview import MultiView
from cinecmr.study import Findings, Measurement
from cinecmr.tasks._learner import phases
from cinecmr.tasks.published_grid import NetworkGrid, quantised
from cinecmr.tasks.regression import TARGETS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from cinecmr.networks.inference import Way
    from cinecmr.study import Flag, Image

    Array = NDArray[np.float64]

Answers = Literal["classes", "number", "heatmaps", "coordinates"]
SHARPNESS = 1000.0  # of the softmax that reads a place from a heatmap
# Names of numbers in published tables, and what they are called here.
COLUMNS = {"ef": "legacy_weighted_ef", "lv_ef": "LVEF", "rv_ef": "RVEF", "bmi": "BMI", "age": "age"}


@dataclass(frozen=True)
class PublishedAnswerSettings:
    """What a published network is asked, and how.

    Attributes:
        answers: what it says.
        view, spacing, patch: as in `published_reading`.
        frames: 2 where it reads ED and ES together, else 1.
        classes: in the order of its answers.
        column: of the table that it learned a number from; `mean` and `std` turn its z-scores back.
    """

    answers: Answers
    view: str = "sax"
    spacing: tuple[float, ...] = (1.0, 1.0, 10.0)
    patch: tuple[int, ...] = (192, 192, 16)
    frames: int = 2
    classes: tuple[str, ...] = ()
    column: str = ""
    mean: float = 0.0
    std: float = 1.0

    @property
    def marks(self) -> bool:
        """Whether it tells places."""
        return self.answers in ("heatmaps", "coordinates")


class PublishedAnswerer:
    """A published network and the way it is asked.

    Args:
        network: answers from (batch, frames, x, y[, z]), as a tensor or by view.
        settings: see there.
        source: who answers, for `Measurement.source`.
        device, way: where and how the network runs.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: PublishedAnswerSettings,
        source: str,
        device: str = "cpu",
        way: Way | None = None,
    ) -> None:
        self.settings, self.source, self.device = settings, source, device
        self._network, self._by_view = Ready(network, device, way), isinstance(network, MultiView)

    def findings(
        self, image: Image, cycle: Mapping[str, int] | None = None, centre: Array | None = None
    ) -> tuple[Findings, dict[str, int]]:
        """Ask about one image.

        Args:
            image: of the network's view.
            cycle: "LV_ED" and "LV_ES", frames of this image, where they are known; else they are guessed and flagged.
            centre: (3,) patient RAS, mm, about which an image that is larger than the patch is cut; else its middle.

        Returns:
            Landmarks (t, 3), NaN in frames that were not asked; or measurements. And the frames that were read.
        """
        ed, es, flags = phases(image, cycle)
        read = {"LV_ED": ed, "LV_ES": es}
        if self.settings.marks:
            return self._landmarks(image, read, centre, flags), read
        seen, _, _ = self.prepared(image, (ed, es)[: self.settings.frames], centre)
        return Findings(measurements=self._told(self._mean(seen)), flags=tuple(flags)), read

    def prepared(
        self, image: Image, frames: Sequence[int], centre: Array | None = None
    ) -> tuple[NDArray[np.float32], NetworkGrid, tuple[slice, ...]]:
        """(frames, x, y[, z]) as the network eats them, as deep as the stack; the image's grid, and what was cut."""
        grid = NetworkGrid.of(image, self.settings.spacing)
        middle = (np.asarray(image.data.shape[:3]) - 1) / 2
        if centre is not None:
            middle = apply_affine(np.asarray(np.linalg.inv(image.affine), np.float64), centre)
        at = [(m + 0.5) / step - 0.5 for m, step in zip(middle[:2], grid.step, strict=False)]
        patch = self.settings.patch
        first = [window(a, a, n, p) for a, n, p in zip(at, grid.shape, patch, strict=False)]
        crop = (*(slice(f, min(f + p, n)) for f, p, n in zip(first, patch, grid.shape, strict=False)),
                *(slice(0, n) for n in grid.shape[2:]))  # fmt: skip
        parts = np.stack([quantised(grid.resampled(image, t)[crop]) for t in frames])
        ends = [(0, max(0, p - n)) for n, p in zip(parts.shape[1:], patch, strict=True)]
        return np.pad(parts, [(0, 0), *ends]), grid, crop

    @torch.inference_mode()
    def _asked(self, patch: NDArray[np.float32]) -> torch.Tensor:
        eaten = torch.from_numpy(np.ascontiguousarray(patch))[None].to(self.device)
        answer = self._network({self.settings.view: eaten} if self._by_view else eaten)
        told: torch.Tensor = answer[self.settings.view] if isinstance(answer, dict) else answer
        return told[0].float().cpu()

    def _mean(self, seen: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities or z-scores, the mean of windows where the stack is deeper than the network."""
        said = []
        for corner in product(*map(starts, seen.shape[1:], self.settings.patch)):
            cut = tuple(slice(c, c + p) for c, p in zip(corner, self.settings.patch, strict=True))
            answer = self._asked(seen[(slice(None), *cut)]).double()
            said.append(answer.softmax(0) if self.settings.answers == "classes" else answer)
        return np.asarray(torch.stack(said).mean(0).numpy(), np.float64)

    def _told(self, answer: Array) -> dict[str, Measurement]:
        frames = "ED and ES" if self.settings.frames > 1 else "one frame"
        how = f"straight from the pictures, {frames} of {View(self.settings.view).title}"
        if self.settings.answers == "classes":
            return {
                f"class:{name}": Measurement(float(share), "1", f"probability {how}", self.source)
                for name, share in zip(self.settings.classes, answer, strict=True)
            }
        name, unit = TARGETS[COLUMNS[self.settings.column]]
        value = float(answer[0]) * self.settings.std + self.settings.mean
        return {name: Measurement(value, unit, how, self.source)}

    def _landmarks(
        self, image: Image, read: Mapping[str, int], centre: Array | None, flags: Sequence[Flag]
    ) -> Findings:
        names = POINTS[View(self.settings.view)]
        points = np.full((len(names), image.frames, 3), np.nan)
        for frame in sorted(set(read.values())):
            seen, grid, crop = self.prepared(image, (frame,), centre)
            at = self.places(self._asked(seen)) + [part.start for part in crop]
            own = (at + 0.5) * np.asarray(grid.step) - 0.5
            points[:, frame] = apply_affine(image.affine, np.column_stack([own, np.zeros(len(own))]))
        return Findings(landmarks=dict(zip(names, points, strict=True)), flags=tuple(flags))

    def places(self, answer: torch.Tensor) -> Array:
        """(3, 2) pixels of the patch, from heatmaps (3, x, y) before sigmoid or six shares of its size.

        A heatmap's place is the mean of all pixels weighted by a sharp softmax, as published, but not cut off to
        whole pixels, which would pull every point towards the corner by half a pixel.
        """
        if self.settings.answers == "coordinates":
            return np.asarray(answer.double().reshape(-1, 2).numpy() * np.asarray(self.settings.patch), np.float64)
        weights = (SHARPNESS * answer.double().sigmoid()).flatten(1).softmax(1).reshape(answer.shape).numpy()
        x, y = np.indices(weights.shape[1:])
        return np.stack([(weights * x).sum((1, 2)), (weights * y).sum((1, 2))], axis=1)
