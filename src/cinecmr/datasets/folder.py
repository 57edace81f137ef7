"""A user's own images and labels.

Layout:

    images/ANNA.nii.gz               3-D or 4-D; or ANNA_ED.nii.gz and ANNA_ES.nii.gz, two stills
    labels/ANNA.nii.gz               the same names; may be missing for some. 255 where nobody looked
    subjects.csv                     optional: subject, and any of split, disease, sex (F, M), age (years), height (cm),
                                     weight (kg), vendor, model, field (T), rr_ms, ed, es (frames counted from 0),
                                     person, LVEDV, LVESV, RVEDV, RVESV (ml), LVEF, RVEF (%), LVM (g)
    dataset.toml                     optional: view = "sax", contrast = "cine", and a table [labels] with names of
                                     structures by code, such as 1 = "LV"; without it the codes are this package's

One folder holds one view of one contrast. A case is called as its file is; the name of its study, which goes into
outputs, is a hash of that.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cinecmr.anatomy import Contrast, Disease, Sex, Structure, View
from cinecmr.datasets._case import Case, Problem, chosen, image_of, known, labels_at, locate
from cinecmr.datasets._check import check_cases
from cinecmr.datasets._images import read_cine, read_code_frame, read_codes, read_pair, write_cine, write_codes
from cinecmr.datasets.tables import metres, number, read_table, text_of, write_table
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_text
from cinecmr.io.nifti_study import is_nifti, stem
from cinecmr.io.subject import subject_name
from cinecmr.study import Facts, Findings, Measurement, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

NAME = "folder"
TITLE = "a folder of your own: images, labels and a table"
LICENCE = "yours"
OBTAIN = "put NIfTI files into images/ and labels/ under the same names"
WANTED = "images/SUBJECT.nii.gz"
KEEPS = "one view with all frames; labels of every structure at every frame, 255 where nobody looked; ED and ES \
frames; split, person, disease; sex, age, height, weight, vendor, model, field; R-R interval; volumes, EF and mass"
LOSES = "other views and contrasts (a folder each); the exact time of each frame (one step is kept); landmarks; slice \
thickness and where slices shifted"
IMAGES = ((View.SAX, Contrast.CINE),)
SPLITS = ("train", "val", "test")
GROUPS = {disease.value: disease for disease in Disease}
TABLE, SETTINGS = "subjects.csv", "dataset.toml"
MEASURED = {"LVEDV": "ml", "LVESV": "ml", "RVEDV": "ml", "RVESV": "ml", "LVEF": "%", "RVEF": "%", "LVM": "g"}
COLUMNS = ("subject", "split", "person", "disease", "sex", "age", "height", "weight", "vendor", "model", "field",
           "rr_ms", "ed", "es", *MEASURED)  # fmt: skip
_PHASE = re.compile(r"_(ED|ES)$", re.IGNORECASE)
_OWN = {int(structure): structure for structure in Structure}


def splits(root: Path) -> tuple[str, ...]:
    """The words in the column `split`; "all" where there is none. See `Layout`."""
    root = _root(root)
    rows = _rows(root)
    found = dict.fromkeys(rows.get(name, {}).get("split", "") or "all" for name in _images(root))
    return tuple(sorted(found, key=lambda word: (SPLITS.index(word) if word in SPLITS else 9, word)))


def cases(root: Path, split: str | None = None) -> Iterator[Case]:
    """The subjects with an image, by name; see `Layout`."""
    there, root = splits(root), _root(root)
    rows, settings = _rows(root), _settings(root)
    for part in chosen(split, there):
        for name, images in sorted(_images(root).items()):
            row = rows.get(name, {})
            if (row.get("split") or "all") == part:
                yield _case(root, name, images, row, part, settings)


def write(root: Path, cases: Iterable[Case]) -> list[str]:
    """Write the short-axis cine of cases under their own names; see `Layout`."""
    rows = []
    for case in cases:
        study, truth = case.load()
        image = image_of(study, *IMAGES[0], TITLE)
        write_cine(root / "images" / f"{case.subject}.nii.gz", image)
        if IMAGES[0] in truth.labels:
            write_codes(root / "labels" / f"{case.subject}.nii.gz", truth.labels[IMAGES[0]], _OWN, image)
        rows.append(_row(case, study, truth, image.rr_ms))
    write_table(root / TABLE, COLUMNS, rows)
    write_text(root / SETTINGS, _settings_text())
    return [str(row[0]) for row in rows]


def check(root: Path, progress: Callable[[float], None] | None = None) -> list[Problem]:
    """What is wrong, by file; see `Layout`."""
    root = _root(root)
    images = _images(root)
    problems = [Problem(TABLE, f"lists {name}, which has no image") for name in _rows(root) if name not in images]
    named = {path.name for paths in images.values() for path in paths.values()}
    problems += [Problem(f"labels/{path.name}", "has no image of the same name")
                 for path in _files(root / "labels") if path.name not in named]  # fmt: skip
    return problems + check_cases(cases(root), root, progress=progress)


def _root(folder: Path) -> Path:
    return locate(folder, TITLE, WANTED, _fits)


def _fits(place: Path) -> bool:
    """Whether a folder holds `images`, spelled so: on some disks EMIDEC's `Images` answers to that name too."""
    return any(entry.name == "images" and any(_files(entry)) for entry in place.iterdir() if entry.is_dir())


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if is_nifti(path) and not path.name.startswith("."))


def _images(root: Path) -> dict[str, dict[str, Path]]:
    """Files by subject and phase; the phase is "" for a file that is no ED or ES."""
    found: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in _files(root / "images"):
        phase = _PHASE.search(stem(path))
        found[_PHASE.sub("", stem(path))][phase[1].upper() if phase else ""] = path
    return dict(found)


def _rows(root: Path) -> dict[str, dict[str, str]]:
    path = root / TABLE
    return {row["subject"]: row for row in read_table(path, ("subject",))} if path.is_file() else {}


def _settings(root: Path) -> tuple[View, Contrast, Mapping[int, Structure]]:
    """What dataset.toml says.

    Raises:
        RefusedInput: it is no TOML, or names what there is not (`bad-settings`).
    """
    path = root / SETTINGS
    if not path.is_file():
        return View.SAX, Contrast.CINE, _OWN
    try:
        told: dict[str, Any] = tomllib.loads(text_of(path))
        codes = {int(code): Structure[str(word).upper()] for code, word in told.get("labels", {}).items()}
        view, contrast = View(told.get("view", "sax").lower()), Contrast(told.get("contrast", "cine").lower())
    except (tomllib.TOMLDecodeError, KeyError, ValueError, AttributeError, TypeError) as error:
        names = ", ".join(structure.name for structure in Structure)
        raise RefusedInput(
            "bad-settings",
            f"{path} is not as it should be ({error}): view is one of {', '.join(v.value for v in View)}, contrast one "
            f'of {", ".join(c.value for c in Contrast)}, [labels] holds lines such as 1 = "LV" with {names}',
        ) from error
    return view, contrast, {0: Structure.BACKGROUND, **codes} if codes else _OWN


def _case(
    root: Path,
    name: str,
    images: dict[str, Path],
    row: dict[str, str],
    split: str,
    settings: tuple[View, Contrast, Mapping[int, Structure]],
) -> Case:
    labels = {phase: root / "labels" / path.name for phase, path in images.items()}
    labels = {phase: path for phase, path in labels.items() if path.is_file()}
    group = row.get("disease", "")
    load = partial(_load, name, images, labels, row, settings)
    files = (*images.values(), *labels.values())
    return Case(name, load, split, group, GROUPS.get(group.lower()), row.get("person") or name, row, files)


def _load(
    name: str,
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    row: Mapping[str, str],
    settings: tuple[View, Contrast, Mapping[int, Structure]],
) -> tuple[Study, Findings]:
    view, contrast, codes = settings
    pair = set(images) == {"ED", "ES"}
    if not pair and len(images) > 1:
        raise RefusedInput("several-images", f"{next(iter(images.values()))} and others are of one subject; keep one")
    path = next(iter(images.values()))
    image, flags = read_pair(images["ED"], images["ES"], view) if pair else read_cine(path, view)
    image = replace(image, contrast=contrast, rr_ms=number(row.get("rr_ms")) or image.rr_ms)
    drawn = _drawn(labels, image.data.shape, codes, pair)
    cycle = {"LV_ED": 0, "LV_ES": 1} if pair else _cycle(row, path, image.frames)
    measured = {key: Measurement(value, unit, f"as stated in {TABLE}", "expert")
                for key, unit in MEASURED.items() if (value := number(row.get(key))) is not None}  # fmt: skip
    truth = Findings(
        labels={} if drawn is None else {(view, contrast): drawn},
        measurements=measured,
        diagnosis=known(GROUPS.get(row.get("disease", "").lower())),
        cycle=cycle,
    )
    return Study(subject_name(name), {(view, contrast): image}, _facts(row), flags, {"format": NAME}), truth


def _drawn(
    labels: Mapping[str, Path], shape: tuple[int, ...], codes: Mapping[int, Structure], pair: bool
) -> NDArray[np.uint8] | None:
    """Labels on the grid of the image; None where there are no files."""
    if not labels:
        return None
    if pair:
        frames = {t: read_code_frame(labels[phase], codes) for t, phase in enumerate(("ED", "ES")) if phase in labels}
        return labels_at(frames, shape, next(iter(labels.values())))
    path = next(iter(labels.values()))
    stored = read_codes(path, codes)
    if stored.shape != shape:
        raise RefusedInput("different-grids", f"labels of {path} are {stored.shape}, the image is {shape}")
    return stored


def _cycle(row: Mapping[str, str], path: Path, frames: int) -> dict[str, int]:
    found = {f"LV_{phase}": number(row.get(phase.lower())) for phase in ("ED", "ES")}
    if any(value is not None and not 0 <= value < frames for value in found.values()):
        raise RefusedInput(
            "no-such-frame", f"{path} has {frames} frames, and {TABLE} names another (they count from 0)"
        )
    return {name: int(value) for name, value in found.items() if value is not None}


def _facts(row: Mapping[str, str]) -> Facts:
    return Facts(
        height_m=metres(row.get("height")),
        weight_kg=number(row.get("weight")),
        age_y=number(row.get("age")),
        sex={"M": Sex.MALE, "F": Sex.FEMALE}.get(row.get("sex", "").upper()[:1]),
        vendor=row.get("vendor") or None,
        model=row.get("model") or None,
        field_t=number(row.get("field")),
    )


def _row(case: Case, study: Study, truth: Findings, rr_ms: float | None) -> tuple[Any, ...]:
    facts = study.facts
    return (
        case.subject, case.split, case.person, case.disease and case.disease.value, facts.sex and facts.sex.value,
        facts.age_y, None if facts.height_m is None else round(100 * facts.height_m, 4), facts.weight_kg,
        facts.vendor, facts.model, facts.field_t, rr_ms, truth.cycle.get("LV_ED"), truth.cycle.get("LV_ES"),
        *(truth.measurements[name].value if name in truth.measurements else None for name in MEASURED),
    )  # fmt: skip


def _settings_text() -> str:
    codes = "".join(f'{code} = "{structure.name}"\n' for code, structure in _OWN.items())
    view, contrast = IMAGES[0]
    return f'view = "{view.value}"\ncontrast = "{contrast.value}"\n\n[labels]\n{codes}'
