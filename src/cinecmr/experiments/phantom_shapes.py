"""Shapes of synthetic hearts beside those of real ones, group by group: is the phantom's anatomy true?

Only label maps are made, nothing is imaged. The synthetic ones are written too, in ACDC's layout, so that any other
script can be run on both folders.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.datasets import acdc, label_maps
from cinecmr.errors import RefusedInput
from cinecmr.evaluate.shapes import describe_beat
from cinecmr.experiments import provenance
from cinecmr.io.files import write_text
from cinecmr.phantom.cohort import subject_name
from cinecmr.phantom.population import draw_heart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.anatomy import Disease
    from cinecmr.phantom.heart import Heart

PIXEL_MM, PIXELS = 1.5, 140
CORNER_MM = (-90.0, -100.0)  # of the grid, heart coordinates: the right ventricle reaches far along x
SPACINGS_MM = (10.0, 10.0, 10.0, 5.0)  # drawn evenly, as in ACDC: a quarter are thin
TIP = 0.02  # no slice lies in this lowest share of the long axis, where readers see no cavity
RESAMPLES = 400
TOLERANCE = 0.5  # interquartile ranges a synthetic median may lie from the real one

Shapes = dict[tuple[str, "Disease"], list[dict[str, float]]]


@dataclass(frozen=True)
class Cell:
    """One figure of one group in one phase.

    Attributes:
        phase, group, figure: which; figures are explained in `evaluate.shapes.describe`.
        real: median. real_iqr: interquartile range. real_n: hearts.
        synthetic, synthetic_n: the same of the phantom.
        difference: synthetic minus real median, in real interquartile ranges; infinite where those are 0.
        within: whether that is at most half.
        chance: how probable `within` would be were the synthetic hearts drawn from the real ones: medians of a dozen
            hearts differ by chance alone.
    """

    phase: str
    group: str
    figure: str
    real: float
    real_iqr: float
    real_n: int
    synthetic: float
    synthetic_n: int
    difference: float
    within: bool
    chance: float


def run(
    real: Path, out: Path, subjects: int, seed: int, progress: Callable[[float], None] | None = None
) -> Iterator[str]:
    """Draw, write, describe and compare; the lines for the terminal.

    Args:
        real: label maps, see `datasets.label_maps.cases`; every subject needs a group.
        out: gets labels/, shapes.json and shapes.md.
        subjects: synthetic hearts; diseases in the real folder's mix.
        seed: of the first; heart n is that of `cinecmr phantom --seed SEED+n` with the same disease.
        progress: told the share of hearts made.

    Raises:
        RefusedInput: no label maps, or a subject without a group.
    """
    started = time.perf_counter()
    cases = label_maps.cases(real)
    for number, disease in enumerate(mix(cases, subjects)):
        write_heart(out / "labels", seed + number, disease)
        if progress:
            progress((number + 1) / subjects)
    made = {subject_name(seed + number) for number in range(subjects)}
    synthetic = [case for case in label_maps.cases(out / "labels") if case.subject in made]
    cells = compare(shapes(cases), shapes(synthetic))
    about = provenance.about(started, seed=seed, synthetic_hearts=subjects, real_hearts=len(cases))
    count = {
        "within": sum(cell.within for cell in cells),
        "within_by_chance": sum(cell.chance for cell in cells),
        "cells": len(cells),
    }
    content = {"about": about, "count": count, "cells": [asdict(cell) for cell in cells]}
    write_text(out / "shapes.json", provenance.as_json(content))
    page = _markdown(about, cells)
    write_text(out / "shapes.md", "\n".join(page) + "\n")
    yield from page


def mix(cases: list[label_maps.Case], subjects: int) -> list[Disease]:
    """Diseases of `subjects` hearts, group by group, in the proportions of the cases.

    Raises:
        RefusedInput: a case without a group.
    """
    lost = [case.subject for case in cases if case.disease is None]
    if lost:
        raise RefusedInput(
            "no-group", f"no group is known for {', '.join(lost[:5])}: put an Info.cfg with `Group: DCM` beside"
        )
    order = list(acdc.GROUPS.values())
    groups = sorted((case.disease for case in cases if case.disease), key=order.index)
    return [groups[number * len(groups) // subjects] for number in range(subjects)]


def write_heart(folder: Path, seed: int, disease: Disease) -> None:
    """Draw one heart, cut it into slices at both phases as a technologist would, and write the label maps."""
    rng = np.random.default_rng((7, seed))  # the stream of `phantom.study`: the same heart
    heart = draw_heart(rng, disease)
    spacing = float(rng.choice(SPACINGS_MM))
    heights = np.arange(heart.lv.length - rng.uniform(0, 1) * spacing, TIP * heart.lv.length, -spacing)
    phases = {"ED": 0.0, "ES": heart.beat.systole}
    labels = {phase: reader_stack(heart, moment, heights) for phase, moment in phases.items()}
    affine = np.diag([PIXEL_MM, PIXEL_MM, -spacing, 1.0])
    affine[:3, 3] = *CORNER_MM, heights[0]
    label_maps.write_labels(folder, subject_name(seed), disease, labels, affine)


def reader_stack(heart: Heart, moment: float, heights: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(x, y, z) labels as a reader draws them on slices at given heights, mm, at a share of the cycle."""
    surfaces = heart.surfaces(moment)
    grid = np.arange(PIXELS) * PIXEL_MM
    x, y = np.meshgrid(grid + CORNER_MM[0], grid + CORNER_MM[1], indexing="ij")
    planes = (np.stack([x, y, np.full_like(x, height)], axis=-1).astype(np.float32) for height in heights)
    return np.stack([heart.reader_labels(plane, surfaces) for plane in planes], axis=-1)


def shapes(cases: Iterable[label_maps.Case]) -> Shapes:
    """The figures of every heart, by phase and group; hearts too short to have thirds give none."""
    found: Shapes = {}
    for case in cases:
        if case.disease is None or set(case.labels) != set(label_maps.PHASES):
            continue
        ed, es = (label_maps.read_labels(case.labels[phase])[0] for phase in label_maps.PHASES)
        for phase, row in zip(label_maps.PHASES, describe_beat(ed, es), strict=True):
            found.setdefault((phase, case.disease), []).append(row)
    return found


def compare(real: Shapes, synthetic: Shapes) -> list[Cell]:
    """One cell for each phase, group and figure that both have."""
    cells = []
    for phase in label_maps.PHASES:
        for name, disease in acdc.GROUPS.items():
            ours, theirs = synthetic.get((phase, disease), []), real.get((phase, disease), [])
            for figure in dict.fromkeys(key for row in theirs for key in row):
                cells += _cell(phase, name, figure, _known(theirs, figure), _known(ours, figure))
    return cells


def _known(rows: list[dict[str, float]], figure: str) -> NDArray[np.float64]:
    values = np.array([row[figure] for row in rows if figure in row], np.float64)
    return np.compress(np.isfinite(values), values)


def _cell(phase: str, group: str, figure: str, real: NDArray[np.float64], made: NDArray[np.float64]) -> list[Cell]:
    if not len(real) or not len(made):
        return []
    low, middle, high = (float(value) for value in np.percentile(real, (25, 50, 75)))
    found = float(np.percentile(made, 50))  # not `median`, which rounds otherwise: equal cohorts must differ by 0
    gap = found - middle
    difference = gap / (high - low) if high > low else float(np.copysign(np.inf, gap)) if gap else 0.0
    within, luck = abs(difference) <= TOLERANCE, chance(real, len(made))
    return [Cell(phase, group, figure, middle, high - low, len(real), found, len(made), difference, within, luck)]


def chance(real: NDArray[np.float64], n: int) -> float:
    """Share of redrawn cohorts (bootstrap, n hearts beside as many as are real) whose medians lie within tolerance."""
    rng = np.random.default_rng(RESAMPLES)
    ours = np.median(rng.choice(real, (RESAMPLES, n)), axis=1)
    low, middle, high = np.percentile(rng.choice(real, (RESAMPLES, len(real))), (25, 50, 75), axis=1)
    return float((np.abs(ours - middle) <= TOLERANCE * (high - low)).mean())


def _markdown(about: dict[str, str], cells: list[Cell]) -> list[str]:
    lines = ["# Shapes of synthetic hearts beside real ones", "", *provenance.as_lines(about)]
    lines += [
        "Each cell: real median (interquartile range), synthetic median, their difference in interquartile ranges;",
        f"bold where it is more than {TOLERANCE}. The figures are explained in `cinecmr.evaluate.shapes.describe`.",
        "",
    ]
    for phase in label_maps.PHASES:
        lines += _table(phase, [cell for cell in cells if cell.phase == phase])
    within = sum(cell.within for cell in cells)
    equal = sum(cell.chance for cell in cells)
    return [
        *lines,
        f"Cohorts of this size drawn from the real hearts themselves would have {equal:.0f} cells within; there are",
        f"{within} of {len(cells)} cells within {TOLERANCE} of an interquartile range",
    ]


def _table(phase: str, cells: list[Cell]) -> list[str]:
    groups = list(dict.fromkeys(cell.group for cell in cells))
    lines = [f"## {phase}", "", f"| | {' | '.join(groups)} |", "|---|" + "---|" * len(groups)]
    for figure in dict.fromkeys(cell.figure for cell in cells):
        row = {cell.group: _text(cell) for cell in cells if cell.figure == figure}
        lines.append(f"| {figure} | {' | '.join(row.get(group, '') for group in groups)} |")
    return [*lines, ""]


def _text(cell: Cell) -> str:
    difference = f"{cell.difference:+.2f}"
    mark = difference if cell.within else f"**{difference}**"
    return f"{cell.real:.2f} ({cell.real_iqr:.2f}) {cell.synthetic:.2f} {mark}"
