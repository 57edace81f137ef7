"""Small changes to DICOM files that are about to be written, from which the faults are made."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.transform import Rotation

from cinecmr.anatomy import View
from cinecmr.phantom.dicom_files import Frame, decimal, get_place, put_place, uid

if TYPE_CHECKING:
    from numpy.typing import NDArray

Fault = Callable[[list[Frame], np.random.Generator], list[Frame]]


def sax(files: list[Frame]) -> list[Frame]:
    """The short-axis files."""
    return [f for f in files if f.view is View.SAX]


def slices(files: list[Frame]) -> int:
    """How many short-axis slices."""
    return 1 + max(f.z for f in sax(files))


def copies(files: list[Frame], word: str, series: int, *, keep_view: bool = True) -> list[Frame]:
    """New files with identifiers of their own."""
    made = []
    for f in files:
        ds = deepcopy(f.ds)
        ds.SOPInstanceUID = uid(f.ds.SOPInstanceUID, word)
        ds.SeriesInstanceUID = uid(f.ds.SeriesInstanceUID, word)
        ds.SeriesNumber = series + int(f.ds.SeriesNumber)
        made.append(Frame(ds, f.view if keep_view else None, f.z, f.t, f"{word}/{f.name}", form=f.form))
    return made


def stated(keyword: str, value: Any, which: Callable[[Frame], bool] = lambda _: True) -> Fault:
    """A fault that sets one header entry; None removes it."""

    def fault(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
        for f in files:
            if which(f):
                if value is None:
                    f.ds.pop(keyword, None)
                else:
                    setattr(f.ds, keyword, value)
        return files

    return fault


def together(*faults: Fault) -> Fault:
    """One fault after the other."""

    def fault(files: list[Frame], rng: np.random.Generator) -> list[Frame]:
        for one in faults:
            files = one(files, rng)
        return files

    return fault


def without(drop: Callable[[Frame, int], bool]) -> Fault:
    """A fault that loses files; `drop` is told the number of short-axis slices."""

    def fault(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
        count = slices(files)
        return [f for f in files if not drop(f, count)]

    return fault


def normal(f: Frame) -> NDArray[np.float64]:
    """(3,) unit normal of a picture, RAS."""
    axes = get_place(f.ds)[1]
    return np.asarray(np.cross(axes[0], axes[1]))


def move(f: Frame, by: NDArray[np.float64]) -> None:
    """Move a picture by (3,) mm, RAS."""
    f.ds.ImagePositionPatient = decimal((get_place(f.ds)[0] + by) * [-1, -1, 1])


def turn(f: Frame, degrees: float, about: int) -> None:
    """Turn a picture about one of its own axes through its middle."""
    corner, axes = get_place(f.ds)
    step = np.array(f.ds.PixelSpacing, float)[::-1]
    half = step * (np.array([f.ds.Columns, f.ds.Rows]) - 1) / 2
    middle = corner + half @ axes
    turned = Rotation.from_rotvec(np.radians(degrees) * axes[about]).apply(axes)
    put_place(f.ds, middle - half @ turned, turned, (step[0], step[1]))
