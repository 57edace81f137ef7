"""t-SNE, exact and small, for pictures of a few hundred patients (van der Maaten and Hinton 2008).

A picture, not a measurement: sizes of groups and distances between them mean nothing, and another seed gives another.
`features` has the figures that belong beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.evaluate.features import cosine_distances

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

MOST = 2000  # patients: time and memory grow with their square
_EXAGGERATED, _STEPS, _FACTOR = 250, 1000, 12.0
_MOMENTUM = (0.5, 0.8)  # while exaggerated, and after
_BISECTIONS = 64
_TINY = 1e-12


@dataclass(frozen=True)
class Picture:
    """Patients in the plane.

    Attributes:
        points: (n, 2), mean 0.
        divergence: Kullback-Leibler, what the picture loses of the neighbourhoods; compare seeds by it.
        perplexity: neighbours each patient was given.
    """

    points: Array
    divergence: float
    perplexity: float


def tsne(features: ArrayLike, *, perplexity: float | None = None, seed: int = 0, cosine: bool = True) -> Picture:
    """Place patients so that neighbours stay neighbours.

    Args:
        features: (n, d), 4 to 2000 patients.
        perplexity: neighbours of each; min(30, (n - 1) / 3) when None.
        seed: of the small noise on the start, which is the plane of the two main components.
        cosine: neighbours by the cosine; otherwise by Euclidean distance.

    Raises:
        ValueError: too few or too many patients, or a perplexity that is not between 1 and n - 1.

    Source: CC-CMR's figure as specified: cosine distances, start from the main components, fixed seed.
    """
    given = np.asarray(features, float)
    n = len(given)
    if given.ndim != 2 or not 4 <= n <= MOST:
        raise ValueError(f"features must be (4 to {MOST}, d), got {given.shape}")
    wanted = min(30.0, (n - 1) / 3) if perplexity is None else perplexity
    if not 1 <= wanted < n - 1:
        raise ValueError(f"perplexity must be 1 or more and under {n - 1}, got {wanted}")
    far = cosine_distances(given) if cosine else np.square(given[:, None] - given[None]).sum(axis=2)
    shares = neighbour_shares(far, wanted)
    joint = np.maximum((shares + shares.T) / (2 * n), _TINY)
    np.fill_diagonal(joint, 0.0)
    points = _descend(joint, _start(given, seed))
    return Picture(points, divergence(joint, points), wanted)


def neighbour_shares(far: Array, perplexity: float) -> Array:
    """(n, n) rows of Gaussian shares over distances (n, n), each as broad as its perplexity asks; diagonal 0."""
    n = len(far)
    inner = np.where(
        np.eye(n, dtype=bool), np.inf, far - np.where(np.eye(n, dtype=bool), np.inf, far).min(axis=1)[:, None]
    )
    scale = np.where(np.isfinite(inner), inner, 0).max() or 1.0
    low, high = np.full(n, -30.0), np.full(n, 60.0)  # log of the precision, in units of the largest distance
    wanted = np.log(perplexity)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        shares = _gaussian(inner / scale, np.exp(middle))
        broad = -(shares * np.log(np.maximum(shares, 1e-300))).sum(axis=1) > wanted
        low, high = np.where(broad, middle, low), np.where(broad, high, middle)
    return _gaussian(inner / scale, np.exp((low + high) / 2))


def divergence(joint: Array, points: Array) -> float:
    """Kullback-Leibler divergence of the picture's neighbourhoods from the joint shares (n, n)."""
    weights = _student(points)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / np.maximum(weights / weights.sum(), _TINY)[there])).sum())


def gradient(joint: Array, points: Array) -> Array:
    """(n, 2) of `divergence` over the points."""
    weights = _student(points)
    pull = (joint - weights / weights.sum()) * weights
    return np.asarray(4 * (pull.sum(axis=1)[:, None] * points - pull @ points))


def _gaussian(far: Array, precision: Array) -> Array:
    weights = np.exp(-far * precision[:, None])
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _student(points: Array) -> Array:
    square = (points**2).sum(axis=1)
    weights = 1 / (1 + np.maximum(square[:, None] + square[None] - 2 * points @ points.T, 0))
    np.fill_diagonal(weights, 0.0)
    return np.asarray(weights)


def _start(given: Array, seed: int) -> Array:
    """The two main components, 1e-4 wide, each turned so that its largest part is positive."""
    left, values, right = np.linalg.svd(given - given.mean(axis=0), full_matrices=False)
    plane = np.zeros((len(given), 2))
    for axis in range(min(2, len(values))):
        sign = 1.0 if right[axis][np.abs(right[axis]).argmax()] >= 0 else -1.0
        plane[:, axis] = sign * left[:, axis] * values[axis]
    width = plane[:, 0].std() or 1.0
    return np.asarray(1e-4 * plane / width + 1e-6 * np.random.default_rng(seed).normal(size=plane.shape))


def _descend(joint: Array, points: Array) -> Array:
    """Gradient descent with momentum and a gain for each coordinate, first with exaggerated neighbourhoods."""
    rate = max(len(points) / _FACTOR / 4, 50.0)
    speed, gain = np.zeros_like(points), np.ones_like(points)
    for step in range(_STEPS):
        early = step < _EXAGGERATED
        slope = gradient(joint * _FACTOR if early else joint, points)
        gain = np.where(speed * slope < 0, gain + 0.2, gain * 0.8).clip(min=0.01)
        speed = _MOMENTUM[0 if early else 1] * speed - rate * gain * slope
        points = points + speed
        points = points - points.mean(axis=0)
    return points
