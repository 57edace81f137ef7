"""What predicted probabilities are worth: whether they come true, and whether acting on them does more good than harm.

Ranking patients well (an area under the curve) and telling their risk rightly are two things; focal loss and class
balancing spoil the second. Probabilities are 0 to 1, truth 0 or 1, one subject each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from cinecmr.evaluate.intervals import Interval, quantile, unknown, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

_EDGE = 1e-6  # probabilities of exactly 0 or 1 have no logit
_STEPS, _ENOUGH = 100, 1e-10  # Newton steps of the recalibration, and when they may stop


def brier(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """Mean squared error of the probabilities: 0 is perfect, 0.25 is what saying 0.5 to all gets.

    >>> brier([0.5, 1.0], [1, 1])
    0.125
    """
    p, ill = _given(probabilities, truth)
    return float(((p - ill) ** 2).mean())


@dataclass(frozen=True)
class Bin:
    """Subjects of similar probability.

    Attributes:
        n: how many.
        low, high: of the bin.
        said: mean probability.
        seen: share of them who are ill, with Wilson's interval.
    """

    n: int
    low: float
    high: float
    said: float
    seen: Interval


def calibration_bins(
    probabilities: ArrayLike, truth: ArrayLike, bins: int = 10, *, equal_counts: bool = False
) -> tuple[Bin, ...]:
    """What was said against what was seen: the points of a reliability diagram.

    Args:
        probabilities: (n,).
        truth: (n,) whether the disease is there.
        bins: how many.
        equal_counts: bins that hold alike many subjects, ties kept together; otherwise bins of one width.

    Returns:
        The bins that hold somebody, by rising probability. A probability on an edge is of the lower bin.

    Raises:
        ValueError: no subjects, different lengths, no bins, or probabilities outside 0 to 1.
    """
    p, ill = _given(probabilities, truth)
    if bins < 1:
        raise ValueError(f"bins must be 1 or more, got {bins}")
    shares = np.linspace(0, 1, bins + 1)
    edges = np.unique(np.quantile(p, shares)) if equal_counts else shares
    at = np.clip(np.searchsorted(edges, p, "left") - 1, 0, max(len(edges) - 2, 0))
    found = []
    for number in np.unique(at):
        here = at == number
        low, high = float(edges[number]), float(edges[min(number + 1, len(edges) - 1)])
        found.append(
            Bin(int(here.sum()), low, high, float(p[here].mean()), wilson(int(ill[here].sum()), int(here.sum())))
        )
    return tuple(found)


def calibration_error(
    probabilities: ArrayLike, truth: ArrayLike, bins: int = 10, *, equal_counts: bool = False
) -> float:
    """Expected calibration error: mean |said - seen| over `calibration_bins`, weighted by subjects.

    Never 0 in small samples, even of perfect probabilities; compare methods on the same subjects.
    """
    found = calibration_bins(probabilities, truth, bins, equal_counts=equal_counts)
    return float(np.average([abs(one.said - one.seen.estimate) for one in found], weights=[one.n for one in found]))


@dataclass(frozen=True)
class Recalibration:
    """The logistic line that would make the probabilities come true: logit(ill) = intercept + slope x logit(said).

    Attributes:
        in_the_large: what to add to every logit when the slope is left at 1; 0 where the mean risk is told rightly.
        intercept, slope: of the free line; slope 1 is right, below 1 the probabilities are too extreme.
    """

    in_the_large: Interval
    intercept: Interval
    slope: Interval


def recalibration(probabilities: ArrayLike, truth: ArrayLike, level: float = 0.95) -> Recalibration:
    """Calibration intercept and slope (Cox 1958; Van Calster 2016).

    Args:
        probabilities: (n,), held 1e-6 away from 0 and 1.
        truth: (n,) whether the disease is there.
        level: of the Wald intervals.

    Returns:
        Unknown where nobody is ill or nobody well; the free line also where the probabilities separate them or are all
        the same.
    """
    p, ill = _given(probabilities, truth)
    logit = special.logit(np.clip(p, _EDGE, 1 - _EDGE))
    large = _logistic(np.ones((len(p), 1)), ill, logit)
    line = None if _separates(logit, ill) else _logistic(np.stack([np.ones(len(p)), logit], axis=1), ill, 0 * logit)
    none = unknown("Wald", level)
    return Recalibration(
        _wald(large, 0, level) if large else none,
        _wald(line, 0, level) if line else none,
        _wald(line, 1, level) if line else none,
    )


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit of acting: right calls less wrong ones, these weighted by the odds of the threshold, per subject.

    Attributes:
        thresholds: (k,) probabilities at which one would act.
        model: (k,) act on the model.
        all: (k,) act on everybody.
    """

    thresholds: Array
    model: Array
    all: Array

    @property
    def none(self) -> Array:
        """(k,) act on nobody: 0."""
        return np.zeros_like(self.model)

    @property
    def gain(self) -> Array:
        """(k,) what the model adds to the better of acting on everybody and on nobody."""
        return np.asarray(self.model - np.maximum(self.all, 0))


def decision_curve(probabilities: ArrayLike, truth: ArrayLike, thresholds: Sequence[float] | Array) -> DecisionCurve:
    """Whether acting on the probabilities does more good than acting on everybody or nobody.

    Args:
        probabilities: (n,).
        truth: (n,) whether the disease is there.
        thresholds: (k,) over 0 and under 1.

    Raises:
        ValueError: a threshold that is no such probability.

    Source: Vickers and Elkin, Med Decis Making 2006;26:565. At the prevalence of the sample.
    """
    p, ill = _given(probabilities, truth)
    at = np.asarray(thresholds, float)
    if ((at <= 0) | (at >= 1)).any():
        raise ValueError("a threshold to act at lies over 0 and under 1")
    odds = at / (1 - at)
    called = p[None] >= at[:, None]
    right, wrong = (called & (ill == 1)).mean(axis=1), (called & (ill == 0)).mean(axis=1)
    share = float(ill.mean())
    return DecisionCurve(at, right - odds * wrong, share - odds * (1 - share))


@dataclass(frozen=True)
class _Fit:
    values: Array
    errors: Array


def _logistic(columns: Array, ill: Array, offset: Array) -> _Fit | None:
    """Maximum likelihood by Newton's steps, halved where they overshoot; None where there is no maximum."""
    if ill.min() == ill.max():
        return None

    def deviance(values: Array) -> float:
        linear = columns @ values + offset
        return float((np.logaddexp(0, linear) - ill * linear).sum())

    values = np.zeros(columns.shape[1])
    for _ in range(_STEPS):
        said = special.expit(columns @ values + offset)
        information = columns.T @ (columns * (said * (1 - said))[:, None])
        if np.linalg.cond(information) > 1 / _ENOUGH:
            return None
        step = np.linalg.solve(information, columns.T @ (ill - said))
        while deviance(values + step) > deviance(values) + _ENOUGH and np.abs(step).max() > _ENOUGH:
            step = step / 2
        values = values + step
        if np.abs(step).max() < _ENOUGH:
            return _Fit(values, np.sqrt(np.diag(np.linalg.inv(information))))
    return None


def _separates(logit: Array, ill: Array) -> bool:
    """Whether a threshold tells all ill from all well, or all are told the same: then no slope is best."""
    if ill.min() == ill.max() or np.ptp(logit) == 0:
        return True
    high, low = logit[ill == 1], logit[ill == 0]
    return bool(high.min() >= low.max() or high.max() <= low.min())


def _wald(fit: _Fit, index: int, level: float) -> Interval:
    value, half = float(fit.values[index]), quantile(level) * float(fit.errors[index])
    return Interval(value, value - half, value + half, level, "Wald")


def _given(probabilities: ArrayLike, truth: ArrayLike) -> tuple[Array, Array]:
    p, ill = np.asarray(probabilities, float), np.asarray(truth)
    if p.ndim != 1 or p.shape != ill.shape or not len(p):
        raise ValueError(f"probabilities {p.shape} and truth {ill.shape} must be lists of one length, and not empty")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("probabilities must lie between 0 and 1")
    if not np.isin(ill, (0, 1)).all():
        raise ValueError(f"truth must be 0 or 1, got {np.unique(ill)[:5]}")
    return p, ill.astype(float)
