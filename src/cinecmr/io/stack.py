"""Planes that belong together become one `Image`: one grid, one set of frame times, and flags for what was mended."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.errors import RefusedInput
from cinecmr.geometry import sample_plane
from cinecmr.io.frames import ASSUMED_RR_MS, TRUSTED, Ordered, Timing, coverage, has_hole, resample
from cinecmr.io.pixels import read_plane
from cinecmr.io.planes import Lattice, Run, tilt_deg
from cinecmr.study import Flag, Image, Severity

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cinecmr.anatomy import View

RR_VARIES = 0.2  # of the shortest R-R interval
WIDE_GAP_MM = 4.5  # routine protocols leave up to 4 mm between slices
OVERLAP_MM = 1.5  # slices of a cine lie beside each other: thicker than their distance by more is a wrong header
SHIFTED_MM = 0.5  # in-plane departure of a slice from its stack that is worth resampling
TILTED_DEG = 1.0
WHOLE_BEAT = 0.92  # share of the R-R interval; prospective gating leaves out the last 10 to 15 %


@dataclass(frozen=True)
class Beat:
    """The frame times that all slices of an image share.

    Attributes:
        phases: (t,) share of the R-R interval.
        rr_ms: median over slices; None where unknown.
        fitting: for each slice, whether its own frames are taken as they are.
    """

    phases: NDArray[np.float64]
    rr_ms: float | None
    fitting: tuple[bool, ...]

    @property
    def times(self) -> NDArray[np.float64]:
        """(t,) s."""
        return self.phases * (self.rr_ms or ASSUMED_RR_MS) / 1000


def common_beat(timing: Timing) -> Beat:
    """Frame times for all slices: those of the slices with the usual number of frames."""
    counts = Counter(len(plane.phases) for plane in timing.planes)
    usual = max(counts, key=lambda n: (counts[n], n))
    phases = np.median([plane.phases for plane in timing.planes if len(plane.phases) == usual], axis=0)
    stated = [plane.rr_ms for plane in timing.planes if plane.rr_ms]
    varies = rr_spread(timing) > RR_VARIES
    fitting = tuple(
        len(plane.phases) == usual and not (varies and np.abs(plane.phases - phases).max() > 0.5 / usual)
        for plane in timing.planes
    )
    return Beat(phases, float(np.median(stated)) if stated else None, fitting)


def rr_spread(timing: Timing) -> float:
    """Largest difference of R-R intervals, as a share of the shortest."""
    stated = [plane.rr_ms for plane in timing.planes if plane.rr_ms]
    return (max(stated) - min(stated)) / min(stated) if stated else 0.0


def timing_flags(timing: Timing) -> list[Flag]:
    """What is odd about the order and number of frames."""
    flags, beat = [], common_beat(timing)
    if timing.key not in TRUSTED:
        why = "; ".join(f"{key} {reason}" for key, reason in timing.rejected if key in TRUSTED[1:])
        message = f"frames are ordered by {timing.key}, because {why}"
        flags.append(Flag("phase-key-fallback", Severity.FLAG, message))
    if beat.rr_ms is None:
        message = "frame times are unknown: frames are taken as even shares of a beat of unknown length (give --rr-ms)"
        flags.append(Flag("frame-times-unknown", Severity.FLAG, message))
    if rr_spread(timing) > RR_VARIES:
        stated = sorted(plane.rr_ms for plane in timing.planes if plane.rr_ms)
        message = f"R-R intervals differ between slices, {stated[0]:.0f} to {stated[-1]:.0f} ms: frames are matched by "
        flags.append(Flag("rr-varies", Severity.FLAG, message + "their share of the beat; arrhythmia is possible"))
    flags += _count_flags(timing.planes, beat)
    beats = max(plane.beats for plane in timing.planes)
    if beats > 1:
        message = f"frames of up to {beats} beats in a slice (real-time imaging): one beat of each slice is used"
        flags.append(Flag("several-beats", Severity.FLAG, message))
    covered = float(np.median([coverage(plane) for plane in timing.planes]))
    if all(plane.shared for plane in timing.planes) and covered < WHOLE_BEAT:
        message = f"the frames cover {100 * covered:.0f} % of the beat: the last part of diastole was not acquired"
        flags.append(Flag("diastole-incomplete", Severity.FLAG, message))
    return flags


def _count_flags(planes: Sequence[Ordered], beat: Beat) -> list[Flag]:
    usual = len(beat.phases)
    odd = [(number, plane) for number, plane in enumerate(planes, 1) if len(plane.phases) != usual]
    if not odd:
        return []
    told = ", ".join(f"{len(plane.phases)} in slice {number}" for number, plane in odd)
    holes = all(has_hole(plane) and len(plane.phases) < usual for _, plane in odd)
    how = f"{usual} frames in most slices, {told}: those slices are resampled in time"
    if holes:
        return [Flag("missing-phase", Severity.FLAG, f"frames are missing; {how}")]
    return [Flag("frame-counts-differ", Severity.FLAG, how)]


def build(
    runs: Sequence[Run], grid: Lattice, normal: NDArray[np.float64], timing: Timing, view: View, digest: hashlib._Hash
) -> tuple[Image, list[Flag]]:
    """Read the pixels of the planes of one view and put them together.

    Args:
        runs: by rising slice number.
        grid: their slice numbers.
        normal: (3,) direction of rising slice numbers, RAS.
        timing: order of frames of each run.
        view: what they show.
        digest: fed with what is read.

    Raises:
        RefusedInput: pixels cannot be decoded (`undecodable`) or are all zero (`empty-pixels`).
    """
    base = _usual_grid(runs)
    affine, shifted = _affine(runs, base, grid, normal)
    beat = common_beat(timing)
    data = np.zeros((*base.first.shape, grid.slices, len(beat.phases)), np.float32)
    inverted = False
    for run, k, plane, fits in zip(runs, grid.index, timing.planes, beat.fitting, strict=True):
        pixels, flipped = read_plane(plane.headers, digest)
        inverted |= flipped
        if not pixels.any():
            raise RefusedInput(
                "empty-pixels", f"all pixels of series {run.first.series_number} are zero; export the study again"
            )
        if run.grid != base.grid or id(run) in shifted or _turned(run, base):
            pixels = _onto(pixels, run, affine, k, base.first.shape)
        if not fits:
            periodic = coverage(plane) > WHOLE_BEAT
            pixels = resample(pixels, plane.phases, beat.phases, periodic=periodic)
        data[:, :, k] = pixels
    thick = [run.first.thickness for run in runs if run.first.thickness]
    image = Image(data, affine, beat.times, view, rr_ms=beat.rr_ms, missing_slices=grid.missing,
                  thickness_mm=float(np.median(thick)) if thick else None)  # fmt: skip
    flags = _grid_flags(runs, base, shifted)
    if inverted:
        flags.append(Flag("inverted-grey", Severity.NOTE, "grey values are stored inverted and were turned round"))
    return image, flags


def _usual_grid(runs: Sequence[Run]) -> Run:
    """A run on the grid that most share; the first of equals."""
    kinds = [(run.grid, *np.round(run.place.axes.ravel(), 1)) for run in runs]
    return runs[max(range(len(runs)), key=lambda number: (kinds.count(kinds[number]), -number))]


def _turned(run: Run, base: Run) -> bool:
    return bool(np.abs(run.place.axes - base.place.axes).max() > 0.1)


def _affine(
    runs: Sequence[Run], base: Run, grid: Lattice, normal: NDArray[np.float64]
) -> tuple[NDArray[np.float64], set[int]]:
    """Affine of the stack, and the ids of runs whose corner does not lie where it says."""
    alike = [
        (k, run) for k, run in zip(grid.index, runs, strict=True) if run.grid == base.grid and not _turned(run, base)
    ]
    k = np.array([number for number, _ in alike], float)
    half = np.array(base.place.spacing) * (np.array(base.first.shape) - 1) / 2  # a tilted slice turns about its middle
    corners = np.array([run.centre for _, run in alike]) - half @ base.place.axes
    affine = np.eye(4)
    affine[:3, :2] = (base.place.axes * np.array(base.place.spacing)[:, None]).T
    if len(alike) == 1:
        affine[:3, 2] = normal * (grid.step if grid.slices > 1 else base.first.thickness or 1.0)
        affine[:3, 3] = corners[0] - k[0] * affine[:3, 2]
        return affine, set()
    step, start = np.polyfit(k, corners, 1)
    if _in_plane(corners - start - k[:, None] * step, normal).max() > SHIFTED_MM:  # someone moved: follow the others
        pairs = [(corners[j] - corners[i]) / (k[j] - k[i]) for i in range(len(k)) for j in range(i + 1, len(k))]
        step = np.median(pairs, axis=0)
        start = np.median(corners - k[:, None] * step, axis=0)
    affine[:3, 2], affine[:3, 3] = step, start
    off = _in_plane(corners - start - k[:, None] * step, normal)
    return affine, {id(run) for (_, run), far in zip(alike, off, strict=True) if far > SHIFTED_MM}


def _in_plane(vectors: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(vectors - np.outer(vectors @ normal, normal), axis=1))


def _onto(
    pixels: NDArray[np.float32], run: Run, affine: NDArray[np.float64], k: int, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Resample a slice, in its own plane, onto the grid of the stack."""
    to_own = run.place.axes / np.array(run.place.spacing)[:, None]
    corner = affine[:3, 3] + k * affine[:3, 2]
    window = np.eye(3)
    window[:2, :2] = to_own @ affine[:3, :2]
    window[:2, 2] = to_own @ (corner - run.place.position)
    return np.stack([sample_plane(pixels[..., t], window, shape) for t in range(pixels.shape[2])], axis=-1)


def _grid_flags(runs: Sequence[Run], base: Run, shifted: set[int]) -> list[Flag]:
    flags = []
    mixed = [run for run in runs if run.grid != base.grid or _turned(run, base) or id(run) in shifted]
    if mixed:
        series = ", ".join(str(number) for number in sorted({run.first.series_number or 0 for run in mixed}))
        message = (
            f"{len(mixed)} slices (series {series}) lie on another pixel grid and were resampled onto that of the rest"
        )
        flags.append(Flag("mixed-grid", Severity.FLAG, message))
    tilt = max(tilt_deg(run.normal, base.normal) for run in runs)
    if tilt > TILTED_DEG:
        message = f"slices are tilted to each other by up to {tilt:.1f} degrees; volumes take them as parallel"
        flags.append(Flag("tilted-slices", Severity.FLAG, message))
    return flags


def spacing_flags(runs: Sequence[Run], grid: Lattice, heights_mm: NDArray[np.float64]) -> list[Flag]:
    """What is odd about the distances between slices of a stack."""
    flags = []
    thick = [run.first.thickness for run in runs if run.first.thickness]
    thickness = float(np.median(thick)) if thick else None
    if thickness is not None and grid.step - thickness > WIDE_GAP_MM:
        message = (f"gap {grid.step - thickness:.1f} mm between slices: {grid.step:.1f} mm from slice to slice, "
                   f"{thickness:g} mm thick; volumes take each slice for the whole distance")  # fmt: skip
        flags.append(Flag("slice-gap", Severity.FLAG, message))
    if thickness is not None and thickness - grid.step > OVERLAP_MM:
        message = (f"slices {thickness:g} mm thick lie {grid.step:.1f} mm from slice to slice: they overlap, or the "
                   "positions are wrong, and every volume with them")  # fmt: skip
        flags.append(Flag("slices-overlap", Severity.FLAG, message))
    stated = [run.first.spacing_between for run in runs if run.first.spacing_between]
    if stated and abs(float(np.median(stated)) - grid.step) > 0.05 * grid.step:
        message = (f"SpacingBetweenSlices says {float(np.median(stated)):g} mm, the positions say {grid.step:.2f} mm: "
                   "the positions are used")  # fmt: skip
        flags.append(Flag("spacing-contradiction", Severity.FLAG, message))
    if grid.missing:
        which = ", ".join(str(number + 1) for number in grid.missing)
        message = f"slice {which} of {grid.slices} (base to apex) was not found; volumes bridge it from its neighbours"
        flags.append(Flag("missing-slice", Severity.FLAG, message))
    expected = heights_mm[0] + grid.step * (np.array(grid.index) - grid.index[0])
    off = float(np.abs(heights_mm - expected).max())
    if off > 0.05 * grid.step:
        message = f"slices lie up to {off:.1f} mm from even spacing of {grid.step:.1f} mm"
        flags.append(Flag("uneven-spacing", Severity.FLAG, message))
    return flags
