"""M&Ms-2: short-axis and four-chamber cines of 360 subjects, labels of both at ED and ES.

Layout (`MnM2/`):

    dataset_information.csv          SUBJECT_CODE, DISEASE, VENDOR, SCANNER, FIELD; empty rows at its end
    dataset/001/001_SA_CINE.nii.gz   the short-axis cine; LA is the four-chamber view
    dataset/001/001_SA_ED.nii.gz     end-diastole again, as a still; ES likewise
    dataset/001/001_SA_ED_gt.nii.gz  its labels: 1 LV, 2 MYO, 3 RV

Subjects to 160 are for training, to 200 for validation, the rest for testing. No file says which frames of the cine
are ED and ES: they are found by comparing pixels.

Source: Martin-Isla et al. 2023, doi 10.1109/JBHI.2023.3267857.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Contrast, Disease, View
from cinecmr.datasets._case import Case, Problem, chosen, ed_es, image_of, known, labels_at, labels_of, locate, word_for
from cinecmr.datasets._check import check_cases
from cinecmr.datasets._codes import LV_MYO_RV
from cinecmr.datasets._images import read_cine, read_code_frame, read_pair, read_still, write_cine, write_codes
from cinecmr.datasets._images import write_frame as write_still
from cinecmr.datasets.tables import number, read_table, write_table
from cinecmr.study import Facts, Findings, Flag, Image, Severity, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

NAME = "mnms2"
TITLE = "M&Ms-2, the Multi-Disease, Multi-View and Multi-Centre Right Ventricular Challenge"
LICENCE = "the challenge's terms of use: research"
OBTAIN = "https://www.ub.edu/mnms-2/ (agree to the terms of use)"
WANTED = "dataset_information.csv beside dataset/NNN/NNN_SA_ED.nii.gz"
KEEPS = "short-axis and four-chamber cine with all frames; labels of RV, MYO and LV of both at ED and ES; their \
frames; group, vendor, scanner model, field"
LOSES = "two- and three-chamber views; labels of other frames and structures; the exact time of each frame (one step \
is kept); height, weight, sex, age; volumes; where slices shifted"
IMAGES = ((View.SAX, Contrast.CINE), (View.LAX_4C, Contrast.CINE))
SPLITS = ("train", "val", "test")
GROUPS = {
    "NOR": Disease.NORMAL,
    "LV": Disease.DCM,  # dilated left ventricle
    "HCM": Disease.HCM,
    "RV": Disease.ABNORMAL_RV,  # dilated right ventricle
    "ARR": Disease.ARVC,
}  # FALL, CIA and TRI are kept as words
TABLE = "dataset_information.csv"
COLUMNS = ("SUBJECT_CODE", "DISEASE", "VENDOR", "SCANNER", "FIELD")
PADDING = 3  # empty rows at the end of the table
_LAST = {"train": 160, "val": 200, "test": 10**6}
_WORDS = {View.SAX: "SA", View.LAX_4C: "LA"}
_PHASES = ("ED", "ES")


def splits(root: Path) -> tuple[str, ...]:
    """The parts that are there; see `Layout`."""
    there = {_split(int(row["SUBJECT_CODE"])) for row in _rows(_root(root))}
    return tuple(split for split in SPLITS if split in there)


def cases(root: Path, split: str | None = None) -> Iterator[Case]:
    """The subjects of the table; see `Layout`."""
    there, root = splits(root), _root(root)
    rows = sorted(_rows(root), key=lambda row: int(row["SUBJECT_CODE"]))
    for part in chosen(split, there):
        for row in rows:
            if _split(int(row["SUBJECT_CODE"])) == part:
                yield _case(root / "dataset" / f"{int(row['SUBJECT_CODE']):03d}", part, row)


def write(root: Path, cases: Iterable[Case]) -> list[str]:
    """Write cases under the numbers of their part; see `Layout`."""
    numbers, rows = {"train": 1, "val": 161, "test": 201}, []
    for case in cases:
        part = case.split if case.split in SPLITS else "train"
        name = f"{numbers[part]:03d}"
        rows.append((numbers[part], *_write(root / "dataset" / name, case)))
        numbers[part] += 1
    given = [f"{row[0]:03d}" for row in rows]
    table = [*sorted(rows), *[(None,) * len(COLUMNS)] * PADDING]
    write_table(root / TABLE, COLUMNS, table)
    return given


def check(root: Path, progress: Callable[[float], None] | None = None) -> list[Problem]:
    """What is wrong, by file; see `Layout`."""
    root = _root(root)
    listed = {f"{int(row['SUBJECT_CODE']):03d}" for row in _rows(root)}
    there = {folder.name for folder in (root / "dataset").glob("*/")}
    problems = [Problem(TABLE, f"does not list {name}, which has a folder") for name in sorted(there - listed)]
    return problems + check_cases(cases(root), root, progress=progress)


def _root(folder: Path) -> Path:
    return locate(
        folder, TITLE, WANTED, lambda place: (place / TABLE).is_file() and any(place.glob("dataset/*/*_SA_ED.nii*"))
    )


def _rows(root: Path) -> list[dict[str, str]]:
    """Rows with a subject's number; the table ends in rows without."""
    return [row for row in read_table(root / TABLE, COLUMNS) if row["SUBJECT_CODE"].isdigit()]


def _split(code: int) -> str:
    return next(part for part in SPLITS if code <= _LAST[part])


def _case(folder: Path, split: str, row: dict[str, str]) -> Case:
    name, group = folder.name, row["DISEASE"]
    files = tuple(folder / f"{name}_{word}_{phase}{what}.nii.gz"
                  for word in _WORDS.values() for phase in _PHASES for what in ("", "_gt"))  # fmt: skip
    return Case(name, partial(_load, folder, row), split, group, GROUPS.get(group), name, row, files)


def _load(folder: Path, row: Mapping[str, str]) -> tuple[Study, Findings]:
    images, labels, cycle, flags = {}, {}, {}, list[Flag]()
    for view, word in _WORDS.items():
        stem = f"{folder.name}_{word}"
        image, frames, more = _cine(folder, stem, view)
        drawn = {frame: read_code_frame(folder / f"{stem}_{phase}_gt.nii.gz", LV_MYO_RV)
                 for phase, frame in zip(_PHASES, frames, strict=True)}  # fmt: skip
        images[view, Contrast.CINE] = image
        labels[view, Contrast.CINE] = labels_at(drawn, image.data.shape, folder / f"{stem}_ED_gt.nii.gz")
        if view is View.SAX:
            cycle = {f"LV_{phase}": frame for phase, frame in zip(_PHASES, frames, strict=True)}
        flags += [flag for flag in more if flag not in flags]
    facts = Facts(vendor=row["VENDOR"] or None, model=row["SCANNER"] or None, field_t=number(row["FIELD"]))
    truth = Findings(labels=labels, diagnosis=known(GROUPS.get(row["DISEASE"])), cycle=cycle)
    return Study(folder.name, images, facts, tuple(flags), {"format": NAME}), truth


def _cine(folder: Path, stem: str, view: View) -> tuple[Image, tuple[int, int], tuple[Flag, ...]]:
    """The cine and its ED and ES frames; the two stills alone where there is no cine, or it does not hold them."""
    ed, es = (folder / f"{stem}_{phase}.nii.gz" for phase in _PHASES)
    path = folder / f"{stem}_CINE.nii.gz"
    if path.is_file():
        image, flags = read_cine(path, view)
        at = [_frame_of(read_still(file, view), image) for file in (ed, es)]
        if at[0] is not None and at[1] is not None:
            return image, (at[0], at[1]), flags
    image, flags = read_pair(ed, es, view)
    if path.is_file():
        message = f"{stem}_CINE does not hold the frames drawn on: the two stills are used"
        flags = (*flags, Flag("cine-left-out", Severity.FLAG, message))
    return image, (0, 1), flags


def _frame_of(still: Image, cine: Image) -> int | None:
    """The frame of the cine that a still was taken from."""
    if still.data.shape[:3] != cine.data.shape[:3]:
        return None
    same = [t for t in range(cine.frames) if np.array_equal(cine.data[..., t], still.data[..., 0])]
    return same[0] if same else None


def _write(folder: Path, case: Case) -> tuple[object, ...]:
    """The subject's files; returns its row after its number."""
    study, truth = case.load()
    for view, word in _WORDS.items():
        image = image_of(study, view, Contrast.CINE, TITLE)
        stem = f"{folder.name}_{word}"
        write_cine(folder / f"{stem}_CINE.nii.gz", image)
        for phase, frame in zip(_PHASES, ed_es(truth, TITLE), strict=True):
            write_still(folder / f"{stem}_{phase}.nii.gz", image, frame)
            labels = labels_of(truth, view, Contrast.CINE, TITLE)
            write_codes(folder / f"{stem}_{phase}_gt.nii.gz", labels, LV_MYO_RV, image, frame)
    return (word_for(case, GROUPS, TITLE), study.facts.vendor, study.facts.model, study.facts.field_t)
