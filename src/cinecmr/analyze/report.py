"""Findings to files: findings.json, measurements.csv, labels_sax.nii.gz, report.html and, where asked, report.pdf.

All come from one `FindingsFile`, so they cannot disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cinecmr.analyze import motion
from cinecmr.analyze import pdf as sheet
from cinecmr.analyze.page import render
from cinecmr.analyze.schema import to_file_model
from cinecmr.anatomy import Contrast, View
from cinecmr.io import files
from cinecmr.io.tables import csv_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cinecmr.analyze.motion import Tracked
    from cinecmr.analyze.schema import FindingsFile
    from cinecmr.study import Findings, Study

CSV_COLUMNS = ("name", "value", "unit", "low", "high", "method", "frame", "source")


def write_outputs(
    out: Path,
    study: Study,
    found: Findings,
    *,
    provenance: Mapping[str, str],
    truth: Findings | None = None,
    strain: Tracked | None = None,
    pdf: bool | None = None,
) -> list[Path]:
    """Write everything that one run found.

    Args:
        out: folder, made where missing; files of an earlier run in it are replaced, each in one step.
        study: what was read.
        found: what was measured.
        provenance: see `schema.to_file_model`.
        truth: findings of the phantom for the same study, shown beside those of `found`.
        strain: of the motion of `found`; its own files, see `motion.write`, come first. None removes old ones.
        pdf: also write report.pdf, or remove one; None writes it again where there is one.

    Returns:
        The files written, report.html last.

    Raises:
        OSError: the folder cannot be written to.
        RefusedInput: the PDF is asked for and cannot be made, see `pdf.library`.
        pydantic.ValidationError: a measurement is not finite.
    """
    if strain is None:
        motion.remove(out)
    written = [] if strain is None else motion.write(out, strain)
    written += write_numbers(out, study, found, provenance=provenance, truth=truth)
    page = write_page(out, study, found, provenance=provenance, truth=truth, strain=strain, pdf=pdf)
    return [*written, *([out / sheet.NAME] if pdf else []), page]


def write_numbers(
    out: Path, study: Study, found: Findings, *, provenance: Mapping[str, str], truth: Findings | None = None
) -> list[Path]:
    """Write findings.json, measurements.csv and the label map of each view, `labels_path`; see `write_outputs`."""
    file = to_file_model(study, found, provenance=provenance, truth=truth)
    written = [out / "findings.json", out / "measurements.csv"]
    files.write_text(written[0], file.to_json())
    files.write_text(written[1], measurements_csv(file))
    return written + [path for view in View if (path := _write_labels(out, view, study, found)) is not None]


def labels_path(out: Path, view: View) -> Path:
    """Where the label map of a view's cine lies."""
    return out / f"labels_{view.value}.nii.gz"


def _write_labels(out: Path, view: View, study: Study, found: Findings) -> Path | None:
    """The label map of a view; without one an older map goes: beside a new refusal it would be believed."""
    from cinecmr.io import nifti

    path, labels = labels_path(out, view), found.labels.get((view, Contrast.CINE))
    if labels is None or view not in study:
        path.unlink(missing_ok=True)
        return None
    nifti.write_labels(path, labels, study[view].affine, study[view].times)
    return path


def write_page(
    out: Path,
    study: Study,
    found: Findings,
    *,
    provenance: Mapping[str, str],
    truth: Findings | None = None,
    strain: Tracked | None = None,
    pdf: bool | None = None,
) -> Path:
    """Write report.html, and report.pdf where it is wanted; see `write_outputs`."""
    file = to_file_model(study, found, provenance=provenance, truth=truth)
    files.write_text(out / "report.html", render(file, study, found, truth, strain))
    sheet.settle(out, pdf, file, study, found, truth)
    return out / "report.html"


def measurements_csv(file: FindingsFile) -> str:
    """One row a measurement; `low` and `high` are its 90 % interval.

    Text that a spreadsheet would run as a formula is led by an apostrophe.
    """
    rows = []
    for name, m in file.measurements.items():
        low, high = m.interval or ("", "")
        frame = "" if m.frame is None else m.frame
        rows.append((name, round(m.value, 6), m.unit, low, high, m.method, frame, m.source))
    return csv_text(CSV_COLUMNS, rows)
