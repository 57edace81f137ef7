"""The beat before it is fitted: which frame is end-diastole, when each frame was taken, and what cannot be used."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.errors import RefusedInput
from cinecmr.measure.shifts import SHIFTED_MM, shift_mm
from cinecmr.motion.shell import MUSCLE
from cinecmr.study import Flag, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.study import Image

    Array = NDArray[np.float64]

BLACK = 1e-6  # of the brightest voxel: a frame that varies less shows nothing
MOVED_MM = 3.0  # a measured shift of less may be the labels' own error
FEWEST_FRAMES = 8  # below, the course of the motion over the beat is a guess between the frames


def check(sax: Image, labels: NDArray[np.uint8]) -> None:
    """Refuse what no motion can be fitted to."""
    if labels.shape != sax.data.shape:
        raise RefusedInput(
            "labels-shape",
            f"labels have shape {labels.shape}, the short-axis cine {sax.data.shape}: they must lie on its own grid",
        )
    if sax.frames < 2:
        raise RefusedInput("no-motion", "the short axis has one frame: nothing moves in it; give a cine")
    dark = dark_frames(sax)
    if 2 * dark.sum() > len(dark):
        raise RefusedInput("no-motion", f"{dark.sum()} of {len(dark)} frames of the short axis show nothing")


def end_diastole(labels: NDArray[np.uint8], sax: Image) -> int:
    """The labelled frame of the largest cavity.

    Raises:
        RefusedInput: no frame holds a cavity.
    """
    size = ((labels == Structure.LV) & ~dark_frames(sax)).sum(axis=(0, 1, 2))
    if not size.any():
        raise RefusedInput("no-ed", "no frame has labels of the left ventricle's cavity: end-diastole is not known")
    return int(np.argmax(size))


def given(ed: int, labels: NDArray[np.uint8], sax: Image) -> int:
    """A reference frame that somebody named.

    Raises:
        RefusedInput: it does not exist, shows nothing, or has no labels.
    """
    if not 0 <= ed < labels.shape[3]:
        raise RefusedInput(
            "no-such-frame", f"--ed {ed} is not a frame of this study: it has {labels.shape[3]}, counted from 0"
        )
    if dark_frames(sax)[ed] or not (labels[..., ed] == Structure.LV).any():
        raise RefusedInput(
            "no-ed", f"frame {ed}, named as end-diastole, shows nothing or has no labels of the left ventricle's cavity"
        )
    return ed


def dark_frames(image: Image) -> NDArray[np.bool_]:
    """(t,) frames that show nothing."""
    low, high = _extremes(image.data[::4, ::4])
    least = BLACK * max(float(np.abs([low, high]).max()), 1e-12)
    if (high - low > 8 * least).all():  # a part of a frame that shows something settles it, eight times over
        return np.zeros(image.frames, bool)
    low, high = _extremes(image.data)
    return np.asarray(high - low <= BLACK * max(float(np.abs([low, high]).max()), 1e-12))


def _extremes(data: NDArray[np.float32]) -> tuple[Array, Array]:
    """(t,) least and largest of each frame."""
    flat = data.reshape(-1, data.shape[3])
    return flat.min(axis=0).astype(np.float64), flat.max(axis=0).astype(np.float64)


def frequencies(wanted: int, frames: int) -> int:
    """How many waves so many frames can tell: two numbers each."""
    return max(1, min(wanted, (frames - 1) // 2))


def straightened(
    sax: Image, labels: NDArray[np.uint8], ed: int, shifts: Array | None = None
) -> tuple[Image, NDArray[np.uint8], list[int]]:
    """Slices of another breath-hold moved back in their plane, by whole pixels; and which those were.

    Args:
        sax: short axis.
        labels: (x, y, z, t) of it.
        ed: frame of end-diastole.
        shifts: (z, 2) mm as long-axis views tell them (`measure.crossings`): `MOVED_MM` or more is moved back. Where
            they are NaN or None, a slice counts as shifted when its left ventricle lies `SHIFTED_MM` or more off its
            neighbours' at end-diastole.
    """
    found: list[int] = []
    data, moved = sax.data, labels

    def move(z: int, pixels: Array) -> None:
        nonlocal data, moved
        if not found:  # the caller's own stay as they are
            data, moved = data.copy(), moved.copy()
        for array in (data, moved):
            array[:, :, z] = np.roll(array[:, :, z], np.rint(pixels).astype(int), axis=(0, 1))
        found.append(z)

    measured = np.full((sax.slices, 2), np.nan) if shifts is None else shifts
    known = np.isfinite(measured).all(axis=1)
    for z in np.flatnonzero(known & (np.linalg.norm(np.nan_to_num(measured), axis=1) >= MOVED_MM)).tolist():
        move(z, measured[z] / sax.spacing[:2])
    settled = np.flatnonzero(known).tolist()
    off = np.nan_to_num(shift_mm(moved[..., ed], sax.affine))
    off[settled] = 0.0
    while off.max(initial=0.0) >= SHIFTED_MM:
        worst = int(np.argmax(off))
        ring = (moved[..., ed] == Structure.LV) | np.isin(moved[..., ed], MUSCLE)
        middles = [np.argwhere(ring[:, :, z]).mean(axis=0) for z in (worst - 1, worst, worst + 1)]
        move(worst, (middles[0] + middles[2]) / 2 - middles[1])
        off = np.nan_to_num(shift_mm(moved[..., ed], sax.affine))
        off[settled + found] = 0.0
    return (replace(sax, data=data), moved, found) if found else (sax, labels, found)


def flags(labels: NDArray[np.uint8], dark: NDArray[np.bool_], shifted: list[int]) -> tuple[Flag, ...]:
    """What the reader must know of frames, labels and slices."""
    found = []
    frames = labels.shape[3]
    if frames < FEWEST_FRAMES:
        found.append(Flag("motion-few-frames", Severity.FLAG,
                          f"motion of {frames} frames: what happens between them is not seen"))  # fmt: skip
    known = [(labels[..., t] == Structure.LV).any() for t in range(frames)]
    if sum(known) < 0.75 * frames:
        found.append(Flag("motion-few-labels", Severity.FLAG,
                          f"{sum(known)} of {frames} frames have labels: elsewhere motion follows the pictures alone, "
                          "and strain is less exact"))  # fmt: skip
    if dark.any():
        where = ", ".join(map(str, np.flatnonzero(dark)))
        found.append(Flag("black-frames", Severity.FLAG, f"frames {where} show nothing and were not used"))
    if shifted:
        where = ", ".join(map(str, sorted(shifted)))
        found.append(Flag("slices-straightened", Severity.NOTE,
                          f"slices {where} lie off their neighbours or off where the long-axis views show them, as in "
                          "another breath-hold, and were moved back before the motion was fitted"))  # fmt: skip
    return tuple(found)
