"""From scores of single cases to the figures of a table: means, areas, coefficients, intervals and paired tests."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.evaluate.agreement import coefficient_of_variation
from cinecmr.evaluate.bootstrap import mean_of_known, paired, published
from cinecmr.evaluate.diagnosis import f1_macro, mcc, roc_auc_one_vs_one
from cinecmr.evaluate.summary import summarise
from cinecmr.experiments.table import AUC, CV, F1_MACRO, MCC, MEAN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cinecmr.evaluate.bootstrap import Paired, Statistic
    from cinecmr.evaluate.intervals import Interval
    from cinecmr.evaluate.summary import Summary
    from cinecmr.experiments.table import Column

FEWEST = 1000  # resamples of a paired test
VISITS = 2
_CLASS = re.compile(r"share_\d+")  # score of a class, by its number


@dataclass(frozen=True)
class Scored:
    """One case.

    Attributes:
        case, person: hashes. scores: by name.
    """

    case: str
    person: str
    scores: dict[str, float]


@dataclass(frozen=True)
class Figure:
    """One cell.

    Attributes:
        value: figure of the cases as they are, mean over seeds, in the unit of the column.
        interval: the paper's: mean and percentiles over 100 draws of cases.
        summary: patients drawn again, worst tenth, failures; of means only.
    """

    value: float
    interval: Interval
    summary: Summary | None


def outputs(runs: Sequence[Sequence[Scored]], column: Column) -> tuple[NDArray[np.float64], list[str]]:
    """What a statistic eats: (seeds, n) or (seeds, n, ...), and whose each of the n is.

    Args:
        runs: the scored cases of each seed, the same cases in the same order.
        column: which figure.

    Raises:
        ValueError: seeds were tested on different cases.
    """
    if len({tuple(one.case for one in run) for run in runs}) != 1:
        raise ValueError("seeds of one row were tested on different cases; delete their scores and run again")
    if column.statistic == CV:
        return _visits(runs, column)
    if column.statistic == MEAN:
        values = [[column.score(one.scores) for one in run] for run in runs]
        return np.array(values, float), [one.person for one in runs[0]]
    known = [n for n, one in enumerate(runs[0]) if "class" in one.scores]
    classes = max((sum(bool(_CLASS.fullmatch(name)) for name in one.scores) for one in runs[0]), default=0)
    told = [[[*(run[n].scores[f"share_{k}"] for k in range(classes)), run[n].scores["class"]] for n in known]
            for run in runs]  # fmt: skip
    return np.array(told, float).reshape(len(runs), len(known), classes + 1), [runs[0][n].person for n in known]


def _visits(runs: Sequence[Sequence[Scored]], column: Column) -> tuple[NDArray[np.float64], list[str]]:
    """(seeds, people, 2): first and second visit of each who has both."""
    places: dict[str, list[int]] = {}
    for number, one in enumerate(runs[0]):
        places.setdefault(one.person, []).append(number)
    both = {person: found[:VISITS] for person, found in places.items() if len(found) >= VISITS}
    values = [[[column.score(run[n].scores) for n in pair] for pair in both.values()] for run in runs]
    return np.array(values, float).reshape(len(runs), len(both), VISITS), list(both)


def _cv(given: NDArray[np.float64], cases: NDArray[np.intp]) -> float:
    del cases
    known = given[np.isfinite(given).all(axis=1)]
    return coefficient_of_variation(known[:, 0], known[:, 1].tolist()) if len(known) else math.nan


def _auc(given: NDArray[np.float64], cases: NDArray[np.intp]) -> float:
    del cases
    return roc_auc_one_vs_one(given[:, :-1], given[:, -1].astype(int)) if len(given) else math.nan


def _f1(given: NDArray[np.float64], cases: NDArray[np.intp]) -> float:
    del cases
    said, true = given[:, :-1].argmax(axis=1), given[:, -1].astype(int)
    return f1_macro(said, true, given.shape[1] - 1) if len(given) else math.nan


def _mcc(given: NDArray[np.float64], cases: NDArray[np.intp]) -> float:
    del cases
    return mcc(given[:, :-1].argmax(axis=1), given[:, -1].astype(int)) if len(given) else math.nan


STATISTICS: dict[str, Statistic] = {MEAN: mean_of_known, CV: _cv, AUC: _auc, F1_MACRO: _f1, MCC: _mcc}


def figure(runs: Sequence[Sequence[Scored]], column: Column, resamples: int, draws: int = 100) -> Figure | None:
    """One cell; None where no case has what it is made from, a value that is no number where all failed.

    Args:
        runs: the scored cases of each seed.
        column: which figure.
        resamples: of patients, for the summary.
        draws: of cases, for the paper's interval.
    """
    given, people = outputs(runs, column)
    if not given.size or np.isnan(given).all():
        return None
    statistic, everyone = STATISTICS[column.statistic], np.arange(given.shape[1])
    value = float(np.mean([statistic(one, everyone) for one in given]))
    told = published(given, statistic, resamples=draws)
    summary = None
    if column.statistic == MEAN:
        held = _with_score(given)
        summary = summarise(
            given[:, held],
            higher_is_better=column.higher_is_better,
            limit=column.limit,
            names=[people[n] for n in held],
            patients=[people[n] for n in held],
            resamples=resamples,
        )
    return Figure(value * column.factor, told.scaled(column.factor), summary)


def _with_score(given: NDArray[np.float64]) -> list[int]:
    """Cases that the figure applies to: it does not where every seed has NaN; infinite is a failure."""
    return [int(n) for n in np.flatnonzero(~np.isnan(given).all(axis=0))]


def difference(
    first: Sequence[Sequence[Scored]], second: Sequence[Sequence[Scored]], column: Column, resamples: int
) -> Paired | None:
    """First model minus second on the cases of both, patients drawn again; None where it cannot be told.

    Statistics that are no means take long to draw: they are compared from `FEWEST` resamples on.
    """
    if column.statistic != MEAN and resamples < FEWEST:
        return None
    (one, people), (other, _) = outputs(first, column), outputs(second, column)
    if one.shape != other.shape or not one.size or not (np.isfinite(one).any() and np.isfinite(other).any()):
        return None
    statistic = STATISTICS[column.statistic]
    return paired(one, other, statistic, patients=people, resamples=max(resamples, FEWEST))


def row_of(found: Figure | None) -> dict[str, Any]:
    """A cell for CSV and JSON."""
    if found is None:
        return {"value": None}
    told: dict[str, Any] = {
        "value": found.value,
        "paper_style_mean": found.interval.estimate,
        "paper_style_low": found.interval.low,
        "paper_style_high": found.interval.high,
    }
    return told | ({f"patients_{name}": value for name, value in found.summary.row().items()} if found.summary else {})
