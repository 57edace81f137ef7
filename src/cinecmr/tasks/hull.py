"""The convex hull of pixels, as pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import ConvexHull, QhullError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def convex(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Every pixel whose centre lies in the convex hull of the centres given, (x, y); pixels in a line stay as they are.

    >>> convex(np.array([[1, 0, 1], [0, 0, 0], [1, 0, 0]], bool)).astype(int)
    array([[1, 1, 1],
           [1, 1, 0],
           [1, 0, 0]])
    """
    points = np.argwhere(where)
    if len(points) < 3:
        return where.copy()
    low, high = points.min(0), points.max(0) + 1
    try:
        sides = ConvexHull(points).equations
    except QhullError:  # all in one line: the line is its own hull
        return where.copy()
    x, y = np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij")
    inside = np.ones(x.shape, bool)
    for a, b, c in sides:
        inside &= a * x + b * y + c <= 1e-9
    result = np.zeros_like(where)
    result[low[0] : high[0], low[1] : high[1]] = inside
    return result
