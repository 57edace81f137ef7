"""What is read from a strain curve, and strain along a line: peaks, their times, rates, smoothing within a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from cinecmr.study import Motion

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Peak:
    """The largest strain of a curve.

    Attributes:
        value: %, with its sign. time: share of the cycle since end-diastole at which it is reached; both NaN for a
            curve without values.
    """

    value: float
    time: float


def peak(curve: Array, since_ed: Array) -> Peak:
    """The largest strain by size, told between the frames by the parabola through it and its neighbours.

    Args:
        curve: (t,) %; NaN where there is none.
        since_ed: (t,) share of the cycle since end-diastole of each frame; increasing, evenly spaced or nearly so.

    >>> peak(np.array([0.0, -9.0, -10.0, -9.0, 0.0]), np.linspace(0, 0.8, 5))
    Peak(value=-10.0, time=0.4)
    """
    if not np.isfinite(curve).any():
        return Peak(float("nan"), float("nan"))
    at = int(np.nanargmax(np.abs(curve)))
    value, time = float(curve[at]), float(since_ed[at])
    if 0 < at < len(curve) - 1 and np.isfinite(curve[at - 1 : at + 2]).all():
        before, after = curve[at - 1] - value, curve[at + 1] - value
        bend = before + after
        if abs(bend) > 1e-9:
            shift = float(np.clip((before - after) / (2 * bend), -0.5, 0.5))
            time += shift * float(since_ed[at + 1] - since_ed[at - 1]) / 2
            value -= float((before - after) ** 2 / (8 * bend))
    return Peak(value, time)


@dataclass(frozen=True)
class Spread:
    """How far apart in time segments shorten most.

    Attributes:
        deviation, span: standard deviation, and latest less earliest, of the times to the largest shortening; shares
            of the cycle, NaN where too few segments shorten.
        segments: of which they are.
    """

    deviation: float
    span: float
    segments: int


FEWEST_SEGMENTS = 12  # of 16
LEAST_SHORTENING = 3.0  # %: the peak of a segment that hardly shortens is noise


def spread(curves: Array, since_ed: Array) -> Spread:
    """Mechanical synchrony: spread of the time to the largest shortening.

    Args:
        curves: (t, n) % of each segment; NaN for one without points.
        since_ed: (t,) share of the cycle since end-diastole of each frame, increasing.

    Source: the standard deviation over segments, as Yu et al., Circulation 2002;105:438, told it of the times to peak
    velocity of 12 segments by tissue Doppler; here of strain, so that limits of theirs do not hold.
    """
    times = [peak(np.minimum(curve, 0.0), since_ed) for curve in curves.T if np.isfinite(curve).any()]
    told = np.array([one.time for one in times if one.value <= -LEAST_SHORTENING])
    if told.size < FEWEST_SEGMENTS:
        return Spread(float("nan"), float("nan"), int(told.size))
    return Spread(float(told.std(ddof=1)), float(np.ptp(told)), int(told.size))


def rate(curve: Array, since_ed: Array, rr_s: float) -> Array:
    """(t,) strain rate, %/s: central differences around the closed cycle.

    Args:
        curve: (t,) %.
        since_ed: (t,) shares of the cycle.
        rr_s: length of the cycle, s.
    """
    order = np.argsort(np.mod(since_ed, 1.0))
    shares, values = np.mod(since_ed, 1.0)[order], curve[order]
    after, before = np.roll(values, -1), np.roll(values, 1)
    spans = np.mod(np.roll(shares, -1) - np.roll(shares, 1), 1.0)
    found = np.empty_like(values)
    found[order] = (after - before) / (np.where(spans > 0, spans, 1.0) * rr_s)
    return found


def smooth_within(values: Array, mask: NDArray[np.bool_], sigma: tuple[float, ...]) -> Array:
    """Gaussian mean of the voxels of a mask alone: nothing outside pulls the values to 0.

    Args:
        values: (x, y, z), of any meaning; those outside the mask are not looked at.
        mask: (x, y, z).
        sigma: voxels, one for each axis; 0 does not smooth along it.

    Returns:
        (x, y, z), NaN outside the mask.

    >>> smooth_within(np.array([[[7.0], [99.0]]]), np.array([[[True], [False]]]), (0, 1, 0))
    array([[[ 7.],
            [nan]]])
    """
    inside = np.where(mask, values, 0.0)
    share = ndimage.gaussian_filter(mask.astype(np.float64), sigma, mode="constant")
    total = ndimage.gaussian_filter(inside, sigma, mode="constant")
    return np.asarray(np.where(mask, total / np.maximum(share, 1e-12), np.nan))


def line_strain(motion: Motion, line: Array, times: Iterable[float]) -> Array:
    """Lengthening of a line drawn on the wall, as long-axis feature tracking tells GLS.

    Args:
        motion: how the heart moves.
        line: (n, 3) points in order at end-diastole, patient RAS mm, such as base, apex, base in a long-axis plane.
        times: (t,) shares of the cycle.

    Returns:
        (t,) % of the length at end-diastole; negative in systole.
    """
    rest = _length(line)
    return np.array([100 * (_length(line + motion.displacement(line, float(time))) / rest - 1) for time in times])


def _length(line: Array) -> float:
    return float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())
