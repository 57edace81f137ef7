"""How sure a share, an area under the curve or a difference of two readers is: exact and large-sample intervals.

Every interval is checked when it is made: one that excludes its own estimate is an error of the program that made it,
and has been printed in papers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
_ROUNDING = 1e-9  # an interval may miss its estimate by rounding


def holds(estimate: float, low: float, high: float, rounding: float = _ROUNDING) -> bool:
    """Whether an interval holds its own estimate.

    Args:
        estimate: the number told.
        low: lower limit of its interval.
        high: upper limit.
        rounding: how far the printed numbers may be from the exact ones; 0.0005 for three decimals.

    >>> holds(0.788, 0.796, 0.859, rounding=0.0005)
    False
    """
    return low - rounding <= estimate <= high + rounding


@dataclass(frozen=True)
class Interval:
    """An estimate and how sure it is.

    Attributes:
        estimate: what was found in the sample.
        low, high: limits; all three are NaN where nothing can be said.
        level: share of samples in which such an interval holds the true value.
        method: how it was made, such as "Wilson".

    Raises:
        ValueError: the interval excludes its estimate, only some of the numbers are known, or level is no share.
    """

    estimate: float
    low: float
    high: float
    level: float = LEVEL
    method: str = ""

    def __post_init__(self) -> None:
        _share(self.level)
        known = [not math.isnan(number) for number in (self.estimate, self.low, self.high)]
        if any(known) != all(known):
            raise ValueError(f"an interval is known or not, not in part: {self.estimate} ({self.low} to {self.high})")
        scale = max(1.0, abs(self.estimate)) if math.isfinite(self.estimate) else 1.0
        if all(known) and not holds(self.estimate, self.low, self.high, _ROUNDING * scale):
            raise ValueError(
                f"the {self.method or 'given'} interval {self.low:g} to {self.high:g} excludes its own estimate "
                f"{self.estimate:g}"
            )

    @property
    def width(self) -> float:
        """From low to high."""
        return self.high - self.low

    def scaled(self, factor: float) -> Interval:
        """The same in another unit: 100 makes % of shares. A negative factor turns it round."""
        low, high = sorted((self.low * factor, self.high * factor))
        return Interval(self.estimate * factor, low, high, self.level, self.method)

    def text(self, decimals: int = 3) -> str:
        """As tables print it: "0.943 (0.860 to 0.984)"; "not known" where nothing can be said."""
        if math.isnan(self.estimate):
            return "not known"
        return f"{self.estimate:.{decimals}f} ({self.low:.{decimals}f} to {self.high:.{decimals}f})"


def unknown(method: str = "", level: float = LEVEL) -> Interval:
    """The interval of what cannot be told."""
    return Interval(math.nan, math.nan, math.nan, level, method)


def wilson(successes: int, n: int, level: float = LEVEL) -> Interval:
    """Score interval of a share (Wilson 1927): right on average, for tables.

    Args:
        successes: how many of them.
        n: how many there were; 0 gives an unknown interval.
        level: share of samples in which it holds the true share.

    Raises:
        ValueError: more successes than trials, or negative ones.

    >>> wilson(35, 37).text()
    '0.946 (0.823 to 0.985)'
    """
    if not _trials(successes, n):
        return unknown("Wilson", level)
    z, share = quantile(level), successes / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At 0 and n the limit is the estimate itself; rounding must not push it out.
    low = 0.0 if successes == 0 else max(middle - half, 0.0)
    high = 1.0 if successes == n else min(middle + half, 1.0)
    return Interval(share, low, high, level, "Wilson")


def clopper_pearson(successes: int, n: int, level: float = LEVEL) -> Interval:
    """Exact interval of a share (Clopper and Pearson 1934): never holds the true share too rarely.

    Args:
        successes: how many of them.
        n: how many there were; 0 gives an unknown interval.
        level: share of samples in which it holds the true share, at least.

    Raises:
        ValueError: more successes than trials, or negative ones.

    >>> clopper_pearson(35, 37).text()
    '0.946 (0.818 to 0.993)'
    """
    if not _trials(successes, n):
        return unknown("Clopper-Pearson", level)
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(special.betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(special.betaincinv(successes + 1, n - successes, 1 - tail))
    return Interval(successes / n, low, high, level, "Clopper-Pearson")


@dataclass(frozen=True)
class PairedTest:
    """Two readers of the same subjects.

    Attributes:
        difference: first minus second, and how sure.
        p: probability of a difference at least as large, either way, if there were none; NaN where it cannot be told.
        method: how it was tested.
    """

    difference: Interval
    p: float
    method: str


def delong(scores: ArrayLike, truth: ArrayLike, level: float = LEVEL) -> Interval:
    """Area under the ROC curve with the interval of DeLong, on the logit scale, which cannot leave 0 to 1.

    Args:
        scores: (n,) larger where the disease is likelier.
        truth: (n,) whether it is there.
        level: share of samples in which it holds the true area, in large samples.

    Returns:
        Unknown where there are fewer than two subjects of either kind; (0 to 0) or (1 to 1) where the kinds do not
        overlap: then the method knows no uncertainty, and an exact interval of a share must stand beside it.

    Source: DeLong, DeLong, Clarke-Pearson, Biometrics 1988;44:837; logit scale after Pepe 2003.
    """
    placed = _placements(np.asarray(scores, float)[None], _truth(truth))
    if placed is None:
        return unknown("DeLong", level)
    area, variance = float(placed.areas[0]), float(placed.covariance[0, 0])
    if area in (0.0, 1.0):
        return Interval(area, area, area, level, "DeLong")
    middle = math.log(area / (1 - area))
    half = quantile(level) * math.sqrt(variance) / (area * (1 - area))
    return Interval(area, float(special.expit(middle - half)), float(special.expit(middle + half)), level, "DeLong")


def delong_error(scores: ArrayLike, truth: ArrayLike) -> float:
    """Standard error of the area under the ROC curve; NaN with fewer than two subjects of either kind."""
    placed = _placements(np.asarray(scores, float)[None], _truth(truth))
    return math.nan if placed is None else math.sqrt(placed.covariance[0, 0])


def delong_test(first: ArrayLike, second: ArrayLike, truth: ArrayLike, level: float = LEVEL) -> PairedTest:
    """Whether two readers of the same subjects differ in the area under the ROC curve.

    Args:
        first: (n,) scores of one.
        second: (n,) scores of the other.
        truth: (n,) whether the disease is there.
        level: of the interval of the difference.

    Returns:
        First minus second; p is 1 where both rank every pair alike.

    Source: DeLong, DeLong, Clarke-Pearson, Biometrics 1988;44:837.
    """
    placed = _placements(np.stack([np.asarray(first, float), np.asarray(second, float)]), _truth(truth))
    if placed is None:
        return PairedTest(unknown("DeLong", level), math.nan, "DeLong")
    difference = float(placed.areas[0] - placed.areas[1])
    contrast = np.array([1.0, -1.0])
    error = math.sqrt(max(float(contrast @ placed.covariance @ contrast), 0.0))
    half = quantile(level) * error
    unsure = 1.0 if difference == 0 else math.nan
    p = math.erfc(abs(difference) / error / math.sqrt(2)) if error > 0 else unsure
    return PairedTest(Interval(difference, difference - half, difference + half, level, "DeLong"), p, "DeLong")


def hanley_mcneil_error(area: float, diseased: int, healthy: int) -> float:
    """Standard error of an area under the ROC curve from its size alone, for papers that tell no more.

    Source: Hanley and McNeil, Radiology 1982;143:29.

    >>> round(hanley_mcneil_error(0.957, 37, 33), 4)
    0.0247
    """
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (diseased - 1) * (q1 - area**2) + (healthy - 1) * (q2 - area**2)
    return math.sqrt(spread / (diseased * healthy))


@dataclass(frozen=True)
class McNemar:
    """Subjects that only one of two readers gets right, and whether that can be chance.

    Attributes:
        only_first, only_second: how many.
        p: exact, two-sided.
    """

    only_first: int
    only_second: int
    p: float


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> McNemar:
    """Exact test of two readers on the same subjects.

    Args:
        first_right: (n,) whether one read each subject rightly.
        second_right: (n,) whether the other did.

    Raises:
        ValueError: different lengths.

    >>> mcnemar([True] * 70, [False] * 3 + [True] * 67).p
    0.25
    """
    first, second = np.asarray(first_right, bool), np.asarray(second_right, bool)
    if first.shape != second.shape:
        raise ValueError(f"{first.size} readings of the first and {second.size} of the second: compare the same")
    one, other = int((first & ~second).sum()), int((second & ~first).sum())
    return McNemar(one, other, mcnemar_p(one, other))


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Two-sided exact probability of such a split of the subjects on which two readers differ; 1 where none."""
    n = only_first + only_second
    if n == 0:
        return 1.0
    few = min(only_first, only_second)
    as_far = sum(math.comb(n, k) for k in range(few + 1))
    return float(min(1.0, 2 * as_far / 2**n))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Probabilities made larger for how many comparisons there are (Holm 1979).

    Args:
        p_values: (k,); NaN where one was not tested, and left so.

    >>> holm([0.01, 0.04, 0.03]).round(3)
    array([0.03, 0.06, 0.06])
    """
    given = np.asarray(p_values, float)
    found = np.full(given.shape, np.nan)
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    found[order] = np.minimum(np.maximum.accumulate(given[order] * np.arange(len(order), 0, -1)), 1.0)
    return found


def quantile(level: float) -> float:
    """How many standard errors to either side hold a share of a normal distribution: 1.96 for 0.95."""
    return float(special.ndtri(0.5 + _share(level) / 2))


@dataclass(frozen=True)
class _Placed:
    areas: NDArray[np.float64]  # (k,)
    covariance: NDArray[np.float64]  # (k, k)


def _placements(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> _Placed | None:
    """Areas of (k, n) scores and their covariance; None with fewer than two of a kind."""
    if scores.shape[1:] != truth.shape:
        raise ValueError(f"{scores.shape[1:]} scores for {truth.shape} truths")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite; leave out subjects without one and count them as failures")
    ill, well = scores[:, truth], scores[:, ~truth]
    if min(ill.shape[1], well.shape[1]) < 2:
        return None
    # Share of the other kind that each subject is ranked rightly against, ties counting half.
    above = np.stack([_below(w, i) for i, w in zip(ill, well, strict=True)])
    under = np.stack([1 - _below(i, w) for i, w in zip(ill, well, strict=True)])
    covariance = np.atleast_2d(np.cov(above)) / ill.shape[1] + np.atleast_2d(np.cov(under)) / well.shape[1]
    return _Placed(above.mean(axis=1), covariance)


def _below(others: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of others below each value, ties counting half."""
    ordered = np.sort(others)
    left, right = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray((left + right) / (2 * len(ordered)))


def _truth(truth: ArrayLike) -> NDArray[np.bool_]:
    given = np.asarray(truth)
    if not np.isin(given, (0, 1)).all():
        raise ValueError(f"truth is whether the disease is there, 0 or 1, not {np.unique(given)[:5]}")
    return given.astype(bool)


def _trials(successes: int, n: int) -> bool:
    """Whether there were any."""
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is no share")
    return n > 0


def _share(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level is a share between 0 and 1, such as 0.95, got {level}")
    return level
