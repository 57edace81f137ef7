"""How well found numbers agree with true ones, over many studies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Agreement:
    """Found against true, in the unit of the numbers unless said otherwise.

    Attributes:
        n: pairs in which both are known.
        missing: pairs in which the found number is absent although the true one is known.
        abs_error: mean absolute error.
        relative_error: mean absolute error as a share of the true value, %; NaN where a true value is 0.
        bias: mean of found minus true.
        limits: bias - and + 1.96 standard deviations of the differences (Bland and Altman 1986,
            doi 10.1016/S0140-6736(86)90837-8); NaN with fewer than two pairs.
        worst: largest absolute error.
        cv: coefficient of variation of the pairs, %: root mean square of (difference / sqrt 2) / (mean of the pair).
    """

    n: int
    missing: int
    abs_error: float
    relative_error: float
    bias: float
    limits: tuple[float, float]
    worst: float
    cv: float


def agreement(found: Sequence[float | None], truth: Sequence[float]) -> Agreement:
    """Compare number by number.

    Args:
        found: (n,); None or NaN where a number was withheld.
        truth: (n,).

    Raises:
        ValueError: different lengths, or no pair in which both are known.

    >>> agreement([52.0, 48.0, None], [50.0, 50.0, 60.0]).abs_error
    2.0
    """
    ours = np.array([np.nan if value is None else value for value in found], float)
    theirs = np.asarray(truth, float)
    if ours.shape != theirs.shape:
        raise ValueError(f"{len(ours)} found numbers for {len(theirs)} true ones")
    both = np.isfinite(ours) & np.isfinite(theirs)
    if not both.any():
        raise ValueError("no pair in which the found and the true number are known")
    ours, theirs = ours[both], theirs[both]
    difference = ours - theirs
    bias, spread = float(difference.mean()), _spread(difference)
    return Agreement(
        n=len(ours),
        missing=len(both) - len(ours),
        abs_error=float(np.abs(difference).mean()),
        relative_error=_share(np.abs(difference), theirs),
        bias=bias,
        limits=(bias - 1.96 * spread, bias + 1.96 * spread),
        worst=float(np.abs(difference).max()),
        cv=coefficient_of_variation(ours, theirs),
    )


def coefficient_of_variation(first: Sequence[float] | NDArray[np.float64], second: Sequence[float]) -> float:
    """Within-pair coefficient of variation, %.

    Args:
        first: (n,).
        second: (n,), the repeats.

    Returns:
        100 sqrt(mean(((a - b)^2 / 2) / ((a + b) / 2)^2)); NaN where a pair has mean 0.

    Source: CineMA (Fu et al.), evaluation of repeated scans.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    middle = (a + b) / 2
    if (middle == 0).any():
        return float("nan")
    return float(100 * np.sqrt((((a - b) ** 2 / 2) / middle**2).mean()))


def _spread(difference: NDArray[np.float64]) -> float:
    return float(difference.std(ddof=1)) if len(difference) > 1 else float("nan")


def _share(error: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    return float("nan") if (truth == 0).any() else float(100 * (error / np.abs(truth)).mean())
