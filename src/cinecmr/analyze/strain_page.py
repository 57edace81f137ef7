"""Strain in `analyze` and its report: the motion behind it, curves, bull's-eyes of peaks, or why there is none."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.analyze import motion as moving
from cinecmr.anatomy import AHA_SEGMENTS, Contrast, View
from cinecmr.errors import RefusedInput
from cinecmr.motion.beat import FEWEST_FRAMES
from cinecmr.study import Findings, Flag, Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from cinecmr.analyze.motion import Tracked
    from cinecmr.study import Study

NAMES = {
    "GCS": "Global circumferential strain",
    "GRS": "Global radial strain",
    "GLS": "Global longitudinal strain",
}
EYES = {"CS": ("Circumferential", -30.0), "LS": ("Longitudinal", -25.0), "RS": ("Radial", 60.0)}  # the darkest value
_PALE, _DARK = np.array([0xFA, 0xF3, 0xE6]), np.array([0x8F, 0x42, 0x07])
_WRONG = "#c9d6e6"  # of a segment that goes the wrong way
_RADII = (0.0, 26.0, 52.0, 78.0, 104.0)


def follow(
    study: Study, found: Findings, progress: Callable[[float], None] | None = None
) -> tuple[Findings, Tracked | None]:
    """The motion of a study that has been measured, or a note that says why there is none.

    Args:
        study: as measured.
        found: what is known of it; all of that stays as it is.
        progress: told the share done.

    Returns:
        The findings with the motion, and what the report draws, if anything.
    """
    try:
        image = study[View.SAX]
        if image.frames < FEWEST_FRAMES:
            raise RefusedInput("no-motion", f"{image.frames} frames do not show how the heart moves between them")
        key = (View.SAX, Contrast.CINE)
        tracked = moving.track(
            study,
            found.labels[key],
            ed=found.cycle.get("LV_ED"),
            progress=progress,
            shifts=found.slice_shifts.get(key),
        )
    except RefusedInput as refusal:
        said = f"strain was not measured: {refusal.message}"
        return found | Findings(flags=(Flag("no-strain", Severity.NOTE, said),)), None
    known = {flag.code for flag in found.flags}
    news = tuple(flag for flag in tracked.flags if flag.code not in known)
    return found | Findings(motion=tracked.motion, flags=news), tracked


def section(found: Tracked) -> dict[str, Any]:
    """What the template prints: "curves" and "eyes" (SVG), "rows" (name, short, value, time) and "method"."""
    told = moving.summary(found)
    peaks: dict[str, dict[str, float | None]] = told["global"]  # type: ignore[assignment]
    rows = [(NAMES[name], name, _said(one["peak"], "%"), _when(one)) for name, one in peaks.items()]
    if "twist_deg" in told:
        turned: dict[str, float | None] = told["twist_deg"]  # type: ignore[assignment]
        rows.append(("Twist of apex against base", "", _said(turned["peak"], "°"), _when(turned)))
    segments: dict[str, dict[str, float | None]] = told["segments"]  # type: ignore[assignment]
    eyes = [(title, bulls_eye(title, segments[name], darkest)) for name, (title, darkest) in EYES.items()]
    return {"curves": moving.drawing(found), "eyes": eyes, "rows": rows}


def _said(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.1f} {unit}".replace("-", "−")


def _when(one: dict[str, float | None]) -> str:
    ms, share = one.get("time_to_peak_ms"), one.get("time_to_peak_share")
    if ms is not None:
        return f"{ms:.0f} ms after end-diastole"
    return "" if share is None else f"{100 * share:.0f} % of the cycle after end-diastole"


def bulls_eye(title: str, values: dict[str, float | None], darkest: float) -> str:
    """The 17 segments as an SVG drawing, apex in the middle, anterior wall up, septum left.

    Args:
        title: what is shown.
        values: peak strain, %, under "1" to "17"; None where nobody measured.
        darkest: value, %, of the darkest colour; 0 is the palest, and the other sign has a colour of its own.
    """
    parts = [
        '<svg viewBox="-110 -110 220 220" role="img" font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{escape(_spoken(title, values))}</title>",
    ]
    for number in AHA_SEGMENTS:
        value = values.get(str(number))
        share = 0.0 if value is None else value / darkest
        fill = "#ffffff" if value is None else _WRONG if share < 0 else _shade(min(share, 1.0))
        ink = "#ffffff" if share > 0.6 else "#17212b"
        path, (x, y) = _place(int(number))
        parts.append(f'<path d="{path}" fill="{fill}" stroke="#ffffff" stroke-width="1.5"/>')
        text = "–" if value is None else f"{value:.0f}".replace("-", "−")
        parts.append(f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" fill="{ink}">{text}</text>')
    return "\n".join([*parts, "</svg>"])


def _spoken(title: str, values: dict[str, float | None]) -> str:
    said = [f"segment {n} {v:.0f}" for n, v in values.items() if v is not None]
    return f"{title} strain, peak in %: " + ", ".join(said)


def _shade(share: float) -> str:
    return "#" + "".join(f"{round(c):02x}" for c in _PALE + share * (_DARK - _PALE))


def _place(number: int) -> tuple[str, tuple[float, float]]:
    """Outline of a segment, and where its number stands; the first of each ring lies above."""
    if number == max(AHA_SEGMENTS):
        r = _RADII[1]
        return f"M {r} 0 A {r} {r} 0 1 0 {-r} 0 A {r} {r} 0 1 0 {r} 0 Z", (0.0, 0.0)
    ring, first, count = (3, 1, 6) if number < 7 else (2, 7, 6) if number < 13 else (1, 13, 4)
    inner, outer = _RADII[ring], _RADII[ring + 1]
    middle, half = np.pi / 2 + 2 * np.pi * (number - first) / count, np.pi / count
    (a, b), (c, d), (e, f), (g, h) = (
        (r * np.cos(angle), -r * np.sin(angle))
        for r, angle in ((inner, middle - half), (outer, middle - half), (outer, middle + half), (inner, middle + half))
    )
    path = (
        f"M {a:.1f} {b:.1f} L {c:.1f} {d:.1f} A {outer} {outer} 0 0 0 {e:.1f} {f:.1f} "
        f"L {g:.1f} {h:.1f} A {inner} {inner} 0 0 1 {a:.1f} {b:.1f} Z"
    )
    centre = (inner + outer) / 2
    return path, (centre * float(np.cos(middle)), -centre * float(np.sin(middle)))
