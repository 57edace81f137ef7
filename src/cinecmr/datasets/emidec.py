"""EMIDEC: late enhancement of 100 patients of an emergency department, with clinical data.

Layout (`emidec-dataset-1.0.1/`):

    Case N006.txt                             "key : value" lines in Latin-1, some keys ending in a non-breaking space
    Case_N006/Images/Case_N006.nii.gz         a short-axis stack of late enhancement
    Case_N006/Contours/Case_N006.nii.gz       1 cavity, 2 myocardium, 3 infarct, 4 no-reflow

N stands for normal, P for pathological. All labelled cases are for training; the parts "train", "val" and "test" here
are those of CineMA's code (each letter shuffled by itself with seed 0, 20 % for test, 20 % for validation).

Source: Lalande et al. 2020, doi 10.3390/data5040089.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Contrast, Disease, Sex, Structure, View
from cinecmr.datasets._case import (
    Case,
    Problem,
    chosen,
    image_of,
    known,
    labels_at,
    labels_of,
    locate,
    present,
    word_for,
)
from cinecmr.datasets._check import check_cases
from cinecmr.datasets._images import read_code_frame, read_still, write_codes, write_frame
from cinecmr.datasets.tables import number, text_of
from cinecmr.io.files import write_bytes
from cinecmr.study import Facts, Findings, Measurement, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

NAME = "emidec"
TITLE = "EMIDEC, automatic Evaluation of Myocardial Infarction from Delayed-Enhancement Cardiac MRI"
LICENCE = "CC BY-NC-SA 4.0: research, no commercial use"
OBTAIN = "https://emidec.com/ (fill in the form)"
WANTED = "'Case N006.txt' beside Case_N006/Images/Case_N006.nii.gz"
KEEPS = (
    "the short-axis late-enhancement stack; labels of LV, MYO, scar and no-reflow; group N or P; sex, age in years; \
LVEF in whole percent; what is said of risk factors (a phantom's are neutral)"
)
LOSES = "cines; RV; which disease a P has; times; height, weight, scanner; where slices shifted"
IMAGES = ((View.SAX, Contrast.LGE),)
SPLITS = ("train", "val", "test")
GROUPS = {"N": Disease.NORMAL, "P": Disease.INFARCT}
CODES = {
    0: Structure.BACKGROUND,
    1: Structure.LV,
    2: Structure.MYO,
    3: Structure.SCAR,
    4: Structure.NO_REFLOW,
}
LGE = (View.SAX, Contrast.LGE)
# In the order of the files; what a phantom does not know is N, 0 or the lowest class.
_NEUTRAL = {
    "Tobacco": "2",
    "Overweight": "N",
    "Arterial hypertension": "N",
    "Diabetes": "N",
    "Familial history of coronary artery disease": "N",
    "ECG (ST +)": "N",
    "Troponin": "0",
    "Killip Max": "1",
}
ENTRIES = ("Sex", "Age", *_NEUTRAL, "FEVG", "NTProBNP")
_SHARE = 0.2


def splits(root: Path) -> tuple[str, ...]:
    """The parts that are there; see `Layout`."""
    there = set(_parts(_root(root)).values())
    return tuple(split for split in SPLITS if split in there)


def cases(root: Path, split: str | None = None) -> Iterator[Case]:
    """The patients; see `Layout`."""
    there, root = splits(root), _root(root)
    parts = _parts(root)
    for part in chosen(split, there):
        for name in sorted(parts):
            if parts[name] == part:
                yield _case(root, name, part)


def write(root: Path, cases: Iterable[Case]) -> list[str]:
    """Write cases as N001, P002 and so on; their parts follow from their numbers. See `Layout`."""
    given: list[str] = []
    for case in cases:
        letter = "N" if word_for(case, GROUPS, TITLE) == "N" else "P"
        given.append(f"{letter}{len(given) + 1:03d}")
        _write(root, given[-1], case)
    return given


def check(root: Path, progress: Callable[[float], None] | None = None) -> list[Problem]:
    """What is wrong, by file; see `Layout`."""
    root = _root(root)
    told = {path.stem.removeprefix("Case ") for path in root.glob("Case *.txt")}
    there = {folder.name.removeprefix("Case_") for folder in root.glob("Case_*/")}
    problems = [Problem(f"Case {name}.txt", "is missing beside its folder") for name in sorted(there - told)]
    for case in cases(root):
        lacking = [entry for entry in ENTRIES if entry not in case.metadata]
        if lacking:
            problems.append(Problem(f"Case {case.subject}.txt", f"does not state {', '.join(lacking)}"))
    return problems + check_cases(cases(root), root, progress=progress)


def _root(folder: Path) -> Path:
    return locate(folder, TITLE, WANTED, lambda place: any(place.glob("Case_*/Images/*.nii*")))


def _parts(root: Path) -> dict[str, str]:
    """Part of each case, as CineMA's code draws them."""
    names = [path.stem.removeprefix("Case ") for path in root.glob("Case *.txt")]
    parts = {}
    for letter in sorted({name[:1] for name in names}):
        group = sorted((name for name in names if name.startswith(letter)), key=lambda name: (len(name), name))
        held = int(_SHARE * len(group))
        np.random.default_rng(0).shuffle(group)
        first_val = len(group) - 2 * held
        for place, name in enumerate(group):
            parts[name] = "train" if place < first_val else "val" if place < first_val + held else "test"
    return parts


def _case(root: Path, name: str, split: str) -> Case:
    told = _told(root / f"Case {name}.txt")
    folder, group = root / f"Case_{name}", "N" if name.startswith("N") else "P"
    files = (
        folder / "Images" / f"Case_{name}.nii.gz",
        folder / "Contours" / f"Case_{name}.nii.gz",
        root / f"Case {name}.txt",
    )
    return Case(name, partial(_load, files, name, told), split, group, GROUPS[group], name, told, files)


def _told(path: Path) -> dict[str, str]:
    """The lines of a text file, keys without the odd characters that follow some of them."""
    lines = re.findall(r"^([^:\n]+):(.*)$", text_of(present(path)), re.MULTILINE)
    return {re.sub(r"[^\w()+ ]+", "", key).strip(): value.strip() for key, value in lines}


def _load(files: tuple[Path, ...], name: str, told: Mapping[str, str]) -> tuple[Study, Findings]:
    image = read_still(files[0], View.SAX, Contrast.LGE)
    drawn = {0: read_code_frame(files[1], CODES)}
    sex = {"M": Sex.MALE, "F": Sex.FEMALE}.get(told.get("Sex", "").upper()[:1])
    measured = {}
    if (ejected := number(told.get("FEVG"))) is not None:
        measured["LVEF"] = Measurement(ejected, "%", "echocardiography", "expert")
    truth = Findings(
        labels={LGE: labels_at(drawn, image.data.shape, files[1])},
        measurements=measured,
        diagnosis=known(GROUPS["N" if name.startswith("N") else "P"]),
    )
    facts = Facts(age_y=number(told.get("Age")), sex=sex)
    return Study(name, {LGE: image}, facts, provenance={"format": NAME}), truth


def _write(root: Path, name: str, case: Case) -> None:
    study, truth = case.load()
    image = image_of(study, *LGE, TITLE)
    write_frame(root / f"Case_{name}" / "Images" / f"Case_{name}.nii.gz", image)
    write_codes(
        root / f"Case_{name}" / "Contours" / f"Case_{name}.nii.gz", labels_of(truth, *LGE, TITLE), CODES, image, 0
    )
    write_bytes(root / f"Case {name}.txt", _text(name, case, study, truth).encode("latin-1"))


def _text(name: str, case: Case, study: Study, truth: Findings) -> str:
    """The text file of a case, non-breaking spaces where the real ones have them."""
    facts, ejected = study.facts, truth.measurements.get("LVEF")
    lines = [
        f"Case {name}\n",
        f"Gap between slices\xa0: {study[LGE].spacing[2]:g} mm",
        f"Sex\xa0: {facts.sex.value if facts.sex else ''}",
        f"Age : {'' if facts.age_y is None else int(facts.age_y)}",
        *(f"{key} : {case.metadata.get(key, neutral)}" for key, neutral in _NEUTRAL.items()),
        f"FEVG : {'' if ejected is None else round(ejected.value)}",
        f"NTProBNP : {case.metadata.get('NTProBNP', '0')}",
    ]
    return "\n".join(lines) + "\n"
