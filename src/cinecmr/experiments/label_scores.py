"""Found label maps against true ones, subject by subject: Dice, HD95, ejection fractions, gross failures.

A map that is missing counts as one without labels: nothing improves by leaving out what is hard.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.datasets import label_maps
from cinecmr.errors import RefusedInput
from cinecmr.evaluate.agreement import agreement
from cinecmr.evaluate.overlap import dice, hd95
from cinecmr.experiments import provenance
from cinecmr.io.files import write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

STRUCTURES = (Structure.LV, Structure.MYO, Structure.RV)
CAVITIES = {"LVEF": Structure.LV, "RVEF": Structure.RV}
GROSS = 0.5  # LV Dice under it is a gross failure
PROVENANCE = "provenance.json"  # beside the found maps; `cinecmr segment` writes it
UNKNOWN = "unknown"
Phases = dict[str, tuple["NDArray[np.uint8]", "NDArray[np.uint8]"]]


@dataclass(frozen=True)
class Row:
    """One label map.

    Attributes:
        subject, group, phase: whose and which.
        missing: no map was found.
        dice: by structure, 0 to 1.
        hd95: by structure, mm, infinite where missed; empty where spacing does not count.
    """

    subject: str
    group: str
    phase: str
    missing: bool
    dice: dict[str, float]
    hd95: dict[str, float]


@dataclass(frozen=True)
class Beat:
    """Ejection fractions of one subject, %, from voxel counts: no spacing is needed."""

    subject: str
    group: str
    found: dict[str, float]
    truth: dict[str, float]


def run(
    found: Path, truth: Path, out: Path, *, spacing: bool = True, progress: Callable[[float], None] | None = None
) -> Iterator[str]:
    """Score, write, tell; the lines for the terminal.

    Args:
        found: SUBJECT_ED.nii.gz and SUBJECT_ES.nii.gz.
        truth: see `datasets.label_maps.cases`.
        out: gets labels.json and labels.md.
        spacing: whether the voxel spacing is true; without it nothing in mm is given.
        progress: told the share done.

    Raises:
        RefusedInput: no true maps, no found map at all, or one on another grid.
    """
    started = time.perf_counter()
    cases = label_maps.cases(truth)
    _some_found(found, cases)
    rows: list[Row] = []
    beats: list[Beat] = []
    for number, case in enumerate(cases, 1):
        scored, beat = score(found, case, spacing)
        rows += scored
        beats += beat
        if progress:
            progress(number / len(cases))
    about = provenance.about(started, **_model(found), subjects=len(cases), label_maps=len(rows))
    summaries = {name: summary(some, beating) for name, some, beating in _subsets(rows, beats)}
    content = {
        "about": about,
        "summaries": summaries,
        "rows": [asdict(r) for r in rows],
        "ef": [asdict(b) for b in beats],
    }
    write_text(out / "labels.json", provenance.as_json(content))
    page = _markdown(about, summaries, rows, spacing)
    write_text(out / "labels.md", "\n".join(page) + "\n")
    yield from page


def score(found: Path, case: label_maps.Case, spacing: bool = True) -> tuple[list[Row], list[Beat]]:
    """The maps of one subject, and its beat where truth has both phases.

    Raises:
        RefusedInput: a found map is on another grid than the true one.
    """
    group = case.disease.value if case.disease else UNKNOWN
    rows, phases = [], Phases()
    for phase, path in sorted(case.labels.items()):
        true, affine = label_maps.read_labels(path)
        file = _file(found, case.subject, phase)
        ours = _ours(file, true) if file else np.zeros_like(true)
        phases[phase] = ours, true
        sizes = tuple(np.linalg.norm(affine[:3, :3], axis=0)) if spacing else None
        rows.append(Row(case.subject, group, phase, file is None, *_compare(ours, true, sizes)))
    return rows, [_beat(case.subject, group, phases)] if set(phases) == set(label_maps.PHASES) else []


def ejection_fraction(ed: NDArray[np.uint8], es: NDArray[np.uint8], cavity: Structure) -> float:
    """From voxel counts, %; 0 where nothing was labelled at ED, so that a miss is an error and not a gap."""
    full = int((ed == cavity).sum())
    return 100 * (full - int((es == cavity).sum())) / full if full else 0.0


def summary(rows: Sequence[Row], beats: Sequence[Beat]) -> dict[str, float]:
    """The figures of some label maps.

    Returns:
        `images`, `missing`; per structure mean Dice, `_worst_decile` (mean of the worst tenth, at least one map) and,
        where there are any, `_hd95` (mean over the maps in which it was found or rightly absent) and `_hd95_missed`;
        `gross_failures` (share); per ejection fraction `_abs_error` and `_bias`, percentage points.
    """
    told: dict[str, float] = {"images": len(rows), "missing": sum(row.missing for row in rows)}
    for structure in STRUCTURES:
        name = structure.name
        ordered = np.sort([row.dice[name] for row in rows])
        told[name] = float(ordered.mean())
        told[f"{name}_worst_decile"] = float(ordered[: max(1, len(rows) // 10)].mean())
        distances = np.array([row.hd95[name] for row in rows if name in row.hd95])
        if len(distances):
            reached = distances[np.isfinite(distances)]
            told[f"{name}_hd95"] = float(reached.mean()) if len(reached) else float("nan")
            told[f"{name}_hd95_missed"] = len(distances) - len(reached)
    told["gross_failures"] = float(np.mean([row.dice[Structure.LV.name] < GROSS for row in rows]))
    for name in CAVITIES if beats else ():
        errors = agreement([beat.found[name] for beat in beats], [beat.truth[name] for beat in beats])
        told[f"{name}_abs_error"], told[f"{name}_bias"] = errors.abs_error, errors.bias
    return told


def _file(found: Path, subject: str, phase: str) -> Path | None:
    return next((path for end in (".nii.gz", ".nii") if (path := found / f"{subject}_{phase}{end}").is_file()), None)


def _some_found(found: Path, cases: list[label_maps.Case]) -> None:
    if not any(_file(found, case.subject, phase) for case in cases for phase in case.labels):
        wanted = f"{cases[0].subject}_{next(iter(cases[0].labels))}.nii.gz"
        raise RefusedInput("no-label-maps", f"{found} holds none of the {len(cases)} subjects, such as {wanted}")


def _ours(file: Path, true: NDArray[np.uint8]) -> NDArray[np.uint8]:
    ours, _ = label_maps.read_labels(file)
    if ours.shape != true.shape:
        raise RefusedInput("other-grid", f"{file} has grid {ours.shape}, its truth {true.shape}; segment that image")
    return ours


def _compare(
    ours: NDArray[np.uint8], true: NDArray[np.uint8], sizes: tuple[float, ...] | None
) -> tuple[dict[str, float], dict[str, float]]:
    """Dice and HD95 by structure, on the smallest box that holds all labels: the same figures, sooner."""
    where = np.argwhere((ours > 0) | (true > 0))
    low, high = (where.min(axis=0), where.max(axis=0) + 1) if len(where) else (np.zeros(3, int), np.ones(3, int))
    box = tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))
    ours, true = ours[box], true[box]
    overlap = {structure.name: dice(ours, true, structure) for structure in STRUCTURES}
    return overlap, {s.name: hd95(ours, true, s, sizes) for s in STRUCTURES} if sizes else {}


def _beat(subject: str, group: str, phases: Phases) -> Beat:
    ed, es = phases["ED"], phases["ES"]
    found, truth = (
        {name: ejection_fraction(ed[who], es[who], cavity) for name, cavity in CAVITIES.items()} for who in (0, 1)
    )
    return Beat(subject, group, found, truth)


def _subsets(rows: list[Row], beats: list[Beat]) -> Iterator[tuple[str, list[Row], list[Beat]]]:
    """All, each phase, each group. Phases have no ejection fraction."""
    yield "all", rows, beats
    for phase in label_maps.PHASES:
        if some := [row for row in rows if row.phase == phase]:
            yield phase, some, []
    for group in sorted({row.group for row in rows} - {UNKNOWN}):
        yield group, [row for row in rows if row.group == group], [beat for beat in beats if beat.group == group]


def _model(found: Path) -> dict[str, Any]:
    """Which weights found the maps, where the file beside them says so."""
    beside = found / PROVENANCE
    try:
        told = json.loads(beside.read_text("utf-8"))
    except (OSError, ValueError):
        return {"model": UNKNOWN}
    return {key: told[key] for key in ("model", "weights_sha256") if told.get(key)} or {"model": UNKNOWN}


def _markdown(
    about: dict[str, str], summaries: dict[str, dict[str, float]], rows: list[Row], spacing: bool
) -> list[str]:
    columns = ["images", "missing"]
    for structure in STRUCTURES:
        columns += [structure.name, f"{structure.name}_worst_decile", *([f"{structure.name}_hd95"] * spacing)]
    columns += ["gross_failures", *(f"{name}_abs_error" for name in CAVITIES)]
    lines = ["# Found labels against true ones", "", *provenance.as_lines(about)]
    lines += ["Dice 0 to 1, the worst tenth of the maps beside its mean; HD95 in mm, maps that miss a structure apart;"]
    lines += ["gross failures: share of maps with LV Dice under 0.5; EF errors in percentage points.", ""]
    lines += [f"| | {' | '.join(column.replace('_', ' ') for column in columns)} |", "|---|" + "---|" * len(columns)]
    for name, told in summaries.items():
        lines.append(f"| {name} | {' | '.join(_number(column, told) for column in columns)} |")
    worst = sorted(rows, key=lambda row: sum(row.dice.values()))[:8]
    lines += ["", "Worst maps: " + "; ".join(f"{row.subject} {row.phase} ({_dices(row)})" for row in worst)]
    return lines


def _dices(row: Row) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in row.dice.items())


def _number(column: str, told: dict[str, float]) -> str:
    value = told.get(column)
    if value is None or not np.isfinite(value):
        return ""
    if column in ("images", "missing"):
        return f"{value:.0f}"
    missed = told.get(f"{column}_missed", 0)
    return (
        f"{value:.2f}" + (f" ({missed:.0f} missed)" if missed else "")
        if column.endswith(("hd95", "error"))
        else f"{value:.3f}"
    )
