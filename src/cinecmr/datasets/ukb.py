"""UK Biobank heart MRI: long-axis, short-axis and tagged cines as one archive each.

Layout (one folder, or one a field; unpacked folders of the same names are taken too):

    EID_20208_2_0.zip        long axes: DICOM files side by side and manifest.csv (in most, spelled manifest.cvs)
    EID_20209_2_0.zip        short axis; EID_20211_2_0.zip: three tagged slices
    manifest.csv             filename, patientid, ..., series discription (spelled so), date as `Aug 30, 2015`, with
                             that comma and without quotes

Instance 2 is the first imaging visit, 3 the repeat. The series are CINE_segmented_LAX_2Ch (3Ch, 4Ch),
CINE_segmented_SAX_b1 and on, cine_tagging_3sl_SAX_b1s to b3s; those with InlineVF in their name are the scanner's own
contours and are left out. Participants' numbers (EID) are no part of any output: a subject's name is a hash of it.

Source: Petersen et al. 2016, doi 10.1186/s12968-016-0227-4; fields 20208, 20209 and 20211 of the UK Biobank showcase.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from cinecmr.anatomy import Contrast, Disease, View
from cinecmr.datasets._case import Case, Problem, chosen, locate
from cinecmr.datasets._check import check_cases
from cinecmr.datasets._dicom import frames_as, read_view
from cinecmr.datasets.tables import text_of
from cinecmr.errors import RefusedInput
from cinecmr.io.archive import pack, unpacked
from cinecmr.io.headers import scan
from cinecmr.io.subject import subject_name
from cinecmr.study import Facts, Findings, Flag, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from cinecmr.io.headers import Header
    from cinecmr.study import Image

NAME = "ukb"
TITLE = "UK Biobank heart MRI (fields 20208, 20209, 20211)"
LICENCE = "UK Biobank's material transfer agreement: approved projects only; no redistribution"
OBTAIN = "https://www.ukbiobank.ac.uk/ (apply as a researcher), then ukbfetch or the Research Analysis Platform"
WANTED = "EID_20209_2_0.zip, EID_20208_2_0.zip or EID_20211_2_0.zip, or folders of those names"
KEEPS = "short-axis and all three long-axis cines and the tagged slices, with all frames, times, affines and slice \
thickness; which visit it is; sex, age in years, height, weight, vendor, model, field"
LOSES = "labels, volumes, ED and ES, disease (UK Biobank gives those as tables of their own); R-R beyond whole ms; \
where slices shifted; the order of slices (read from base to apex)"
IMAGES = (
    (View.SAX, Contrast.CINE),
    (View.LAX_2C, Contrast.CINE),
    (View.LAX_3C, Contrast.CINE),
    (View.LAX_4C, Contrast.CINE),
    (View.SAX, Contrast.TAGGED),
)
SPLITS = ("all",)
GROUPS: dict[str, Disease] = {}
FIRST_EID = 9_000_001  # no participant has a number above 6.1 million
FIELDS = {"20208": "LAX", "20209": "SAX", "20211": "tagging"}
MANIFEST = ("filename", "patientid", "studyid", "date", "time", "seriesid", "series discription")
_SERIES = {
    re.compile(r"CINE_segmented_LAX_2Ch"): (View.LAX_2C, Contrast.CINE),
    re.compile(r"CINE_segmented_LAX_3Ch"): (View.LAX_3C, Contrast.CINE),
    re.compile(r"CINE_segmented_LAX_4Ch"): (View.LAX_4C, Contrast.CINE),
    re.compile(r"CINE_segmented_SAX(_b\d*)?"): (View.SAX, Contrast.CINE),
    re.compile(r"cine_tagging_3sl_SAX(_b\d*s?)?"): (View.SAX, Contrast.TAGGED),
}
ARCHIVE = re.compile(r"(?P<eid>\d+)_(?P<field>20208|20209|20211)_(?P<instance>\d)_(?P<array>\d)(\.zip)?")
_DATE = re.compile(r"\b([A-Z][a-z]{2}) (\d{1,2}), (20\d{2})\b")


def splits(root: Path) -> tuple[str, ...]:
    """One part: UK Biobank has no others. See `Layout`."""
    _root(root)
    return SPLITS


def cases(root: Path, split: str | None = None) -> Iterator[Case]:
    """The visits, by participant and instance; see `Layout`."""
    (part,), root = chosen(split, splits(root)), _root(root)
    visits: dict[tuple[str, str], dict[str, Path]] = {}
    for path in _archives(root):
        if named := ARCHIVE.fullmatch(path.name):
            visits.setdefault((named["eid"], named["instance"]), {}).setdefault(named["field"], path)
    for (eid, instance), fields in sorted(visits.items()):
        name = f"{subject_name(eid)}-{instance}"
        files = tuple(fields[field] for field in sorted(fields))
        load = partial(_load, name, fields)
        yield Case(name, load, part, person=subject_name(eid), metadata={"instance": instance}, files=files)


def write(root: Path, cases: Iterable[Case]) -> list[str]:
    """Write cases as archives; a second case of a `person` is the repeat visit. See `Layout`."""
    eids: dict[str, int] = {}
    visits: dict[str, int] = {}
    given = []
    for case in cases:
        person = case.person or case.subject
        eid = eids.setdefault(person, FIRST_EID + len(eids))
        visits[person] = visits.get(person, 1) + 1
        _write(root, eid, visits[person], case.load()[0])
        given.append(f"{subject_name(str(eid))}-{visits[person]}")
    return given


def check(root: Path, progress: Callable[[float], None] | None = None) -> list[Problem]:
    """What is wrong, by file; see `Layout`."""
    return check_cases(cases(root), _root(root), progress=progress)


def _root(folder: Path) -> Path:
    return locate(folder, TITLE, WANTED, lambda place: any(ARCHIVE.fullmatch(path.name) for path in _archives(place)))


def _archives(root: Path) -> Iterator[Path]:
    """What is called as an archive is, in a folder and in its folders of fields; archives before what they hold."""
    for pattern in ("*_202*_*.zip", "*/*_202*_*.zip", "*_202*_*/", "*/*_202*_*/"):
        yield from sorted(root.glob(pattern))


@contextmanager
def _opened(path: Path) -> Iterator[Path]:
    """A folder with the files of an archive, gone afterwards; or the folder that somebody unpacked."""
    if path.is_dir():
        yield path
        return
    with unpacked([path]) as place:
        yield place / "0"  # the folder of the first archive: the manifest lies beside its files


def _load(name: str, fields: Mapping[str, Path]) -> tuple[Study, Findings]:
    images: dict[tuple[View, Contrast], Image] = {}
    flags: list[Flag] = []
    facts = Facts()
    for path in fields.values():
        with _opened(path) as folder:
            for (view, contrast), headers in _series(folder, path).items():
                images[view, contrast], more, facts = read_view(headers, view, contrast, path)
                flags += [flag for flag in more if flag not in flags]
    return Study(name, images, facts, tuple(flags), {"format": NAME}), Findings()


def _series(folder: Path, path: Path) -> dict[tuple[View, Contrast], list[Header]]:
    """Headers by what their series shows, as the manifest says; where it does not, as the headers say."""
    told, found = _manifest(folder), dict[tuple[View, Contrast], list["Header"]]()
    for header in scan(folder).headers:
        words = told.get(header.path.name, header.description)
        for pattern, what in _SERIES.items():
            if pattern.fullmatch(words):
                found.setdefault(what, []).append(header)
    if not found:
        raise RefusedInput("no-cine", f"{path} holds none of the series CINE_segmented_* and cine_tagging_*")
    return found


def _manifest(folder: Path) -> dict[str, str]:
    """Series of each file; empty where there is no manifest. Dates lose their comma before the lines are cut."""
    for path in sorted(folder.glob("manifest.c*")):
        lines = [_DATE.sub(r"\2-\1-\3", line).split(",") for line in text_of(path).splitlines() if line.strip()]
        heads = [head.strip().lower() for head in lines[0]]
        series = next((head for head in heads if head.startswith("series d")), None)
        if series is None or "filename" not in heads:
            raise RefusedInput(
                "bad-table", f"{path.name} of a UK Biobank archive has no columns filename and series discription"
            )
        name, words = heads.index("filename"), heads.index(series)
        return {line[name].strip(): line[words].strip() for line in lines[1:] if len(line) > max(name, words)}
    return {}


def _write(root: Path, eid: int, instance: int, study: Study) -> None:
    """The archives of one visit; those without an image are not written."""
    for field in FIELDS:
        files: dict[str, bytes] = {}
        rows: list[list[str]] = []
        for view, contrast in study.images:
            if _field(view, contrast) != field:
                continue
            for frame, words in frames_as(study, view, contrast, partial(_words, view, contrast), eid):
                name = f"{frame.ds.SOPInstanceUID}.dcm"
                files[name] = _encoded(frame.ds, eid)
                rows.append([name, str(eid), "1", "Jan 5, 2024", "09:00:00", str(frame.ds.SeriesNumber), words])
        if files:
            table = "\n".join(",".join(row) for row in ([*MANIFEST], *rows)) + "\n"
            spelled = "manifest.csv" if field == "20209" else "manifest.cvs"  # both are found in real archives
            pack(root / f"{eid}_{field}_{instance}_0.zip", {spelled: table.encode(), **files})


def _field(view: View, contrast: Contrast) -> str | None:
    if contrast is Contrast.CINE:
        return "20209" if view is View.SAX else "20208"
    return "20211" if (view, contrast) == (View.SAX, Contrast.TAGGED) else None


def _words(view: View, contrast: Contrast, z: int) -> str:
    if contrast is Contrast.TAGGED:
        return f"cine_tagging_3sl_SAX_b{z + 1}s"
    return f"CINE_segmented_SAX_b{z + 1}" if view is View.SAX else f"CINE_segmented_{view.name}h"


def _encoded(ds: Any, eid: int) -> bytes:
    from cinecmr.phantom.dicom_files import encode

    ds.PatientID = str(eid)
    return encode(ds)
