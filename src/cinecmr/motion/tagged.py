"""Tagged-cine volumes: a short-axis cine in which the tagged slices take the places of the cine slices they lie on.

What the paper leaves open is settled so: a tagged slice takes the place of the nearest cine slice; it is sampled at
that slice's pixels, and at its moments of the cycle; its grey values get the mean and the spread of the slice it
replaces, frame by frame, so that fading lines do not look like motion; frames after the last tagged one stay cine.

Source: tagged-informed INR motion prior, section 2.2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from cinecmr.geometry import apply_affine
from cinecmr.measure.clock import beat_shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.study import Image

    Array = NDArray[np.float64]

_FAR_MM = 12.0  # from its cine slice: a tagged slice further away lies outside the stack


def tagged_cine(cine: Image, tagged: Image) -> Image:
    """The cine with its tagged slices.

    Args:
        cine: short-axis stack.
        tagged: slices of the same visit, in planes about parallel to it.

    Returns:
        On the cine's grid and times. A tagged slice outside the stack is left out.
    """
    data = cine.data.astype(np.float32)
    shares, own = beat_shares(cine), beat_shares(tagged)
    to_cine, to_tagged = (np.asarray(np.linalg.inv(one.affine), np.float64) for one in (cine, tagged))
    middle = (np.array(tagged.data.shape[:2]) - 1) / 2
    for number in range(tagged.slices):
        place = apply_affine(to_cine, apply_affine(tagged.affine, np.array([*middle, float(number)])))[2]
        z = int(np.clip(np.rint(place), 0, cine.slices - 1))
        if abs(place - z) * cine.spacing[2] > _FAR_MM:
            continue
        index = np.argwhere(np.ones((*data.shape[:2], 1), bool)).astype(np.float64)
        index[:, 2] = z
        there = apply_affine(to_tagged, apply_affine(cine.affine, index))[:, :2].T
        for t in np.flatnonzero(shares <= own[-1]):
            film = _between(tagged.data[:, :, number], own, float(shares[t]))
            seen = ndimage.map_coordinates(film, there, order=1, mode="nearest").reshape(data.shape[:2])
            data[:, :, z, t] = _as_bright(seen, data[:, :, z, t])
    return replace(cine, data=data)


def _between(frames: NDArray[Any], shares: Array, share: float) -> NDArray[np.float32]:
    """(x, y) of (x, y, t) at a moment between two frames."""
    at = float(np.interp(share, shares, np.arange(len(shares))))
    low = min(int(at), len(shares) - 1)
    high, part = min(low + 1, len(shares) - 1), at - low
    return np.asarray((1 - part) * frames[..., low] + part * frames[..., high], np.float32)


def _as_bright(seen: NDArray[np.float32], as_in: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grey values with the mean and the spread of another picture."""
    spread = max(float(seen.std()), 1e-6)
    return np.asarray((seen - seen.mean()) * (float(as_in.std()) / spread) + as_in.mean(), np.float32)
