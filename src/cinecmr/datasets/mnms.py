"""M&Ms: short-axis cines of 345 subjects from six hospitals and four vendors, labels at ED and ES.

Layout (`OpenDataset/`):

    211230_M&Ms_Dataset_information_diagnosis_opendataset.csv
        a first column without a name, then External code, VendorName, Vendor (A to D), Centre, ED, ES (frames counted
        from 0), Age, Pathology, Sex, Height, Weight
    Training/Labeled/A0S9V9/A0S9V9_sa.nii.gz      the cine
    Training/Labeled/A0S9V9/A0S9V9_sa_gt.nii.gz   as many frames; zero but at ED and ES: 1 LV, 2 MYO, 3 RV
    Training/Unlabeled/...                        the same files, but the labels are zero throughout: nobody looked
    Validation/..., Testing/...                   as Training/Labeled, without that folder

Source: Campello et al. 2021, doi 10.1109/TMI.2021.3090082.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cinecmr.anatomy import Contrast, Disease, Sex, View
from cinecmr.datasets._case import Case, Problem, chosen, ed_es, image_of, known, labels_at, labels_of, locate, word_for
from cinecmr.datasets._check import check_cases
from cinecmr.datasets._codes import LV_MYO_RV
from cinecmr.datasets._images import read_cine, read_codes, write_cine, write_codes
from cinecmr.datasets.tables import metres, number, read_table, whole, write_table
from cinecmr.study import Facts, Findings, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

NAME = "mnms"
TITLE = "M&Ms, the Multi-Centre, Multi-Vendor and Multi-Disease Challenge"
LICENCE = "reported as CC BY-NC-SA 4.0; the challenge's terms of use decide"
OBTAIN = "https://www.ub.edu/mnms/ (agree to the terms of use)"
WANTED = "211230_M&Ms_Dataset_information_diagnosis_opendataset.csv beside Training, Validation, Testing"
KEEPS = "short-axis cine with all frames; labels of RV, MYO and LV at ED and ES; their frames; group, vendor, height, \
weight, sex, age in years"
LOSES = "long axes; labels of other frames and structures; the exact time of each frame (one step is kept); scanner \
model and field; volumes; where slices shifted"
IMAGES = ((View.SAX, Contrast.CINE),)
SPLITS = ("train", "val", "test", "unlabeled")
GROUPS = {
    "NOR": Disease.NORMAL,
    "DCM": Disease.DCM,
    "HCM": Disease.HCM,
    "ARV": Disease.ABNORMAL_RV,
    "IHD": Disease.INFARCT,
    "HHD": Disease.HYPERTENSIVE,
    "AHS": Disease.ATHLETE,
}  # LVNC and others are kept as words
TABLE = "211230_M&Ms_Dataset_information_diagnosis_opendataset.csv"
COLUMNS = ("External code", "VendorName", "Vendor", "Centre", "ED", "ES", "Age", "Pathology", "Sex", "Height", "Weight")
_FOLDERS = {"train": "Training/Labeled", "val": "Validation", "test": "Testing", "unlabeled": "Training/Unlabeled"}
_VENDORS = {"Siemens": "A", "Philips": "B", "GE": "C", "Canon": "D"}
SAX = (View.SAX, Contrast.CINE)


def splits(root: Path) -> tuple[str, ...]:
    """The parts that are there; see `Layout`."""
    root = _root(root)
    return tuple(split for split in SPLITS if any((root / _FOLDERS[split]).glob("*/")))


def cases(root: Path, split: str | None = None) -> Iterator[Case]:
    """The subjects that are in the table; see `Layout`."""
    there, root = splits(root), _root(root)
    rows = {row["External code"]: row for row in read_table(root / TABLE, COLUMNS)}
    for part in chosen(split, there):
        for folder in sorted((root / _FOLDERS[part]).glob("*/")):
            if folder.name in rows:
                yield _case(folder, part, rows[folder.name], root / TABLE)


def write(root: Path, cases: Iterable[Case]) -> list[str]:
    """Write cases under codes of letters and digits; see `Layout`."""
    rows: list[tuple[object, ...]] = []
    for case in cases:
        code = _code(len(rows))
        part = case.split if case.split in SPLITS else "train"
        rows.append((len(rows), code, *_write(root / _FOLDERS[part] / code, case, drawn=part != "unlabeled")))
    write_table(root / TABLE, ("", *COLUMNS), rows)
    return [str(row[1]) for row in rows]


def check(root: Path, progress: Callable[[float], None] | None = None) -> list[Problem]:
    """What is wrong, by file; see `Layout`."""
    root = _root(root)
    listed = [row["External code"] for row in read_table(root / TABLE, COLUMNS)]
    there = {folder.name for part in _FOLDERS.values() for folder in (root / part).glob("*/")}
    problems = [Problem(TABLE, f"lists {code}, which has no folder") for code in listed if code not in there]
    problems += [Problem(TABLE, f"does not list {name}, which has a folder") for name in sorted(there - {*listed})]
    return problems + check_cases(cases(root), root, progress=progress)


def _root(folder: Path) -> Path:
    return locate(folder, TITLE, WANTED, lambda place: (place / TABLE).is_file())


def _code(number: int) -> str:
    """Letter, digit, letter, digit, letter, digit, as the real ones; different for 17 million numbers."""
    code = ""
    for _ in range(3):
        number, digit = divmod(number, 10)
        number, letter = divmod(number, 26)
        code = f"{chr(65 + letter)}{digit}{code}"
    return code


def _case(folder: Path, split: str, row: dict[str, str], table: Path) -> Case:
    name, group = folder.name, row["Pathology"]
    files = (folder / f"{name}_sa.nii.gz", folder / f"{name}_sa_gt.nii.gz")
    load = partial(_load, folder, row, table, split != "unlabeled")
    return Case(name, load, split, group, GROUPS.get(group), name, row, files[: 1 + (split != "unlabeled")])


def _load(folder: Path, row: Mapping[str, str], table: Path, drawn: bool) -> tuple[Study, Findings]:
    path = folder / f"{folder.name}_sa.nii.gz"
    image, flags = read_cine(path)
    cycle: dict[str, int] = {}
    labels: dict[tuple[View, Contrast], NDArray[np.uint8]] = {}
    if drawn:
        cycle = {f"LV_{phase}": whole(row[phase], f"{phase} of {folder.name}", table) for phase in ("ED", "ES")}
        file = folder / f"{folder.name}_sa_gt.nii.gz"
        stored = read_codes(file, LV_MYO_RV)
        last = stored.shape[3] - 1  # a frame beyond it is refused by labels_at
        frames = {frame: stored[..., min(max(frame, 0), last)] for frame in cycle.values()}
        labels = {SAX: labels_at(frames, image.data.shape, file)}
    truth = Findings(labels=labels, diagnosis=known(GROUPS.get(row["Pathology"])), cycle=cycle)
    return Study(folder.name, {SAX: image}, _facts(row), flags, {"format": NAME}), truth


def _facts(row: Mapping[str, str]) -> Facts:
    sex = {"M": Sex.MALE, "F": Sex.FEMALE}.get(row["Sex"].upper()[:1])
    return Facts(metres(row["Height"]), number(row["Weight"]), number(row["Age"]), sex, row["VendorName"] or None)


def _write(folder: Path, case: Case, drawn: bool) -> tuple[object, ...]:
    """Image and labels; returns the subject's row after its code."""
    study, truth = case.load()
    image, name = image_of(study, *SAX, TITLE), folder.name
    write_cine(folder / f"{name}_sa.nii.gz", image)
    labels, (ed, es) = labels_of(truth, *SAX, TITLE).copy(), ed_es(truth, TITLE)
    labels[..., [t for t in range(image.frames) if not drawn or t not in (ed, es)]] = 0
    write_codes(folder / f"{name}_sa_gt.nii.gz", labels, LV_MYO_RV, image)
    facts = study.facts
    vendor = next((word for word in _VENDORS if (facts.vendor or "").lower().startswith(word.lower())), "Canon")
    letter = _VENDORS[vendor]
    return (
        vendor, letter, 1 + "ABCD".index(letter), ed, es,
        None if facts.age_y is None else int(facts.age_y), word_for(case, GROUPS, TITLE), facts.sex and facts.sex.value,
        None if facts.height_m is None else round(100 * facts.height_m, 1),
        None if facts.weight_kg is None else round(facts.weight_kg, 1),
    )  # fmt: skip
