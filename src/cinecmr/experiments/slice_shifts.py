"""Breath-hold shifts of short-axis slices: what the long-axis views tell of them, beside what is true.

Synthetic studies whose slices were shifted as from one breath-hold to the next. The shifts are told from the labels of
the shipped models, and from the true ones: what is left then is the method's own error.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.experiments import provenance
from cinecmr.io.files import write_text
from cinecmr.measure.crossings import Seen, slice_shifts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.study import Study

    Labels = Mapping[tuple[View, Contrast], NDArray[np.uint8]]

SAX = View.SAX, Contrast.CINE
VIEWS = (View.LAX_2C, View.LAX_3C, View.LAX_4C)
FRAMES = 8


@dataclass(frozen=True)
class Row:
    """One study.

    Attributes:
        subject: name. labels: "model" or "true".
        slices: that show the left ventricle. told: of them.
        true_mm: length of the true shift of each told slice, relative to their median.
        error_mm: between told and true shift of each.
    """

    subject: str
    labels: str
    slices: int
    told: int
    true_mm: list[float]
    error_mm: list[float]


def run(
    out: Path, subjects: int, seed: int, models: tuple[str, str], progress: Callable[[float], None] | None = None
) -> Iterator[str]:
    """Make, label, tell, compare; lines for the terminal.

    Args:
        out: gets shifts.json and shifts.md.
        subjects: how many.
        seed: of the first; choose seeds no training used.
        models: of the short axis and of the long axis, see `cinecmr models`.
        progress: told the share done.
    """
    from cinecmr.analyze import models as shelf
    from cinecmr.analyze.pipeline import analyze
    from cinecmr.phantom.study import synthetic_study

    started = time.perf_counter()
    short, long = (shelf.load(name) for name in models)
    rows = []
    for number in range(subjects):
        study, truth = synthetic_study(seed + number, frames=FRAMES)
        found = analyze(study, short, long_axis=long)
        rows += [compare(study, found.labels, "model"), compare(study, truth.labels, "true")]
        if progress:
            progress((number + 1) / subjects)
    about = provenance.about(
        started, "torch", model=f"{short.source}, {long.source}", seed=seed, subjects=subjects, frames=FRAMES
    )
    write_text(out / "shifts.json", provenance.as_json({"about": about, "rows": [asdict(row) for row in rows]}))
    page = markdown(about, rows)
    write_text(out / "shifts.md", "\n".join(page) + "\n")
    yield from page


def compare(study: Study, labels: Labels, whose: str) -> Row:
    """What is told of one study from some labels; both shifts are taken relative to the median of the told slices."""
    sax = study[View.SAX]
    views = [Seen(study[view], labels[view, Contrast.CINE]) for view in VIEWS if (view, Contrast.CINE) in labels]
    found = slice_shifts(sax, labels[SAX], views)
    known = np.isfinite(found).all(axis=1)
    shown = int((labels[SAX] == Structure.LV).any(axis=(0, 1, 3)).sum())
    if not known.any() or sax.slice_shift_mm is None:
        return Row(study.subject, whose, shown, 0, [], [])
    true, told = (shifts[known] - np.median(shifts[known], axis=0) for shifts in (sax.slice_shift_mm, found))
    lengths = [np.linalg.norm(one, axis=1).round(3).tolist() for one in (true, told - true)]
    return Row(study.subject, whose, shown, int(known.sum()), *lengths)


def markdown(about: dict[str, str], rows: list[Row]) -> list[str]:
    """The page."""
    lines = [
        "# Breath-hold shifts of slices, told and true",
        "",
        *provenance.as_lines(about),
        "Synthetic studies. Lengths in the slice's plane, mm, root of the mean square over slices.",
        "",
        "| labels | slices with a left ventricle | told | true shift | error | worst error | errors of 3 mm or more |",
        "|---|---|---|---|---|---|---|",
    ]
    for whose in ("model", "true"):
        mine = [row for row in rows if row.labels == whose]
        true, error = (np.array([v for row in mine for v in getattr(row, name)]) for name in ("true_mm", "error_mm"))
        if not error.size:
            continue
        lines.append(
            f"| {whose} | {sum(row.slices for row in mine)} | {error.size} | {_rms(true):.2f} | {_rms(error):.2f} | "
            f"{error.max():.2f} | {int((error >= 3).sum())} |"
        )
    return lines


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))
