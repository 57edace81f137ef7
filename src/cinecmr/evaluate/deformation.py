"""How well one motion matches another, and whether a motion can be: end points, Jacobians, folds, strain.

Works on any `study.Motion`, fitted or true. Points are at end-diastole, patient RAS mm; times are shares of the cycle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.measure.strain import Convention, strain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cinecmr.study import Motion, WallPoints

    Array = NDArray[np.float64]


def end_point_errors(found: Motion, truth: Motion, points: Array, times: Sequence[float]) -> Array:
    """Distance between where two motions take each point.

    Args:
        found: the motion to judge.
        truth: the motion to judge it by.
        points: (n, 3) at end-diastole.
        times: (t,) shares of the cycle.

    Returns:
        (t, n) mm.
    """
    gaps = [found.displacement(points, float(t)) - truth.displacement(points, float(t)) for t in times]
    return np.asarray(np.linalg.norm(np.stack(gaps), axis=-1))


@dataclass(frozen=True)
class Spread:
    """What is told of many errors: mean, median, 95th percentile and largest, in their unit."""

    mean: float
    median: float
    p95: float
    largest: float

    @classmethod
    def of(cls, errors: Array) -> Spread:
        """The spread of errors of any shape.

        Raises:
            ValueError: there are none.
        """
        if not np.size(errors):
            raise ValueError("no errors to summarise: there were no points or no times")
        middle, high = np.percentile(errors, (50, 95))
        return cls(float(np.mean(errors)), float(middle), float(high), float(np.max(errors)))


@dataclass(frozen=True)
class Jacobians:
    """What is told of det F.

    Attributes:
        deviation: mean |det F - 1|: 0 where tissue keeps its volume.
        worst: largest |det F - 1|.
        least: smallest det F.
        folding: share of points and times where det F <= 0: no tissue can do that.
    """

    deviation: float
    worst: float
    least: float
    folding: float


def jacobians(motion: Motion, points: Array, times: Sequence[float]) -> Jacobians:
    """Volume change of small pieces of tissue.

    Args:
        motion: how they move.
        points: (n, 3) at end-diastole.
        times: (t,) shares of the cycle.
    """
    found = np.stack([np.linalg.det(motion.gradient(points, float(t))) for t in times])
    off = np.abs(found - 1)
    return Jacobians(float(off.mean()), float(off.max()), float(found.min()), float((found <= 0).mean()))


@dataclass(frozen=True)
class StrainError:
    """Found against true strain, % points.

    Attributes:
        curves: mean absolute difference over time of "GCS", "GRS", "GLS".
        peaks: found minus true value of each, at the time when the true one is largest in size.
        points: mean absolute difference over points and times of "CS", "RS", "LS".
    """

    curves: dict[str, float]
    peaks: dict[str, float]
    points: dict[str, float]


def strain_error(
    found: Motion,
    truth: Motion,
    wall: WallPoints,
    times: Sequence[float],
    convention: Convention = Convention.ENGINEERING,
) -> StrainError:
    """Strain of two motions on one wall.

    Args:
        found: the motion to judge.
        truth: the motion to judge it by.
        wall: points and directions.
        times: (t,) shares of the cycle.
        convention: what the numbers are.
    """
    ours, theirs = (strain(motion, wall, times, convention) for motion in (found, truth))
    gaps = {name: curve - theirs.whole()[name] for name, curve in ours.whole().items()}
    peak = {name: int(np.argmax(np.abs(curve))) for name, curve in theirs.whole().items()}
    names = {"CS": "circumferential", "RS": "radial", "LS": "longitudinal"}
    return StrainError(
        {name: float(np.abs(gap).mean()) for name, gap in gaps.items()},
        {name: float(gap[peak[name]]) for name, gap in gaps.items()},
        {short: float(np.abs(getattr(ours, long) - getattr(theirs, long)).mean()) for short, long in names.items()},
    )
