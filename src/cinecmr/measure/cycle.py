"""End-diastole and end-systole of each ventricle, from its volume curve.

Curves in, frame numbers and flags out. The curves come from `measure.volumes.volume_curve`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.errors import RefusedInput
from cinecmr.study import Flag, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MIN_FRAMES = 8  # fewer frames cannot show where the cavity is largest and smallest: no function is measured from them
SPIKE_FRAMES = 15  # with fewer, one frame may truly stand alone: the filling by the atrium, the end of systole
SPIKE_SHARE = 0.25  # of the curve's range; a frame of 15 a cycle moves less than this beyond both neighbours
SPIKE_OF_LARGEST = 0.2  # of the largest volume; a basal slice that counts in one frame only adds less than this
COVERED_SHARE = 0.9  # of the R-R interval; prospective gating typically loses the last 10 to 15 %
CLOSING_SHARE = 0.25  # of the curve's range by which the last frame may differ from the first
CLOSING_OF_LARGEST = 0.15  # and of the largest volume: the same basal slice may count in the first frame only

VENTRICLES = ("LV", "RV")


def spikes(curve: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Frames that stick out from both neighbours, as one badly labelled frame does.

    Args:
        curve: (t,) ml over one cycle; NaN where nobody looked.

    Returns:
        (t,) True where the volume lies beyond both neighbours, on the same side, by more than a quarter of the
        range and a fifth of the largest value of the curve without such frames. The cycle is taken as closed, so the
        first frame follows the last. Curves of fewer than `SPIKE_FRAMES` frames have none: there a peak of one frame
        may be the heart itself.

    >>> spikes(np.array([99.0, 98, 95, 88, 80, 70, 60, 55, 50, 51, 5, 60, 70, 80, 90, 98])).nonzero()[0]
    array([10])
    """
    none = np.zeros(curve.shape, bool)
    seen = np.flatnonzero(np.isfinite(curve))
    if len(seen) < SPIKE_FRAMES:
        return none
    values = curve[seen]
    before, after = values - np.roll(values, 1), values - np.roll(values, -1)
    height = np.where(np.sign(before) == np.sign(after), np.minimum(abs(before), abs(after)), 0.0)
    smooth = np.median([np.roll(values, 1), values, np.roll(values, -1)], axis=0)
    allowed = max(SPIKE_SHARE * float(np.ptp(smooth)), SPIKE_OF_LARGEST * float(smooth.max()), 1e-9)
    none[seen[height > allowed]] = True
    return none


def ed_and_es(curve: NDArray[np.float64]) -> tuple[int, int]:
    """Frames of the largest and of the smallest volume, spikes left out.

    Args:
        curve: (t,) ml; NaN where nobody looked.

    Returns:
        (ED, ES) frame indices; the first where several are equal.

    Raises:
        ValueError: no frame was seen.
    """
    usable = np.where(spikes(curve), np.nan, curve)
    if not np.isfinite(usable).any():
        raise ValueError("a volume curve without a single seen frame has no end-diastole")
    return int(np.nanargmax(usable)), int(np.nanargmin(usable))


def find_cycle(
    curves: Mapping[str, NDArray[np.float64]],
    times: NDArray[np.float64],
    rr_ms: float | None = None,
    *,
    ed: int | None = None,
    es: int | None = None,
    given_by: str = "the user",
) -> tuple[dict[str, int], tuple[Flag, ...]]:
    """ED and ES of each ventricle apart: ED where its blood pool is largest over all slices, ES where smallest.

    Args:
        curves: (t,) ml under "LV" and "RV"; a ventricle may be absent.
        times: (t,) seconds after the R wave.
        rr_ms: length of the cardiac cycle, ms, where known.
        ed: the user's own end-diastolic frame, for both ventricles, counted from 0.
        es: the user's own end-systolic frame.
        given_by: who named those frames, in words.

    Returns:
        Frames under "LV_ED", "LV_ES", "RV_ED", "RV_ES", and what the reader must know of them. With fewer than
        `MIN_FRAMES` frames, and not both given by the user, there is no "ES".

    Raises:
        RefusedInput: `ed` or `es` is not a frame of the study, or both are the same.
    """
    _check_overrides(ed, es, len(times))
    cycle: dict[str, int] = {}
    flags: list[Flag] = []
    static = len(times) < MIN_FRAMES and (ed is None or es is None)
    for name in VENTRICLES:
        if name not in curves or not np.isfinite(curves[name]).any():
            continue
        largest, smallest = ed_and_es(curves[name])
        cycle[f"{name}_ED"] = largest if ed is None else ed
        if not static:
            cycle[f"{name}_ES"] = smallest if es is None else es
            flags += _curve_flags(name, curves[name], cycle, chosen=es is not None)
    if static:
        flags.append(_static_flag(len(times)))
    elif (short := _diastole_flag(times, rr_ms)) is not None:
        flags.append(short)
    if ed is not None or es is not None:
        flags.append(Flag("frames-given", Severity.NOTE, _given_message(ed, es, given_by)))
    return cycle, tuple(flags)


def _check_overrides(ed: int | None, es: int | None, frames: int) -> None:
    for name, frame in (("--ed", ed), ("--es", es)):
        if frame is not None and not 0 <= frame < frames:
            raise RefusedInput(
                "no-such-frame",
                f"{name} {frame} is not a frame of this study: it has {frames}, counted from 0 to {frames - 1}",
            )
    if ed is not None and ed == es:
        raise RefusedInput(
            "ed-equals-es",
            f"--ed and --es are both frame {ed}; name the frame of the largest and of the smallest cavity",
        )


def _given_message(ed: int | None, es: int | None, given_by: str) -> str:
    given = " and ".join(f"{name} (frame {frame})" for name, frame in (("ED", ed), ("ES", es)) if frame is not None)
    return f"{given} given by {given_by} for both ventricles, not found from the volume curve"


def _curve_flags(name: str, curve: NDArray[np.float64], cycle: Mapping[str, int], *, chosen: bool) -> list[Flag]:
    flags = []
    odd = np.flatnonzero(spikes(curve))
    if odd.size:
        frames = ", ".join(str(frame) for frame in odd)
        flags.append(
            Flag(
                "curve-outlier", Severity.FLAG, f"{name} volume jumps at frame {frames} and back; not used as ED or ES"
            )
        )
    if cycle[f"{name}_ED"] == cycle[f"{name}_ES"]:
        why = "the volume does not change over the cycle" if not chosen else "the frame given for ES is the largest one"
        flags.append(Flag("ed-equals-es", Severity.REFUSE, f"{name}: ED and ES are the same frame, {why}; no function"))
    seen = curve[np.isfinite(curve)]
    allowed = max(CLOSING_SHARE * float(np.ptp(seen)), CLOSING_OF_LARGEST * float(seen.max()))
    if len(seen) >= MIN_FRAMES and abs(seen[-1] - seen[0]) > allowed:
        flags.append(
            Flag(
                "curve-not-closed",
                Severity.FLAG,
                f"{name} volume ends at {seen[-1]:.0f} ml but begins at {seen[0]:.0f} ml: part of the cycle may lack",
            )
        )
    return flags


def _static_flag(frames: int) -> Flag:
    return Flag(
        "too-few-frames",
        Severity.REFUSE,
        f"{frames} frame{'s' if frames > 1 else ''} cannot show a cycle ({MIN_FRAMES} are needed): no ESV, SV or EF; "
        "EDV and mass are of the frame with the largest cavity. If you know both frames, name them with --ed and --es",
    )


def _diastole_flag(times: NDArray[np.float64], rr_ms: float | None) -> Flag | None:
    if rr_ms is None or len(times) < MIN_FRAMES:
        return None
    step = float(np.median(np.diff(times)))
    covered = (float(times[-1] - times[0]) + step) * 1000 / rr_ms
    if covered >= COVERED_SHARE:
        return None
    return Flag(
        "diastole-incomplete",
        Severity.FLAG,
        f"the frames cover {100 * covered:.0f} % of the {rr_ms:.0f} ms R-R interval: late diastole was not acquired, "
        "so EDV and EF may be too small",
    )
