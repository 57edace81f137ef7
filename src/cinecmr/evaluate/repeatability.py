"""How well a measurement repeats itself, from visits of the same people: CV, ICC, smallest real change.

No truth is needed, and a constant answer would repeat perfectly: read it beside `agreement`, never alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from cinecmr.evaluate.agreement import coefficient_of_variation
from cinecmr.evaluate.intervals import LEVEL, Interval, unknown

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Repeatability:
    """Two or more readings of the same people, in their unit unless said otherwise.

    Attributes:
        n: people with all readings.
        missing: people without.
        readings: of each.
        cv: coefficient of variation of CineMA's tables, %, of the first two readings; NaN where a pair has mean 0.
        within_sd: standard deviation of readings of one person.
        repeatability: 1.96 sqrt 2 within_sd: two readings of a person who did not change differ by less, 95 of 100
            times.
        bias: mean of the second minus the first reading: a learning reader, a warm scanner.
        icc: two-way, absolute agreement, single reading: ICC(A,1).
        icc_consistency: the same blind to a bias: ICC(C,1).
    """

    n: int
    missing: int
    readings: int
    cv: float
    within_sd: float
    repeatability: float
    bias: float
    icc: Interval
    icc_consistency: Interval


def repeatability(readings: ArrayLike, level: float = LEVEL) -> Repeatability:
    """Compare repeated readings.

    Args:
        readings: (n, k), a row a person, k >= 2; NaN where a reading is missing, and the person is left out.
        level: of the intervals.

    Raises:
        ValueError: not two readings or more each, or fewer than two people with all.

    Source: McGraw and Wong, Psychol Methods 1996;1:30; Bland and Altman, BMJ 1996;313:744.
    """
    given = np.asarray(readings, float)
    if given.ndim != 2 or given.shape[1] < 2:
        raise ValueError(f"readings must be (people, two or more), got {given.shape}")
    known = given[np.isfinite(given).all(axis=1)]
    if len(known) < 2:
        raise ValueError(f"{len(known)} people have all {given.shape[1]} readings; two or more are needed")
    within = math.sqrt(float(known.var(axis=1, ddof=1).mean()))
    return Repeatability(
        n=len(known),
        missing=len(given) - len(known),
        readings=known.shape[1],
        cv=coefficient_of_variation(known[:, 0], known[:, 1]),
        within_sd=within,
        repeatability=1.96 * math.sqrt(2) * within,
        bias=float((known[:, 1] - known[:, 0]).mean()),
        icc=_agreement(known, level),
        icc_consistency=_consistency(known, level),
    )


@dataclass(frozen=True)
class _Squares:
    """Mean squares of a two-way table without repeats."""

    people: float
    readings: float
    rest: float

    @classmethod
    def of(cls, known: Array) -> _Squares:
        n, k = known.shape
        rows, columns, middle = known.mean(axis=1), known.mean(axis=0), known.mean()
        rest = known - rows[:, None] - columns[None] + middle
        return cls(
            k * float(((rows - middle) ** 2).sum()) / (n - 1),
            n * float(((columns - middle) ** 2).sum()) / (k - 1),
            float((rest**2).sum()) / ((n - 1) * (k - 1)),
        )


def _consistency(known: Array, level: float) -> Interval:
    """ICC(C,1) with its exact interval of F."""
    (n, k), squares = known.shape, _Squares.of(known)
    if squares.rest == 0:
        return _without_rest(squares.people, level)
    ratio = squares.people / squares.rest
    tail, rest = (1 + level) / 2, (n - 1) * (k - 1)
    low = ratio / float(special.fdtri(n - 1, rest, tail))
    high = ratio * float(special.fdtri(rest, n - 1, tail))
    icc, low, high = ((f - 1) / (f + k - 1) for f in (ratio, low, high))
    return Interval(icc, low, high, level, "F")


def _agreement(known: Array, level: float) -> Interval:
    """ICC(A,1) with its interval of F and Satterthwaite's degrees of freedom."""
    (n, k), squares = known.shape, _Squares.of(known)
    people, between, rest = squares.people, squares.readings, squares.rest
    below = people + (k - 1) * rest + k / n * (between - rest)
    if below <= 0:
        return unknown("F", level)
    icc = (people - rest) / below
    if icc >= 1:  # also where the rest is lost in rounding
        return _without_rest(people, level)
    a, b = k * icc / (n * (1 - icc)), 1 + k * icc * (n - 1) / (n * (1 - icc))
    freedom = (a * between + b * rest) ** 2 / ((a * between) ** 2 / (k - 1) + (b * rest) ** 2 / ((n - 1) * (k - 1)))
    tail, weight = (1 + level) / 2, k * between + (k * n - k - n) * rest
    down, up = float(special.fdtri(n - 1, freedom, tail)), float(special.fdtri(freedom, n - 1, tail))
    low = n * (people - down * rest) / (down * weight + n * people)
    high = n * (up * people - rest) / (weight + n * up * people)
    if not (math.isfinite(low) and math.isfinite(high) and low <= icc <= high):
        return unknown("F", level)  # Satterthwaite's approximation breaks down near no agreement among few people
    return Interval(icc, low, high, level, "F")


def _without_rest(people: float, level: float) -> Interval:
    """Readings that repeat exactly: 1, unless all people are alike too."""
    return Interval(1.0, 1.0, 1.0, level, "F") if people > 0 else unknown("F", level)
