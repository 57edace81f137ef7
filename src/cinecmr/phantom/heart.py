"""One subject's heart: surfaces at any moment, labels at any point, volumes from the geometry.

Heart coordinates (see `shape`) in, `Structure` codes and millilitres out. Nothing here knows voxels or contrast.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Disease, Sex, Structure
from cinecmr.phantom.beat import Beat
from cinecmr.phantom.shape import THETAS, Z_STEP, LeftVentricle, RightVentricle, directions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.phantom.scar import Scar

MUSCLE_DENSITY = 1.05  # g/ml
_RINGS = 12  # rings of equal area into which a sector is cut where a tilted plane ends it
CLOSED_MM = 3.0  # radius of a cavity in which a reader sees no blood


@dataclass(frozen=True)
class Person:
    """Who the heart belongs to.

    Attributes:
        sex, age_y, height_m, weight_kg: as a header would hold them.
        disease: the group the subject was drawn from. severity: of it, 0 healthy to 1 (`disease.Group.at`).
    """

    sex: Sex = Sex.MALE
    age_y: float = 50.0
    height_m: float = 1.75
    weight_kg: float = 75.0
    disease: Disease = Disease.NORMAL
    severity: float = 1.0

    @property
    def bsa_m2(self) -> float:
        """Body surface area, m2 (Mosteller)."""
        return float(np.sqrt(self.height_m * 100 * self.weight_kg / 3600))


@dataclass(frozen=True)
class Surfaces:
    """Radii of every surface at one moment, as tables over height and angle.

    Attributes:
        z0: height of the first row, mm; rows are Z_STEP apart.
        endo, epi: (n, THETAS) left ventricular radii, mm; carried on above the base as a tube.
        rv: (n, THETAS) inner face of the right ventricular free wall, mm; equals `epi` outside its arc.
        outer: (n, THETAS) outermost muscle, mm.
        base, rv_top: heights of the mitral and tricuspid planes on the axis, mm.
        tilt: rise of the mitral plane per mm of x and of y. rv_tilt: of the tricuspid plane per mm of y.
        activation, rv_activation: where in the beat this is.
    """

    z0: float
    endo: NDArray[np.float32]
    epi: NDArray[np.float32]
    rv: NDArray[np.float32]
    outer: NDArray[np.float32]
    base: float
    tilt: tuple[float, float]
    rv_top: float
    rv_tilt: float
    activation: float
    rv_activation: float

    @property
    def heights(self) -> NDArray[np.float32]:
        """(n,) height of every row, mm."""
        return (self.z0 + Z_STEP * np.arange(len(self.endo))).astype(np.float32)

    def above_mitral(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far points (..., 3) lie above the mitral plane along the axis, mm; negative in the ventricle."""
        rise = np.float32(self.tilt[0]) * points[..., 0] + np.float32(self.tilt[1]) * points[..., 1]
        return np.asarray(points[..., 2] - np.float32(self.base) - rise, np.float32)

    def index(self, theta: NDArray[np.float32], z: NDArray[np.float32]) -> NDArray[np.intp]:
        """Flat index into the tables for angles and heights of one shape; heights outside take the last row."""
        row = np.clip(np.rint((z - self.z0) / Z_STEP), 0, len(self.endo) - 1).astype(np.intp)
        column = ((theta + np.pi) * (THETAS / (2 * np.pi))).astype(np.intp) % THETAS
        return np.asarray(row * THETAS + column, np.intp)


@lru_cache(maxsize=32)  # half a megabyte each; a heart is asked for few moments, and for each of them often
def _left(
    lv: LeftVentricle, z0: float, above: float, activation: float
) -> tuple[float, NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Height of the base; endocardial and epicardial tables; mean radius at end-diastole of every row, (n, 1)."""
    z = np.arange(z0, lv.length + above, Z_STEP, dtype=np.float32)[:, None]
    theta, base = directions(), lv.base(activation)
    endo, epi = lv.radii(theta, np.minimum(z, base), activation)
    reference = lv.reference_radii(theta, np.minimum(z / lv.length_factor(activation), lv.length))[1]
    reference = np.maximum(reference.mean(axis=1, keepdims=True), 0.3 * lv.epi)
    for table in (endo, epi, reference):
        table.setflags(write=False)  # shared by all who ask
    return base, endo, epi, reference


@dataclass(frozen=True)
class Heart:
    """Anatomy and motion of one synthetic subject."""

    person: Person = field(default_factory=Person)
    beat: Beat = field(default_factory=Beat)
    lv: LeftVentricle = field(default_factory=LeftVentricle)
    rv: RightVentricle = field(default_factory=RightVentricle)
    bend: tuple[float, float] = (0.0, 0.0)  # mm by which the axis bows sideways at mid-height, along x and y
    scar: Scar | None = None

    def axis_shift(self, z: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How far the axis lies off the straight line at heights z, mm along x and y: a shear, so volumes are kept."""
        share = np.clip(z / self.lv.length, -0.3, 1.6)
        bow = (4 * share * (1 - share)).astype(np.float32)
        return bow * np.float32(self.bend[0]), bow * np.float32(self.bend[1])

    def surfaces(self, time: float, above: float = 60.0) -> Surfaces:
        """Tables of every surface at a time.

        Args:
            time: share of the cycle.
            above: how far beyond the base the tables reach, mm.
        """
        a, a_rv = float(self.beat.activation(time)), float(self.beat.activation(time, self.beat.rv_delay))
        z0 = -15.0
        z = np.arange(z0, self.lv.length + above, Z_STEP, dtype=np.float32)[:, None]
        theta = directions()
        base, endo, epi, reference = _left(self.lv, z0, above, a)
        rv = self.rv.outer_radius(theta, z, epi, reference, a_rv)
        there = rv > epi + 0.3
        outer = np.where(there, rv + self.rv.wall * (1 + 0.3 * a_rv), epi).astype(np.float32)
        return Surfaces(z0, endo, epi, rv, outer, base, self.lv.tilt, self.rv.top(a_rv), self.rv.tilt, a, a_rv)

    def polar(self, points: NDArray[np.float32], surfaces: Surfaces) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Radius about the bent axis, mm, and index into the tables, for points (..., 3)."""
        z = points[..., 2]
        dx, dy = self.axis_shift(z)
        x, y = points[..., 0] - dx, points[..., 1] - dy
        return np.hypot(x, y), surfaces.index(np.arctan2(y, x), z)

    def labels(self, points: NDArray[np.float32], time: float) -> NDArray[np.uint8]:
        """`Structure` codes at points.

        The left ventricle ends at the mitral plane, the right at the tricuspid and outflow plane. Papillary
        muscles and trabeculae belong to the cavities, as readers contour them.

        Args:
            points: (..., 3) heart coordinates, mm.
            time: share of the cycle.
        """
        return self.labels_on(points, self.surfaces(time))

    def labels_on(self, points: NDArray[np.float32], surfaces: Surfaces) -> NDArray[np.uint8]:
        """As `labels`, for surfaces already made."""
        points = np.asarray(points, np.float32)
        r, at = self.polar(points, surfaces)
        z = points[..., 2]
        codes = np.zeros(r.shape, np.uint8)
        below_rv = z < surfaces.rv_top + surfaces.rv_tilt * points[..., 1]
        codes[(r < surfaces.rv.ravel()[at]) & (r >= surfaces.epi.ravel()[at]) & below_rv] = Structure.RV
        inside = surfaces.above_mitral(points) < 0
        codes[inside & (r < surfaces.epi.ravel()[at])] = Structure.MYO
        codes[inside & (r < surfaces.endo.ravel()[at])] = Structure.LV
        return codes

    def reader_labels(self, points: NDArray[np.float32], surfaces: Surfaces) -> NDArray[np.uint8]:
        """`Structure` codes of one short-axis slice as a reader contours it: whole rings.

        A slice that the mitral plane cuts obliquely is contoured all round if at least half of the left ventricle's
        outline lies below the plane, and not at all otherwise; so is the right ventricle by its own plane, for where
        atrium and outflow tract lie side by side readers of ACDC draw none. A cavity squeezed to less than
        `CLOSED_MM` is contoured as muscle: no blood is seen in it.

        Args:
            points: (x, y, 3) centres of the pixels, heart coordinates, mm.
            surfaces: of the moment.
        """
        points = np.asarray(points, np.float32)
        codes = self.labels_on(points, surfaces)
        r, at = self.polar(points, surfaces)
        epi = surfaces.epi.ravel()[at]
        crescent = (r < surfaces.rv.ravel()[at]) & (r >= epi)
        if crescent.any():
            below = points[..., 2] < surfaces.rv_top + surfaces.rv_tilt * points[..., 1]
            codes[crescent] = Structure.RV if below[crescent].mean() >= 0.5 else Structure.BACKGROUND
        disc = r < epi
        if not disc.any():
            return codes
        counted = (surfaces.above_mitral(points)[disc] < 0).mean() >= 0.5
        inner = surfaces.endo.ravel()[at]
        closed = np.sqrt((inner[disc].astype(np.float64) ** 2).mean()) < CLOSED_MM
        endo = (r < inner) & (not closed)
        codes[disc] = np.where(endo[disc], Structure.LV, Structure.MYO) if counted else Structure.BACKGROUND
        return codes

    def volumes_ml(self, time: float) -> dict[Structure, float]:
        """Volume of RV, MYO and LV at a time, ml, by integrating the surfaces (no voxels).

        Sectors between neighbouring angles have area r^2 dtheta / 2; their error falls with the square of the
        table's step and is below 0.05 %.
        """
        return self.volumes_on(self.surfaces(time))

    def volumes_on(self, s: Surfaces) -> dict[Structure, float]:
        """As `volumes_ml`, for surfaces already made."""
        z = s.heights[:, None].astype(np.float64)
        lv, epi = (self._below_mitral(s, z, radius.astype(np.float64)) for radius in (s.endo, s.epi))
        rv = self._right_volume(s, z)
        return {Structure.RV: rv / 1000, Structure.MYO: (epi - lv) / 1000, Structure.LV: lv / 1000}

    def right_ml(self, time: float) -> float:
        """Volume of the right ventricle alone, as `volumes_ml` has it."""
        s = self.surfaces(time)
        return self._right_volume(s, s.heights[:, None].astype(np.float64)) / 1000

    def _below_mitral(self, s: Surfaces, z: NDArray[np.float64], radius: NDArray[np.float64]) -> float:
        """Volume within a surface below the mitral plane, mm3: every ray is cut into rings of equal area."""
        theta = directions().astype(np.float64)[None, :]
        dx, dy = (shift.astype(np.float64) for shift in self.axis_shift(z.astype(np.float32)))
        plane = s.base + s.tilt[0] * dx + s.tilt[1] * dy
        rise = s.tilt[0] * np.cos(theta) + s.tilt[1] * np.sin(theta)
        rings = np.sqrt((np.arange(_RINGS) + 0.5) / _RINGS)
        # A row counts by the share of its height that lies below the plane it ends at.
        below = sum(np.clip((plane + share * radius * rise - z) / Z_STEP + 0.5, 0, 1) for share in rings) / _RINGS
        return float((radius**2 * below).sum() * 0.5 * (2 * np.pi / THETAS) * Z_STEP)

    def _right_volume(self, s: Surfaces, z: NDArray[np.float64]) -> float:
        """Cavity below the tilted tricuspid plane, mm3: the plane cuts each ray at one radius."""
        theta = directions().astype(np.float64)[None, :]
        inner, outer = s.epi.astype(np.float64), s.rv.astype(np.float64)
        _, dy = self.axis_shift(z.astype(np.float32))
        rise = s.rv_tilt * np.sin(theta)
        limit = np.divide(
            z - s.rv_top - s.rv_tilt * dy, rise, out=np.full(inner.shape, np.nan), where=np.abs(rise) > 1e-9
        )
        flat = np.where(z < s.rv_top, np.inf, -np.inf) + 0 * inner
        high = np.where(rise > 1e-9, np.clip(limit, inner, outer), inner)  # below the plane means beyond the limit
        low = np.where(
            rise < -1e-9,
            np.clip(limit, inner, outer),
            np.where(rise > 1e-9, outer, np.minimum(outer, np.maximum(flat, inner))),
        )
        area = np.clip(low**2 - high**2, 0, None)
        return float(0.5 * (2 * np.pi / THETAS) * Z_STEP * area.sum())

    def curves(self, times: NDArray[np.float64]) -> dict[Structure, NDArray[np.float64]]:
        """Volume of RV, MYO and LV at every time, ml."""
        rows = [self.volumes_ml(float(t)) for t in times]
        return {code: np.array([row[code] for row in rows]) for code in rows[0]}
