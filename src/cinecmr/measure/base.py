"""Where the mitral plane lies between two slices, from the whole beat.

A stack of thick slices tells the base only to the nearest slice: half a slice of blood is 10 ml. But the plane comes
down by more than a centimetre and goes up again, and each slice it passes says when. How far contraction has gone is
known from the middle of the ventricle, so the moments of passing give the plane's height in between. Where long-axis
views show the hinges of the valve, they tell the height, and the moments of passing only how far apart the breath-holds
of both lay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_FRAMES = 8  # with fewer, the passing moments say too little
# How far the plane comes down, as a share of the long axis and the ejection fraction: in healthy hearts 13-15 % of
# the length at an ejection fraction near 60 %, in failing ones in proportion.
DESCENT_PER_EF = 0.22
DESCENT_SPREAD_MM = 4.0
# Breath-holds of short and long axis end at different depths: the diaphragm is 3 to 6 mm apart from one to the next.
OFFSET_SPREAD_MM = 5.0
CONTRADICTION = 0.4  # of a slice, in the mean; labels of synthetic hearts and their own long axis stay below 0.15
_STRANGEST = -8.0  # log likelihood of a frame whose labels are simply wrong
_SOFTNESS = 0.12  # of a slice: how sharply a reader, or a network, decides whether a slice still counts
_WEIGHT = 0.5  # of each frame: neighbouring frames err together


@dataclass(frozen=True)
class Base:
    """The mitral plane over the beat.

    Attributes:
        apex_first: slices are counted from the apical end of the stack; False: the array's z runs base to apex.
        top: (t,) the most basal slice that counts, counted from the apical end.
        height: (t,) the plane, in slices from the apical end: between `top` and `top + 1`; where the long axis tells
            it, it may lie a slice beyond either.
        offset_mm: how far the short axis lies above the long axis, along the axis; None where no long axis was asked.
    """

    apex_first: bool
    top: NDArray[np.intp]
    height: NDArray[np.float64]
    offset_mm: float | None = None

    def added(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """What lies between the basal slice's upper face and the plane: slices reach half a spacing up and down.

        Args:
            counts: (z, t) areas of one structure, no NaN, in the array's own slice order.

        Returns:
            (t,), in slice areas; negative where the plane lies below the face.
        """
        ordered = counts if self.apex_first else counts[::-1]
        share = self.height - (np.arange(len(ordered))[:, None] - 0.5)  # of each slice that lies below the plane
        above = ordered[self.top, np.arange(counts.shape[1])] * np.clip(self.height - (self.top + 0.5), 0, 1)
        return np.asarray(above - (ordered * (1 - np.clip(share, 0, 1))).sum(axis=0))

    def below(self, frame: int, slices: int) -> NDArray[np.bool_]:
        """(slices,) that lie below the plane from face to face in a frame, in the array's own slice order."""
        counted = np.arange(slices) + 0.5 <= self.height[frame]
        return np.asarray(counted if self.apex_first else counted[::-1])


def find_base(counts: NDArray[np.float64], spacing_mm: float, seen: NDArray[np.float64] | None = None) -> Base | None:
    """Height of the mitral plane at every frame.

    Args:
        counts: (z, t) areas of the LV blood pool; any slice order.
        spacing_mm: from slice centre to slice centre.
        seen: (t,) height of the mitral hinges as long-axis views show it, in slices of the array's own order.

    Returns:
        None where it cannot be told: a frame nobody looked at, fewer than `FEWEST_FRAMES` frames, fewer than 4 slices,
        a frame without LV, or a stack that ends while the ventricle goes on. Heights `seen` that contradict the slices
        that count (`CONTRADICTION`) are left out, and `offset_mm` stays None.

    Source: posterior mean of (height at end-diastole, descent) under a logistic likelihood of "this slice counts in
    this frame" and a normal prior of the descent; the plane follows the contraction of the middle slices. With `seen`
    the posterior mean of one offset for all frames, under the same likelihood and a normal prior (`OFFSET_SPREAD_MM`).
    """
    held = counts > 0
    if (
        not np.isfinite(counts).all()
        or counts.shape[1] < FEWEST_FRAMES
        or not held.any(axis=0).all()
        or held.any(axis=1).sum() < 4
    ):
        return None
    apex_first = _apex_first(counts)
    ordered = held if apex_first else held[::-1]
    n = len(ordered)
    top = n - 1 - ordered[::-1].argmax(axis=0)
    if seen is not None and np.isfinite(seen).all():
        along = seen if apex_first else n - 1 - seen
        offset = _offset(top, along, OFFSET_SPREAD_MM / spacing_mm)
        if _contradiction(top, along + offset) <= CONTRADICTION:
            return Base(apex_first, top, np.clip(along + offset, top - 1.0, top + 1.5), offset * spacing_mm)
    if top.max() == n - 1:
        return None
    apex = ordered.argmax(axis=0).min()
    contraction = _contraction(counts if apex_first else counts[::-1])
    length = float(np.median(np.sort(top)[-3:]) + 1 - apex)
    total = counts.sum(axis=0)
    ejected = float(np.clip(1 - total.min() / total.max(), 0, 0.8))
    expected = DESCENT_PER_EF * ejected * length
    height = _posterior(top, contraction, expected, DESCENT_SPREAD_MM / spacing_mm)
    return Base(apex_first, top, np.clip(height, top, top + 1))


def _offset(top: NDArray[np.intp], along: NDArray[np.float64], spread: float) -> float:
    """Posterior mean of what must be added to heights for the slices that count to be those below them, slices."""
    offsets = np.arange(-3 * spread, 3 * spread + 0.02, 0.02)[:, None]
    plane = along + offsets
    fits = _log_sigmoid((plane - top) / _SOFTNESS) + _log_sigmoid((top + 1 - plane) / _SOFTNESS)
    log = _WEIGHT * np.maximum(fits, _STRANGEST).sum(axis=1) - 0.5 * (offsets[:, 0] / spread) ** 2
    weight = np.exp(log - log.max())
    return float((weight * offsets[:, 0]).sum() / weight.sum())


def _contradiction(top: NDArray[np.intp], height: NDArray[np.float64]) -> float:
    """Mean over the frames of how far the plane lies outside of the slice it should lie in, slices."""
    return float((np.maximum(top - height, 0) + np.maximum(height - top - 1, 0)).mean())


def _apex_first(counts: NDArray[np.float64]) -> bool:
    """The base is the end with the larger areas."""
    mean = counts.mean(axis=1)
    held = np.flatnonzero(mean > 0)
    half = len(held) // 2
    return bool(mean[held[:half]].sum() <= mean[held[-half:]].sum())


def _contraction(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    """(t,) 0 at the largest, 1 at the smallest radius of the middle of the ventricle."""
    always = np.flatnonzero((ordered > 0).all(axis=1))
    middle = always[len(always) // 4 : max(len(always) - len(always) // 4, 1)]
    radius = np.sqrt(ordered[middle if middle.size else always].sum(axis=0))
    width = radius.max() - radius.min()
    return np.zeros_like(radius) if width <= 0 else (radius.max() - radius) / width


def _posterior(
    top: NDArray[np.intp],
    contraction: NDArray[np.float64],
    expected: float,
    spread: float,
) -> NDArray[np.float64]:
    """(t,) mean height, in slices, over a grid of end-diastolic heights and descents."""
    heights = np.arange(top.min(), top.max() + 3.0, 0.05)[:, None, None]
    descents = np.arange(0.0, expected + 3 * spread + 0.05, 0.05)[None, :, None]
    plane = heights - descents * contraction
    fits = _log_sigmoid((plane - top) / _SOFTNESS) + _log_sigmoid((top + 1 - plane) / _SOFTNESS)
    log = _WEIGHT * fits.sum(axis=2) - 0.5 * ((descents[..., 0] - expected) / spread) ** 2
    weight = np.exp(log - log.max())
    return np.asarray((weight[..., None] * plane).sum(axis=(0, 1)) / weight.sum())


def _log_sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return -np.logaddexp(0.0, -x)
