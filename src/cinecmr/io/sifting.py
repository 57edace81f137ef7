"""What in a study is not a cine of the heart, and why: one reason for each plane that is left out.

How the pictures were made decides (image type, number of frames, what changes from frame to frame). Words of the
description only name what is already suspected, or tell tagging and flow, which a header can hide; they are matched
as whole words, so that "local_cine" is not a localiser.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cinecmr.io.headers import Header
    from cinecmr.io.planes import Run

MIN_FRAMES = 8  # fewer frames cannot show when the heart is smallest
MOSAIC = "mosaic: several slices tiled into one picture"
MAX_PIXELS = 2048  # along a side; a damaged header can claim any size

_DERIVED = {"DERIVED", "SECONDARY", "MPR", "INLINEVF", "PROJECTION IMAGE", "REFORMATTED", "SCREEN SAVE"}
_FLOW = {"P", "VELOCITY", "VELOCITY MAP", "PHASE MAP", "VEL_MAG"}
_TAG_WORDS = {"tag", "tagging", "tagged", "tags", "spamm", "cspamm", "myotag", "grid"}
_FLOW_WORDS = {"flow", "venc", "pc", "pcmr", "qflow", "velocity", "phasecontrast"}
_PERFUSION_WORDS = {"perfusion", "perf", "firstpass"}
_LATE_WORDS = {"lge", "de", "psir", "delayed", "late", "viability", "mde"}
_MAP_WORDS = {"map", "mapping", "molli", "shmolli", "t1map", "t2map", "t2star", "sasha"}
_SCOUT_WORDS = {"loc", "localizer", "localiser", "scout", "survey", "haste", "localizers"}


def words(text: str) -> set[str]:
    """Lower-case words of a description.

    >>> sorted(words("local_cine T1-nav"))
    ['cine', 'local', 'nav', 't1']
    """
    return set(re.findall(r"[a-z0-9]+", text.lower()))


def reason_against_file(header: Header) -> str | None:
    """Why a single picture cannot be a frame of a cine whatever stands beside it; None where it can."""
    if header.modality != "MR":
        return f"modality {header.modality or 'not stated'}, not MR"
    if header.tiled or "MOSAIC" in header.image_type:
        return MOSAIC
    if header.colour or header.burned_in or header.sop_class.startswith("1.2.840.10008.5.1.4.1.1.7"):
        return "screenshot or secondary capture"
    if max(header.shape) > MAX_PIXELS or min(header.shape) < 2:
        return f"a picture of {header.shape[0]} x {header.shape[1]} pixels is no cine"
    derived = _DERIVED.intersection(header.image_type)
    if derived:
        return f"derived image ({', '.join(sorted(derived)).lower()})"
    if _FLOW.intersection(header.image_type) or header.velocity or re.search(r"_v\d", header.sequence_name):
        return "phase contrast"
    if header.frames_in_file > 1 and header.frame is None and header.place is not None:
        return "several frames in one picture of a class that has one"
    if header.place is None:
        return f"no {header.lacks} in the header"
    return None


def reason_against_run(run: Run) -> str | None:
    """Why a plane is not a cine; None where it is one."""
    said = words(run.first.description)
    if said & _TAG_WORDS:
        return "tagging"
    if said & _FLOW_WORDS:
        return "phase contrast"
    if run.frames == 1:
        return _reason_against_still(run.first, said)
    for what, values in (
        ("echo", [h.echo_ms for h in run.headers]),
        ("inversion", [h.inversion_ms for h in run.headers]),
    ):
        if len({round(v, 2) for v in values if v is not None}) > 1:
            return f"parametric map: {what} time differs from frame to frame"
    if _one_frame_a_beat(run):
        return "perfusion: one frame a heart beat"
    if run.frames < MIN_FRAMES:
        kind = "map" if said & _MAP_WORDS else "perfusion" if said & _PERFUSION_WORDS else ""
        return kind or f"{run.frames} frames are too few for a cine (at least {MIN_FRAMES})"
    if not _spans_a_beat(run) and said & (_PERFUSION_WORDS | _MAP_WORDS):
        return "perfusion" if said & _PERFUSION_WORDS else "parametric map"
    return None


def _reason_against_still(header: Header, said: set[str]) -> str:
    if "LOCALIZER" in header.image_type or said & _SCOUT_WORDS:
        return "localiser"
    if said & _MAP_WORDS:
        return "parametric map"
    if said & _LATE_WORDS or (header.inversion_ms or 0) > 0:
        return "late enhancement or another inversion still"
    return "one frame: not a cine"


def _one_frame_a_beat(run: Run) -> bool:
    """Frames taken a good part of a second apart for many seconds, at one moment of the beat."""
    clock = _sorted_key(run, "AcquisitionTime")
    if clock is None:
        clock = _sorted_key(run, "ContentTime")
    if clock is None or np.ptp(clock) < 5.0 or np.median(np.diff(clock)) < 0.3:
        return False
    return not _spans_a_beat(run)


def _spans_a_beat(run: Run) -> bool:
    """Whether the trigger times of the frames walk through a beat, as only a cine's do."""
    stated = [header.delay for header in run.headers if header.delay is not None]
    delays = np.sort(stated) if len(stated) == run.frames else None
    if delays is None or len(np.unique(delays)) < 0.9 * run.frames:
        return False
    return bool(0.4 < np.ptp(delays) / (run.rr_ms or 900.0) < 1.6)


def _sorted_key(run: Run, tag: str) -> np.ndarray | None:
    values = [header.keys[tag] for header in run.headers if tag in header.keys]
    return np.sort(values) if len(values) == run.frames else None
