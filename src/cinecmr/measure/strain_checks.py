"""Whether strain is what a heart can do; what is not is told, never passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import AHA_SEGMENTS
from cinecmr.measure.strain import APICAL, BASAL
from cinecmr.study import Flag, Severity

if TYPE_CHECKING:
    from cinecmr.measure.strain import Strain

LIMITS = {
    "GCS": (-35.0, 0.0),
    "GRS": (0.0, 100.0),
    "GLS": (-30.0, 0.0),
}  # %, peaks: all hearts lie within
LENGTHENS = 10.0  # %: scars bulge by less
APART = 20.0  # points between the longitudinal strains of two levels
_LEVELS = {"base": BASAL, "middle": (BASAL[1] + 1, APICAL[0] - 1), "apex": APICAL}
_CODE = "strain-implausible"


def strain_flags(found: Strain) -> tuple[Flag, ...]:
    """One flag with everything about a strain that no heart does, or none.

    Limits are wider than any published normal range with its diseases: outside, contours, planes or the fit are wrong.

    Args:
        found: over a beat.
    """
    curves = {name: curve for name, curve in found.whole().items() if np.isfinite(curve).all()}
    said = []
    for name, curve in curves.items():
        value, (low, high) = float(curve[np.argmax(np.abs(curve))]), LIMITS[name]
        if not low <= value <= high:
            said.append(f"{name} is {value:.0f} %, outside {low:.0f} to {high:.0f} %")
    if "GLS" in curves:
        at = int(np.argmax(np.abs(curves["GLS"])))
        rows = found.segments()["LS"][at]
        longer = [n for n in AHA_SEGMENTS if rows[n - 1] >= LENGTHENS]
        if longer:
            said.append(f"segments {', '.join(map(str, longer))} lengthen by {LENGTHENS:.0f} % or more")
        said += _apart(found, at)
    if not said:
        return ()
    where = "look at the contours of base and apex and at how the long-axis views lie; do not use this strain"
    return (Flag(_CODE, Severity.FLAG, f"strain that no heart has: {'; '.join(said)}: {where}"),)


def _apart(found: Strain, at: int) -> list[str]:
    """Levels that disagree."""
    levels = {}
    for name, (first, last) in _LEVELS.items():
        inside = (found.wall.segments >= first) & (found.wall.segments <= last)
        if inside.any():
            levels[name] = float(found.curves(inside)["LS"][at])
    low, high = min(levels, key=lambda k: levels[k]), max(levels, key=lambda k: levels[k])
    if levels[high] - levels[low] < APART:
        return []
    return [f"longitudinal strain is {levels[low]:.0f} % at the {low} and {levels[high]:.0f} % at the {high}"]
