"""How sure a figure is, and a difference between two methods, from the patients it was measured on.

Patients are drawn again with replacement, each with all their cases (ED and ES, both visits). Trainings from several
seeds are repeated measures of the same patients: a figure is the mean over seeds, in every draw. `published` does what
the CineMA paper does (100 draws, t-test on them), beside it, for tables that must match; its test is unsound, for its
p falls with the number of draws, whatever is true.

Outputs are (n,) or (seeds, n): one score a case, whose mean is the figure; or (seeds, n, ...) with a `Statistic`, for
figures that are no means: `lambda p, cases: roc_auc(p, truth[cases])`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from cinecmr.evaluate.intervals import LEVEL, Interval, unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

# The outputs of some cases (m, ...) and the numbers of these cases (m,), perhaps twice the same: their figure, or NaN.
Statistic = Callable[["Array", "NDArray[np.intp]"], float]

FEWEST_RESAMPLES = 1000  # of a paired test: with fewer, p has no second digit
PUBLISHED_RESAMPLES = 100


@dataclass(frozen=True)
class Resampled:
    """A figure and how sure it is.

    Attributes:
        interval: the figure of the patients as they are, and percentiles over the draws.
        resamples: how often patients were drawn.
        undefined: in how many draws there was no such figure (nobody ill, nothing found); left out of the percentiles.
        between_seeds: standard deviation of the figure over trainings; NaN with one. No part of the interval unless
            seeds were drawn.
    """

    interval: Interval
    resamples: int
    undefined: int
    between_seeds: float


@dataclass(frozen=True)
class Paired:
    """First method minus second, on the same patients.

    Attributes:
        difference: of the figures, and percentiles over the draws of patients.
        p: share of the ways to call one method of a patient first and the other second, at random, that give a
            difference as large, either way (permutation test); NaN where the figures are undefined.
        resamples: how many draws, and how many ways.
        undefined: draws without a difference.
        between_seeds: standard deviation of the difference over seeds; NaN with one.
        left_out: of means, results (seeds times cases) to which one of the methods gave no score: they are in neither
            mean, or a method would gain by missing hard patients. Compare the numbers of misses beside it.
    """

    difference: Interval
    p: float
    resamples: int
    undefined: int
    between_seeds: float
    left_out: int = 0

    def text(self, decimals: int = 3) -> str:
        """As tables print it: "+0.012 (0.004 to 0.021), p = 0.004"."""
        if math.isnan(self.difference.estimate):
            return "not known"
        low, high = self.difference.low, self.difference.high
        return f"{self.difference.estimate:+.{decimals}f} ({low:.{decimals}f} to {high:.{decimals}f}), p = {self.p:.2g}"


def mean_of_known(outputs: Array, cases: NDArray[np.intp]) -> float:  # noqa: ARG001 - a Statistic is told the cases
    """Mean of the scores that are finite: misses and withheld ones must be counted beside it (`summary`)."""
    known = outputs[np.isfinite(outputs)]
    return float(known.mean()) if len(known) else math.nan


def bootstrap(
    outputs: ArrayLike,
    statistic: Statistic = mean_of_known,
    *,
    patients: Sequence[object] | None = None,
    strata: Sequence[object] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = LEVEL,
    draw_seeds: bool = False,
) -> Resampled:
    """Percentile interval of a figure over draws of patients.

    Args:
        outputs: (n,), (seeds, n) or (seeds, n, ...), see the module.
        statistic: the figure of some cases; the mean of their finite scores.
        patients: (n,) whose case each is; each case a patient of its own when None.
        strata: (n,) groups whose number of patients is kept in every draw, such as disease and centre.
        resamples: draws.
        seed: of the draws.
        level: share of samples in which the interval holds the true figure.
        draw_seeds: draw the trainings again too: the interval is then of the method, not of these trainings.

    Returns:
        Unknown where the patients as they are have no figure.

    Raises:
        ValueError: no cases, lists of other lengths, a patient in two strata, or an interval that excludes the figure.

    Source: Efron and Tibshirani 1993, chapter 13.
    """
    given = _seeds_first(outputs)
    sample = _Sample.of(given.shape[1], patients, strata)
    rng = np.random.default_rng(seed)
    each = _figures(given, statistic, None)
    drawn = _over_seeds(_draw(given[None], statistic, sample, resamples, rng)[0], rng, draw_seeds)
    interval, undefined = _percentiles(float(each.mean()), drawn, level)
    return Resampled(interval, resamples, undefined, _spread(each))


def paired(
    first: ArrayLike,
    second: ArrayLike,
    statistic: Statistic = mean_of_known,
    *,
    patients: Sequence[object] | None = None,
    strata: Sequence[object] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = LEVEL,
    draw_seeds: bool = False,
) -> Paired:
    """Whether two methods differ on the same patients.

    Args:
        first: outputs of one method, as `bootstrap`; cases in the same order in both.
        second: outputs of the other, of the same shape.
        statistic: the figure of some cases.
        patients: (n,) whose case each is.
        strata: (n,) groups whose number of patients is kept in every draw.
        resamples: draws of patients for the interval, and ways to swap the methods for p; 1,000 or more.
        seed: of both.
        level: of the interval.
        draw_seeds: draw the trainings of each method again too, for the interval.

    Raises:
        ValueError: as `bootstrap`; outputs of different shapes; fewer than 1,000 resamples.
    """
    ours, theirs = _seeds_first(first), _seeds_first(second)
    if ours.shape != theirs.shape:
        raise ValueError(f"outputs {ours.shape} and {theirs.shape}: compare the same cases, with equally many seeds")
    if resamples < FEWEST_RESAMPLES:
        raise ValueError(f"a paired test needs {FEWEST_RESAMPLES} resamples or more, got {resamples}")
    left_out = 0
    if _is_mean(statistic, ours):
        known = np.isfinite(ours) & np.isfinite(theirs)
        ours, theirs, left_out = np.where(known, ours, np.nan), np.where(known, theirs, np.nan), int((~known).sum())
    sample = _Sample.of(ours.shape[1], patients, strata)
    rng = np.random.default_rng(seed)
    both = np.stack([ours, theirs])
    each = _figures(ours, statistic, None) - _figures(theirs, statistic, None)
    one, other = (_over_seeds(rows, rng, draw_seeds) for rows in _draw(both, statistic, sample, resamples, rng))
    interval, undefined = _percentiles(float(each.mean()), one - other, level)
    swapped = _swap(both, statistic, sample, resamples, rng)
    return Paired(interval, _permutation_p(float(each.mean()), swapped), resamples, undefined, _spread(each), left_out)


def published(
    outputs: ArrayLike, statistic: Statistic = mean_of_known, *, resamples: int = PUBLISHED_RESAMPLES, seed: int = 0
) -> Interval:
    """Mean and 2.5th to 97.5th percentile over draws of cases, each figure averaged over seeds.

    Args:
        outputs: as `bootstrap`; every case is drawn by itself, whoever's it is.
        statistic: the figure of some cases.
        resamples: draws.
        seed: of the draws.

    Source: CineMA (Fu et al.), section 2.4.
    """
    drawn = _published_draws(outputs, statistic, resamples, seed)
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return unknown("published bootstrap")
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Interval(float(drawn.mean()), float(low), float(high), 0.95, "published bootstrap")


def published_test(
    first: ArrayLike,
    second: ArrayLike,
    statistic: Statistic = mean_of_known,
    *,
    resamples: int = PUBLISHED_RESAMPLES,
    seed: int = 0,
) -> float:
    """The paper's p: a two-sided t-test between the drawn figures of two methods; only to stand beside `paired`.

    The draws are not observations: ten times as many make t three times as large.

    Args:
        first: outputs of one method, as `bootstrap`.
        second: outputs of the other.
        statistic: the figure of some cases.
        resamples: draws of each.
        seed: of the draws of the first; the second's are others.

    Source: CineMA (Fu et al.), section 2.4; equal variances assumed.
    """
    one, other = (_published_draws(out, statistic, resamples, seed + k) for k, out in enumerate((first, second)))
    one, other = one[~np.isnan(one)], other[~np.isnan(other)]
    freedom = len(one) + len(other) - 2
    if min(len(one), len(other)) < 2:
        return math.nan
    pooled = (((one - one.mean()) ** 2).sum() + ((other - other.mean()) ** 2).sum()) / freedom
    gap = abs(float(one.mean() - other.mean()))
    if pooled == 0:
        return 1.0 if gap == 0 else 0.0
    t = gap / math.sqrt(pooled * (1 / len(one) + 1 / len(other)))
    return float(2 * special.stdtr(freedom, -t))


@dataclass(frozen=True)
class _Sample:
    """Who was measured.

    Attributes:
        cases: case numbers of each patient.
        owner: (n,) number of the patient each case is of.
        strata: patient numbers of each stratum.
    """

    cases: tuple[NDArray[np.intp], ...]
    owner: NDArray[np.intp]
    strata: tuple[NDArray[np.intp], ...]

    @classmethod
    def of(cls, n: int, patients: Sequence[object] | None, strata: Sequence[object] | None) -> _Sample:
        owner = _numbers(range(n) if patients is None else patients, n, "patients")
        group = _numbers([0] * n if strata is None else strata, n, "strata")
        cases = tuple(np.flatnonzero(owner == number) for number in range(owner.max() + 1))
        for mine in cases:
            if len(set(group[mine].tolist())) > 1:
                raise ValueError(f"the patient of case {mine[0]} has cases in two strata; a stratum is of patients")
        of_patient = np.array([group[mine[0]] for mine in cases])
        return cls(cases, owner, tuple(np.flatnonzero(of_patient == number) for number in range(group.max() + 1)))

    def weights(self, resamples: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """(resamples, patients) how often each is drawn."""
        found = np.zeros((resamples, len(self.cases)), np.intp)
        for members in self.strata:
            found[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), resamples)
        return found

    def chosen(self, weights: NDArray[np.intp]) -> NDArray[np.intp]:
        """Case numbers of one draw, (patients,) weights."""
        return np.repeat(np.arange(len(self.owner)), weights[self.owner])


def _numbers(values: Sequence[object] | range, n: int, what: str) -> NDArray[np.intp]:
    """Equal things by equal numbers, in the order of their coming."""
    if len(values) != n:
        raise ValueError(f"{len(values)} {what} for {n} cases")
    seen: dict[object, int] = {}
    return np.array([seen.setdefault(value, len(seen)) for value in values], np.intp)


def _seeds_first(outputs: ArrayLike) -> Array:
    given = np.asarray(outputs, float)
    given = given[None] if given.ndim == 1 else given
    if given.ndim < 2 or not given.shape[0] or not given.shape[1]:
        raise ValueError(f"outputs must be (seeds, cases) and hold some, got shape {given.shape}")
    return given


def _is_mean(statistic: Statistic, given: Array) -> bool:
    """Whether the figure is a mean of one score a case: these are drawn all at once."""
    return statistic is mean_of_known and given.ndim == 2


def _figures(given: Array, statistic: Statistic, cases: NDArray[np.intp] | None) -> Array:
    """(seeds,) the figure of some cases, or of all."""
    chosen = np.arange(given.shape[1]) if cases is None else cases
    return np.array([statistic(one[chosen], chosen) for one in given])


def _draw(
    methods: Array, statistic: Statistic, sample: _Sample, resamples: int, rng: np.random.Generator
) -> list[Array]:
    """(resamples, seeds) figures of each of (methods, seeds, n, ...), the same patients in all."""
    weights = sample.weights(resamples, rng)
    if _is_mean(statistic, methods[0]):
        return [_weighted_means(*_sums(given, sample), weights) for given in methods]
    chosen = [sample.chosen(row) for row in weights]
    return [np.stack([_figures(given, statistic, cases) for cases in chosen]) for given in methods]


def _sums(given: Array, sample: _Sample) -> tuple[Array, Array]:
    """Sum and number of the finite scores of each patient, (patients, seeds): means of draws are products of these."""
    known = np.isfinite(given)
    sums, number = np.zeros((2, len(sample.cases), len(given)))
    np.add.at(sums, sample.owner, np.where(known, given, 0.0).T)
    np.add.at(number, sample.owner, known.T.astype(float))
    return sums, number


def _weighted_means(sums: Array, number: Array, weights: NDArray[np.intp]) -> Array:
    return _ratio(weights @ sums, weights @ number)


def _over_seeds(rows: Array, rng: np.random.Generator, draw_seeds: bool) -> Array:
    """(resamples,) means over (resamples, seeds), of all seeds or of as many drawn ones."""
    if not draw_seeds:
        return np.asarray(rows.mean(axis=1))
    count = rows.shape[1]
    picked = rng.integers(0, count, rows.shape)
    return np.asarray(np.take_along_axis(rows, picked, axis=1).mean(axis=1))


def _swap(both: Array, statistic: Statistic, sample: _Sample, resamples: int, rng: np.random.Generator) -> Array:
    """(resamples,) differences when the methods of random patients are called by each other's name."""
    swaps = rng.integers(0, 2, (resamples, len(sample.cases)))
    if _is_mean(statistic, both[0]):
        ours, theirs = (_sums(given, sample) for given in both)
        one, other = (_means_of_two(first, second, swaps) for first, second in ((ours, theirs), (theirs, ours)))
        return np.asarray((one - other).mean(axis=1))
    found = []
    for row in swaps:
        cases = row[sample.owner].astype(bool)
        mixed = both.copy()
        mixed[:, :, cases] = both[::-1][:, :, cases]
        found.append(float((_figures(mixed[0], statistic, None) - _figures(mixed[1], statistic, None)).mean()))
    return np.array(found)


def _means_of_two(first: tuple[Array, Array], second: tuple[Array, Array], swaps: NDArray[np.intp]) -> Array:
    """(resamples, seeds) means of the first's patients where not swapped and of the second's where swapped."""
    (sums, number), (other_sums, other_number) = first, second
    kept = 1 - swaps
    return _ratio(kept @ sums + swaps @ other_sums, kept @ number + swaps @ other_number)


def _ratio(above: Array, below: Array) -> Array:
    """NaN where nothing was counted."""
    return np.asarray(np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0))


def _percentiles(estimate: float, drawn: Array, level: float) -> tuple[Interval, int]:
    known = drawn[~np.isnan(drawn)]
    undefined = len(drawn) - len(known)
    if math.isnan(estimate) or not len(known):
        return unknown("patient bootstrap", level), undefined
    tail = 50 * (1 - level)
    low, high = np.percentile(known, (tail, 100 - tail))
    return Interval(estimate, float(low), float(high), level, "patient bootstrap"), undefined


def _permutation_p(estimate: float, swapped: Array) -> float:
    known = swapped[~np.isnan(swapped)]
    if math.isnan(estimate) or not len(known):
        return math.nan
    as_large = int((np.abs(known) >= abs(estimate) * (1 - 1e-9) - 1e-15).sum())
    return (1 + as_large) / (1 + len(known))


def _spread(each: Array) -> float:
    return float(each.std(ddof=1)) if len(each) > 1 else math.nan


def _published_draws(outputs: ArrayLike, statistic: Statistic, resamples: int, seed: int) -> Array:
    given = _seeds_first(outputs)
    sample = _Sample.of(given.shape[1], None, None)
    return np.asarray(_draw(given[None], statistic, sample, resamples, np.random.default_rng(seed))[0].mean(axis=1))
