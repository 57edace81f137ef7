"""Rescan (VOLUMES): people scanned two or three times, to see how much a measurement varies by itself.

Layout (`pickle/`):

    test_retest_100/labels.csv              one row a person: A, B1, B2 (folders; B2 may be empty), EDV_A, EDV_B1,
                                            EDV_B2, ESV_A, ESV_B1, ESV_B2 (ml, an expert's)
    test_retest_100/1027/SAX.pickle         a dict: image_voxels (z, t, y, x), ImagePositionPatient (z, 3),
                                            ImageOrientationPatient (6), PixelSpacing (y, x), SliceSpacing
    test_retest_100/1027/2C.pickle          the same with (t, y, x) and (3); likewise 4C
    train/A/s_0000/{2C,4C,SAX,SAX_segs}.pickle   SAX_segs: image_segmentation (z, t, y, x): 1 LV, 2 MYO, 3 RV
    test/scan_00_A/...                      as train; A and B are two visits of one person

Positions are DICOM's (LPS). No file states frame times. Pickles are read by `_pickles`, which runs nothing; they are
written for round trips with phantoms, and hold arrays and numbers only.

Source: Bhuva et al. 2019, doi 10.1161/CIRCIMAGING.119.009214.
"""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import Contrast, Disease, View
from cinecmr.datasets._case import Case, Problem, chosen, image_of, labels_at, labels_of, locate, present
from cinecmr.datasets._check import check_cases
from cinecmr.datasets._codes import LV_MYO_RV, from_structure, to_structure
from cinecmr.datasets._pickles import pickled, read_pickle
from cinecmr.datasets.tables import number, read_table, write_table
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_bytes
from cinecmr.io.nifti import frame_times
from cinecmr.phantom.dicom_files import RAS_TO_LPS
from cinecmr.study import Findings, Flag, Image, Measurement, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

NAME = "rescan"
TITLE = "Rescan, the VOLUMES scan-rescan resource"
LICENCE = "by agreement with its owners; no redistribution"
OBTAIN = "write to the authors of doi 10.1161/CIRCIMAGING.119.009214"
WANTED = "test_retest_100/labels.csv, train/*/s_NNNN/SAX.pickle or test/scan_NN_A/SAX.pickle"
KEEPS = "short-axis, two- and four-chamber cine with all frames and exact affines; whose visit it is; in \
test_retest_100 an expert's EDV and ESV; in train and test labels of RV, MYO and LV at every frame"
LOSES = "the three-chamber view; frame times and R-R interval; disease; all facts of person and scanner; labels of \
long axes; where slices shifted"
IMAGES = ((View.SAX, Contrast.CINE), (View.LAX_2C, Contrast.CINE), (View.LAX_4C, Contrast.CINE))
SPLITS = ("train", "test", "test_retest_100")
GROUPS: dict[str, Disease] = {}
COLUMNS = ("A", "B1", "B2", "EDV_A", "EDV_B1", "EDV_B2", "ESV_A", "ESV_B1", "ESV_B2")
_VIEWS = {View.SAX: "SAX.pickle", View.LAX_2C: "2C.pickle", View.LAX_4C: "4C.pickle"}
_SEGS, _PAIRED, _TABLE = "SAX_segs.pickle", "test_retest_100", "labels.csv"
_TURNS = ("A", "B1", "B2")
_FIRST_FOLDER = 1001
_SOURCE = "A"  # folder of training data of one source; there are several


def splits(root: Path) -> tuple[str, ...]:
    """The parts that are there; see `Layout`."""
    root = _root(root)
    return tuple(split for split in SPLITS if (root / split).is_dir())


def cases(root: Path, split: str | None = None) -> Iterator[Case]:
    """The visits, those of one person beside each other; see `Layout`."""
    there, root = splits(root), _root(root)
    for part in chosen(split, there):
        yield from _paired(root / part) if part == _PAIRED else _labelled(root / part)


def write(root: Path, cases: Iterable[Case]) -> list[str]:
    """Write cases; neighbours of one `person` are visits of one. See `Layout`.

    Raises:
        RefusedInput: a person with one visit, or more than three, in test_retest_100 (`not-paired`).
    """
    given: list[str] = []
    rows: list[list[Any]] = []
    counts = dict.fromkeys(SPLITS, 0)
    for (part, person), visits in groupby(cases, key=lambda case: (_part(case), case.person or case.subject)):
        scans = list(visits)
        if part == _PAIRED:
            rows.append(_write_person(root / part, scans, _FIRST_FOLDER + 3 * len(rows), person))
            given += [_visit(len(rows) - 1, turn) for turn, _ in zip(_TURNS, scans, strict=False)]
            continue
        for turn, case in zip("ABC", scans, strict=False):
            name = f"s_{counts[part]:04d}" if part == "train" else f"scan_{counts[part]:02d}_{turn}"
            counts[part] += part == "train"
            folder = root / part / _SOURCE / name if part == "train" else root / part / name
            _write(folder, case, drawn=True)
            given.append(str(folder.relative_to(root / part)))
        counts[part] += part == "test"
    if rows:
        write_table(root / _PAIRED / _TABLE, COLUMNS, rows)
    return given


def check(root: Path, progress: Callable[[float], None] | None = None) -> list[Problem]:
    """What is wrong, by file; see `Layout`."""
    return check_cases(cases(root), _root(root), progress=progress)


def _root(folder: Path) -> Path:
    def fits(place: Path) -> bool:
        marks = (f"{_PAIRED}/{_TABLE}", "train/*/*/SAX.pickle", "test/*/SAX.pickle")
        return any(any(place.glob(mark)) for mark in marks)

    return locate(folder, TITLE, WANTED, fits)


def _part(case: Case) -> str:
    return case.split if case.split in SPLITS else _PAIRED


def _visit(person: int, turn: str) -> str:
    return f"scan_{person:02d}_{turn}"


def _labelled(folder: Path) -> Iterator[Case]:
    for path in sorted(folder.glob("**/SAX.pickle")):
        name = str(path.parent.relative_to(folder))
        person = name.rpartition("_")[0] if folder.name == "test" else name
        files = tuple(path.parent / file for file in (*_VIEWS.values(), _SEGS))
        yield Case(name, partial(_load, path.parent, name, {}, True), folder.name, person=person, files=files)


def _paired(folder: Path) -> Iterator[Case]:
    for person, row in enumerate(read_table(folder / _TABLE, COLUMNS)):
        for turn in _TURNS:
            if (place := number(row[turn])) is None:
                continue
            name, visit = _visit(person, turn), folder / str(int(place))
            volumes = {phase: number(row[f"{phase}_{turn}"]) for phase in ("EDV", "ESV")}
            files = tuple(visit / file for file in _VIEWS.values())
            load = partial(_load, visit, name, volumes, False)
            yield Case(name, load, _PAIRED, person=f"scan_{person:02d}", metadata=row, files=files)


def _load(folder: Path, name: str, volumes: Mapping[str, float | None], drawn: bool) -> tuple[Study, Findings]:
    images, flags = {}, list[Flag]()
    for view, file in _VIEWS.items():
        images[view, Contrast.CINE], more = _image(folder / file, view)
        flags += [flag for flag in more if flag not in flags]
    labels = {}
    if drawn:
        image, path = images[View.SAX, Contrast.CINE], folder / _SEGS
        stored = to_structure(_entry(_dict(path), "image_segmentation", path).T.swapaxes(2, 3), LV_MYO_RV, path)
        frames = {t: stored[..., t] for t in range(stored.shape[3])}
        labels = {(View.SAX, Contrast.CINE): labels_at(frames, image.data.shape, path)}
    known = {f"LV{phase}": Measurement(ml, "ml", "drawn by an expert", "expert")
             for phase, ml in volumes.items() if ml is not None}  # fmt: skip
    return Study(name, images, flags=tuple(flags), provenance={"format": NAME}), Findings(labels, measurements=known)


def _dict(path: Path) -> dict[str, Any]:
    found = read_pickle(present(path))
    if not isinstance(found, dict) or not found:
        raise RefusedInput("bad-pickle", f"{path} holds no entries; ask for the file again")
    return found


def _entry(found: Mapping[str, Any], key: str, path: Path) -> NDArray[Any]:
    if key not in found:
        raise RefusedInput("bad-pickle", f"{path} has no entry {key}: there are {', '.join(map(str, found))}")
    return np.asarray(found[key])


def _image(path: Path, view: View) -> tuple[Image, tuple[Flag, ...]]:
    """One pickle as an image; its affine from the positions of the first and last slice."""
    found = _dict(path)
    voxels = _entry(found, "image_voxels", path)
    if voxels.ndim != (4 if view is View.SAX else 3):
        raise RefusedInput("bad-pickle", f"{path} holds an array of {voxels.ndim} axes; ask for the file again")
    data = np.ascontiguousarray((voxels if view is View.SAX else voxels[None]).transpose(3, 2, 0, 1))
    times, rr, flags = frame_times(0.0, "unknown", data.shape[3])
    return Image(data, _affine(found, path, data.shape[2]), times, view, rr_ms=rr), flags


def _affine(found: Mapping[str, Any], path: Path, slices: int) -> NDArray[np.float64]:
    """(4, 4), RAS: DICOM's patient coordinates with x and y turned round."""
    axes = _entry(found, "ImageOrientationPatient", path).astype(float).reshape(2, 3) * RAS_TO_LPS
    corners = _entry(found, "ImagePositionPatient", path).astype(float).reshape(-1, 3) * RAS_TO_LPS
    down, across = _entry(found, "PixelSpacing", path).astype(float)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 3] = axes[0] * across, axes[1] * down, corners[0]
    gap = float(np.asarray(found.get("SliceSpacing", 1.0)))
    several = slices > 1 and len(corners) == slices
    affine[:3, 2] = (corners[-1] - corners[0]) / (slices - 1) if several else np.cross(*axes) * gap
    return affine


def _write_person(folder: Path, scans: list[Case], first: int, person: str) -> list[Any]:
    """All visits of one person; returns their row of the table."""
    if not 2 <= len(scans) <= len(_TURNS):
        raise RefusedInput(
            "not-paired", f"{_PAIRED} holds two or three visits of each person, and {person} has {len(scans)}"
        )
    places: list[Any] = [None] * 3
    volumes: dict[str, Any] = {}
    for number_, case in enumerate(scans):
        places[number_] = first + number_
        truth = _write(folder / str(first + number_), case, drawn=False)
        for phase in ("EDV", "ESV"):
            measured = truth.measurements.get(f"LV{phase}")
            volumes[f"{phase}_{_TURNS[number_]}"] = None if measured is None else round(measured.value, 2)
    return [*places, *(volumes.get(column) for column in COLUMNS[3:])]


def _write(folder: Path, case: Case, drawn: bool) -> Findings:
    study, truth = case.load()
    for view, file in _VIEWS.items():
        write_bytes(folder / file, _pickled(image_of(study, view, Contrast.CINE, TITLE)))
    if drawn:
        stored = from_structure(labels_of(truth, View.SAX, Contrast.CINE, TITLE), LV_MYO_RV).astype(np.uint8)
        write_bytes(folder / _SEGS, pickled({"image_segmentation": stored.transpose(2, 3, 1, 0)}))
    return truth


def _pickled(image: Image) -> bytes:
    voxels = image.data.transpose(2, 3, 1, 0)
    corners = image.affine[:3, 3] + np.arange(image.slices)[:, None] * image.affine[:3, 2]
    flat = image.view is not View.SAX
    entries: dict[str, Any] = {
        "image_voxels": voxels[0] if flat else voxels,
        "ImagePositionPatient": (corners[0] if flat else corners) * RAS_TO_LPS,
        "ImageOrientationPatient": ((image.affine[:3, :2] / image.spacing[:2]).T * RAS_TO_LPS).ravel(),
        "PixelSpacing": image.spacing[[1, 0]],
    }
    return pickled(entries if flat else entries | {"SliceSpacing": float(image.spacing[2])})
