"""Images and label maps of NIfTI layouts, one frame or all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Contrast, View
from cinecmr.datasets._case import present
from cinecmr.datasets._codes import from_structure, to_structure
from cinecmr.errors import RefusedInput
from cinecmr.io import nifti
from cinecmr.io.nifti_study import stem
from cinecmr.study import Flag, Image, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.anatomy import Structure

SYSTOLE_S = 0.35  # of a beat of one second: where only an ED and an ES frame are there, their times are unknown


def read_cine(path: Path, view: View = View.SAX) -> tuple[Image, tuple[Flag, ...]]:
    """A 4-D file, and what was odd about its header."""
    return nifti.read_flagged(present(path), view=view)


def read_still(path: Path, view: View = View.SAX, contrast: Contrast = Contrast.CINE) -> Image:
    """A file of one frame.

    Raises:
        RefusedInput: it has more (`not-a-still`).
    """
    image = nifti.read_image(present(path), view=view)
    if image.frames != 1:
        raise RefusedInput("not-a-still", f"{path} has {image.frames} frames; there should be one")
    return replace(image, contrast=contrast)


def read_pair(ed: Path, es: Path, view: View = View.SAX) -> tuple[Image, tuple[Flag, ...]]:
    """End-diastole and end-systole as an image of two frames of unknown times."""
    first, second = read_still(ed, view), read_still(es, view)
    if first.data.shape != second.data.shape:
        raise RefusedInput("different-grids", f"{ed} and {es} lie on different grids; copy them again")
    note = Flag("two-frames", Severity.FLAG, f"{stem(ed)} and {stem(es)} are read as two frames of unknown times")
    data = np.concatenate([first.data, second.data], axis=3)
    return Image(data, first.affine, np.array([0.0, SYSTOLE_S]), view), (note,)


def read_codes(path: Path, codes: Mapping[int, Structure]) -> NDArray[np.uint8]:
    """(x, y, z, t) `Structure` codes of a label file."""
    return to_structure(nifti.read_image(present(path)).data, codes, path)


def read_code_frame(path: Path, codes: Mapping[int, Structure]) -> NDArray[np.uint8]:
    """(x, y, z) `Structure` codes of a label file of one frame."""
    labels = read_codes(path, codes)
    if labels.shape[3] != 1:
        raise RefusedInput("not-a-still", f"{path} has {labels.shape[3]} frames; there should be one")
    return labels[..., 0]


def write_cine(path: Path, image: Image) -> None:
    """All frames of an image."""
    nifti.write_image(path, image.data, image.affine, image.times)


def write_frame(path: Path, image: Image, frame: int = 0) -> None:
    """One frame of an image, as a 3-D file."""
    nifti.write_image(path, image.data[..., frame : frame + 1], image.affine, image.times[frame : frame + 1])


def write_codes(
    path: Path, labels: NDArray[np.uint8], codes: Mapping[int, Structure], image: Image, frame: int | None = None
) -> None:
    """Labels of an image in the codes of a layout: all frames, or one."""
    which = slice(None) if frame is None else slice(frame, frame + 1)
    stored = from_structure(labels[..., which], codes)
    small = stored.astype(np.uint8) if max(codes) < 256 else stored
    nifti.write_image(path, small, image.affine, image.times[which])
