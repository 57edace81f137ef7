"""From a study and its labels to strain: the motion, its curves, and the files of `cinecmr motion`."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import AHA_SEGMENTS, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.io import files
from cinecmr.measure.strain import Strain, Twist, strain, twist
from cinecmr.measure.strain_checks import strain_flags
from cinecmr.measure.strain_curves import peak, rate, spread
from cinecmr.measure.wall import wall_points
from cinecmr.study import Severity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.analyze.pipeline import Segmenter
    from cinecmr.motion.network_prior import NetworkPrior
    from cinecmr.motion.prior import Prior
    from cinecmr.motion.register import Registration
    from cinecmr.study import Flag, Image, Study
    from cinecmr.study import Motion as MotionOf

    Array = NDArray[np.float64]

PRESETS = ("sound", "published")
FILES = ("motion.json", "strain.csv", "strain.svg", "field.safetensors")
_COLOURS = {"GCS": "#b4540a", "GRS": "#1d5fa8", "GLS": "#3c7a2b"}
_WIDTH, _HEIGHT, _EDGE, _LINE = 460.0, 270.0, 44.0, 13.0


@dataclass(frozen=True)
class Tracked:
    """The motion of one study and what is told of it.

    Attributes:
        motion: see `study.Motion`.
        registration: how the fit went; None for the published recipe.
        ed: reference frame. shares: (t,) share of the cycle of each frame. rr_s: length of the cycle, s, or None.
        strain: of every wall point at every frame. twist: None where the wall has no apical or basal ring.
        flags: what the reader must know.
    """

    motion: MotionOf
    registration: Registration | None
    ed: int
    shares: Array
    rr_s: float | None
    strain: Strain
    twist: Twist | None
    flags: tuple[Flag, ...]

    @property
    def since_ed(self) -> Array:
        """(t,) share of the cycle since end-diastole of each frame, in the frames' order."""
        return np.asarray(np.mod(self.shares - self.shares[self.ed], 1.0))


def track(
    study: Study,
    labels: NDArray[np.uint8],
    *,
    ed: int | None = None,
    preset: str = "sound",
    start: Prior | NetworkPrior | None = None,
    progress: Callable[[float], None] | None = None,
    shifts: Array | None = None,
) -> Tracked:
    """Motion and strain of the left ventricle.

    Args:
        study: with a short-axis cine.
        labels: (x, y, z, t) `Structure` codes of the short axis.
        ed: reference frame; that of the largest cavity when None.
        preset: one of `PRESETS`.
        start: prior of the same preset.
        progress: told the share done.
        shifts: (z, 2) mm of the short-axis slices, where measured; the preset published knows none.

    Raises:
        RefusedInput: see `motion.register.register` and `measure.wall.wall_points`; no such preset, or a prior of
            the other one.
    """
    if preset not in PRESETS:
        raise RefusedInput("no-such-setting", f"no preset {preset!r}: there are {', '.join(PRESETS)}")
    if View.SAX not in study:
        raise RefusedInput("no-sax", "motion needs a short-axis cine, and the study has none; name one with --sax")
    from cinecmr.measure.clock import beat_shares
    from cinecmr.motion import beat
    from cinecmr.motion.seen import seen, without_unseen

    image = study[View.SAX]
    registration: Registration | None = None
    motion: MotionOf
    if preset == "published":
        motion = _published(image, labels, ed, start, progress)
        reference = beat.end_diastole(labels, image) if ed is None else ed
    else:
        from cinecmr.motion.prior import Prior as OfSound
        from cinecmr.motion.register import register

        if start is not None and not isinstance(start, OfSound):
            raise RefusedInput("no-prior", "this prior is of the preset published; give --preset published with it")
        registration = register(study, labels, ed=ed, start=start, progress=progress, shifts=shifts)
        motion, reference = registration.motion, registration.ed
    shares = beat_shares(image)
    _, straight, _ = beat.straightened(image, labels, reference, shifts if preset == "sound" else None)
    wall = wall_points(straight[..., reference], image.affine)
    wall, lost = without_unseen(wall, seen(motion, wall, straight, image.affine, shares))
    found = strain(motion, wall, shares)
    try:
        turned = twist(motion, wall, shares)
    except ValueError:
        turned = None
    rr_s = image.rr_ms / 1000 if image.rr_ms else None
    flags = (registration.flags if registration else ()) + lost + strain_flags(found)
    return Tracked(motion, registration, reference, shares, rr_s, found, turned, flags)


def _published(
    image: Image,
    labels: NDArray[np.uint8],
    ed: int | None,
    start: Prior | NetworkPrior | None,
    progress: Callable[[float], None] | None,
) -> MotionOf:
    from cinecmr.motion.network_prior import NetworkPrior as OfNetwork
    from cinecmr.motion.published import Published, register_published

    if start is not None and not isinstance(start, OfNetwork):
        raise RefusedInput("no-prior", "this prior is of the preset sound; leave --preset published")
    settings = Published() if start is None else start.settings
    weights = None if start is None else start.weights
    return register_published(image, labels, ed=ed, start=weights, settings=settings, progress=progress)


def summary(found: Tracked) -> dict[str, object]:
    """Everything that motion.json says."""
    curves = found.strain.whole()
    segments, layers = found.strain.segments(), found.strain.layers()
    told: dict[str, object] = {
        "convention": found.strain.convention.value,
        "unit": "%",
        "ed_frame": found.ed,
        "shares_since_ed": _listed(found.since_ed),
        "curves": {name: _listed(curve) for name, curve in curves.items()},
        "global": {name: _peaks(found, curve) for name, curve in curves.items()},
        "layers": {
            layer: {name: _peaks(found, curve)["peak"] for name, curve in by.items()} for layer, by in layers.items()
        },
        "segments": {
            name: {str(n): _peaks(found, values[:, n - 1])["peak"] for n in AHA_SEGMENTS}
            for name, values in segments.items()
        },
        "synchrony": _synchrony(found, segments["CS"]),
        "flags": [{"code": f.code, "severity": f.severity.value, "message": f.message} for f in found.flags],
    }
    if found.twist is not None:
        told["twist_deg"] = {"curve": _listed(found.twist.twist), **_peaks(found, found.twist.twist)}
        told["torsion_deg_per_cm"] = _peaks(found, found.twist.torsion)["peak"]
    if found.registration is not None:
        one = found.registration
        told["quality"] = {
            "folding_share": one.folding,
            "volume_change": round(one.volume_change, 4),
            "inverse_gap_mm": round(one.inverse_gap_mm, 4),
        }
    return told


def _synchrony(found: Tracked, curves: Array) -> dict[str, float | int | None]:
    """Spread of the time to the largest circumferential shortening of segments 1 to 16."""
    order = np.argsort(found.since_ed)
    one = spread(curves[order, : max(AHA_SEGMENTS) - 1], found.since_ed[order])
    ms = found.rr_s * 1000 if found.rr_s else float("nan")
    return {
        "segments": one.segments,
        "deviation_share": _number(one.deviation),
        "deviation_ms": _number(one.deviation * ms),
        "span_share": _number(one.span),
        "span_ms": _number(one.span * ms),
    }


def _peaks(found: Tracked, curve: Array) -> dict[str, float | None]:
    order = np.argsort(found.since_ed)
    top = peak(curve[order], found.since_ed[order])
    told: dict[str, float | None] = {"peak": _number(top.value), "time_to_peak_share": _number(top.time)}
    told["time_to_peak_ms"] = _number(top.time * found.rr_s * 1000) if found.rr_s else None
    if found.rr_s and len(curve) > 2:
        speed = rate(curve, found.since_ed, found.rr_s)
        early = found.since_ed <= (top.time if np.isfinite(top.time) else 0.0)
        sign = np.sign(top.value) if np.isfinite(top.value) else 1.0
        told["systolic_rate_per_s"] = _number(sign * np.max(sign * speed[early])) if early.any() else None
        told["diastolic_rate_per_s"] = _number(sign * np.min(sign * speed[~early])) if (~early).any() else None
    return told


def _number(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None


def _listed(values: Array) -> list[float | None]:
    return [_number(value) for value in values]


def table(found: Tracked) -> str:
    """CSV, one row a frame: global strains, then every segment's."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    curves, segments = found.strain.whole(), found.strain.segments()
    columns = [f"{name}_{number}" for name in segments for number in AHA_SEGMENTS]
    writer.writerow(["frame", "share_since_ed", *curves, *columns])
    for t, share in enumerate(found.since_ed):
        row = [curve[t] for curve in curves.values()]
        row += [values[t, n - 1] for values in segments.values() for n in AHA_SEGMENTS]
        writer.writerow([t, f"{share:.4f}", *("" if not np.isfinite(v) else f"{v:.3f}" for v in row)])
    return out.getvalue()


def drawing(found: Tracked) -> str:
    """The three global curves over the cycle as an SVG."""
    curves = found.strain.whole()
    order = np.argsort(found.since_ed)
    shares = found.since_ed[order]
    values = np.concatenate([curve[np.isfinite(curve)] for curve in curves.values()])
    low, high = min(float(values.min()), -5.0), max(float(values.max()), 5.0)
    inner_w, inner_h = _WIDTH - 2 * _EDGE, _HEIGHT - 2 * _EDGE

    def x(share: float) -> float:
        return _EDGE + inner_w * share

    def y(value: float) -> float:
        return _EDGE + inner_h * (high - value) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" '
        'font-family="sans-serif" font-size="11">',
        "<title>Strain over the cycle, %</title>",
        f'<line x1="{_EDGE}" x2="{_WIDTH - _EDGE}" y1="{y(0):.1f}" y2="{y(0):.1f}" stroke="#888"/>',
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 12}" text-anchor="middle">share of the cycle after end-diastole</text>',
    ]
    for level in np.arange(np.ceil(low / 10) * 10, high + 1, 10):
        parts.append(
            f'<text x="{_EDGE - 6}" y="{y(level) + 4:.1f}" text-anchor="end">{round(level)}</text>'
        )  # not "-0"
    tops = {name: peak(curve[order], shares) for name, curve in curves.items()}
    places = _apart({name: y(top.value) + (12 if top.value < 0 else -6) for name, top in tops.items()})
    for name, curve in curves.items():
        line = " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in zip(shares, curve[order], strict=True) if np.isfinite(v))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{_COLOURS[name]}" stroke-width="2"/>')
        if np.isfinite(tops[name].value):
            parts.append(
                f'<text x="{x(tops[name].time):.1f}" y="{places[name]:.1f}" fill="{_COLOURS[name]}">'
                f"{name} {tops[name].value:.1f} %</text>"
            )
    return "\n".join([*parts, "</svg>", ""])


def _apart(heights: dict[str, float]) -> dict[str, float]:
    """Heights of names, each moved down until it is a line away from the one above."""
    found: dict[str, float] = {}
    lowest = -np.inf
    for name in sorted(heights, key=lambda one: heights[one]):
        lowest = found[name] = max(heights[name], lowest + _LINE)
    return found


def write(out: Path, found: Tracked) -> list[Path]:
    """motion.json, strain.csv, strain.svg and, of the default preset, field.safetensors.

    Raises:
        OSError: the folder cannot be written to.
    """
    remove(out)  # an old field beside new curves would be believed
    *written, field = (out / name for name in FILES)
    files.write_text(written[0], json.dumps(summary(found), indent=2, allow_nan=False) + "\n")
    files.write_text(written[1], table(found))
    files.write_text(written[2], drawing(found))
    if found.registration is None:
        return written
    found.registration.motion.save(field)
    return [*written, field]


def remove(out: Path) -> None:
    """Take away what `write` wrote: strain of labels that are no more."""
    for name in FILES:
        (out / name).unlink(missing_ok=True)


def tracked_by(
    study: Study,
    segmenter: Segmenter,
    ed: int | None,
    preset: str,
    start: Prior | NetworkPrior | None,
    progress: Callable[[str], Callable[[float], None] | None],
) -> Tracked:
    """`track` with labels of a model; what reading noticed comes first among the flags.

    Args:
        study: see `track`.
        segmenter: labels the short axis.
        ed: see `track`.
        preset: see `track`.
        start: see `track`.
        progress: makes a line of progress for a piece of work.
    """
    if View.SAX not in study:
        raise RefusedInput("no-sax", "motion needs a short-axis cine, and the study has none; name one with --sax")
    labels = np.array(segmenter.segment(study[View.SAX], progress("finding the heart")), np.uint8)
    labels[:, :, list(study[View.SAX].missing_slices)] = Structure.UNSEEN
    found = track(study, labels, ed=ed, preset=preset, start=start, progress=progress("following it"))
    return replace(found, flags=study.flags + found.flags)


def told(found: Tracked) -> str:
    """Lines for a terminal."""
    lines = []
    for name, curve in found.strain.whole().items():
        one = _peaks(found, curve)
        when = f"{one['time_to_peak_ms']:.0f} ms" if one["time_to_peak_ms"] is not None else "unknown time"
        lines.append(f"  {name:<5} {one['peak']:6.1f} %   peak {when} after end-diastole")
    if found.twist is not None:
        lines.append(f"  twist {_peaks(found, found.twist.twist)['peak']:6.1f} degrees")
    return "\n".join(lines)


def flagged(found: Tracked) -> bool:
    """Whether some number needs a second look."""
    return any(flag.severity is not Severity.NOTE for flag in found.flags)
