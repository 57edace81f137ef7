"""What is told of many scores: never a mean alone, but how sure it is, the worst tenth, and how many failed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.evaluate.bootstrap import bootstrap
from cinecmr.evaluate.intervals import LEVEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from cinecmr.evaluate.intervals import Interval

_SHOWN = 3  # worst cases that are named


@dataclass(frozen=True)
class Summary:
    """Scores of one kind over many cases.

    Attributes:
        mean: over the cases that have a score, then over seeds. NaN where some seed gives no case a score.
        interval: of the mean, patients drawn again.
        median: over the cases.
        worst_decile: mean of the worst tenth of the scored cases, at least one.
        n: cases, failed ones too.
        results: seeds times cases.
        failures: results without a score (missed, withheld) or beyond the limit of a gross failure.
        unscored: of these, results without a score: they are in no mean.
        between_seeds: standard deviation of the mean over seeds; NaN with one.
        worst: names of the worst cases, the worst first; those without a score before all others.
    """

    mean: float
    interval: Interval
    median: float
    worst_decile: float
    n: int
    results: int
    failures: int
    unscored: int
    between_seeds: float
    worst: tuple[str, ...] = ()

    def text(self, decimals: int = 3) -> str:
        """As tables print it: "0.912 (0.905 to 0.918), worst tenth 0.804, 2 of 150 failed"."""
        tail = f"{self.failures} of {self.results} failed"
        if math.isnan(self.mean):
            return f"not known, {tail}"
        return f"{self.interval.text(decimals)}, worst tenth {self.worst_decile:.{decimals}f}, {tail}"

    def row(self) -> dict[str, float | None]:
        """The figures by name, for CSV and JSON: None where one is not known, for NaN is no JSON."""
        told = {
            "mean": self.mean,
            "low": self.interval.low,
            "high": self.interval.high,
            "median": self.median,
            "worst_decile": self.worst_decile,
            "n": self.n,
            "results": self.results,
            "failures": self.failures,
            "unscored": self.unscored,
            "between_seeds": self.between_seeds,
        }
        return {name: value if math.isfinite(value) else None for name, value in told.items()}


def summarise(
    scores: ArrayLike,
    *,
    higher_is_better: bool,
    limit: float | None = None,
    names: Sequence[str] | None = None,
    patients: Sequence[object] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = LEVEL,
) -> Summary:
    """Summarise scores.

    Args:
        scores: (n,) or (seeds, n); NaN or infinite where a case has none.
        higher_is_better: True for Dice, False for distances and errors.
        limit: a score worse than this is a gross failure, though it counts in the mean; such as Dice 0.5.
        names: (n,) of the cases; their numbers when None.
        patients: (n,) whose case each is, for the interval.
        resamples: draws of patients.
        seed: of the draws.
        level: of the interval.

    Raises:
        ValueError: no cases, or lists of other lengths.

    >>> summarise([0.9, 0.8, 0.1, float("nan")], higher_is_better=True, limit=0.5).failures
    2
    """
    given = np.atleast_2d(np.asarray(scores, float))
    called = [str(number) for number in range(given.shape[1])] if names is None else list(names)
    if len(called) != given.shape[1]:
        raise ValueError(f"{len(called)} names for {given.shape[1]} cases")
    drawn = bootstrap(given, patients=patients, resamples=resamples, seed=seed, level=level)
    known = np.isfinite(given)
    cases = np.array([np.mean(given[known[:, k], k]) if known[:, k].any() else np.nan for k in range(given.shape[1])])
    badness = -cases if higher_is_better else cases
    ranked = np.argsort(-np.where(np.isnan(badness), np.inf, badness), kind="stable")
    scored = [int(k) for k in ranked if not np.isnan(cases[k])]
    gross = np.zeros_like(known)
    if limit is not None:
        gross = known & (given < limit if higher_is_better else given > limit)
    return Summary(
        mean=drawn.interval.estimate,
        interval=drawn.interval,
        median=float(np.median(cases[scored])) if scored else math.nan,
        worst_decile=float(cases[scored[: max(1, len(scored) // 10)]].mean()) if scored else math.nan,
        n=given.shape[1],
        results=given.size,
        failures=int((~known | gross).sum()),
        unscored=int((~known).sum()),
        between_seeds=drawn.between_seeds,
        worst=tuple(called[k] for k in ranked[:_SHOWN]),
    )
