"""How a network's features lie: the figures that must stand beside a t-SNE picture, whose distances mean little.

Features are (n, d), one row a patient. Silhouette, nearest neighbours and centroids are told in the full space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

_SMALLEST = 1e-8  # norm below which a feature has no direction


def cosine_distances(first: ArrayLike, second: ArrayLike | None = None) -> Array:
    """1 less the cosine of every pair.

    Args:
        first: (n, d).
        second: (m, d); the first again when None.

    Returns:
        (n, m), 0 to 2; 1 to a feature of length 0.
    """
    a, b = (_unit(one) for one in (first, first if second is None else second))
    return np.asarray(1 - a @ b.T)


def silhouettes(features: ArrayLike, classes: Sequence[object] | NDArray[np.generic], *, cosine: bool = True) -> Array:
    """How much nearer each patient is to its own class than to the nearest other one.

    Args:
        features: (n, d).
        classes: (n,).
        cosine: distances by `cosine_distances`; otherwise Euclidean.

    Returns:
        (n,) (b - a) / max(a, b), -1 to 1, of the mean distances a to its own class and b to the nearest other; 0 for
        a patient alone in its class (Rousseeuw 1987).

    Raises:
        ValueError: fewer than two classes, or lists of other lengths.
    """
    given, codes = _labelled(features, classes)
    there = np.unique(codes)
    if len(there) < 2:
        raise ValueError("a silhouette needs two classes or more")
    far = cosine_distances(given) if cosine else _euclidean(given)
    sums = np.stack([far[:, codes == one].sum(axis=1) for one in there], axis=1)
    sizes = np.array([(codes == one).sum() for one in there])
    own = np.searchsorted(there, codes)
    row = np.arange(len(codes))
    inside = sums[row, own] / np.maximum(sizes[own] - 1, 1)
    means = sums / sizes
    means[row, own] = np.inf
    outside = means.min(axis=1)
    larger = np.maximum(inside, outside)
    told = np.divide(outside - inside, larger, out=np.zeros_like(larger), where=larger > 0)
    return np.asarray(np.where(sizes[own] > 1, told, 0.0))


def neighbour_purity(
    features: ArrayLike,
    classes: Sequence[object] | NDArray[np.generic],
    k: int = 5,
    *,
    among: tuple[ArrayLike, Sequence[object] | NDArray[np.generic]] | None = None,
    skip_own: bool = True,
) -> float:
    """Mean share of the k nearest others, by cosine, that are of a patient's own class. Chance is the class shares.

    Args:
        features: (n, d).
        classes: (n,).
        k: neighbours; at most all others.
        among: (m, d) features of another sequence and their (m,) classes, to search instead.
        skip_own: with `among` of the same patients in the same order, leave out the patient's own other feature.

    Raises:
        ValueError: lists of other lengths, no neighbours, or a patient to skip that is not there.
    """
    given, codes = _labelled(features, classes)
    bank, named = (given, codes) if among is None else _labelled(*among)
    if among is not None:
        codes, named = _shared_codes(classes, among[1])
    far = cosine_distances(given, bank)
    if among is None or skip_own:
        if len(bank) != len(given):
            raise ValueError(f"{len(given)} patients and {len(bank)} others: skip_own needs the same patients in both")
        np.fill_diagonal(far, np.inf)
    most = far.shape[1] - int(among is None or skip_own)
    if not 1 <= k <= most:
        raise ValueError(f"k must be 1 to {most}, got {k}")
    nearest = np.argsort(far, axis=1, kind="stable")[:, :k]
    return float((named[nearest] == codes[:, None]).mean())


def centroid_cosines(
    first: ArrayLike, second: ArrayLike, classes: Sequence[object] | NDArray[np.generic]
) -> dict[object, float]:
    """Cosine between the mean unit features of two sequences, for each class: 1 where they point the same way.

    Args:
        first: (n, d) of one sequence.
        second: (n, d) of the other, the same patients.
        classes: (n,).
    """
    names = list(dict.fromkeys(np.asarray(classes).tolist()))
    of = np.asarray(classes)
    a, b = _unit(first), _unit(second)
    if a.shape != b.shape or len(of) != len(a):
        raise ValueError(f"features {a.shape} and {b.shape} of {len(of)} patients: give the same patients in both")
    found: dict[object, float] = {}
    for name in names:
        one, other = (side[of == name].mean(axis=0, keepdims=True) for side in (a, b))
        found[name] = float(1 - cosine_distances(one, other)[0, 0])
    return found


@dataclass(frozen=True)
class Ellipse:
    """Where most points of a group lie in a picture: upright, around the mean.

    Attributes:
        centre: mean x and y.
        half_axes: standard deviations of x and y; NaN of a single point.
    """

    centre: tuple[float, float]
    half_axes: tuple[float, float]


def ellipses(points: ArrayLike, groups: Sequence[object]) -> Mapping[object, Ellipse]:
    """The dashed ellipses of CC-CMR's figure: mean and standard deviation of each group of (n, 2) points."""
    given, of = np.asarray(points, float), list(groups)
    if given.shape != (len(of), 2):
        raise ValueError(f"points must be ({len(of)}, 2), got {given.shape}")
    told = {}
    for name in dict.fromkeys(of):
        mine = given[[one == name for one in of]]
        spread = mine.std(axis=0, ddof=1) if len(mine) > 1 else np.full(2, np.nan)
        told[name] = Ellipse(tuple(mine.mean(axis=0).tolist()), tuple(spread.tolist()))
    return told


def effective_rank(features: ArrayLike) -> float:
    """How many directions the features fill: exp of the entropy of their singular values (Roy and Vetterli 2007).

    Args:
        features: (n, d); their mean is taken off.

    Returns:
        1 where all lie on a line, up to min(n - 1, d); NaN where all are the same: the network has collapsed.
    """
    given = np.asarray(features, float)
    values = np.linalg.svd(given - given.mean(axis=0), compute_uv=False)
    scale = np.abs(given).max(initial=0.0)
    if values.max(initial=0.0) <= 1e-12 * max(scale, 1e-300) * np.sqrt(given.size):
        return float("nan")
    share = values[values > 0] / values.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def _unit(features: ArrayLike) -> Array:
    given = np.asarray(features, float)
    return np.asarray(given / np.maximum(np.linalg.norm(given, axis=1, keepdims=True), _SMALLEST))


def _euclidean(given: Array) -> Array:
    return np.asarray(np.linalg.norm(given[:, None] - given[None], axis=2))


def _labelled(features: ArrayLike, classes: Sequence[object] | NDArray[np.generic]) -> tuple[Array, NDArray[np.intp]]:
    given = np.asarray(features, float)
    if given.ndim != 2 or len(given) != len(classes):
        raise ValueError(f"features must be ({len(classes)}, d), got {given.shape}")
    return given, np.unique(np.asarray(classes), return_inverse=True)[1]


def _shared_codes(
    first: Sequence[object] | NDArray[np.generic], second: Sequence[object] | NDArray[np.generic]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Equal names by equal numbers in both lists."""
    codes = np.unique(np.concatenate([np.asarray(first), np.asarray(second)]), return_inverse=True)[1]
    return codes[: len(first)], codes[len(first) :]
