"""Synthetic subjects as the cases of a layout: its diseases, its parts, its images; made by many processes.

A study is made once and kept until the whole cohort is written, so a stopped run goes on where it was.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cinecmr.anatomy import Contrast, View
from cinecmr.datasets._case import Case
from cinecmr.datasets._store import keep, kept
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_text
from cinecmr.phantom.cohort import UNFINISHED, as_finished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from cinecmr.anatomy import Disease
    from cinecmr.datasets._case import Layout
    from cinecmr.study import Findings, Study

    Images = tuple[tuple[View, Contrast], ...]

PAIRED = "test_retest_100"  # the one part whose people are scanned twice
TRAIN, VAL = 0.6, 0.8  # up to which share of the subjects a part goes


def phantom_cases(
    layout: Layout, subjects: int, seed: int, *, frames: int = 25, matrix: int | None = None
) -> Iterator[Case]:
    """Synthetic subjects, made when they are read.

    Args:
        layout: whose groups they have in turn, and whose parts they are spread over, 60/20/20 where there are three.
        subjects: how many people; where the layout holds repeated visits, each has two.
        seed: subject n has seed + n.
        frames: of a beat.
        matrix: pixels a side of the short axis; the scanner's when None.
    """
    diseases: list[Disease | None] = [*layout.GROUPS.values()] or [None]
    visits = 2 if PAIRED in layout.SPLITS else 1
    for number in range(subjects):
        disease = diseases[number % len(diseases)]
        for visit in range(visits):
            yield Case(
                f"phantom{seed + number:05d}" + (f"-{visit + 1}" if visits > 1 else ""),
                partial(_make, layout.IMAGES, seed + number, disease, frames, matrix, visit),
                part_of(layout, (number + 0.5) / subjects),
                disease=disease,
                person=f"phantom{seed + number:05d}",
            )


def part_of(layout: Layout, share: float) -> str:
    """Part of a subject by its place among all, 0 to 1."""
    if PAIRED in layout.SPLITS:
        return PAIRED
    if "train" not in layout.SPLITS:
        return layout.SPLITS[0]
    wanted = "train" if share < TRAIN else "val" if share < VAL else "test"
    return wanted if wanted in layout.SPLITS else "train"


def _make(
    images: Images, seed: int, disease: Disease | None, frames: int, matrix: int | None, visit: int
) -> tuple[Study, Findings]:
    """A study with the images of the layout. A second visit is the same heart, planned and imaged anew."""
    from cinecmr.phantom.study import synthetic_study

    held = {contrast for _, contrast in images} | {Contrast.CINE}
    return synthetic_study(
        seed,
        disease,
        frames=frames,
        long_axis=any(view is not View.SAX for view, _ in images),
        rescan=visit,
        matrix=(matrix, matrix) if matrix else None,
        contrasts=tuple(contrast for contrast in Contrast if contrast in held),
    )


@dataclass(frozen=True)
class Begun:
    """The folder of a cohort that is being written; what is not the cohort's yet lies in `unfinished` within it.

    Attributes:
        out: the folder.
        recipe: all that the cohort depends on.
    """

    out: Path
    recipe: Mapping[str, Any]

    @property
    def place(self) -> Path:
        """`made/` holds studies, `writing/` the cohort until it is `whole/`, and then its entries move up."""
        return self.out / UNFINISHED

    def claim(self) -> None:
        """Make the folder ours, or go on with it.

        Raises:
            RefusedInput: it holds something that no stopped run with this recipe has left there (`not-empty`).
        """
        note = self.place / "recipe.json"
        ours = note.is_file() and json.loads(note.read_text("utf-8")) == json.loads(json.dumps(self.recipe))
        others = [entry for entry in self.out.iterdir() if entry != self.place] if self.out.exists() else []
        foreign = self.place.exists() and not note.is_file()
        if foreign or (others and not (ours and (self.place / "whole").exists())):
            raise RefusedInput("not-empty", f"{self.out} is not empty; a cohort is written into a folder of its own")
        if not ours:
            shutil.rmtree(self.place, ignore_errors=True)
            write_text(note, json.dumps(self.recipe, indent=1) + "\n")

    def made(self, cases: Iterable[Case], workers: int, progress: Callable[[float], None] | None) -> list[Case]:
        """The cases, each study made and kept."""
        cases = list(cases)
        paths = [self.place / "made" / f"{case.subject}.npz" for case in cases]
        missing = [(path, case.load) for path, case in zip(paths, cases, strict=True) if not path.is_file()]
        for done, _ in enumerate(as_finished(_keep, missing, workers), len(cases) - len(missing) + 1):
            if progress is not None:
                progress(done / (len(cases) + 1))  # the writing counts as one more
        return [replace(case, load=partial(kept, path)) for case, path in zip(cases, paths, strict=True)]

    def written(self, layout: Layout, cases: Callable[[], list[Case]]) -> list[str]:
        """Names of the visits, written in a layout from the cases unless that is done already."""
        whole, names = self.place / "whole", self.place / "names.json"
        if not whole.exists():
            shutil.rmtree(self.place / "writing", ignore_errors=True)
            write_text(names, json.dumps(layout.write(self.place / "writing", cases())))
            (self.place / "writing").rename(whole)
        given: list[str] = json.loads(names.read_text("utf-8"))
        for entry in sorted(whole.iterdir()):
            entry.rename(self.out / entry.name)
        shutil.rmtree(self.place)
        return given


def _keep(job: tuple[Path, Callable[[], tuple[Study, Findings]]]) -> None:
    path, load = job
    keep(path, *load())
