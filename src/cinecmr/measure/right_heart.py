"""Do the labels of the right ventricle look like one? Rules on its slices, and on the blood beside it.

A right ventricle tapers towards the apex: it does not end as a wide slice above the left one's apex, nor does a slice
depart far from the two beside it. And where its label ends, its blood ends: pixels as bright as its blood that go on
below it, or beside it, were missed.

Limits are set as those of `measure.coherence`, but for `beside`, of which most expert readings have nothing at all: of
120 the worst has 0.033.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.measure.coherence import apex_first
from cinecmr.measure.right_blood import blood_beside
from cinecmr.study import Flag, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 20  # pixels of blood or muscle that tell how bright either is


@dataclass(frozen=True)
class Limits:
    """What is still taken for a right ventricle; see `RightSigns`. A contracted one tapers in larger steps."""

    abrupt: float = 0.333
    fall: float = 0.389
    jump: float = 0.239
    goes_on: float = 0.236
    beside: float = 0.06


LIMITS = {"ED": Limits(), "ES": Limits(0.364, 0.644, 0.328, 0.239)}
# Beyond these the ventricle is withheld; no expert reading comes near.
GROSS = {
    "ED": Limits(0.616, float("inf"), 0.616, 0.44, 0.15),
    "ES": Limits(0.748, float("inf"), 0.814, 0.484, 0.15),
}


@dataclass(frozen=True)
class RightSigns:
    """How far the labels of one frame are from a right ventricle's shape, as shares of its largest slice.

    Attributes:
        abrupt: area of its most apical slice, where the left ventricle goes on below it; else 0.
        fall: largest loss from one slice to the next, from the largest one towards the apex.
        jump: (z,) how far a slice's area lies from the mean of its neighbours'; NaN in the outermost.
        goes_on: (z,) area right below the label of the slice above, in no label and bright as its blood; NaN without a
            picture, and where brightness cannot be told.
        beside: blood that lies open beside its label, the median of its slices but the most basal; 0 without a picture.
    """

    abrupt: float
    fall: float
    jump: NDArray[np.float64]
    goes_on: NDArray[np.float64]
    beside: float = 0.0

    def worst(self) -> dict[str, tuple[float, int]]:
        """Largest value of every sign, and its slice; -1 for those that have none."""
        told = {"abrupt": (self.abrupt, -1), "fall": (self.fall, -1), "beside": (self.beside, -1)}
        for name, values in (("jump", self.jump), ("goes_on", self.goes_on)):
            known = np.nan_to_num(values)
            told[name] = (float(known.max(initial=0.0)), int(known.argmax()) if known.size else -1)
        return told


def right_signs(labels: NDArray[np.uint8], picture: NDArray[np.floating] | None = None) -> RightSigns:
    """Look at the right ventricle of one frame.

    Args:
        labels: (x, y, z) `Structure` codes, `UNSEEN` where nobody looked; base or apex first.
        picture: (x, y, z) intensities of the same frame, any unit.
    """
    seen = ~(labels == Structure.UNSEEN).all(axis=(0, 1))
    right = (labels == Structure.RV).sum(axis=(0, 1))
    left = ((labels == Structure.LV) | (labels == Structure.MYO)).sum(axis=(0, 1))
    order = np.flatnonzero(seen)[:: -1 if apex_first(labels) else 1]  # base to apex
    area, left_area = right[order].astype(float), left[order]
    jump, goes_on = np.full(labels.shape[2], np.nan), np.full(labels.shape[2], np.nan)
    held = np.flatnonzero(area)
    if not held.size:
        return RightSigns(0.0, 0.0, jump, goes_on)
    largest, last = float(area.max()), int(held[-1])
    inner = np.arange(held[0] + 1, last)
    jump[order[inner]] = np.abs(area[inner] - (area[inner - 1] + area[inner + 1]) / 2) / largest
    beside = 0.0
    if picture is not None:
        missed = blood_beside(labels, picture).sum(axis=(0, 1))[order[held[1:]]]
        beside = float(np.median(missed)) / largest if missed.size else 0.0
        for place, (above, z) in enumerate(pairwise(order), 1):
            if right[above] >= FEWEST and place > area.argmax():
                goes_on[z] = _missed(labels, picture, int(above), int(z)) / largest
    below = bool((left_area[last + 1 :] > 0).any())
    fall = -np.diff(area[int(area.argmax()) :])
    return RightSigns(
        area[last] / largest if below else 0.0, float(fall.max(initial=0.0)) / largest, jump, goes_on, beside
    )


def _missed(labels: NDArray[np.uint8], picture: NDArray[np.floating], above: int, z: int) -> float:
    """Pixels right below the label of the slice above that are in no label and as bright as its blood; NaN unknown."""
    from scipy import ndimage

    ventricle, muscle = labels[..., above] == Structure.RV, labels[..., z] == Structure.MYO
    if muscle.sum() < FEWEST:
        return float("nan")
    dark, bright = np.median(picture[..., z][muscle]), np.median(picture[..., above][ventricle])
    blood = ventricle & (labels[..., z] == Structure.BACKGROUND) & (picture[..., z] > (dark + bright) / 2)
    return float(ndimage.binary_opening(blood).sum())


WORDS = {
    "abrupt": "it ends in a slice of {:.0f} % of its largest while the LV goes on",
    "fall": "it loses {:.0f} % of its largest slice from one slice to the next",
    "jump": "its area in slice {z} lies {:.0f} % of the largest off the slices beside it",
    "goes_on": "blood of {:.0f} % of its largest slice goes on below it, unlabelled, in slice {z}",
    "beside": "blood of {:.0f} % of its largest slice, or more, lies open beside its label in half of its slices",
}


def right_flags(labels: NDArray[np.uint8], picture: NDArray[np.floating] | None, phase: str) -> list[Flag]:
    """`rv-torn` and `rv-goes-on`: of each the worst sign; a refusal where it lies beyond `GROSS`.

    Args:
        labels: (x, y, z) `Structure` codes of one frame.
        picture: (x, y, z) intensities of that frame, or None.
        phase: "ED" or "ES".
    """
    limits, worst = LIMITS[phase], right_signs(labels, picture).worst()
    beyond = {name: value / getattr(limits, name) for name, (value, _) in worst.items()}
    gross = {name: value > getattr(GROSS[phase], name) for name, (value, _) in worst.items()}
    flags = []
    for code, names in (("rv-torn", ("abrupt", "fall", "jump")), ("rv-goes-on", ("goes_on", "beside"))):
        name = max(names, key=lambda one: (gross[one], beyond[one]))
        if beyond[name] > 1:
            value, z = worst[name]
            then = "its numbers are withheld" if gross[name] else "look at its contours"
            message = f"the RV at {phase}: {WORDS[name].format(100 * value, z=z)}; {then}"
            flags.append(Flag(code, Severity.REFUSE if gross[name] else Severity.FLAG, message))
    return flags
