"""A figure against the number, or the share, of labelled subjects: a line a model."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from cinecmr.io.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cinecmr.experiments.scoring import Figure
    from cinecmr.experiments.table import Table

_APART = 1.02  # so that intervals of two models do not hide each other


def number_of(label: str) -> float:
    """The number that a label begins with.

    Raises:
        ValueError: it begins with none.

    >>> number_of("50 %"), number_of("40")
    (50.0, 40.0)
    """
    told = re.match(r"[\d.]+", label)
    if told is None:
        raise ValueError(f"{label!r} is no number of subjects, nor a share of them")
    return float(told[0])


def points(
    table: Table, figures: Mapping[tuple[str, ...], Sequence[Figure | None]], column: int
) -> dict[str, list[tuple[float, float, float, float]]]:
    """For every model: number of subjects, figure, low and high, by the number; without what is not known."""
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for row in table.rows:
        one = figures[row.labels][column]
        if one is not None and not math.isnan(one.value):
            at = (number_of(row.labels[-2]), one.value, one.interval.low, one.interval.high)
            found.setdefault(row.labels[-1], []).append(at)
    return {model: sorted(line) for model, line in found.items()}


def draw(table: Table, figures: Mapping[tuple[str, ...], Sequence[Figure | None]], path: Path) -> None:
    """Write a drawing (SVG) with a panel a column; bars are the paper's intervals.

    Args:
        table: whose last label but one is the number of labelled subjects.
        figures: of its rows.
        path: of the drawing.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(3.6 * len(table.columns), 3.4), layout="constrained")
    FigureCanvasSVG(drawing)
    for at, axis in enumerate(drawing.subplots(1, len(table.columns), squeeze=False)[0]):
        for number, (model, line) in enumerate(points(table, figures, at).items()):
            x = [place * _APART**number for place, *_ in line]
            axis.plot(x, [value for _, value, *_ in line], "-o", color=f"C{number}", label=model, markersize=4)
            axis.vlines(x, [low for *_, low, _ in line], [high for *_, high in line], color=f"C{number}", alpha=0.5)
        axis.set_xscale("log")
        ticks = sorted({number_of(row.labels[-2]) for row in table.rows})
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
        axis.set(xlabel=table.heads[-2].lower(), title=table.columns[at].title)
        axis.grid(alpha=0.3)
        if not at:
            axis.legend(frameon=False, fontsize=8)
    save_svg(drawing, path)


def save_svg(figure: Any, path: Path) -> None:
    """Write a matplotlib figure as SVG: words stay words, and the same figure makes the same file."""
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "cinecmr"}):
        write_atomically(path, lambda target: figure.savefig(target, format="svg", metadata={"Date": None}))
