"""One visit of one subject of a data set, read when it is asked for; and what every adapter offers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.anatomy import Contrast, Disease, View
    from cinecmr.study import Findings, Image, Study

SHOWN = 6  # entries of a wrong folder that a refusal names


@dataclass(frozen=True, eq=False)
class Case:
    """One visit, and what its experts say of it.

    Attributes:
        subject: its name in the data set.
        load: reads study and truth anew each time and keeps nothing.
        split: the part of the data set it belongs to.
        group: the data set's own word for what the subject has; "" where it says nothing.
        disease: the same in this package's words; None where there is no such word, or nothing is said.
        person: whose visit it is; two visits of one person share it, and must never be split between training and test.
        metadata: everything else the data set says, as it stands in its files.
        files: what the layout promises for this visit; `check` looks for each.
    """

    subject: str
    load: Callable[[], tuple[Study, Findings]]
    split: str = "train"
    group: str = ""
    disease: Disease | None = None
    person: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    @cached_property
    def _both(self) -> tuple[Study, Findings]:
        return self.load()

    @property
    def study(self) -> Study:
        """What was acquired; kept as long as the case is."""
        return self._both[0]

    @property
    def truth(self) -> Findings:
        """What the data set says is true of it; kept as long as the case is."""
        return self._both[1]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a data set on disk.

    Attributes:
        where: file or folder below the root.
        message: what is wrong and what to do.
    """

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class Layout(Protocol):
    """What each adapter's module offers.

    Attributes:
        NAME, TITLE: of the file, and in full.
        LICENCE, OBTAIN: what one may do with the data, and where they are.
        WANTED: the files by which a folder is known to hold this data set.
        KEEPS, LOSES: what of a Study and its truth the layout can hold, and what not.
        IMAGES: the images it holds.
        SPLITS: the parts a written cohort can have.
        GROUPS: its own words for diseases.
    """

    NAME: str
    TITLE: str
    LICENCE: str
    OBTAIN: str
    WANTED: str
    KEEPS: str
    LOSES: str
    IMAGES: tuple[tuple[View, Contrast], ...]
    SPLITS: tuple[str, ...]
    GROUPS: Mapping[str, Disease]

    def splits(self, root: Path) -> tuple[str, ...]:
        """The parts that are there. Raises RefusedInput (`other-layout`) where the folder holds something else."""
        ...

    def cases(self, root: Path, split: str | None = None) -> Iterator[Case]:
        """The visits of one part, or of all, in the order of their names."""
        ...

    def write(self, root: Path, cases: Iterable[Case]) -> list[str]:
        """Write cases in this layout; returns the names they got, in the order given."""
        ...

    def check(self, root: Path, progress: Callable[[float], None] | None = None) -> list[Problem]:
        """What is wrong, by file; `progress` is told the share of the visits that were read."""
        ...


def locate(folder: Path, title: str, wanted: str, fits: Callable[[Path], bool]) -> Path:
    """The root of a data set: the folder given, or one right below it.

    Raises:
        RefusedInput: neither fits (`other-layout`), or there is no folder (`no-such-path`).
    """
    if not folder.is_dir():
        raise RefusedInput("no-such-path", f"there is no folder {folder}; check the path")
    for place in (folder, *(entry for entry in sorted(folder.iterdir()) if entry.is_dir())):
        if fits(place):
            return place
    raise RefusedInput(
        "other-layout",
        f"{folder} is not laid out as {title}: looked for {wanted}, saw {seen(folder)}; give the folder that was "
        "unpacked, or ask `cinecmr datasets check` without a name what it is",
    )


def seen(folder: Path) -> str:
    """The first entries of a folder, for a refusal."""
    entries = sorted(folder.iterdir())
    shown = [entry.name + "/" * entry.is_dir() for entry in entries[:SHOWN]]
    more = f" and {len(entries) - SHOWN} more" if len(entries) > SHOWN else ""
    return (", ".join(shown) or "nothing") + more


def present(path: Path) -> Path:
    """The path itself.

    Raises:
        RefusedInput: there is no such file (`missing-file`).
    """
    if not path.is_file():
        raise RefusedInput("missing-file", f"{path} is missing; unpack or copy the data set again")
    return path


def chosen(split: str | None, there: tuple[str, ...]) -> tuple[str, ...]:
    """One split, or all.

    Raises:
        RefusedInput: there is no such split.
    """
    if split is None:
        return there
    if split not in there:
        raise RefusedInput("no-such-split", f"no split {split!r}: there are {', '.join(there)}")
    return (split,)


def image_of(study: Study, view: View, contrast: Contrast, title: str) -> Image:
    """An image that a layout cannot do without.

    Raises:
        RefusedInput: the study lacks it (`no-such-image`).
    """
    if (view, contrast) not in study.images:
        what = f"{view.name} {contrast.name}"
        raise RefusedInput("no-such-image", f"{title} holds {what}, and the study {study.subject} has none")
    return study.images[view, contrast]


def labels_of(truth: Findings, view: View, contrast: Contrast, title: str) -> NDArray[np.uint8]:
    """Labels that a layout cannot do without.

    Raises:
        RefusedInput: there are none (`no-such-labels`).
    """
    if (view, contrast) not in truth.labels:
        raise RefusedInput(
            "no-such-labels", f"{title} holds labels of {view.name} {contrast.name}, and a case has none"
        )
    return truth.labels[view, contrast]


def ed_es(truth: Findings, title: str) -> tuple[int, int]:
    """End-diastolic and end-systolic frame of the left ventricle, which a layout cannot do without.

    Raises:
        RefusedInput: they are not known (`no-such-labels`).
    """
    if not {"LV_ED", "LV_ES"} <= truth.cycle.keys():
        raise RefusedInput("no-such-labels", f"{title} holds the frames of ED and ES, and a case does not know them")
    return truth.cycle["LV_ED"], truth.cycle["LV_ES"]


def word_for(case: Case, groups: Mapping[str, Disease], title: str) -> str:
    """The data set's word for a case's disease.

    Raises:
        RefusedInput: it has none (`no-such-group`).
    """
    if case.group in groups:
        return case.group
    for word, disease in groups.items():
        if disease is case.disease:
            return word
    there = ", ".join(groups)
    what = case.disease.value if case.disease else "no group"
    raise RefusedInput("no-such-group", f"{title} has no group for {what} (subject {case.subject}): there are {there}")


def labels_at(frames: Mapping[int, NDArray[np.uint8]], shape: tuple[int, ...], path: Path) -> NDArray[np.uint8]:
    """Label maps of single frames on the grid of the whole image; unseen where nobody looked.

    Args:
        frames: (x, y, z) by frame.
        shape: (x, y, z, t) of the image.
        path: of the image or its labels, for the refusal.

    Raises:
        RefusedInput: another grid (`different-grids`), or no such frame (`no-such-frame`).
    """
    labels = np.full(shape, Structure.UNSEEN, np.uint8)
    for frame, codes in frames.items():
        if not 0 <= frame < shape[3]:
            message = f"{path} has {shape[3]} frames, and its table names number {frame + 1}, counted from 1"
            raise RefusedInput("no-such-frame", message)
        if codes.shape != shape[:3]:
            raise RefusedInput("different-grids", f"labels of {path} are {codes.shape}, the image is {shape[:3]}")
        labels[..., frame] = codes
    return labels


def known(disease: Disease | None) -> dict[Disease, float]:
    """A diagnosis that is certain, or none."""
    return {} if disease is None else {disease: 1.0}
