"""Synthetic subjects as the cases of a layout: its diseases, its parts, its images."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cinecmr.anatomy import Contrast, View
from cinecmr.datasets._case import Case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cinecmr.anatomy import Disease
    from cinecmr.datasets._case import Layout
    from cinecmr.study import Findings, Study

PAIRED = "test_retest_100"  # the one part whose people are scanned twice
TRAIN, VAL = 0.6, 0.8  # up to which share of the subjects a part goes


def phantom_cases(
    layout: Layout,
    subjects: int,
    seed: int,
    *,
    frames: int = 25,
    matrix: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Case]:
    """Synthetic subjects, made when they are read.

    Args:
        layout: whose groups they have in turn, and whose parts they are spread over, 60/20/20 where there are three.
        subjects: how many people; where the layout holds repeated visits, each has two.
        seed: subject n has seed + n.
        frames: of a beat.
        matrix: pixels a side of the short axis; the scanner's when None.
        progress: told the share that was asked for.
    """
    diseases: list[Disease | None] = [*layout.GROUPS.values()] or [None]
    visits = 2 if PAIRED in layout.SPLITS else 1
    for number in range(subjects):
        disease = diseases[number % len(diseases)]
        for visit in range(visits):
            yield Case(
                f"phantom{seed + number:05d}" + (f"-{visit + 1}" if visits > 1 else ""),
                partial(_make, layout, seed + number, disease, frames, matrix, visit),
                part_of(layout, (number + 0.5) / subjects),
                disease=disease,
                person=f"phantom{seed + number:05d}",
            )
        if progress is not None:
            progress((number + 1) / subjects)


def part_of(layout: Layout, share: float) -> str:
    """Part of a subject by its place among all, 0 to 1."""
    if PAIRED in layout.SPLITS:
        return PAIRED
    if "train" not in layout.SPLITS:
        return layout.SPLITS[0]
    wanted = "train" if share < TRAIN else "val" if share < VAL else "test"
    return wanted if wanted in layout.SPLITS else "train"


def _make(
    layout: Layout, seed: int, disease: Disease | None, frames: int, matrix: int | None, visit: int
) -> tuple[Study, Findings]:
    """A study with the images of the layout. A second visit is the same heart, planned and imaged anew."""
    from cinecmr.phantom.study import synthetic_study

    held = {contrast for _, contrast in layout.IMAGES} | {Contrast.CINE}
    return synthetic_study(
        seed,
        disease,
        frames=frames,
        long_axis=any(view is not View.SAX for view, _ in layout.IMAGES),
        rescan=visit,
        matrix=(matrix, matrix) if matrix else None,
        contrasts=tuple(contrast for contrast in Contrast if contrast in held),
    )
