"""Strain in `analyze` and its report: the motion behind it, curves, bull's-eyes of peaks, or why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cinecmr.analyze import motion as moving
from cinecmr.analyze.bulls_eye import bulls_eye
from cinecmr.anatomy import Contrast, View
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
    rows.append(_synchrony(told["synchrony"]))  # type: ignore[arg-type]
    segments: dict[str, dict[str, float | None]] = told["segments"]  # type: ignore[assignment]
    eyes = [
        (title, bulls_eye(f"{title} strain, peak in %", segments[name], darkest))
        for name, (title, darkest) in EYES.items()
    ]
    return {"curves": moving.drawing(found), "eyes": eyes, "rows": rows}


def _synchrony(told: dict[str, float | None]) -> tuple[str, str, str, str]:
    """The row of how far apart in time the segments shorten most."""
    value, unit = told["deviation_ms"], "ms"
    if value is None and told["deviation_share"] is not None:
        value, unit = 100 * told["deviation_share"], "% of the cycle"
    said = "–" if value is None else f"{value:.0f} {unit}"
    return ("Spread of the time to peak circumferential strain", "SD", said, f"of {told['segments']} segments")


def _said(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.1f} {unit}".replace("-", "−")


def _when(one: dict[str, float | None]) -> str:
    ms, share = one.get("time_to_peak_ms"), one.get("time_to_peak_share")
    if ms is not None:
        return f"{ms:.0f} ms after end-diastole"
    return "" if share is None else f"{100 * share:.0f} % of the cycle after end-diastole"
