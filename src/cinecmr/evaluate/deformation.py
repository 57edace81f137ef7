"""How well one motion matches another, and whether a motion can be: end points, Jacobians, folds, strain.

Works on any `study.Motion`, fitted or true. Points are at end-diastole, patient RAS mm; times are shares of the cycle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.evaluate.overlap import Overlap, overlap
from cinecmr.geometry import apply_affine
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


def warped_labels(labels: NDArray[np.uint8], affine: Array, motion: Motion, time: float) -> NDArray[np.uint8]:
    """Labels of a frame as end-diastolic tissue finds them: each voxel's label is that of the place it moves to.

    Args:
        labels: (x, y, z) `Structure` codes of the frame.
        affine: (4, 4) voxel index to patient RAS, mm.
        motion: from end-diastole.
        time: share of the cycle of the frame.

    Returns:
        (x, y, z) on the same grid, to be compared with the labels of end-diastole; `UNSEEN` where the place lies
        outside the image.
    """
    index = np.argwhere(np.ones(labels.shape, bool)).astype(np.float64)
    points = apply_affine(affine, index)
    back = np.asarray(np.linalg.inv(affine), np.float64)
    there = np.rint(apply_affine(back, points + motion.displacement(points, time))).astype(np.intp)
    inside = ((there >= 0) & (there < np.array(labels.shape))).all(axis=1)
    found = np.full(len(index), Structure.UNSEEN, np.uint8)
    found[inside] = labels[tuple(there[inside].T)]
    return found.reshape(labels.shape)


def warped_overlaps(
    labels: NDArray[np.uint8],
    affine: Array,
    motion: Motion,
    shares: Sequence[float],
    reference: int,
    frames: Sequence[int] | None = None,
    structures: Sequence[Structure] = (Structure.LV, Structure.MYO, Structure.RV),
) -> dict[int, dict[Structure, Overlap]]:
    """Dice, HD95 and ASD of warped labels against those of end-diastole, for every frame that is named.

    Args:
        labels: (x, y, z, t) `Structure` codes.
        affine: (4, 4) voxel index to patient RAS, mm.
        motion: from the reference frame.
        shares: (t,) shares of the cycle.
        reference: end-diastole; compared with itself it would score 1, so it never counts.
        frames: which; all others that have labels when None.
        structures: what is compared.

    Returns:
        By frame and structure.

    Raises:
        ValueError: the reference is among the frames.
    """
    if frames is None:
        frames = [t for t in range(labels.shape[3]) if t != reference and (labels[..., t] != Structure.UNSEEN).any()]
    if reference in frames:
        raise ValueError(f"frame {reference} is the reference: compared with itself it says nothing")
    seen = np.isin(labels, structures).any(axis=3)
    cut = tuple(slice(max(int(a.min()) - 4, 0), int(a.max()) + 5) for a in np.nonzero(seen))
    small, near = labels[cut], affine.copy()
    near[:3, 3] = apply_affine(affine, np.array([s.start for s in cut], np.float64))
    spacing = [float(s) for s in np.linalg.norm(affine[:3, :3], axis=0)]
    found: dict[int, dict[Structure, Overlap]] = {}
    for frame in frames:
        warped = warped_labels(small[..., frame], near, motion, float(shares[frame]))
        truth = np.where(warped == Structure.UNSEEN, Structure.UNSEEN, small[..., reference]).astype(np.uint8)
        found[frame] = {code: overlap(warped, truth, code, spacing) for code in structures}
    return found


def roughness(motion: Motion, points: Array, times: Sequence[float]) -> float:
    """How unsteadily tissue moves: mean length of the second difference of its place over evenly spaced times, mm.

    The cycle is taken as closed. A point that runs round a circle of 1 mm in 20 steps has 0.098 mm.

    Args:
        motion: how points move.
        points: (n, 3) at end-diastole.
        times: (t,) shares of the cycle, evenly spaced over all of it.
    """
    places = np.stack([motion.displacement(points, float(time)) for time in times])
    bends = np.roll(places, 1, axis=0) - 2 * places + np.roll(places, -1, axis=0)
    return float(np.linalg.norm(bends, axis=-1).mean())
