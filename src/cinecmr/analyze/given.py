"""Labels somebody drew or corrected, or an earlier run found, in the place of a model."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Landmark, View
from cinecmr.errors import RefusedInput
from cinecmr.measure.hinges import POINTS, TRICUSPID

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.study import Image


class GivenLabels:
    """Answers like a model, with the labels of a file.

    Args:
        path: NIfTI label map on the grid of the study's short-axis cine, such as a corrected labels_sax.nii.gz.

    Raises:
        RefusedInput: there is no such file.
    """

    name = "given labels"

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise RefusedInput("unreadable-labels", f"no label file {path}; check the path given to --labels")
        self.path = path
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.source = f"given-labels@{self.sha256[:8]}"

    def segment(self, image: Image, progress: Callable[[float], None] | None = None) -> NDArray[np.uint8]:
        """The file's labels, (x, y, z, t) on the image's own grid.

        Raises:
            RefusedInput: the file is not a label map of this grid.
        """
        from cinecmr.io.label_files import read_labels

        labels = read_labels(self.path, image)
        if progress is not None:
            progress(1.0)
        return labels


class KeptLongAxis:
    """Answers like a model of the long axis, with what an earlier run wrote to a folder.

    Args:
        out: with findings.json and a label map of each view that was read.
        source: who found them then.

    Raises:
        RefusedInput: the landmarks cannot be read (`no-session`).
    """

    def __init__(self, out: Path, source: str) -> None:
        self._out, self.source = out, source
        try:
            kept = json.loads((out / "findings.json").read_text("utf-8")).get("landmarks", {})
            nothing = [float("nan")] * 3
            self._marks = {
                Landmark(name): np.array([at or nothing for at in points], np.float64) for name, points in kept.items()
            }
        except (OSError, ValueError) as error:
            raise RefusedInput("no-session", f"findings.json in {out} is damaged: analyse the study again") from error

    def reads(self, image: Image) -> bool:
        """Whether the earlier run left labels of that view."""
        return self._labels(image).is_file()

    def _labels(self, image: Image) -> Path:
        return self._out / f"labels_{image.view.value}.nii.gz"

    def read(
        self, image: Image, progress: Callable[[float], None] | None = None
    ) -> tuple[NDArray[np.uint8], dict[Landmark, NDArray[np.float64]]]:
        """Labels of that view, and every landmark that was told of it.

        Raises:
            RefusedInput: the file is not a label map of this grid.
        """
        from cinecmr.io.label_files import read_labels

        labels = read_labels(self._labels(image), image)
        if progress is not None:
            progress(1.0)
        of_view = (*POINTS.get(image.view, ()), *(TRICUSPID if image.view is View.LAX_4C else ()))
        return labels, {name: self._marks[name] for name in of_view if name in self._marks}
