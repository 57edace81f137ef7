"""How far found landmarks lie from true ones, mm, and how many were missed.

What follows from landmarks (MAPSE, shortening) is measured in `measure.long_axis` and compared in `agreement`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from cinecmr.anatomy import Landmark

    Array = NDArray[np.float64]

NEAR_MM = (2.0, 5.0)  # of a reader's own repeat; of a gross error


def distances(found: Mapping[Landmark, Array], truth: Mapping[Landmark, Array]) -> dict[Landmark, Array]:
    """Distance of each landmark at each frame.

    Args:
        found: (t, 3) patient RAS, mm, each.
        truth: (t, 3) each; NaN at frames that nobody marked.

    Returns:
        (t,) mm for each landmark of the truth: NaN where nobody marked it, infinite where it was not found.

    Raises:
        ValueError: a landmark has other frames in both.
    """
    told = {}
    for name, true in truth.items():
        ours = found.get(name, np.full(np.shape(true), np.nan))
        if np.shape(ours) != np.shape(true):
            raise ValueError(f"{name.value}: found at {np.shape(ours)} and true at {np.shape(true)} frames and axes")
        gaps = np.linalg.norm(np.asarray(ours, float) - true, axis=-1)
        marked = np.isfinite(true).all(axis=-1)
        told[name] = np.where(marked, np.where(np.isfinite(gaps), gaps, np.inf), np.nan)
    return told


def pixel_distances(found: ArrayLike, truth: ArrayLike, spacing: Sequence[float] = (1.0, 1.0)) -> Array:
    """Distances of points given in pixels.

    Args:
        found: (..., 2) pixels.
        truth: (..., 2) pixels.
        spacing: mm along each axis; the landmark data of CineMA tell none, and 1 mm is assumed in its tables.

    Returns:
        (...) mm.
    """
    return np.asarray(np.linalg.norm((np.asarray(found, float) - np.asarray(truth, float)) * spacing, axis=-1))


@dataclass(frozen=True)
class Localisation:
    """What is told of many distances.

    Attributes:
        n: points that somebody marked.
        missed: of these, not found; they are in no mean.
        mean, median, p95: of those found, mm; NaN where none was.
        within: share of all marked points that were found within each distance of `NEAR_MM`.
    """

    n: int
    missed: int
    mean: float
    median: float
    p95: float
    within: tuple[float, ...]


def localisation(gaps: ArrayLike) -> Localisation:
    """Summarise distances.

    Args:
        gaps: of any shape, mm, as `distances` gives: NaN where nobody marked a point, infinite where it was missed.
    """
    marked = np.asarray(gaps, float).ravel()
    marked = marked[~np.isnan(marked)]
    found = marked[np.isfinite(marked)]
    if not len(marked):
        return Localisation(0, 0, math.nan, math.nan, math.nan, (math.nan,) * len(NEAR_MM))
    mean, median, p95 = (
        (float(found.mean()), float(np.median(found)), float(np.percentile(found, 95)))
        if len(found)
        else (math.nan,) * 3
    )
    within = tuple(float((marked <= near).mean()) for near in NEAR_MM)
    return Localisation(len(marked), len(marked) - len(found), mean, median, p95, within)
