"""What a table of a paper is: which trainings, on what, told by which figures, and what was printed.

No torch: tables can be listed, and printed ones read, without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cinecmr.anatomy import Contrast, Structure, View

if TYPE_CHECKING:
    from collections.abc import Mapping

MEAN, CV, AUC, F1_MACRO, MCC = "mean", "cv", "auc", "f1_macro", "mcc"
HEART = (Structure.RV, Structure.MYO, Structure.LV)


@dataclass(frozen=True)
class Column:
    """One figure.

    Attributes:
        key: name of a score of a case (`tasks`), or for statistics that are no means of what they are made from.
        title: heading, with the unit.
        factor: from the score's unit to that of the heading, such as 100 for %.
        statistic: how cases become a figure: `MEAN` of those that have one, `CV` of two visits, `AUC` one against one,
            `F1_MACRO`, `MCC`.
        higher_is_better: whether.
        decimals: that are printed.
        limit: a score worse than this is a failure of the case, in the score's own unit.
        parts: names of the scores whose mean it is, case by case; the score called `key` where there are none.
    """

    key: str
    title: str
    factor: float = 1.0
    statistic: str = MEAN
    higher_is_better: bool = False
    decimals: int = 2
    limit: float | None = None
    parts: tuple[str, ...] = ()

    def score(self, scores: Mapping[str, float]) -> float:
        """A case's score; NaN where it has none.

        >>> Column("both", "Both", parts=("a", "b")).score({"a": 1.0, "b": 4.0})
        2.5
        """
        found = [scores.get(name, math.nan) for name in self.parts or (self.key,)]
        return sum(found) / len(found)


@dataclass(frozen=True)
class Training:
    """One training, apart from its seed.

    Attributes:
        task: "segmentation", "regression", "classification", "landmarks".
        data: the data set learned from.
        model: name of the model in the table; what it means is the laboratory's to say.
        view, contrasts: the image.
        structures: for segmentation. target: for regression and classification.
        dense: for landmarks: heatmaps; else coordinates.
        share: of the training subjects that are learned from.
        labelled: how many subjects are learned from; 0 leaves it to `share`.
    """

    task: str
    data: str
    model: str
    view: View = View.SAX
    contrasts: tuple[Contrast, ...] = (Contrast.CINE,)
    structures: tuple[Structure, ...] = HEART
    target: str = ""
    dense: bool = True
    share: float = 1.0
    labelled: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share is above 0 and at most 1, got {self.share}")

    def on(self, model: str) -> Training:
        """The same with another model."""
        return replace(self, model=model)


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        labels: its first cells; the last is the model, and rows that differ in it alone are compared.
        training: what was trained.
        test: the data set tested on; "" for that of the training.
    """

    labels: tuple[str, ...]
    training: Training
    test: str = ""

    @property
    def tested_on(self) -> str:
        """Name of the data set."""
        return self.test or self.training.data


@dataclass(frozen=True)
class Table:
    """A table of a paper, or one of our own.

    Attributes:
        name: by which it is asked for. title: what it tells, and where it stands in the paper.
        heads: of the label cells.
        rows, columns: see there.
        seeds: of the trainings.
        published: printed figures by label cells; None where nothing was printed.
        source: where they were printed.
        notes: what a reader must know of ours beside theirs.
        curve: draw the columns against the last label but one, a number of labelled subjects.
    """

    name: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    published: Mapping[tuple[str, ...], tuple[float | None, ...]] = field(default_factory=dict)
    source: str = "CineMA (Fu et al.)"
    notes: tuple[str, ...] = ()
    curve: bool = False

    def __post_init__(self) -> None:
        labels = [row.labels for row in self.rows]
        if not labels or not self.columns or not self.seeds:
            raise ValueError(f"table {self.name} needs rows, columns and seeds")
        if len({*labels}) < len(labels):
            raise ValueError(f"table {self.name} has two rows of one name")
        for given, cells in self.published.items():
            if given not in labels:
                raise ValueError(f"table {self.name} has no row {given}, of which something was published")
            if len(cells) != len(self.columns):
                raise ValueError(f"row {given} of table {self.name} was published with {len(cells)} figures")

    @property
    def trainings(self) -> tuple[Training, ...]:
        """Every training once."""
        return tuple(dict.fromkeys(row.training for row in self.rows))

    @property
    def data(self) -> tuple[str, ...]:
        """Every data set once, those learned from first."""
        learned = [row.training.data for row in self.rows]
        return tuple(dict.fromkeys([*learned, *(row.tested_on for row in self.rows)]))

    def groups(self) -> list[tuple[Row, ...]]:
        """Rows that differ in the model alone."""
        found: dict[tuple[str, ...], list[Row]] = {}
        for row in self.rows:
            found.setdefault((*row.labels[:-1], row.tested_on), []).append(row)
        return [tuple(rows) for rows in found.values()]
