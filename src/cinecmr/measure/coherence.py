"""Do the labels of one frame look like a heart? Rules on shape alone, for whoever drew them.

A cavity lies in one piece within a closed wall, its area runs smoothly from slice to slice, and short and long axis
agree on how long it is. What breaks a rule is flagged with the slice and the figure; the number itself may still stand.
Limits of every sign, of both ventricles, lie as many times the distance from the median to the 90th percentile of 60
expert readings (ACDC) above that median, so many that at most one map in twenty breaks any (`experiments.quality`,
which also tells how that holds for people left out, and which faults are caught). Whether a wall is closed and a cavity
in one piece has fixed limits: most readings have neither a gap nor a second piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.measure.shifts import shift_mm
from cinecmr.study import Flag, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

WHOLE_CAVITY = 0.4  # of the largest slice: smaller ones end in the apex or the outflow tract, where a wall may be open


@dataclass(frozen=True)
class Limits:
    """What is still taken for a heart; see `Signs`. A contracted heart tapers in larger steps."""

    open_share: float = 0.10
    second_piece: float = 0.03
    jump: float = 0.220
    cut: float = 0.609
    length_mm: float = 20.0


LIMITS = {"ED": Limits(), "ES": Limits(jump=0.312, cut=0.577)}
# Beyond these the ventricle is withheld: no reader's map comes near, a lost slice or two cavities go beyond. Muscle may
# be absent altogether from labels of the cavities alone.
GROSS = Limits(open_share=float("inf"), second_piece=0.5, jump=0.65, cut=float("inf"))
SLENDER = (0.8, 1.55)  # length of the LV over its width: 0.85 to 1.36 in 60 synthetic hearts of nine diseases
BRIGHTER = {"ED": 0.873, "ES": 0.819}  # share of pairs in which blood is brighter; readers' worst: 0.88 and 0.81
SQUARE = 1.05  # longer over shorter side of a pixel: scanners store cines with square ones
SELDOM = 0.75  # below this the ventricle is withheld


@dataclass(frozen=True)
class Signs:
    """How far the labels of one frame are from a heart's shape; the larger the worse, NaN where it cannot be told.

    Attributes:
        open_share: (z,) share of the cavity's border that is met by neither cavity nor myocardium; NaN in slices under
            `WHOLE_CAVITY` of the largest.
        second_piece: (z,) size of the second largest piece of the cavity, as a share of the largest.
        jump: (z,) how far the LV's area lies from the mean of its neighbours', as a share of the largest slice; NaN in
            the outermost slices of the ventricle.
        cut: (z,) area of the LV and its wall in the smaller of their two outermost slices, as a share of the largest,
            put down at the wider one beyond which slices were acquired; NaN elsewhere.
        shift: (z,) mm, see `measure.shifts`.
    """

    open_share: NDArray[np.float64]
    second_piece: NDArray[np.float64]
    jump: NDArray[np.float64]
    cut: NDArray[np.float64]
    shift: NDArray[np.float64]


def signs(labels: NDArray[np.uint8], affine: NDArray[np.float64]) -> Signs:
    """Look at the left ventricle of one frame.

    Args:
        labels: (x, y, z) `Structure` codes, `UNSEEN` where nobody looked.
        affine: (4, 4) voxel index to patient RAS, mm.
    """
    slices = labels.shape[2]
    cavity = labels == Structure.LV
    seen = ~(labels == Structure.UNSEEN).all(axis=(0, 1))
    area = np.where(seen, cavity.sum(axis=(0, 1)), np.nan)
    whole = np.nan_to_num(area) >= WHOLE_CAVITY * max(1.0, float(np.nanmax(area, initial=0.0)))
    open_ = np.array([_open(labels[:, :, z]) if whole[z] else np.nan for z in range(slices)])
    second = np.array([_second(cavity[:, :, z]) if cavity[:, :, z].any() else np.nan for z in range(slices)])
    return Signs(open_, second, _jumps(area), _cut(labels, seen), shift_mm(labels, affine))


def apex_first(labels: NDArray[np.uint8]) -> bool:
    """Whether the heart is smaller at the beginning of the stack than at its end."""
    heart = np.isin(labels, (Structure.RV, Structure.MYO, Structure.LV)).sum(axis=(0, 1))
    held = heart[heart > 0]
    half = len(held) // 2
    return bool(half and held[:half].sum() < held[-half:].sum())


def _cut(labels: NDArray[np.uint8], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """See `Signs.cut`: one end of a whole ventricle is its apex, and small."""
    found = np.full(labels.shape[2], np.nan)
    area = ((labels == Structure.LV) | (labels == Structure.MYO)).sum(axis=(0, 1))
    held, there = np.flatnonzero(area), np.flatnonzero(seen)
    if not held.size:
        return found
    small, wide = sorted((int(held[0]), int(held[-1])), key=lambda z: int(area[z]))
    inside = [z for z in (wide, small) if there[0] < z < there[-1]]
    if inside:
        found[inside[0]] = area[small] / area.max()
    return found


def coherence_flags(labels: NDArray[np.uint8], affine: NDArray[np.float64], phase: str) -> list[Flag]:
    """`open-wall`, `several-pieces`, `area-jump` and `lv-cut` of the left ventricle, the worst slice of each.

    Args:
        labels: (x, y, z) `Structure` codes of one frame.
        affine: (4, 4) voxel index to patient RAS, mm.
        phase: "ED" or "ES".
    """
    limits, found = LIMITS[phase], signs(labels, affine)
    flags = []
    for code, name, words in (
        ("open-wall", "open_share", "{:.0f} % of the LV cavity's border lie outside the muscle"),
        ("several-pieces", "second_piece", "the LV cavity has a second piece of {:.0f} % of the first"),
        ("area-jump", "jump", "the LV's area lies {:.0f} % of the largest off the slices beside it"),
        (
            "lv-cut",
            "cut",
            "the LV with its wall ends here, with {:.0f} % of its largest slice or more at either end",
        ),
    ):
        worst = np.nan_to_num(getattr(found, name))
        z = int(worst.argmax()) if worst.size else 0
        if worst.size and worst[z] > getattr(limits, name):
            gross = bool(worst[z] > getattr(GROSS, name))
            then = "its numbers are withheld" if gross else "look at its contours"
            message = f"slice {z} at {phase}: {words.format(100 * worst[z])}; {then}"
            flags.append(Flag(code, Severity.REFUSE if gross else Severity.FLAG, message))
    return flags


def brighter(labels: NDArray[np.uint8], picture: NDArray[np.floating]) -> float:
    """How often a pixel of the LV cavity is brighter than one of its muscle, of all pairs; NaN where either is absent.

    Args:
        labels: (x, y, z) `Structure` codes of one frame.
        picture: (x, y, z) intensities of the same frame, any unit. A picture of one grey gives 0.5.
    """
    blood, muscle = picture[labels == Structure.LV], np.sort(picture[labels == Structure.MYO])
    if not blood.size or not muscle.size:
        return float("nan")
    below = [np.searchsorted(muscle, blood, side) for side in ("left", "right")]
    return float(np.mean(below) / muscle.size)


def dark_flags(labels: NDArray[np.uint8], picture: NDArray[np.floating], phase: str) -> list[Flag]:
    """`dark-cavity`: in a cine blood is brighter than muscle, so labels of which that is not true are not of the heart.

    Args:
        labels: (x, y, z) `Structure` codes of one frame.
        picture: (x, y, z) intensities of the same frame.
        phase: "ED" or "ES".
    """
    share = brighter(labels, picture)
    if not share < BRIGHTER[phase]:
        return []
    gross = share < SELDOM
    then = "its numbers are withheld" if gross else "look at its contours"
    message = (
        f"a pixel of the LV cavity at {phase} is brighter than one of its muscle in {100 * share:.0f} % of pairs only: "
        f"labels and picture do not go together, or the picture is no cine; {then}"
    )
    return [Flag("dark-cavity", Severity.REFUSE if gross else Severity.FLAG, message)]


def length_flags(labels: NDArray[np.uint8], affine: NDArray[np.float64], long_axis_mm: float) -> list[Flag]:
    """`lengths-differ`: the short-axis stack and a long-axis view disagree on the cavity's length.

    Args:
        labels: (x, y, z) `Structure` codes of the short axis at ED.
        affine: its (4, 4) voxel index to patient RAS, mm.
        long_axis_mm: from the middle of the mitral hinges to the apex at ED, mm (`measure.long_axis.lengths`). They may
            differ by 20 mm and one distance between slices, which the stack cannot tell.
    """
    held = np.flatnonzero((labels == Structure.LV).any(axis=(0, 1)))
    if not held.size or not np.isfinite(long_axis_mm):
        return []
    step = float(np.linalg.norm(affine[:3, 2]))
    stack = step * (held[-1] - held[0] + 1)
    if abs(stack - long_axis_mm) <= step + LIMITS["ED"].length_mm:
        return []
    message = (
        f"the LV is {stack:.0f} mm long in the short-axis stack and {long_axis_mm:.0f} mm in the long axis: slices at "
        "base or apex are missing or are not ventricle"
    )
    return [Flag("lengths-differ", Severity.FLAG, message)]


def proportion_flags(labels: NDArray[np.uint8], affine: NDArray[np.float64]) -> list[Flag]:
    """`odd-proportions`: pixels that are not square, or a left ventricle far too long or short for its width.

    Either is as of a wrong voxel size.

    Args:
        labels: (x, y, z) `Structure` codes of the short axis at ED.
        affine: (4, 4) voxel index to patient RAS, mm.
    """
    x, y = (float(np.linalg.norm(affine[:3, axis])) for axis in (0, 1))
    length, width = proportions(labels, affine)
    low, high = SLENDER
    if max(x, y) > SQUARE * min(x, y):
        message = (
            f"pixels are said to be {x:.2f} by {y:.2f} mm, and scanners store cines with square ones: if either side "
            "is wrong, so is every volume"
        )
    elif width and not low <= length / width <= high:
        message = (
            f"the LV with its wall is {length:.0f} mm long and {width:.0f} mm wide, which no heart is: the pixel size "
            "or the distance of the slices may be wrong, and every volume with it, or slices are missing"
        )
    else:
        return []
    return [Flag("odd-proportions", Severity.FLAG, message)]


def proportions(labels: NDArray[np.uint8], affine: NDArray[np.float64]) -> tuple[float, float]:
    """Length of the LV cavity in slices and their distance, and width of the LV with its wall, mm; 0 where absent.

    The width is that of a disc as large as the second largest slice, so that one wrong slice does not decide.
    """
    step = np.linalg.norm(affine[:3, :3], axis=0)
    held = np.flatnonzero((labels == Structure.LV).any(axis=(0, 1)))
    area = np.sort(((labels == Structure.LV) | (labels == Structure.MYO)).sum(axis=(0, 1)))[::-1]
    if not held.size or len(area) < 2:
        return 0.0, 0.0
    return float(step[2] * (held[-1] - held[0] + 1)), float(np.sqrt(4 / np.pi * area[1] * step[0] * step[1]))


def _open(plane: NDArray[np.uint8]) -> float:
    """Share of the cavity's border pixels' sides that face neither cavity nor myocardium."""
    cavity = np.pad(plane == Structure.LV, 1)
    inside = cavity | np.pad(plane == Structure.MYO, 1)
    sides = outward = 0
    for axis in (0, 1):
        for step in (-1, 1):
            edge = cavity & ~np.roll(cavity, step, axis)
            sides += int(edge.sum())
            outward += int((edge & ~np.roll(inside, step, axis)).sum())
    return outward / sides if sides else 0.0


def _second(cavity: NDArray[np.bool_]) -> float:
    from scipy import ndimage

    pieces, count = ndimage.label(cavity)
    if count < 2:
        return 0.0
    sizes = np.sort(np.bincount(pieces.ravel())[1:])
    return float(sizes[-2] / sizes[-1])


def _jumps(area: NDArray[np.float64]) -> NDArray[np.float64]:
    """(z,) departures from the mean of the neighbours, as a share of the largest."""
    found = np.full(len(area), np.nan)
    held = np.flatnonzero(np.nan_to_num(area) > 0)
    if held.size < 3:
        return found
    inner = slice(held[0] + 1, held[-1])
    middle = (area[held[0] : held[-1] - 1] + area[held[0] + 2 : held[-1] + 1]) / 2
    found[inner] = np.abs(area[inner] - middle) / np.nanmax(area)
    return found
