"""When a long-axis number may be believed: limits beyond which no living heart lies, and views that contradict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.measure.long_axis import lengths, marked_views
from cinecmr.study import Flag, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cinecmr.anatomy import Landmark
    from cinecmr.study import Measurement

# Lowest and highest: a little beyond the worst failing and the fittest healthy hearts.
POSSIBLE: dict[str, tuple[float, float]] = {
    "MAPSE": (-3.0, 28.0),
    "TAPSE": (-3.0, 45.0),
    "gl_shortening": (-5.0, 35.0),
    "GLS": (-40.0, 5.0),
    "LAVmax": (5.0, 600.0),
    "LAVmin": (1.0, 600.0),
    "LAEF": (0.0, 92.0),
    "RAVmax": (5.0, 700.0),
    "RAVmin": (1.0, 700.0),
    "RAEF": (0.0, 92.0),
}
FORESHORTENED = 0.15  # of the longer length: the planes of both views go through the same apex


def believable(told: Mapping[str, Measurement]) -> tuple[dict[str, Measurement], list[Flag]]:
    """Those within `POSSIBLE`, and for each other a flag that says why it is withheld."""
    kept, flags = {}, []
    for name, one in told.items():
        low, high = POSSIBLE.get(name, (-np.inf, np.inf))
        if low <= one.value <= high:
            kept[name] = one
            continue
        message = (
            f"{name} of {one.value:.1f} {one.unit} is outside {low:g} to {high:g} {one.unit}: withheld, look at the "
            "long-axis contours"
        )
        flags.append(Flag("long-axis-implausible", Severity.REFUSE, message))
    return kept, flags


def length_flags(marks: Mapping[Landmark, NDArray[np.float64]], ed: int | None) -> list[Flag]:
    """`foreshortened`: two- and four-chamber view disagree on the left ventricle's length at end-diastole.

    Args:
        marks: (t, 3) landmarks on one clock.
        ed: end-diastolic frame on that clock.
    """
    told = {view: float(lengths(marks, view)[ed]) for view in marked_views(marks)} if ed is not None else {}
    if len(told) < 2 or not np.isfinite(list(told.values())).all():
        return []
    short, long = min(told.values()), max(told.values())
    if long - short <= FORESHORTENED * long:
        return []
    said = " and ".join(f"{length:.0f} mm in the {view.title}" for view, length in told.items())
    message = f"the LV is {said} long at ED: one of the planes misses the apex, or its landmarks are wrong"
    return [Flag("foreshortened", Severity.FLAG, message)]
