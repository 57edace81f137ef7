"""Slices and frames that do not go with the others: signal lost to metal or banding, another brightness, copies.

Each inner slice is compared with the two beside it, each frame with the others of its slice, from the pixels alone. The
outermost slices have one neighbour only and are not judged, nor is what spoils all slices alike.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.study import Flag, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.study import Image

TISSUE = 0.3  # of the brightest per cent of the stack: what both neighbours show at least as bright is tissue
LOST = 0.25  # of its neighbours' brightness: below, a pixel's signal is lost
LOST_SHARE = 0.15  # of the tissue that may be lost
DARK, BRIGHT = 0.4, 2.5  # median brightness relative to the neighbours
FEW_PIXELS = 30
BLANK = 0.3  # of the median frame of its slice: a frame so dark shows nothing of what the others show


def quality_flags(image: Image) -> list[Flag]:
    """What is odd about single slices of a short-axis cine.

    Args:
        image: a stack.

    Returns:
        `slice-quality`, naming the slice (counted from 1) and figures; `blank-frames`, naming frames as the report
        does, from 0; `copied-slice`, naming both.
    """
    inner = [z for z in range(1, image.slices - 1) if not {z - 1, z, z + 1} & set(image.missing_slices)]
    mean = image.data.mean(axis=-1, dtype=np.float32)
    return [flag for z in inner for flag in _brightness(z, mean)] + _blank_frames(image) + _copies(image)


def _copies(image: Image) -> list[Flag]:
    """Slices that show the very same pixels at every moment: noise never repeats itself."""
    seen: dict[bytes, int] = {}
    flags = []
    for z in (z for z in range(image.slices) if z not in image.missing_slices):
        pixels = image.data[:, :, z]
        if pixels.min() == pixels.max():
            continue  # an empty slice is no copy
        first = seen.setdefault(hashlib.sha256(pixels.tobytes()).digest(), z)
        if first != z:
            message = (f"slices {first + 1} and {z + 1} show the same picture at every moment: one is a copy, and "
                       "volumes count it instead of what it hides")  # fmt: skip
            flags.append(Flag("copied-slice", Severity.FLAG, message))
    return flags


def _blank_frames(image: Image) -> list[Flag]:
    """Frames that show hardly anything where the others of their slice show a picture."""
    level = image.data.mean(axis=(0, 1), dtype=np.float64)
    usual = np.median(level, axis=1, keepdims=True)
    blank = (level < BLANK * usual) & (usual > 0)
    if not blank.any():
        return []
    slices, frames = ([int(i) for i in np.flatnonzero(blank.any(axis=axis))] for axis in (1, 0))
    where = "all slices" if len(slices) == image.slices else f"slice {', '.join(str(z + 1) for z in slices)}"
    message = (f"frame {', '.join(map(str, frames))} is black in {where}: what is measured there is wrong; look at the "
               "curve, and name other frames with --ed and --es")  # fmt: skip
    return [Flag("blank-frames", Severity.FLAG, message)]


def _brightness(z: int, mean: NDArray[np.float32]) -> list[Flag]:
    """Of one slice of the (x, y, z) mean over time."""
    beside = np.minimum(mean[:, :, z - 1], mean[:, :, z + 1])
    tissue = beside > TISSUE * float(np.percentile(mean, 99))
    if tissue.sum() < FEW_PIXELS:
        return []
    ratio = mean[:, :, z][tissue] / beside[tissue]
    level, lost = float(np.median(ratio)), float((ratio < LOST).mean())
    if not DARK < level < BRIGHT:
        message = f"slice {z + 1} is {level:.1f} times as bright as its neighbours; look at its contours"
    elif lost > LOST_SHARE:
        message = (f"slice {z + 1} has lost its signal in {100 * lost:.0f} % of what both neighbours show, as beside "
                   "metal or in dark bands; look at its contours")  # fmt: skip
    else:
        return []
    return [Flag("slice-quality", Severity.FLAG, message)]
