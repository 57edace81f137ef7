"""The page docs/reference/datasets.md: what each layout is, keeps and loses, and the tree that `write` makes of it."""

from __future__ import annotations

import sys
import tempfile
import textwrap
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cinecmr.anatomy import Contrast, Disease
from cinecmr.datasets import Case, dataset, names, run
from cinecmr.datasets._cohort import PAIRED
from cinecmr.io.files import write_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cinecmr.study import Findings, Study

WIDTH = 120
INTRODUCTION = """\
# Data sets

`cinecmr datasets` lists them, with licence and where to ask for them; nothing is downloaded by this package.
`cinecmr datasets check FOLDER` finds out which one a folder holds and says what is wrong with it, by file.
`cinecmr datasets write NAME --out DIR --subjects N` writes synthetic hearts in the same layout, so that everything that
reads a public data set can be tried, tested and timed without it. `--workers` shares the work among processes, and a
stopped run goes on when it is started again.

In Python, `dataset("acdc").cases(folder, "train")` gives the visits of one part; each is read when its `study` (the
images) or `truth` (labels, volumes, landmarks, what the experts say) is asked for. Label codes, frame numbers and units
of the data set are turned into this package's at that border. Labels of frames that nobody drew are 255.

Licences stand here as reminders; what the owners of the data say when you obtain them decides.

What a layout keeps of a synthetic study is tested: written and read back, images and labels are equal voxel by voxel
(`tests/contracts/test_datasets.py`). Seen from the other side, this tells what each public data set cannot teach.

A new data set is one file: [how to add one](../howto/add_a_dataset.md).

This page is written by `python -m cinecmr.datasets.page docs/reference/datasets.md`; the trees are those of cohorts
that it writes, one or two people each, with `...` for further files of the same kind.
"""


def section(name: str, tree: list[str]) -> str:
    """The part of one data set."""
    layout = dataset(name)
    facts = {
        "Licence": layout.LICENCE,
        "Obtain": layout.OBTAIN,
        "Recognised by": layout.WANTED,
        "Keeps": layout.KEEPS,
        "Cannot hold": layout.LOSES,
        "Groups": ", ".join(f"{word} ({disease.value})" for word, disease in layout.GROUPS.items()) or "none",
    }
    lines = [f"## {name}", "", layout.TITLE, ""]
    for what, words in facts.items():
        lines += textwrap.wrap(f"- **{what}:** {words}", WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join([*lines, "", "```", *tree, "```", ""])


def page(trees: dict[str, list[str]]) -> str:
    """The whole page, from the tree of each data set."""
    return "\n".join([INTRODUCTION, *(section(name, trees[name]) for name in names())])


def example(name: str, visits: Sequence[tuple[Study, Findings]]) -> list[Case]:
    """Two visits as cases of a layout: the first with a disease and to train with, the second to test with.

    Where a layout holds repeated visits, the two are of one person.
    """
    layout = dataset(name)
    known = list(layout.GROUPS.values()) or [Disease.INFARCT, Disease.NORMAL]
    ill = Disease.INFARCT if Disease.INFARCT in known else known[-1]
    diseases = (ill, Disease.NORMAL if Disease.NORMAL in known else ill)
    paired = PAIRED in layout.SPLITS
    return [
        Case(f"heart{n}", partial(_both, visit), PAIRED if paired else part, disease=disease, person="one" * paired)
        for n, (visit, part, disease) in enumerate(zip(visits, ("train", "test"), diseases, strict=True))
    ]


def _both(visit: tuple[Study, Findings]) -> tuple[Study, Findings]:
    return visit


def example_visits() -> list[tuple[Study, Findings]]:
    """Two small hearts with every image that a layout holds; the first has an infarct."""
    from cinecmr.phantom.study import synthetic_study

    kinds = (Disease.INFARCT, Disease.NORMAL)
    return [
        synthetic_study(seed, kind, frames=8, matrix=(36, 32), contrasts=tuple(Contrast))
        for seed, kind in enumerate(kinds, 1)
    ]


def main(path: Path) -> None:
    """Write small cohorts somewhere, and the page to `path`."""
    trees, visits = {}, example_visits()
    with tempfile.TemporaryDirectory() as place:
        for name in names():
            dataset(name).write(Path(place) / name, example(name, visits))
            trees[name] = run.tree(Path(place) / name)
    write_text(path, page(trees))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
