"""A user's own subjects for screening: a table and NIfTI files, read into samples.

DATA/subjects.csv has the columns subject and class, and may have person, disease, sex, age_y, vendor, centre and
scar_ml. DATA/SUBJECT/ holds ch4.nii.gz, sax.nii.gz and lge.nii.gz, or some of them. The class called control is the
one that screening is to leave alone.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.errors import RefusedInput
from cinecmr.io.nifti import read_image
from cinecmr.study import Image, Study
from cinecmr.tasks.screening_data import CINES, KEYS, LGE, SEQUENCES, prepare
from cinecmr.tasks.screening_samples import Samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.tasks.screening_data import Prepared, Window

CONTROL = "control"
TABLE = "subjects.csv"


@dataclass(frozen=True, eq=False)
class OwnCohort:
    """Subjects of a folder.

    Attributes:
        samples: see there. classes: names by number, the controls first.
        facts: (n) the table's other columns.
        left_out: subjects without any of the images, and why.
    """

    samples: Samples
    classes: tuple[str, ...]
    facts: list[dict[str, str]]
    left_out: tuple[str, ...]

    @property
    def strata(self) -> list[str]:
        """(n) what folds are alike in: class, centre and vendor."""
        names = ("disease", "centre", "vendor")
        return ["/".join(row.get(name, "") for name in names) for row in self.facts]


def read_cohort(folder: Path, window: Window, progress: Callable[[float], None] | None = None) -> OwnCohort:
    """Read subjects.csv and cut every subject's clips.

    Args:
        folder: DATA.
        window: of the clips.
        progress: told the share done.

    Raises:
        RefusedInput: no such table (`missing-file`), a column or class is missing (`bad-table`, `no-controls`), a
            person stands in it twice (`same-person-twice`), or no subject can be read (`nothing-to-learn`).
    """
    rows = _rows(folder / TABLE)
    names = sorted({row["class"] for row in rows}, key=lambda name: (name != CONTROL, name))
    if len(names) == 2 and names[0] != CONTROL:
        raise RefusedInput(
            "no-controls",
            f"{folder / TABLE} has the classes {names[0]} and {names[1]}; name the healthy one `{CONTROL}`, "
            "so that a threshold has a side",
        )
    if len(names) < 2:
        raise RefusedInput(
            "one-class", f"every subject of {folder / TABLE} is {names[0]}: there is nothing to tell apart"
        )
    kept, clips, left_out = [], [], []
    for number, row in enumerate(rows):
        try:
            clips.append(_prepared(folder / row["subject"], f"of row {number + 1}", window))
            kept.append(row)
        except RefusedInput as refusal:
            left_out.append(f"row {number + 1} of {TABLE}: {refusal.message}")  # names may be identifiers
        if progress is not None:
            progress((number + 1) / len(rows))
    if not kept:
        raise RefusedInput("nothing-to-learn", f"no subject of {folder} can be read; the first: {left_out[0]}")
    classes = np.array([names.index(row["class"]) for row in kept], np.int64)
    return OwnCohort(_samples(kept, clips, classes, window), tuple(names), kept, tuple(left_out))


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise RefusedInput("missing-file", f"there is no {path}; it names the subjects and their classes")
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [{key: (value or "").strip() for key, value in row.items() if key} for row in csv.DictReader(file)]
    for column in ("subject", "class"):
        if not rows or not all(row.get(column) for row in rows):
            raise RefusedInput("bad-table", f"{path} needs the columns subject and class, filled in every row")
    seen: set[str] = set()
    for number, row in enumerate(rows):
        if "/" in row["subject"] or "\\" in row["subject"] or row["subject"].startswith("."):
            raise RefusedInput("bad-table", f"row {number + 1} of {path} names a subject that is no name of a folder")
        person = row.get("person") or row["subject"]
        if person in seen:
            raise RefusedInput(
                "same-person-twice",
                f"{path} has one person in two rows: one could be trained on and the other asked; keep one visit each",
            )
        seen.add(person)
    return rows


def _prepared(folder: Path, subject: str, window: Window) -> Prepared:
    images: dict[tuple[object, object], Image] = {}
    for name in SEQUENCES:
        view, contrast = KEYS[name]
        for path in (folder / f"{name}.nii.gz", folder / f"{name}.nii"):
            if path.is_file():
                read = read_image(path, view=view)
                still = name == LGE
                images[view, contrast] = Image(
                    read.data[..., :1] if still else read.data,
                    read.affine,
                    read.times[:1] if still else read.times,
                    view,
                    contrast,
                    rr_ms=read.rr_ms if name in CINES else None,
                )
                break
    return prepare(Study(subject, images), window, needed=())  # type: ignore[arg-type]  # keys are views and contrasts


def _samples(
    rows: list[dict[str, str]], prepared: list[Prepared], classes: NDArray[np.int64], window: Window
) -> Samples:
    clips, there = {}, {}
    for name in SEQUENCES:
        block = np.zeros((len(rows), *window.shape(name)), np.float16)
        for number, one in enumerate(prepared):
            if name in one.clips:
                block[number] = one.clips[name]
        clips[name], there[name] = block, np.array([name in one.clips for one in prepared])
    return Samples(tuple(row["subject"] for row in rows), classes, clips, there)
