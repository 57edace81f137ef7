"""One clock for views that were taken in different beats: shares of the cycle in the place of frame numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.study import Image

    Array = NDArray[np.float64]


def beat_shares(image: Image) -> Array:
    """(t,) share of the beat at each frame, under 1; without an R-R interval that holds them the frames fill it."""
    span = float(image.times[-1] - image.times[0])
    if image.frames == 1:
        return np.zeros(1)
    known = image.rr_ms is not None and image.rr_ms / 1000 > span
    whole = image.rr_ms / 1000 if image.rr_ms and known else span + float(np.median(np.diff(image.times)))
    return np.asarray(image.times / whole, np.float64)


def at_shares(values: NDArray[Any], shares: Array, wanted: Array) -> Array:
    """What is known at some moments of a beat, at others: linear, the beat being a circle.

    Args:
        values: (t, ...), NaN where unknown.
        shares: (t,) of the beat, increasing.
        wanted: (n,) of the beat.

    Returns:
        (n, ...); NaN where a neighbour in time is unknown.

    >>> at_shares(np.array([0.0, 2.0, 4.0, 2.0]), np.arange(4) / 4, np.array([0.125, 0.875]))
    array([1., 1.])
    """
    flat = np.asarray(values, np.float64).reshape(len(shares), -1)
    columns = [np.interp(wanted, shares, column, period=1.0) for column in flat.T]
    return np.stack(columns, axis=1).reshape(len(wanted), *np.shape(values)[1:])
