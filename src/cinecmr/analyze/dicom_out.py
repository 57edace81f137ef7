"""Findings of a DICOM study as DICOM objects beside the report: a SEG for each phase, and one SR.

They lie in the folder `dicom`. What an earlier run left there is removed, so that no object can contradict the report.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cinecmr
from cinecmr.analyze.run import PHANTOM
from cinecmr.anatomy import Contrast, View
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_text

if TYPE_CHECKING:
    from cinecmr.io.dicom_source import DicomSource
    from cinecmr.study import Findings, Study

FOLDER, REPORT, SOURCE = "dicom", "sr.dcm", "source.json"
OURS = re.compile(r"sr\.dcm|source\.json|seg_frame_\d{3}\.dcm")
CORRECTED = "corrected by a reader"
BY_HAND = ("given-labels", CORRECTED)  # in the source of labels that a person drew or corrected


def refuse_synthetic(path: str, *, asked: bool) -> None:
    """Before a heart is made of which no object could be written.

    Raises:
        RefusedInput: objects were asked for, and the study is the word `phantom`.
    """
    if asked and path == PHANTOM:
        raise _no_source()


def _no_source() -> RefusedInput:
    return RefusedInput(
        "no-dicom-source",
        "--dicom writes SEG and SR that refer to the pictures they were made of, and this study was not read from "
        "DICOM files; give the DICOM folder, or leave --dicom out",
    )


def prepare(
    path: str, study: Study, *, keep_id: bool = False, sax: str | None = None, rr_ms: float | None = None
) -> DicomSource:
    """What objects of a study will refer to, found before an hour is spent on measuring it.

    Args:
        path: what was read.
        study: as read.
        keep_id: name the person as the source does, as an archive needs it to file the objects; else by a hash.
        sax: as it was read with.
        rr_ms: as it was read with.

    Raises:
        RefusedInput: the study is not DICOM, lacks identifiers, or highdicom is not installed.
    """
    if study.provenance.get("format") != "DICOM" or View.SAX not in study:
        raise _no_source()
    from cinecmr.io.dicom_seg import highdicom
    from cinecmr.io.dicom_source import dicom_source

    highdicom()
    return dicom_source(Path(path), study[View.SAX], keep_id=keep_id, sax=sax, rr_ms=rr_ms)


def write(out: Path, found: Findings, source: DicomSource, *, every_frame: bool = False) -> list[Path]:
    """Write a SEG for each phase and one SR.

    Args:
        out: folder of the report.
        found: what was measured.
        source: see `cinecmr.io.dicom_source`; kept beside the objects, so that corrected labels can be written again.
        every_frame: a SEG for each frame, not only those of ED and ES.

    Returns:
        The files, the SR last.

    Raises:
        RefusedInput: highdicom is not installed.
        OSError: the folder cannot be written to.
    """
    from cinecmr.io.dicom_seg import Maker, highdicom, write_seg
    from cinecmr.io.dicom_sr import write_sr

    series = str(highdicom().UID())
    remove(out)
    labels = found.labels[View.SAX, Contrast.CINE]
    who = _maker(found)
    maker = Maker(who, cinecmr.__version__, automatic=not any(word in who for word in BY_HAND))
    titles = _titles(found.cycle)
    frames = range(labels.shape[3]) if every_frame else sorted(titles)
    written, segs = [], dict[int, Any]()
    for frame in frames:
        path = out / FOLDER / f"seg_frame_{frame:03d}.dcm"
        title = titles.get(frame, "between the phases")
        segs[frame] = write_seg(path, labels[..., frame], source, frame, title, maker, series)
        written.append(path)
    write_text(out / FOLDER / SOURCE, source.model_dump_json() + "\n")
    write_sr(out / FOLDER / REPORT, found.measurements, found.flags, source, segs, maker)
    return [*written, out / FOLDER / REPORT]


def write_or_remove(out: Path, found: Findings, source: DicomSource | None, *, every_frame: bool = False) -> list[Path]:
    """As `write`; without a source, objects of an earlier run are removed, for they may contradict this one."""
    if source is None:
        remove(out)
        return []
    return write(out, found, source, every_frame=every_frame)


def write_again(out: Path, found: Findings) -> list[Path]:
    """Write the objects of a folder again, of findings that changed; nothing where there are none.

    Raises:
        RefusedInput: what was kept of their source is damaged (`no-dicom-source`).
    """
    from pydantic import ValidationError

    from cinecmr.io.dicom_source import DicomSource

    kept = out / FOLDER / SOURCE
    if not kept.is_file():
        return []
    try:
        source = DicomSource.model_validate_json(kept.read_bytes())
    except ValidationError as error:
        raise RefusedInput("no-dicom-source", f"{kept} is damaged: analyse the study again with --dicom") from error
    count = len(list((out / FOLDER).glob("seg_frame_*.dcm")))
    frames = found.labels[View.SAX, Contrast.CINE].shape[3]
    return write(out, found, source, every_frame=count == frames)


def remove(out: Path) -> None:
    """Remove the objects of an earlier run, and nothing else that lies there."""
    folder = out / FOLDER
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if OURS.fullmatch(path.name):
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def _maker(found: Findings) -> str:
    first = next(iter(found.measurements.values()), None)
    return "nothing measured" if first is None else first.source.removeprefix("labels of ")


def _titles(cycle: Any) -> dict[int, str]:
    """Frame index to the phases it is, in words.

    >>> _titles({"LV_ED": 0, "LV_ES": 9, "RV_ED": 0, "RV_ES": 10})
    {0: 'LV and RV ED', 9: 'LV ES', 10: 'RV ES'}
    """
    sides: dict[tuple[int, str], list[str]] = {}
    for name, frame in cycle.items():
        side, phase = name.split("_")
        sides.setdefault((frame, phase), []).append(side)
    told: dict[int, list[str]] = {}
    for (frame, phase), names in sides.items():
        told.setdefault(frame, []).append(f"{' and '.join(names)} {phase}")
    return {frame: ", ".join(words) for frame, words in told.items()}
