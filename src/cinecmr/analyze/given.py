"""Labels somebody drew or corrected, in the place of a model."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
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
