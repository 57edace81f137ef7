"""How well found numbers agree with true ones, over many studies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from cinecmr.evaluate.intervals import LEVEL, Interval, unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from cinecmr.study import Findings

VOLUMES = ("LVEDV", "LVESV", "LVSV", "LVEF", "LVM", "RVEDV", "RVESV", "RVSV", "RVEF")


@dataclass(frozen=True)
class Agreement:
    """Found against true, in the unit of the numbers unless said otherwise.

    Attributes:
        n: pairs in which both are known.
        missing: pairs in which the found number is absent although the true one is known.
        abs_error: mean absolute error.
        relative_error: mean absolute error as a share of the true value, %; NaN where a true value is 0.
        bias: mean of found minus true.
        limits: bias - and + 1.96 standard deviations of the differences (Bland and Altman 1986,
            doi 10.1016/S0140-6736(86)90837-8); NaN with fewer than two pairs.
        worst: largest absolute error.
        cv: coefficient of variation of the pairs, %: root mean square of (difference / sqrt 2) / (mean of the pair).
    """

    n: int
    missing: int
    abs_error: float
    relative_error: float
    bias: float
    limits: tuple[float, float]
    worst: float
    cv: float


def agreement(found: Sequence[float | None], truth: Sequence[float]) -> Agreement:
    """Compare number by number.

    Args:
        found: (n,); None or NaN where a number was withheld.
        truth: (n,).

    Raises:
        ValueError: different lengths, or no pair in which both are known.

    >>> agreement([52.0, 48.0, None], [50.0, 50.0, 60.0]).abs_error
    2.0
    """
    ours, theirs, missing = _known(found, truth)
    difference = ours - theirs
    bias, spread = float(difference.mean()), _spread(difference)
    return Agreement(
        n=len(ours),
        missing=missing,
        abs_error=float(np.abs(difference).mean()),
        relative_error=_share(np.abs(difference), theirs),
        bias=bias,
        limits=(bias - 1.96 * spread, bias + 1.96 * spread),
        worst=float(np.abs(difference).max()),
        cv=coefficient_of_variation(ours, theirs),
    )


def coefficient_of_variation(first: ArrayLike, second: ArrayLike) -> float:
    """Within-pair coefficient of variation, %.

    Args:
        first: (n,).
        second: (n,), the repeats.

    Returns:
        100 sqrt(mean(((a - b)^2 / 2) / ((a + b) / 2)^2)); NaN where a pair has mean 0.

    Source: CineMA (Fu et al.), evaluation of repeated scans.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    middle = (a + b) / 2
    if (middle == 0).any():
        return float("nan")
    return float(100 * np.sqrt((((a - b) ** 2 / 2) / middle**2).mean()))


@dataclass(frozen=True)
class BlandAltman:
    """Differences against means: the figure, and how sure its lines are.

    Attributes:
        means: (n,) of found and true number of each pair.
        differences: (n,) found minus true.
        bias: mean difference, with its interval.
        low, high: limits of agreement, bias -+ 1.96 standard deviations, with theirs.
        slope: of the differences over the means: not 0 where large hearts err otherwise than small ones.
    """

    means: NDArray[np.float64]
    differences: NDArray[np.float64]
    bias: Interval
    low: Interval
    high: Interval
    slope: Interval


def bland_altman(found: Sequence[float | None], truth: Sequence[float], level: float = LEVEL) -> BlandAltman:
    """Bias and limits of agreement, each with an interval of Student's t.

    Args:
        found: (n,); None or NaN where a number was withheld: left out.
        truth: (n,).
        level: of the intervals.

    Raises:
        ValueError: as `agreement`; fewer than three pairs.

    Source: Bland and Altman, Stat Methods Med Res 1999;8:135, sections 2 and 3.
    """
    ours, theirs, _ = _known(found, truth)
    n = len(ours)
    if n < 3:
        raise ValueError(f"limits of agreement need three pairs or more, got {n}")
    middle, difference = (ours + theirs) / 2, ours - theirs
    bias, spread = float(difference.mean()), _spread(difference)
    t = float(special.stdtrit(n - 1, (1 + level) / 2))
    of_limit = t * spread * math.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
    mean, low, high = (
        Interval(value, value - half, value + half, level, "Student")
        for value, half in (
            (bias, t * spread / math.sqrt(n)),
            (bias - 1.96 * spread, of_limit),
            (bias + 1.96 * spread, of_limit),
        )
    )
    return BlandAltman(middle, difference, mean, low, high, _slope(middle, difference, level))


def correlation(found: Sequence[float | None], truth: Sequence[float]) -> float:
    """Pearson's: of a line, not of agreement; NaN where either does not vary. Arguments as `agreement`."""
    ours, theirs, _ = _known(found, truth)
    below = float(ours.std() * theirs.std())
    return float(((ours - ours.mean()) * (theirs - theirs.mean())).mean()) / below if below else math.nan


def concordance(found: Sequence[float | None], truth: Sequence[float]) -> float:
    """Lin's concordance, 1 where every found number is the true one; NaN where neither varies, and they are equal.

    Arguments as `agreement`. Source: Lin, Biometrics 1989;45:255.
    """
    ours, theirs, _ = _known(found, truth)
    shared = float(((ours - ours.mean()) * (theirs - theirs.mean())).mean())
    below = float(ours.var() + theirs.var() + (ours.mean() - theirs.mean()) ** 2)
    return 2 * shared / below if below else math.nan


def volume_errors(
    found: Sequence[Findings], truth: Sequence[Findings], names: Sequence[str] = VOLUMES
) -> dict[str, Agreement]:
    """Agreement of each measurement that some truth holds and some study was given.

    Args:
        found: one a study; a measurement that is absent was withheld and counts as missing.
        truth: one a study, in the same order; studies without a true value of a measurement do not count for it.
        names: of measurements.

    Returns:
        By name; without those that no study has in both.

    Raises:
        ValueError: different lengths.
    """
    if len(found) != len(truth):
        raise ValueError(f"{len(found)} found studies for {len(truth)} true ones")
    told = {}
    for name in names:
        ours, theirs = ([_value(one, name) for one in side] for side in (found, truth))
        if np.isfinite(np.array(ours) + np.array(theirs)).any():
            told[name] = agreement(ours, theirs)
    return told


def published_ejection_fraction(edv: float, esv: float) -> float:
    """EF in % as the CineMA code tells it: 0 where there is none, and never under 0 or over 100.

    Only for tables that must match: a heart whose EF cannot be told is not one that stands still.

    >>> published_ejection_fraction(150.0, 60.0), published_ejection_fraction(0.0, 0.0)
    (60.0, 0.0)
    """
    return min(max(100 * (edv - esv) / edv, 0.0), 100.0) if edv else 0.0


def ef_grade(ef: float) -> int:
    """CineMA's class of an LVEF in %: 0 reduced (to 40), 1 borderline (to 55), 2 normal."""
    return 0 if ef <= 40 else 1 if ef <= 55 else 2


def _known(
    found: Sequence[float | None], truth: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """The pairs in which both are known, and how many found numbers are absent."""
    ours = np.array([np.nan if value is None else value for value in found], float)
    theirs = np.asarray(truth, float)
    if ours.shape != theirs.shape:
        raise ValueError(f"{len(ours)} found numbers for {len(theirs)} true ones")
    both = np.isfinite(ours) & np.isfinite(theirs)
    if not both.any():
        raise ValueError("no pair in which the found and the true number are known")
    return ours[both], theirs[both], int((np.isfinite(theirs) & ~both).sum())


def _value(one: Findings, name: str) -> float:
    return one.measurements[name].value if name in one.measurements else math.nan


def _slope(x: NDArray[np.float64], y: NDArray[np.float64], level: float) -> Interval:
    """Of the line through the points, with Student's interval; unknown where x does not vary."""
    around = x - x.mean()
    below = float((around**2).sum())
    if below <= 1e-12 * float((x**2).sum()):
        return unknown("Student", level)
    slope = float((around * y).sum()) / below
    rest = y - y.mean() - slope * around
    t = float(special.stdtrit(len(x) - 2, (1 + level) / 2))
    half = t * math.sqrt(float((rest**2).sum()) / (len(x) - 2) / below)
    return Interval(slope, slope - half, slope + half, level, "Student")


def _spread(difference: NDArray[np.float64]) -> float:
    return float(difference.std(ddof=1)) if len(difference) > 1 else float("nan")


def _share(error: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    return float("nan") if (truth == 0).any() else float(100 * (error / np.abs(truth)).mean())
