"""Which of the places that look like a valve's hinges are its two, judged over the whole beat.

A picture may show more than two: the foot of a papillary muscle, a vein's mouth, the other valve. Hinges move little
from frame to frame, lie a valve's width apart, and end the line along which the ventricle is open.
"""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_WIDTH_MM = (14.0, 75.0)  # of a valve as a plane cuts it
_FEWEST_FRAMES = 8  # with fewer, neighbours in time are no neighbours in place
_STEP_MM, _STEP_A_BEAT_MM = 5.0, 110.0  # how far a hinge moves from frame to frame
_RESTLESS, _FARTHEST = 0.25, 1.0  # what one such step costs, and the most that any costs, in heights
_LABELLED, _NEAR_MM = 0.3, 10.0  # what lying at an end of the labels is worth, in heights, and how near that is


def followed(places: Sequence[Array], heights: Sequence[Array], ends: Sequence[Array]) -> Array:
    """The likeliest two places of every frame.

    Args:
        places: of each frame (n, 3) mm, any number.
        heights: of each frame (n,) how much each looks like a hinge, 0 to 1.
        ends: guesses of the same two points from labels, (t, 2, 3) mm each, NaN where labels tell none.

    Returns:
        (t, 2, 3) mm; NaN at frames with no two places a valve's width apart. Which comes first is kept from frame to
        frame, and means nothing else.

    Source: the path of highest sum of heights less steps, by dynamic programming (Viterbi, 1967).
    """
    pairs = [_pairs(one) for one in places]
    known = [t for t, all_ in enumerate(pairs) if all_]
    found = np.full((len(places), 2, 3), np.nan)
    if not known:
        return found
    states = [places[t][np.array(pairs[t])] for t in known]  # (n, 2, 3) each
    worth = [
        np.array([heights[t][list(both)].sum() + sum(_near(places[t][list(both)], one[t]) for one in ends)
                  for both in pairs[t]])
        for t in known
    ]  # fmt: skip
    total, came = worth[0], list[Any]()
    for number in range(1, len(known)):
        passed = known[number] - known[number - 1]
        sums = total[:, None] - _cost(states[number - 1], states[number], len(places), passed)
        came.append(sums.argmax(axis=0))
        total = sums.max(axis=0) + worth[number]
    state = int(total.argmax())
    for number in range(len(known) - 1, -1, -1):
        found[known[number]] = states[number][state]
        state = int(came[number - 1][state]) if number else state
    return found


def _pairs(places: Array) -> list[tuple[int, int]]:
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    return [(i, j) for i, j in permutations(range(len(places)), 2) if _WIDTH_MM[0] <= apart[i, j] <= _WIDTH_MM[1]]


def _near(both: Array, ends: Array) -> float:
    """What it is worth that two places lie at two ends, either way round."""
    if not np.isfinite(ends).all():
        return 0.0
    far = min(float(np.linalg.norm(both - one, axis=1).mean()) for one in (ends, ends[::-1]))
    return _LABELLED * float(np.exp(-0.5 * (far / _NEAR_MM) ** 2))


def _cost(before: Array, now: Array, frames: int, passed: int) -> Array:
    """(n, m) of going from each pair (n, 2, 3) to each pair (m, 2, 3)."""
    if frames < _FEWEST_FRAMES:
        return np.zeros((len(before), len(now)))
    step = max(_STEP_MM, _STEP_A_BEAT_MM / frames) * passed
    squares = ((before[:, None] - now[None]) ** 2).sum(axis=(2, 3)) / step**2
    return np.asarray(np.minimum(_RESTLESS * squares, _FARTHEST))
