"""ACDC: short-axis cines of 150 patients in five groups, labels at end-diastole and end-systole.

Layout (release of 2021, `database/`):

    training/patient001/Info.cfg                      ED, ES (frames counted from 1), Group, Height, NbFrame, Weight
    training/patient001/patient001_4d.nii.gz          the cine
    training/patient001/patient001_frame01.nii.gz     end-diastole again, as a still; frame12 end-systole
    training/patient001/patient001_frame01_gt.nii.gz  its labels: 1 RV, 2 MYO, 3 LV
    testing/patient101/...                            the same

Source: Bernard et al. 2018, doi 10.1109/TMI.2018.2837502.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Contrast, Disease, View
from cinecmr.datasets._case import (
    Case,
    Problem,
    chosen,
    ed_es,
    image_of,
    known,
    labels_at,
    labels_of,
    locate,
    present,
    word_for,
)
from cinecmr.datasets._check import below, check_cases
from cinecmr.datasets._codes import RV_MYO_LV
from cinecmr.datasets._images import read_cine, read_code_frame, read_still, write_cine, write_codes, write_frame
from cinecmr.datasets.tables import metres, number, text_of, whole
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_text
from cinecmr.study import Facts, Findings, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

NAME = "acdc"
TITLE = "ACDC, the Automated Cardiac Diagnosis Challenge"
LICENCE = "CC BY-NC-SA 4.0: research, no commercial use"
OBTAIN = "https://www.creatis.insa-lyon.fr/Challenge/acdc/ (no registration)"
WANTED = "training/patientNNN/Info.cfg or testing/patientNNN/Info.cfg"
KEEPS = "short-axis cine with all frames; labels of RV, MYO and LV at ED and ES; their frames; group, height, weight"
LOSES = "long axes; labels of other frames and structures; the exact time of each frame (one step is kept); sex, age, \
vendor; volumes; where slices shifted"
IMAGES = ((View.SAX, Contrast.CINE),)
SPLITS = ("train", "test")
GROUPS = {
    "DCM": Disease.DCM,
    "HCM": Disease.HCM,
    "MINF": Disease.INFARCT,
    "NOR": Disease.NORMAL,
    "RV": Disease.ABNORMAL_RV,
}
ENTRIES = ("ED", "ES", "Group", "Height", "NbFrame", "Weight")  # of Info.cfg, in the order of the files
_FOLDERS = {"train": "training", "test": "testing"}
_STILL = re.compile(r"_frame(\d+)\.nii\.gz$")
_FIRST = {"train": 1, "test": 101}
SAX = (View.SAX, Contrast.CINE)


def splits(root: Path) -> tuple[str, ...]:
    """The parts that are there; see `Layout`."""
    root = _root(root)
    return tuple(split for split in SPLITS if any((root / _FOLDERS[split]).glob("patient*")))


def cases(root: Path, split: str | None = None) -> Iterator[Case]:
    """The patients; see `Layout`."""
    there = splits(root)
    for part in chosen(split, there):
        for folder in sorted((_root(root) / _FOLDERS[part]).glob("patient*")):
            yield _case(folder, part)


def write(root: Path, cases: Iterable[Case]) -> list[str]:
    """Write cases as patientNNN, numbered as ACDC numbers its parts; see `Layout`."""
    numbers, given = dict(_FIRST), []
    for case in cases:
        part = "test" if case.split == "test" else "train"
        name = f"patient{numbers[part]:03d}"
        numbers[part] += 1
        given.append(name)
        _write(root / _FOLDERS[part] / name, case)
    return given


def check(root: Path, progress: Callable[[float], None] | None = None) -> list[Problem]:
    """What is wrong, by file; see `Layout`."""
    root = _root(root)
    problems = []
    for case in cases(root):
        info = case.files[0]
        lacking = [entry for entry in ENTRIES if not case.metadata.get(entry)]
        if info.is_file() and lacking:
            problems.append(Problem(below(root, info), f"does not state {', '.join(lacking)}"))
    return problems + check_cases(cases(root), root, _check_stills, progress=progress)


def _check_stills(case: Case, study: Study, root: Path) -> list[Problem]:
    """Whether the stills are the frames of the cine that their names say."""
    cine, problems = study[SAX], []
    for path in case.files:
        if (named := _STILL.search(path.name)) is None:
            continue
        frame = int(named[1])
        try:
            same = np.array_equal(read_still(path).data[..., 0], cine.data[..., frame - 1])
        except RefusedInput as refusal:
            problems.append(Problem(below(root, path), refusal.message.replace(f"{root}/", "")))
            continue
        if not same:
            problems.append(Problem(below(root, path), f"is not frame {frame} of the cine beside it"))
    return problems


def _root(folder: Path) -> Path:
    return locate(folder, TITLE, WANTED, lambda place: any(place.glob("t*ing/patient*/Info.cfg")))


def _case(folder: Path, split: str) -> Case:
    name = folder.name
    info = _info(folder / "Info.cfg")
    files = [folder / "Info.cfg", folder / f"{name}_4d.nii.gz"]
    for phase in ("ED", "ES"):
        if (frame := number(info.get(phase))) is not None:
            files += [folder / f"{name}_frame{int(frame):02d}{what}.nii.gz" for what in ("", "_gt")]
    group = info.get("Group", "")
    return Case(name, partial(_load, folder, info), split, group, GROUPS.get(group), name, info, tuple(files))


def _info(path: Path) -> dict[str, str]:
    """The entries of Info.cfg; none where there is no such file."""
    if not path.is_file():
        return {}
    return dict(re.findall(r"^\s*(\w+)\s*:\s*(.*?)\s*$", text_of(path), re.MULTILINE))


def _load(folder: Path, info: Mapping[str, str]) -> tuple[Study, Findings]:
    name, table = folder.name, present(folder / "Info.cfg")
    path = folder / f"{name}_4d.nii.gz"
    image, flags = read_cine(path)
    frames = {phase: whole(info.get(phase), phase, table) - 1 for phase in ("ED", "ES")}
    maps = {frame: folder / f"{name}_frame{frame + 1:02d}_gt.nii.gz" for frame in frames.values()}
    drawn = {frame: read_code_frame(file, RV_MYO_LV) for frame, file in maps.items()}
    facts = Facts(height_m=metres(info.get("Height")), weight_kg=number(info.get("Weight")))
    truth = Findings(
        labels={SAX: labels_at(drawn, image.data.shape, path)},
        diagnosis=known(GROUPS.get(info.get("Group", ""))),
        cycle={f"LV_{phase}": frame for phase, frame in frames.items()},
    )
    return Study(name, {SAX: image}, facts, flags, {"format": NAME}), truth


def _write(folder: Path, case: Case) -> None:
    study, truth = case.load()
    image, name = image_of(study, *SAX, TITLE), folder.name
    write_cine(folder / f"{name}_4d.nii.gz", image)
    frames, labels = dict(zip(("ED", "ES"), ed_es(truth, TITLE), strict=True)), labels_of(truth, *SAX, TITLE)
    for frame in frames.values():
        write_frame(folder / f"{name}_frame{frame + 1:02d}.nii.gz", image, frame)
        write_codes(folder / f"{name}_frame{frame + 1:02d}_gt.nii.gz", labels, RV_MYO_LV, image, frame)
    height, weight = study.facts.height_m, study.facts.weight_kg
    entries = {
        **{phase: frame + 1 for phase, frame in frames.items()},
        "Group": word_for(case, GROUPS, TITLE),
        "Height": "" if height is None else round(100 * height, 1),
        "NbFrame": image.frames,
        "Weight": "" if weight is None else round(weight, 1),
    }
    write_text(folder / "Info.cfg", "".join(f"{key}: {value}\n" for key, value in entries.items()))
