"""Kaggle, Second Annual Data Science Bowl: DICOM cines of 1140 people with the volumes of their left ventricle.

Layout (`second-annual-data-science-bowl/`; every part lies in a folder of its own name twice):

    train.csv, validate.csv                          Id, Systole, Diastole (ml)
    solution.csv                                     Id, Volume, Usage; Ids such as 701_Diastole: the test part
    train/train/1/study/sax_5/IM-4562-0001.dcm       one short-axis slice a folder; 2ch_21 and 4ch_15 long axes
    validate/validate/501/..., test/test/701/...     the same

Subject 761 is black throughout and is left out.

Source: https://www.kaggle.com/c/second-annual-data-science-bowl/data
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from cinecmr.anatomy import Contrast, Disease, View
from cinecmr.datasets._case import Case, Problem, chosen, image_of, locate
from cinecmr.datasets._check import check_cases
from cinecmr.datasets._dicom import frames_as, headers_by_folder, read_view
from cinecmr.datasets.tables import number, read_table, write_table
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_bytes
from cinecmr.study import Facts, Findings, Flag, Measurement, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from cinecmr.study import Image

NAME = "kaggle"
TITLE = "Kaggle Second Annual Data Science Bowl"
LICENCE = "the competition's rules: for the competition, research and teaching; no redistribution"
OBTAIN = "https://www.kaggle.com/c/second-annual-data-science-bowl/data (accept the rules)"
WANTED = "train/train/1/study/sax_5/*.dcm (validate and test likewise)"
KEEPS = "short-axis, two- and four-chamber cine with all frames, times, affines and slice thickness; LVEDV and LVESV; \
sex, age in years, height, weight, vendor, model, field (real files hold some of these)"
LOSES = "the three-chamber view; labels; ED and ES frames; disease; R-R beyond whole ms; where slices shifted; the \
order of slices (read from base to apex)"
IMAGES = ((View.SAX, Contrast.CINE), (View.LAX_2C, Contrast.CINE), (View.LAX_4C, Contrast.CINE))
SPLITS = ("train", "val", "test")
GROUPS: dict[str, Disease] = {}
BLACK = {"761"}
_FOLDERS = {"train": "train", "val": "validate", "test": "test"}
_FIRST = {"train": 1, "val": 501, "test": 701}
_WORDS = {"2ch": View.LAX_2C, "4ch": View.LAX_4C, "sax": View.SAX}
_COLUMNS = ("Id", "Systole", "Diastole")
_SOLUTION = ("Id", "Volume", "Usage")


def splits(root: Path) -> tuple[str, ...]:
    """The parts that are there; see `Layout`."""
    root = _root(root)
    return tuple(split for split in SPLITS if _part(root, split).is_dir())


def cases(root: Path, split: str | None = None) -> Iterator[Case]:
    """The subjects, but 761; see `Layout`."""
    there, root = splits(root), _root(root)
    for part in chosen(split, there):
        volumes = _volumes(root, part)
        for folder in _subjects(root, part):
            if folder.name not in BLACK:
                yield _case(folder, part, volumes.get(folder.name, {}))


def write(root: Path, cases: Iterable[Case]) -> list[str]:
    """Write cases under the numbers of their part; see `Layout`."""
    rows: dict[str, list[tuple[Any, ...]]] = {split: [] for split in SPLITS}
    given = []
    for case in cases:
        part = case.split if case.split in SPLITS else "train"
        name = str(_FIRST[part] + len(rows[part]))
        given.append(name)
        truth = _write(_part(root, part) / name / "study", case, int(name))
        volumes = [truth.measurements.get(phase) for phase in ("LVESV", "LVEDV")]
        rows[part].append((name, *(None if found is None else round(found.value, 1) for found in volumes)))
    _write_tables(root, rows)
    return given


def check(root: Path, progress: Callable[[float], None] | None = None) -> list[Problem]:
    """What is wrong, by file; see `Layout`."""
    root, problems = _root(root), []
    for part in splits(root):
        there, table = {folder.name for folder in _subjects(root, part)}, _table(part)
        told = set(_volumes(root, part))
        problems += [Problem(table, f"lists {name}, which has no folder") for name in sorted(told - there)]
        problems += [Problem(table, f"does not list {name}") for name in sorted(there - told)]
    return problems + check_cases(cases(root), root, progress=progress)


def _root(folder: Path) -> Path:
    def fits(place: Path) -> bool:
        return any(any(place.glob(f"{part}/{part}/*/study/sax_*")) for part in _FOLDERS.values())

    return locate(folder, TITLE, WANTED, fits)


def _part(root: Path, split: str) -> Path:
    return root / _FOLDERS[split] / _FOLDERS[split]


def _table(split: str) -> str:
    return "solution.csv" if split == "test" else f"{_FOLDERS[split]}.csv"


def _subjects(root: Path, split: str) -> list[Path]:
    folders = [path for path in _part(root, split).iterdir() if path.name.isdigit()]
    return sorted(folders, key=lambda path: int(path.name))


def _volumes(root: Path, split: str) -> dict[str, dict[str, float]]:
    """Volumes under "Systole" and "Diastole" by subject; none where the table was not published with the images."""
    path = root / _table(split)
    found: dict[str, dict[str, float]] = {}
    if not path.is_file():
        return found
    if split != "test":
        rows = [(f"{row['Id']}_{phase}", row[phase]) for row in read_table(path, _COLUMNS) for phase in _COLUMNS[1:]]
    else:
        rows = [(row["Id"], row["Volume"]) for row in read_table(path, _SOLUTION[:2])]
    for key, text in rows:
        name, _, phase = key.partition("_")
        if (value := number(text)) is not None:
            found.setdefault(name, {})[phase] = value
    return found


def _case(folder: Path, split: str, volumes: dict[str, float]) -> Case:
    name, files = folder.name, (folder / "study",)
    metadata = {phase: f"{value:g}" for phase, value in volumes.items()}
    return Case(name, partial(_load, folder, volumes), split, person=name, metadata=metadata, files=files)


def _load(folder: Path, volumes: dict[str, float]) -> tuple[Study, Findings]:
    named: dict[View, list[Any]] = {}
    for name, headers in headers_by_folder(folder).items():
        if (view := _WORDS.get(name.partition("_")[0])) is not None:
            named.setdefault(view, []).extend(headers)
    if View.SAX not in named:
        raise RefusedInput("no-sax", f"{folder} holds no pictures in folders called sax_*; copy it again")
    images: dict[tuple[View, Contrast], Image] = {}
    flags: list[Flag] = []
    facts = Facts()
    for view, headers in sorted(named.items(), key=lambda pair: pair[0].value, reverse=True):
        images[view, Contrast.CINE], more, facts = read_view(headers, view, Contrast.CINE, folder)
        flags += [flag for flag in more if flag not in flags]
    words = {"LVEDV": "Diastole", "LVESV": "Systole"}
    known = {name: Measurement(volumes[word], "ml", "as published with the images", "expert")
             for name, word in words.items() if word in volumes}  # fmt: skip
    return Study(folder.name, images, facts, tuple(flags), {"format": NAME}), Findings(measurements=known)


def _write(folder: Path, case: Case, subject: int) -> Findings:
    """All files of a subject, one folder a series, numbered as they were acquired."""
    study, truth = case.load()
    series = 1
    for word, view in _WORDS.items():
        image = image_of(study, view, Contrast.CINE, TITLE)
        for frame, _ in frames_as(study, view, Contrast.CINE, lambda _, word=word: word, subject):  # type: ignore[misc]
            name = f"IM-{subject:04d}-{frame.t + 1:04d}.dcm"
            write_bytes(folder / f"{word}_{series + frame.z}" / name, _encoded(frame.ds))
        series += image.slices
    return truth


def _encoded(ds: Any) -> bytes:
    from cinecmr.phantom.dicom_files import encode

    return encode(ds)


def _write_tables(root: Path, rows: dict[str, list[tuple[Any, ...]]]) -> None:
    for split, found in rows.items():
        if not found:
            continue
        if split != "test":
            write_table(root / _table(split), _COLUMNS, found)
            continue
        lines = [(f"{name}_{phase}", volume, "Private") for name, systole, diastole in found
                 for phase, volume in (("Diastole", diastole), ("Systole", systole))]  # fmt: skip
        write_table(root / _table(split), _SOLUTION, lines)
