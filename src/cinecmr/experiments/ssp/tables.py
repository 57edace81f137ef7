"""What the paper's tables are made of, and how ours are told beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.experiments.provenance import as_lines
from cinecmr.experiments.ssp.plan import Job, Plan
from cinecmr.experiments.ssp.published import vendor_letter
from cinecmr.experiments.ssp.runs import rows_of, splits_of
from cinecmr.io.files import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cinecmr.experiments.ssp.runs import Row

ALL = 0  # labelled subjects of a row: as many as there are
GROUPS = {"A+B": ("A", "B"), "C+D": ("C", "D")}
CLASSES = {"LV": "dice_lv", "MYO": "dice_myo", "RV": "dice_rv"}


@dataclass(frozen=True)
class Line:
    """One row of a table.

    Attributes:
        labels: its first cells. init: what the training starts from.
        share: of the training subjects that are labelled; the paper's 50, 25, 15 and 10 of 296 as shares, so that
            smaller data keep the meaning.
        phase, vendors, augment: see `Job`; vendors by letter.
    """

    labels: tuple[str, ...]
    init: str
    share: float = 1.0
    phase: str = ""
    vendors: tuple[str, ...] = ()
    augment: bool = True


@dataclass(frozen=True)
class StudyTable:
    """A table of the paper.

    Attributes:
        name, title: of it. heads: of the first cells. lines: see there.
        columns: "all", "ED", "ES", "A+B", "C+D", "LV", "MYO", "RV": which scores are averaged.
        published: mean and standard deviation over seeds of every column, by labels.
        over_subjects: the spread is that over test subjects, mean over seeds, as in supplement B.
    """

    name: str
    title: str
    heads: tuple[str, ...]
    lines: tuple[Line, ...]
    columns: tuple[str, ...]
    published: Mapping[tuple[str, ...], tuple[tuple[float, float], ...]] = field(default_factory=dict)
    over_subjects: bool = False

    def __post_init__(self) -> None:
        known = {line.labels for line in self.lines}
        for labels, cells in self.published.items():
            if labels not in known or len(cells) != len(self.columns):
                raise ValueError(f"table {self.name}: {labels} is no row of {len(self.columns)} columns")

    @property
    def inits(self) -> tuple[str, ...]:
        """What its trainings start from, each once."""
        return tuple(dict.fromkeys(line.init for line in self.lines))


def count_of(line: Line, train: int) -> int:
    """Labelled subjects of a row, of so many there are; at least one."""
    return max(1, round(line.share * train))


def jobs(table: StudyTable, plan: Plan, slices: dict[int, float]) -> dict[tuple[Line, int], Job]:
    """The trainings of a table by line and seed; `slices` with labels by number of labelled subjects.

    As in the paper, an epoch is a pass over the labelled slices, so fewer labelled subjects also mean fewer updates.
    """
    everyone, most = max(slices), max(slices.values())
    found = {}
    for line in table.lines:
        count = count_of(line, everyone)
        for seed in range(plan.seeds):
            updates = max(1, round(plan.updates * slices[count] / most))
            found[line, seed] = Job(line.init, count, seed, updates, line.phase, line.vendors, line.augment)
    return found


def wanted(row: Row, column: str) -> bool:
    """Whether a score belongs to a column."""
    if column in ("ED", "ES"):
        return bool(row["phase"] == column)
    return vendor_letter(row["vendor"]) in GROUPS[column] if column in GROUPS else True


def value(rows: list[Row], column: str, over_subjects: bool = False) -> float:
    """Mean of a column over volumes, as the paper takes it; or the spread over them. NaN where there are none."""
    names = (CLASSES[column],) if column in CLASSES else tuple(CLASSES.values())
    scores = [np.mean([row[name] for name in names]) for row in rows if wanted(row, column)]
    if len(scores) < 1 + over_subjects:
        return float("nan")
    return float(np.std(scores, ddof=1) if over_subjects else np.mean(scores))


def told(
    table: StudyTable,
    out: Path,
    plan: Plan,
    made: Mapping[tuple[Line, int], Job],
    about: dict[str, str],
    into: Path | None = None,
) -> Path:
    """Write a table, ours beside the published figures, into a folder (`out` when None); returns the page.

    Published figures are of 296 training subjects of M&Ms and M&Ms-2 on the published scale: other data, other
    figures.
    """
    splits = splits_of(out)
    head = [*table.heads, *(f"{column}, ours" for column in table.columns), *(f"{c}, paper" for c in table.columns)]
    lines = [f"# {table.title}", "", *as_lines(about), "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    csv = [",".join([*table.heads, "labelled", "column", "ours", "sd", "paper", "paper_sd"])]
    for line in table.lines:
        by_seed = [rows_of(out, plan, made[line, seed], splits) for seed in range(plan.seeds)]
        printed = table.published.get(line.labels, ((float("nan"), float("nan")),) * len(table.columns))
        ours = [_cell(by_seed, column, table.over_subjects) for column in table.columns]
        cells = [_text(*pair) for pair in (*ours, *printed)]
        lines.append("| " + " | ".join([*line.labels, *cells]) + " |")
        for column, mine, theirs in zip(table.columns, ours, printed, strict=True):
            figures = [made[line, 0].labels, column, *(round(number, 5) for number in (*mine, *theirs))]
            csv.append(",".join(map(str, [*line.labels, *figures])))
    path = (into or out) / f"{table.name}-{plan.scale}.md"
    spread = "over test subjects, mean over seeds" if table.over_subjects else "over seeds"
    write_text(path, "\n".join([*lines, "", f"Mean Dice (standard deviation {spread}).", ""]))
    write_text(path.with_suffix(".csv"), "\n".join(csv) + "\n")
    return path


def _cell(by_seed: list[list[Row]], column: str, over_subjects: bool) -> tuple[float, float]:
    means = [value(rows, column) for rows in by_seed]
    if over_subjects:
        return float(np.mean(means)), float(np.mean([value(rows, column, True) for rows in by_seed]))
    return float(np.mean(means)), float(np.std(means, ddof=1)) if len(means) > 1 else float("nan")


def _text(mean: float, spread: float) -> str:
    if np.isnan(mean):
        return ""
    return f"{mean:.3f}" + ("" if np.isnan(spread) else f" ({spread:.3f})")
