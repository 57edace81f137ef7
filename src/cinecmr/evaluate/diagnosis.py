"""How well a finding tells the ill from the well, and diseases from each other: arrays in, figures out.

Scores are larger where the disease is likelier; truth is 0 or 1, or the number of a class. A figure that cannot be told
(no ill subject, none well) is NaN and never 0 or 1; what that means for a mean over classes stands with each function.
Intervals and tests are in `intervals` and `bootstrap`; what probabilities are worth is in `calibration`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.evaluate.calibration import brier as brier  # asked of this module as of that one
from cinecmr.evaluate.calibration import calibration_bins as calibration_bins
from cinecmr.evaluate.calibration import decision_curve as decision_curve
from cinecmr.evaluate.intervals import clopper_pearson, wilson

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from cinecmr.evaluate.intervals import Interval


@dataclass(frozen=True)
class Counts:
    """Subjects by what is true and what was said.

    Attributes:
        tp, fn: ill subjects called ill, and well.
        tn, fp: well subjects called well, and ill.
    """

    tp: int
    fn: int
    tn: int
    fp: int

    @property
    def sensitivity(self) -> float:
        """Share of the ill called ill; NaN where there are none."""
        return _over(*self._parts["sensitivity"])

    @property
    def specificity(self) -> float:
        """Share of the well called well; NaN where there are none."""
        return _over(*self._parts["specificity"])

    @property
    def accuracy(self) -> float:
        """Share of all called rightly."""
        return _over(*self._parts["accuracy"])

    @property
    def ppv(self) -> float:
        """Share of those called ill who are, in this mixture; see `ppv_at_prevalence`. NaN where none is called."""
        return _over(self.tp, self.tp + self.fp)

    @property
    def npv(self) -> float:
        """Share of those called well who are, in this mixture."""
        return _over(self.tn, self.tn + self.fn)

    @property
    def f1(self) -> float:
        """Of the ill: 2 tp / (2 tp + fp + fn); NaN where none is ill and none called so."""
        return _over(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def mcc(self) -> float:
        """Matthews correlation, -1 to 1; 0 where all are of one kind or all are called the same."""
        rows = (self.tp + self.fp, self.tp + self.fn, self.tn + self.fp, self.tn + self.fn)
        below = math.sqrt(math.prod(rows))
        return (self.tp * self.tn - self.fp * self.fn) / below if below else 0.0

    def intervals(self, level: float = 0.95, *, exact: bool = True) -> dict[str, Interval]:
        """Of sensitivity, specificity and accuracy.

        Args:
            level: of the intervals.
            exact: Clopper and Pearson's; otherwise Wilson's.
        """
        of: Callable[[int, int, float], Interval] = clopper_pearson if exact else wilson
        return {name: of(right, all_of_them, level) for name, (right, all_of_them) in self._parts.items()}

    @property
    def _parts(self) -> dict[str, tuple[int, int]]:
        """Of each share: how many were called rightly, and of how many."""
        ill, well = self.tp + self.fn, self.tn + self.fp
        return {
            "sensitivity": (self.tp, ill),
            "specificity": (self.tn, well),
            "accuracy": (self.tp + self.tn, ill + well),
        }


def counts(found: ArrayLike, truth: ArrayLike) -> Counts:
    """Count subjects.

    Args:
        found: (n,) whether each is called ill.
        truth: (n,) whether each is.

    Raises:
        ValueError: different lengths, or entries other than 0 and 1.

    >>> counts([1, 1, 0, 0], [1, 0, 0, 1])
    Counts(tp=1, fn=1, tn=1, fp=1)
    """
    said, true = _yes_or_no(found, "found"), _yes_or_no(truth, "truth")
    _same_length(said, true)
    return Counts(
        int((said & true).sum()), int((~said & true).sum()), int((~said & ~true).sum()), int((said & ~true).sum())
    )


def sensitivity(found: ArrayLike, truth: ArrayLike) -> float:
    """Share of the ill called ill; arguments as `counts`."""
    return counts(found, truth).sensitivity


def specificity(found: ArrayLike, truth: ArrayLike) -> float:
    """Share of the well called well; arguments as `counts`."""
    return counts(found, truth).specificity


@dataclass(frozen=True)
class Roc:
    """Every operating point: called ill are scores of at least the threshold.

    Attributes:
        thresholds: (k,) from infinity (nobody is ill) down to the smallest score (everybody is).
        sensitivity, specificity: (k,) at each.
    """

    thresholds: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    specificity: NDArray[np.float64]


def roc(scores: ArrayLike, truth: ArrayLike) -> Roc:
    """The operating points of a score.

    Args:
        scores: (n,) larger where the disease is likelier.
        truth: (n,) whether it is there.

    Raises:
        ValueError: different lengths, scores that are not finite, nobody ill or nobody well.
    """
    given, ill = _scored(scores, truth)
    if ill.all() or not ill.any():
        raise ValueError(f"operating points need ill and well subjects: {int(ill.sum())} of {len(ill)} are ill")
    order = np.argsort(-given, kind="stable")
    last = np.append(np.diff(given[order]) != 0, True)  # one point for each score: ties are called alike
    caught, alarms = np.cumsum(ill[order])[last], np.cumsum(~ill[order])[last]
    return Roc(
        np.concatenate([[np.inf], given[order][last]]),
        np.concatenate([[0.0], caught / ill.sum()]),
        np.concatenate([[1.0], 1 - alarms / (~ill).sum()]),
    )


def roc_auc(scores: ArrayLike, truth: ArrayLike) -> float:
    """Probability that an ill subject scores higher than a well one, ties counting half.

    Args:
        scores: (n,) larger where the disease is likelier.
        truth: (n,) whether it is there.

    Returns:
        NaN where nobody is ill or nobody is well.

    Raises:
        ValueError: different lengths or scores that are not finite.

    >>> roc_auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75
    """
    given, ill = _scored(scores, truth)
    return _area(given[ill], given[~ill])


def average_precision(scores: ArrayLike, truth: ArrayLike) -> float:
    """Mean of the precision over the ill, each at the threshold that just calls it; ties are called together.

    Args:
        scores: (n,) larger where the disease is likelier.
        truth: (n,) whether it is there.

    Returns:
        NaN where nobody is ill. Chance is the share of the ill, so say that beside it.
    """
    given, ill = _scored(scores, truth)
    if not ill.any():
        return math.nan
    order = np.argsort(-given, kind="stable")
    last = np.append(np.diff(given[order]) != 0, True)
    caught, called = np.cumsum(ill[order])[last], np.flatnonzero(last) + 1
    return float((np.diff(caught, prepend=0) * caught / called).sum() / ill.sum())


def youden_threshold(scores: ArrayLike, truth: ArrayLike) -> float:
    """The threshold with the largest sensitivity + specificity - 1; of several the one with more sensitivity.

    Choose it on other subjects than those it is judged on. Arguments as `roc`.
    """
    points = roc(scores, truth)
    index = points.sensitivity + points.specificity
    best = np.flatnonzero(index >= index.max() - 1e-12)[-1]
    return float(points.thresholds[best])


def threshold_at_sensitivity(scores: ArrayLike, truth: ArrayLike, wanted: float) -> float:
    """The highest threshold that still calls a share of the ill: the rule-out point.

    Args:
        scores: (n,) larger where the disease is likelier.
        truth: (n,) whether it is there.
        wanted: least sensitivity, over 0 to 1.
    """
    if not 0 < wanted <= 1:
        raise ValueError(f"sensitivity is a share over 0 and at most 1, got {wanted}")
    points = roc(scores, truth)
    return float(points.thresholds[np.flatnonzero(points.sensitivity >= wanted - 1e-12)[0]])


def threshold_at_specificity(scores: ArrayLike, truth: ArrayLike, wanted: float) -> float:
    """The lowest threshold that still spares a share of the well: the rule-in point; infinite where none can.

    Args:
        scores: (n,) larger where the disease is likelier.
        truth: (n,) whether it is there.
        wanted: least specificity, over 0 to 1.
    """
    if not 0 < wanted <= 1:
        raise ValueError(f"specificity is a share over 0 and at most 1, got {wanted}")
    points = roc(scores, truth)
    return float(points.thresholds[np.flatnonzero(points.specificity >= wanted - 1e-12)[-1]])


def ppv_at_prevalence(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Share of those called ill who are, where the disease is as common as said.

    >>> [round(ppv_at_prevalence(0.946, 0.939, share), 3) for share in (0.01, 0.05, 0.20)]
    [0.135, 0.449, 0.795]
    """
    _is_share(prevalence)
    right, wrong = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    return _over(right, right + wrong)


def npv_at_prevalence(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Share of those called well who are, where the disease is as common as said."""
    _is_share(prevalence)
    right, wrong = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return _over(right, right + wrong)


def confusion(found: ArrayLike, truth: ArrayLike, classes: int | None = None) -> NDArray[np.intp]:
    """Subjects by true class (rows) and found class (columns).

    Args:
        found: (n,) class numbers from 0.
        truth: (n,) class numbers from 0.
        classes: how many there are; as many as the numbers need when None.

    Returns:
        (classes, classes).

    Raises:
        ValueError: different lengths or a number out of range.
    """
    said, true = np.asarray(found), np.asarray(truth)
    _same_length(said, true)
    for values in (said, true):
        if values.size and not ((values >= 0) & (values == np.floor(values))).all():
            raise ValueError("classes are whole numbers from 0")
    said, true = said.astype(np.intp), true.astype(np.intp)
    size = int(max(said.max(initial=-1), true.max(initial=-1))) + 1
    if classes is not None and size > classes:
        raise ValueError(f"class {size - 1} of {classes} classes, which are 0 to {classes - 1}")
    side = classes or size
    return np.bincount(true * side + said, minlength=side**2).reshape(side, side)


def accuracy(found: ArrayLike, truth: ArrayLike) -> float:
    """Share of subjects put into their class; NaN of nobody."""
    table = confusion(found, truth)
    return _over(int(np.trace(table)), int(table.sum()))


def f1_by_class(found: ArrayLike, truth: ArrayLike, classes: int | None = None) -> NDArray[np.float64]:
    """F1 of each class: NaN where no subject has it and none was given it, 0 where only one of these holds."""
    table = confusion(found, truth, classes)
    below = table.sum(axis=0) + table.sum(axis=1)
    return np.asarray(np.divide(2.0 * np.diag(table), below, out=np.full(len(table), np.nan), where=below > 0))


def f1_macro(found: ArrayLike, truth: ArrayLike, classes: int | None = None) -> float:
    """Mean F1 of the classes that some subject has or was given: each counts alike, however rare."""
    known = f1_by_class(found, truth, classes)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else math.nan


def f1_micro(found: ArrayLike, truth: ArrayLike) -> float:
    """F1 over all decisions: with one class a subject the same as accuracy, and what the CineMA code calls F1."""
    return accuracy(found, truth)


def mcc(found: ArrayLike, truth: ArrayLike) -> float:
    """Matthews correlation over any number of classes (Gorodkin 2004); 0 where truth or findings are of one class."""
    table = confusion(found, truth).astype(float)
    true, said, n = table.sum(axis=1), table.sum(axis=0), table.sum()
    below = math.sqrt((n**2 - (said**2).sum()) * (n**2 - (true**2).sum()))
    return float((np.trace(table) * n - true @ said) / below) if below else 0.0


def roc_auc_by_class(scores: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    """Area under the curve of each class against all others.

    Args:
        scores: (n, classes), larger where the class is likelier.
        truth: (n,) class numbers from 0.

    Returns:
        (classes,) NaN for a class that nobody has or everybody.
    """
    given, true = _by_class(scores, truth)
    own = [true == number for number in range(given.shape[1])]
    return np.array([_area(column[here], column[~here]) for column, here in zip(given.T, own, strict=True)])


def roc_auc_one_vs_rest(scores: ArrayLike, truth: ArrayLike) -> float:
    """Mean of `roc_auc_by_class` over the classes where it can be told; NaN where for none."""
    known = roc_auc_by_class(scores, truth)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else math.nan


def roc_auc_one_vs_one(scores: ArrayLike, truth: ArrayLike) -> float:
    """Mean over pairs of classes of how well each one's score tells the two apart (Hand and Till 2001).

    What CineMA reports. Classes that nobody has are left out; NaN with fewer than two. Arguments as
    `roc_auc_by_class`.
    """
    given, true = _by_class(scores, truth)
    there = np.unique(true)
    of_class = [given[true == number] for number in there]
    areas = [
        _area(mine[:, one], others[:, one])
        for one, mine in zip(there, of_class, strict=True)
        for others in of_class
        if others is not mine
    ]
    return float(np.mean(areas)) if areas else math.nan


def _area(ill: NDArray[np.float64], well: NDArray[np.float64]) -> float:
    """Share of pairs of an ill and a well score that are ranked rightly, ties counting half; NaN without pairs."""
    if not len(ill) or not len(well):
        return math.nan
    ordered = np.sort(well)
    wins = np.searchsorted(ordered, ill, "left") + np.searchsorted(ordered, ill, "right")
    return float(wins.sum() / (2 * len(ill) * len(well)))


def _by_class(scores: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    given, true = np.asarray(scores, float), np.asarray(truth)
    if given.ndim != 2 or true.shape != given.shape[:1]:
        raise ValueError(f"scores must be (n, classes) and truth (n,), got {given.shape} and {true.shape}")
    if not ((true >= 0) & (true < given.shape[1]) & (true == np.floor(true))).all():
        raise ValueError(f"truth holds a class that is none of 0 to {given.shape[1] - 1}")
    _finite(given)
    return given, true.astype(np.intp)


def _scored(scores: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    given, ill = np.asarray(scores, float), _yes_or_no(truth, "truth")
    _same_length(given, ill)
    _finite(given)
    return given, ill


def _finite(scores: NDArray[np.float64]) -> None:
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite; leave out subjects without one and count them as failures")


def _yes_or_no(values: ArrayLike, what: str) -> NDArray[np.bool_]:
    given = np.asarray(values)
    if not ((given == 0) | (given == 1)).all():
        raise ValueError(f"{what} must be 0 or 1, got {np.unique(given)[:5]}")
    return given.astype(bool)


def _same_length(first: NDArray[np.generic], second: NDArray[np.generic]) -> None:
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"found {first.shape} and truth {second.shape} must be lists of one length")


def _over(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _is_share(value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"prevalence is a share between 0 and 1, got {value}")
