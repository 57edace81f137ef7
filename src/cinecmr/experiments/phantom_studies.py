"""Synthetic studies through the whole chain, DICOM to numbers, against their true volumes.

The truth comes from the heart's geometry, not from voxels; choose seeds that no training used.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cinecmr.errors import RefusedInput
from cinecmr.evaluate.agreement import Agreement, agreement
from cinecmr.experiments import provenance, small_studies
from cinecmr.experiments.slice_confidence import slices
from cinecmr.io.files import write_text
from cinecmr.phantom.cohort import MEASURED, Cohort, read_truth, subject_name
from cinecmr.phantom.cohort import write as write_cohort
from cinecmr.study import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cinecmr.analyze.models import Model
    from cinecmr.analyze.pipeline import Segmenter
    from cinecmr.study import Findings

UNITS = {name: "%" if name.endswith("EF") else "g" if name == "LVM" else "ml" for name in MEASURED}


@dataclass(frozen=True)
class Row:
    """One study: what was found, what is true, and why a number is absent.

    Attributes:
        subject: name.
        disease: of the phantom.
        found: by name, in the unit of `UNITS`; withheld ones are absent.
        truth: the same.
        flags: codes of flags that are more than notes, or of the refusal.
        seconds: to read and measure.
        slices: of small studies, of each slice at ED and ES the Dice that the model expects, and the true one.
    """

    subject: str
    disease: str | None
    found: dict[str, float]
    truth: dict[str, float]
    flags: list[str]
    seconds: float
    slices: list[tuple[float, float]] = field(default_factory=list)


def run(
    out: Path,
    subjects: int,
    seed: int,
    model_name: str,
    device: str,
    workers: int = 1,
    progress: Callable[[float], None] | None = None,
    *,
    small: bool = False,
) -> Iterator[str]:
    """Write, read, measure and compare; the lines for the terminal come as they are ready.

    Args:
        out: gets studies/ (DICOM and truth), evaluation.json and evaluation.md.
        subjects: how many.
        seed: of the first.
        model_name: see `cinecmr models`.
        device: where the model runs.
        workers: processes that make the studies.
        progress: told the share of studies made.
        small: no files, and little of each, see `small_studies`.

    Raises:
        RefusedInput: every study was refused.
    """
    from cinecmr.analyze import models

    started = time.perf_counter()
    if not small:
        write_cohort(out / "studies", Cohort(subjects, seed), workers=workers, progress=progress)
    model = small_studies.model_of(model_name, device) if small else models.load(model_name, device)
    yield _heading()
    rows = []
    for one in range(seed, seed + subjects):
        rows.append(measure_small(one, model) if small else measure(out / "studies" / subject_name(one), model))
        yield _line(rows[-1])
    results = compare(rows)
    about = provenance.about(
        started, "torch", "pydicom", device_name=device, model=model.source, seed=seed, subjects=subjects
    )
    if small:
        about["studies"] = small_studies.WORDS
    write_text(out / "evaluation.json", _json(about, results, rows))
    write_text(out / "evaluation.md", _markdown(about, results))
    yield ""
    yield from _markdown(about, results).splitlines()


def measure(folder: Path, model: Segmenter) -> Row:
    """Read and measure one written subject; a refusal is a result, not an end."""
    from cinecmr import io
    from cinecmr.analyze.pipeline import analyze

    truth = read_truth(folder)
    if truth is None:
        raise FileNotFoundError(f"{folder} holds no finished synthetic subject")
    row = Row(truth["subject"], truth["disease"], {}, truth["measurements"], [], 0.0)
    return _told(row, lambda: analyze(io.read(folder / "dicom"), model))[0]


def measure_small(seed: int, model: Model) -> Row:
    """Make and measure one study in memory, and look at every slice that was read."""
    from cinecmr.analyze.pipeline import analyze

    study, truth, frames = small_studies.make(seed)
    true = {name: truth.measurements[name].value for name in MEASURED}
    row = Row(study.subject, study.provenance["disease"], {}, true, [], 0.0)
    row, found = _told(row, lambda: analyze(study, small_studies.Sparing(model, frames)))
    if found is None:
        return row
    return replace(row, slices=[(one.expected, one.true) for one in slices(study.subject, found, truth)])


def _told(row: Row, ask: Callable[[], Findings]) -> tuple[Row, Findings | None]:
    """The row with what was found, or why nothing was."""
    started = time.perf_counter()
    try:
        found = ask()
    except RefusedInput as refusal:
        return replace(row, flags=[refusal.code], seconds=time.perf_counter() - started), None
    values = {name: found.measurements[name].value for name in MEASURED if name in found.measurements}
    flags = sorted({flag.code for flag in found.flags if flag.severity is not Severity.NOTE})
    return replace(row, found=values, flags=flags, seconds=time.perf_counter() - started), found


def compare(rows: list[Row]) -> dict[str, Agreement]:
    """Agreement of each measurement over the studies.

    Raises:
        RefusedInput: every study was refused, so there is nothing to compare.
    """
    if not any(row.found for row in rows):
        reasons = ", ".join(sorted({code for row in rows for code in row.flags}))
        raise RefusedInput("nothing-measured", f"no study could be measured: {reasons}")
    return {
        name: agreement([row.found.get(name) for row in rows], [row.truth[name] for row in rows])
        for name in MEASURED
        if any(name in row.found for row in rows) and all(name in row.truth for row in rows)
    }


def _heading() -> str:
    return f"{'subject':<14}{'disease':<13}" + "".join(
        f"{name:>15}" for name in ("LVEDV", "LVESV", "LVEF", "RVEF", "LVM")
    )


def _line(row: Row) -> str:
    """Found and true side by side, whole numbers."""
    cells = []
    for name in ("LVEDV", "LVESV", "LVEF", "RVEF", "LVM"):
        found = f"{row.found[name]:.0f}" if name in row.found else "-"
        cells.append(f"{found:>7} /{row.truth[name]:6.0f}")
    return f"{row.subject:<14}{row.disease or '':<13}{''.join(cells)}  {' '.join(row.flags)}"


def _json(about: dict[str, str], results: dict[str, Agreement], rows: list[Row]) -> str:
    whole: dict[str, Any] = {
        "about": about,
        "units": UNITS,
        "agreement": {name: asdict(result) for name, result in results.items()},
        "studies": [asdict(row) for row in rows],
    }
    return provenance.as_json(whole)


def _markdown(about: dict[str, str], results: dict[str, Agreement]) -> str:
    lines = [
        "# Synthetic studies: measured against true",
        "",
        *provenance.as_lines(about),
        "| | mean absolute error | of the true value | bias | limits of agreement | worst | n | withheld |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, r in results.items():
        unit = UNITS[name]
        share = "" if unit == "%" else f"{r.relative_error:.1f} %"
        limits = f"{r.limits[0]:+.1f} to {r.limits[1]:+.1f}"
        lines.append(
            f"| {name} | {r.abs_error:.2f} {unit} | {share} | {r.bias:+.2f} | {limits} | {r.worst:.1f} | {r.n} | "
            f"{r.missing} |"
        )
    return "\n".join(lines) + "\n"
