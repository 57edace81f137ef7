"""A made table for people and programs: ours beside the published, differences, what went worst."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cinecmr.experiments import provenance
from cinecmr.experiments.scoring import row_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cinecmr.evaluate.bootstrap import Paired
    from cinecmr.evaluate.summary import Summary
    from cinecmr.experiments.scoring import Figure
    from cinecmr.experiments.table import Column, Table

    Labels = tuple[str, ...]
    Figures = Mapping[Labels, Sequence[Figure | None]]
    Differences = Mapping[tuple[Labels, Labels], Sequence[Paired | None]]

NOTHING = "-"


def page(table: Table, figures: Figures, differences: Differences, about: Mapping[str, str]) -> str:
    """The table as Markdown."""
    lines = [f"# {table.title}", "", *provenance.as_lines(about)]
    if table.published:
        lines += [f"Beside each figure that of {table.source}: on other data, with longer training and larger networks "
                  "where the scale is not `full`. Never take the one for the other.", ""]  # fmt: skip
    lines += ["Figures: mean over seeds (2.5th to 97.5th percentile over draws of cases, as in the paper).", ""]
    drawing = f"![{table.title}]({table.name}-{about.get('scale')}.svg)"
    lines += [*_main(table, figures), "", *([drawing, ""] if table.curve else []), "## Differences", ""]
    lines += ["The last model of each group minus another, on the same patients: figure (95 % interval, patients drawn "
              "again; p by permutation).", "", *_compared(table, differences)]  # fmt: skip
    lines += ["", "## Worst tenth and failures", ""]
    lines += ["Mean of the worst tenth of the cases; results without a score or beyond the limit, of all.", ""]
    lines += [*_worst(table, figures), ""]
    return "\n".join([*lines, *(f"- {note}" for note in table.notes)]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _main(table: Table, figures: Figures) -> Iterator[str]:
    titles = [cell for column in table.columns for cell in _pair(table, column.title, "paper")]
    yield _line([*table.heads, *titles])
    yield _line([*("---" for _ in table.heads), *("---:" for _ in titles)])
    for row in table.rows:
        printed = table.published.get(row.labels, (None,) * len(table.columns))
        cells = []
        for column, found, theirs in zip(table.columns, figures[row.labels], printed, strict=True):
            cells += _pair(table, _cell(found, column), NOTHING if theirs is None else f"{theirs:.{column.decimals}f}")
        yield _line([*row.labels, *cells])


def _pair(table: Table, ours: str, theirs: str) -> list[str]:
    return [ours, theirs] if table.published else [ours]


def _cell(found: Figure | None, column: Column) -> str:
    if found is None or math.isnan(found.value):
        return NOTHING
    low, high = (f"{value:.{column.decimals}f}" for value in (found.interval.low, found.interval.high))
    return f"{found.value:.{column.decimals}f} ({low} to {high})"


def _compared(table: Table, differences: Differences) -> Iterator[str]:
    yield _line([*table.heads[:-1], "Models", *(column.title for column in table.columns)])
    yield _line([*("---" for _ in table.heads), *("---:" for _ in table.columns)])
    for (first, second), told in differences.items():
        cells = [_difference(one, column) for one, column in zip(told, table.columns, strict=True)]
        yield _line([*first[:-1], f"{first[-1]} minus {second[-1]}", *cells])


def _difference(found: Paired | None, column: Column) -> str:
    if found is None or math.isnan(found.difference.estimate):
        return NOTHING
    told = found.difference.scaled(column.factor)
    low, high = (f"{value:.{column.decimals}f}" for value in (told.low, told.high))
    return f"{told.estimate:+.{column.decimals}f} ({low} to {high}), p = {found.p:.2g}"


def _worst(table: Table, figures: Figures) -> Iterator[str]:
    yield _line([*table.heads, *(column.title for column in table.columns)])
    yield _line([*("---" for _ in table.heads), *("---:" for _ in table.columns)])
    for row in table.rows:
        cells = []
        for column, found in zip(table.columns, figures[row.labels], strict=True):
            summary = found and found.summary
            cells.append(_failed(summary, column) if summary else NOTHING)
        yield _line([*row.labels, *cells])


def _failed(summary: Summary, column: Column) -> str:
    tenth = summary.worst_decile * column.factor
    told = NOTHING if math.isnan(tenth) else f"{tenth:.{column.decimals}f}"
    return f"{told}; {summary.failures} of {summary.results}"


def csv_text(table: Table, figures: Figures) -> str:
    """One line a figure: labels, column, ours with everything known of it, published."""
    rows = [dict(zip(table.heads, row["labels"], strict=True)) | {k: v for k, v in row.items() if k != "labels"}
            for row in _cells(table, figures)]  # fmt: skip
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cells(table: Table, figures: Figures) -> Iterator[dict[str, Any]]:
    for row in table.rows:
        printed = table.published.get(row.labels, (None,) * len(table.columns))
        for column, found, theirs in zip(table.columns, figures[row.labels], printed, strict=True):
            yield {"labels": list(row.labels), "column": column.title, **row_of(found), "published": theirs}


def content(table: Table, figures: Figures, differences: Differences, about: Mapping[str, str]) -> dict[str, Any]:
    """Everything, for JSON."""
    return {
        "about": dict(about),
        "title": table.title,
        "cells": list(_cells(table, figures)),
        "differences": [
            {"first": list(first), "second": list(second), "column": column.title,
             "found": None if one is None else asdict(one)}
            for (first, second), told in differences.items()
            for one, column in zip(told, table.columns, strict=True)
        ],
    }  # fmt: skip
