"""The order of frames in time: which header entry tells it, and the proof that it does.

No single entry can be trusted: vendors leave it out, set it to zero, or use it for something else. Each is tried in
turn over all slices of a stack, and taken only where it gives every frame of every slice a place of its own and, for
a time, a span that a heart beat can have.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.errors import RefusedInput
from cinecmr.io.headers import CLOCK_TAGS, DELAY_TAGS, INDEX_TAGS, PHASE_TAGS
from cinecmr.io.sifting import MIN_FRAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cinecmr.io.headers import Header
    from cinecmr.io.planes import Run

ASSUMED_RR_MS = 1000.0
TRUSTED = PHASE_TAGS[:3]  # percentage of the cycle, and times after the R wave: the others only give an order
ENHANCED_ONLY = (DELAY_TAGS[0], *INDEX_TAGS)  # not missed where they are absent
SPAN = (0.25, 1.15)  # least and greatest share of the R-R interval from first to last frame


@dataclass(frozen=True)
class Ordered:
    """The frames of one plane in time.

    Attributes:
        headers: first frame after the R wave first.
        phases: (t,) share of the R-R interval, increasing.
        rr_ms: R-R interval, ms, where the headers or the user state it or the trigger times imply it.
        beats: heart beats the plane was acquired over; frames of one of them were kept.
        shared: whether frames lie at the times stated, rather than at even shares of a beat.
    """

    headers: tuple[Header, ...]
    phases: NDArray[np.float64]
    rr_ms: float | None
    beats: int = 1
    shared: bool = False


@dataclass(frozen=True)
class Timing:
    """The frames of all planes of a stack, in time.

    Attributes:
        key: the DICOM keyword that gave the order.
        planes: in the order of the runs.
        rejected: keyword and why it was not taken, for each that was tried before.
    """

    key: str
    planes: tuple[Ordered, ...]
    rejected: tuple[tuple[str, str], ...]


def order(runs: Sequence[Run], rr_ms: float | None = None) -> Timing:
    """Order the frames of planes that belong together.

    Args:
        runs: one for each slice.
        rr_ms: R-R interval the user gave, ms; wins over the headers.

    Raises:
        RefusedInput: no entry orders them (`frame-order`).
    """
    rejected: list[tuple[str, str]] = []
    for key in PHASE_TAGS:
        tried = [_by(key, run, rr_ms) for run in runs]
        found = [plane for plane in tried if isinstance(plane, Ordered)]
        if len(found) == len(runs):
            return Timing(key, tuple(found), tuple(rejected))
        reason = next(plane for plane in tried if isinstance(plane, str))
        if key not in ENHANCED_ONLY or any(key in header.keys for run in runs for header in run.headers):
            rejected.append((key, reason))
    why = "; ".join(f"{key}: {reason}" for key, reason in rejected)
    raise RefusedInput("frame-order", f"the order of the frames cannot be told ({why}); export the study again")


def _by(key: str, run: Run, rr_ms: float | None) -> Ordered | str:
    """The frames ordered by one entry, or why it does not order them."""
    there = [header for header in run.headers if key in header.keys]
    if not there:
        return "absent"
    if len(there) < run.frames:
        return "absent in some frames"
    headers = sorted(there, key=lambda header: (header.keys[key], header.uid))
    values = np.array([header.keys[key] for header in headers])
    rr = rr_ms or run.rr_ms
    if key in DELAY_TAGS:
        return _by_delay(key, headers, values, rr)
    if len(np.unique(values)) == 1 and len(values) > 1:
        return "the same in all frames"
    if (np.diff(values) <= 0).any():
        return "has ties"
    if key == "NominalPercentageOfCardiacPhase":
        return Ordered(tuple(headers), values / 100, rr, shared=True) if np.ptp(values) <= 100 else "exceeds 100 %"
    if key == "AcquisitionTime" and rr and 0.6 < np.ptp(values) * 1000 / rr < SPAN[1]:  # true times; others only sort
        return Ordered(tuple(headers), (values - values[0]) * 1000 / rr, rr, shared=True)
    if key in CLOCK_TAGS and np.ptp(values) > 10:
        return "spans many beats"
    return Ordered(tuple(headers), np.arange(len(headers)) / len(headers), rr)


def _by_delay(key: str, headers: list[Header], delays: NDArray[np.float64], rr: float | None) -> Ordered | str:
    """By time after the R wave, ms; of several beats in a row, the first whole one."""
    if len(np.unique(delays)) == 1 and len(delays) > 1:
        return "the same in all frames"
    beats = _beats_in_a_row(key, headers)
    if beats:
        return _one_beat(key, max(beats, key=len), rr, len(beats))
    if (np.diff(delays) <= 0).any():
        return "has ties"
    if rr is None:
        rr = float(np.ptp(delays) + np.median(np.diff(delays)))
        if not 300 <= rr <= 2500:
            return f"spans {np.ptp(delays):.0f} ms, which is no heart beat"
    span = float(np.ptp(delays)) / rr
    if span > SPAN[1]:
        inside = int((delays < delays[0] + 0.99 * rr).sum())
        if inside < MIN_FRAMES:
            return f"spans {np.ptp(delays):.0f} ms, {span:.1f} R-R intervals, in too coarse steps"
        return _one_beat(key, headers[:inside], rr, int(np.ceil(span)))
    if span < SPAN[0]:
        return f"spans {np.ptp(delays):.0f} ms, too little of a beat"
    return Ordered(tuple(headers), delays / rr, rr, shared=True)


def _one_beat(key: str, headers: list[Header], rr: float | None, beats: int) -> Ordered | str:
    found = _by_delay(key, headers, np.array([header.keys[key] for header in headers]), rr)
    return found if isinstance(found, str) else Ordered(found.headers, found.phases, found.rr_ms, beats, shared=True)


def _beats_in_a_row(key: str, headers: list[Header]) -> list[list[Header]]:
    """Frames of real-time imaging, cut where the delay starts again; empty where the clock shows no such thing."""
    for tag in CLOCK_TAGS:
        if any(tag not in header.keys for header in headers):
            continue
        walk = sorted(headers, key=lambda header: header.keys[tag])
        clock = np.diff([header.keys[tag] for header in walk]) * 1000
        delay = np.diff([header.keys[key] for header in walk])
        on = delay > 0
        if (clock <= 0).any() or not on.any() or not 0.5 < np.median(clock[on]) / np.median(delay[on]) < 2:
            continue  # a segmented cine: the clock tells when frames were written, not when they were acquired
        cuts = [0, *(int(i) + 1 for i in np.flatnonzero(~on)), len(walk)]
        beats = [walk[a:b] for a, b in pairwise(cuts)]
        if len(beats) > 1 and max(map(len, beats)) >= MIN_FRAMES:
            return beats
    return []


def coverage(plane: Ordered) -> float:
    """Share of the R-R interval that the frames cover, the last one's own duration included."""
    if len(plane.phases) < 2:
        return 0.0
    return float(np.ptp(plane.phases) + np.median(np.diff(plane.phases)))


def has_hole(plane: Ordered) -> bool:
    """Whether a frame is missing between two others."""
    steps = np.diff(plane.phases)
    return bool(len(steps) > 2 and steps.max() > 1.6 * np.median(steps))


def resample(
    data: NDArray[np.float32], phases: NDArray[np.float64], wanted: NDArray[np.float64], *, periodic: bool
) -> NDArray[np.float32]:
    """Frames at other shares of the beat, linear in time.

    Args:
        data: (x, y, t).
        phases: (t,) share of the beat of each frame, increasing.
        wanted: (n,) shares wanted.
        periodic: whether the last frame is followed by the first; else ends are held.

    Returns:
        (x, y, n).
    """
    if periodic and np.ptp(phases) < 1:
        phases = np.concatenate([[phases[-1] - 1], phases, [phases[0] + 1]])
        data = np.concatenate([data[..., -1:], data, data[..., :1]], axis=-1)
    after = np.clip(np.searchsorted(phases, wanted, side="right"), 1, len(phases) - 1)
    before = after - 1
    weight = np.clip((wanted - phases[before]) / (phases[after] - phases[before]), 0, 1)
    mixed = data[..., before] * (1 - weight) + data[..., after] * weight
    return np.asarray(mixed, np.float32)
