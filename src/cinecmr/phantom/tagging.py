"""Tagged cine of the synthetic heart: dark lines laid into the tissue at end-diastole, which then move with it.

A pair of pulses a direction leaves magnetisation modulated along it (SPAMM; two directions make a grid). The pattern
belongs to the material, so what a pixel shows follows from where its tissue was at end-diastole (`motion.origins`).
It fades as magnetisation recovers and with every readout; blood carries it away within an eighth of a second.

Source: section 8 of the specification of the tagged prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cinecmr.phantom.chest import Tissue
from cinecmr.phantom.motion import origins
from cinecmr.phantom.scanner import BLOOD, relaxation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.phantom.heart import Heart
    from cinecmr.phantom.scanner import Exposure
    from cinecmr.phantom.scene import Scene

_WASHED = (0.03, 0.15)  # s after the tags at which the first and the last tagged blood has left
CSPAMM_ZERO = 1.0  # level of vanished tags in a complementary image, whose lines lie above and below it
_COARSE = 4  # pixels: the grid on which motion outside the left ventricle is computed; it is smooth there
_STILL = (4.0, 14.0)  # mm outside the outermost muscle over which tissue comes to rest
SLICES = (0.78, 0.5, 0.24)  # heights of the three slices at end-diastole, shares of the long axis: base, middle, apex


@dataclass(frozen=True)
class Tags:
    """How tissue is tagged and read out. The defaults resemble the UK Biobank's.

    Attributes:
        spacing_mm: distance of the lines.
        angles: directions across the lines, degrees in the image from its x axis towards its y axis.
        tip_deg: total tip of a pulse pair; 90 modulates fully.
        laid_s: time after the R wave at which the pattern is laid down, s.
        flip_deg: of a readout pulse. readout_s: time from one readout to the next, s.
        complementary: the difference of two patterns in opposite phase (CSPAMM): what has recovered cancels.
    """

    spacing_mm: float = 7.0
    angles: tuple[float, ...] = (45.0, -45.0)
    tip_deg: float = 90.0
    laid_s: float = 0.015
    flip_deg: float = 10.0
    readout_s: float = 0.04
    complementary: bool = False

    def __post_init__(self) -> None:
        for name, low, high, unit in (
            ("spacing_mm", 3, 20, " mm"),
            ("tip_deg", 10, 180, " degrees"),
            ("laid_s", 0, 0.1, " s"),
            ("flip_deg", 1, 40, " degrees"),
            ("readout_s", 0.005, 0.2, " s"),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {low:g} to {high:g}{unit}, got {getattr(self, name):g}")
        if not 1 <= len(self.angles) <= 2:
            raise ValueError(f"angles holds one direction (lines) or two (a grid), got {len(self.angles)}")
        if self.complementary and len(self.angles) != 1:
            raise ValueError("CSPAMM is taken one direction at a time; give one angle, and take the other apart")

    def pattern(self, phases: NDArray[np.floating]) -> NDArray[np.float64]:
        """Longitudinal magnetisation just after the pulses, as a share of the resting one.

        Args:
            phases: (..., directions) position across the lines in turns: X . n / spacing.

        Returns:
            (...): product over the directions of cos(b)^2 - sin(b)^2 cos(2 pi phase), 2 b the tip of a pair. For
            CSPAMM half the difference of the two patterns, -sin(b)^2 cos(2 pi phase).
        """
        half = np.radians(self.tip_deg) / 2
        wave = np.sin(half) ** 2 * np.cos(2 * np.pi * np.asarray(phases, np.float64))
        steady = 0.0 if self.complementary else np.cos(half) ** 2
        return np.asarray(np.prod(steady - wave, axis=-1))

    def fading(self, seconds: float, t1_ms: float) -> float:
        """Share of the tags left after a time: recovery exp(-t / T1), and cos(flip) for every readout until then."""
        count = np.floor(max(seconds, 0.0) / self.readout_s)
        return float(np.exp(-1000 * max(seconds, 0.0) / t1_ms) * np.cos(np.radians(self.flip_deg)) ** count)


def slice_heights(heart: Heart) -> tuple[float, ...]:
    """Heights of the basal, middle and apical slice, mm; the planes stay there while the heart moves through them."""
    return tuple(share * heart.lv.length for share in SLICES)


def tagged(scene: Scene, how: Exposure, *, tags: Tags | None = None) -> NDArray[np.float32]:
    """One frame of a tagged slice.

    Args:
        scene: heart and chest at the moment of the frame.
        how: the slice, whose rows the tags follow; noisier than the cine.
        tags: see `Tags`.

    Returns:
        (x, y), not negative; muscle without tags about 0.9, blood 1. Of CSPAMM the signed difference, above
        `CSPAMM_ZERO`.
    """
    tags = tags or Tags()
    seconds = scene.time * scene.heart.beat.rr_s - tags.laid_s
    times = relaxation(how.scanner.field_t)
    density = np.array([times[tissue][2] for tissue in Tissue], np.float32)
    left = np.array([tags.fading(seconds, times[tissue][0]) for tissue in Tissue], np.float32)
    left[list(BLOOD)] *= _unwashed(seconds)
    directions, origin = tag_directions(how.points, tags)
    full, shift = 0.0 if tags.complementary else 1.0, shift_around(scene, how.points)

    def alter(codes: NDArray[np.uint8], values: NDArray[np.float32], at: NDArray[np.float32]) -> NDArray[np.float32]:
        phases = (material(scene, at, shift) - origin) @ directions.T / tags.spacing_mm
        share = full + (tags.pattern(phases) - full) * left[codes]
        return np.asarray(values * share, np.float32)

    picture = how.taken(scene, density, alter, snr=0.85, flow=0.5, signed=tags.complementary)
    return np.clip(picture + np.float32(CSPAMM_ZERO), 0, None) if tags.complementary else picture


def tag_directions(points: NDArray[np.float32], tags: Tags) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(directions, 3) unit vectors across the lines, and the (3,) point through which a line of each runs.

    Args:
        points: (x, y, 3) centres of the pixels, heart coordinates, mm.
        tags: their angles.
    """
    rows = points.astype(np.float64)
    x, y = rows[-1, 0] - rows[0, 0], rows[0, -1] - rows[0, 0]
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    angles = np.radians(tags.angles)
    return np.cos(angles)[:, None] * x + np.sin(angles)[:, None] * y, 0.5 * (rows[0, 0] + rows[-1, -1])


def material(
    scene: Scene, points: NDArray[np.float32], shift: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Where tissue at points (x, y, 3) of a slice was at end-diastole, (x, y, 3) heart coordinates, mm.

    Within the left ventricle every point is traced back in closed form; around it `shift` says how far.

    Args:
        scene: the heart at that moment.
        points: (x, y, 3) heart coordinates, mm.
        shift: (x, y, 3) of `shift_around`, of this slice or one near it; made when None.
    """
    shift = shift_around(scene, points) if shift is None else shift
    found = points + shift
    radius, at = scene.heart.polar(points, scene.surfaces)
    inside = (radius < scene.surfaces.epi.ravel()[at]) & (scene.surfaces.above_mitral(points) < 0)
    found[inside] = origins(scene.moment, points[inside].astype(np.float64))
    return np.asarray(found)


def shift_around(scene: Scene, points: NDArray[np.float32]) -> NDArray[np.float64]:
    """(x, y, 3) from points (x, y, 3) of a slice to where their tissue was at end-diastole, mm.

    Computed at every `_COARSE`-th pixel and interpolated, for it is smooth outside the left ventricle. Lung, chest
    wall and liver stand still, as they do in `Scene`.
    """
    radius, at = scene.heart.polar(points, scene.surfaces)
    moving = np.clip((scene.surfaces.outer.ravel()[at] + _STILL[1] - radius) / (_STILL[1] - _STILL[0]), 0, 1)
    coarse = (slice(None, None, _COARSE), slice(None, None, _COARSE))
    needed = ndimage.maximum_filter(moving, 2 * _COARSE + 1)[coarse] > 0
    shift = np.zeros((*needed.shape, 3))
    there = points[coarse][needed].astype(np.float64)
    shift[needed] = origins(scene.moment, there) - there
    where = np.stack(np.meshgrid(*(np.arange(n) / _COARSE for n in radius.shape), indexing="ij"))
    fine = [ndimage.map_coordinates(shift[..., i], where, order=1, mode="nearest") for i in range(3)]
    return np.asarray(moving[..., None] * np.stack(fine, axis=-1), np.float64)


def _unwashed(seconds: float) -> float:
    """Share of the blood in sight that was there when the tags were laid: falls smoothly from 1 to 0."""
    start, end = _WASHED
    gone = np.clip((seconds - start) / (end - start), 0, 1)
    return float(1 - gone**2 * (3 - 2 * gone))
