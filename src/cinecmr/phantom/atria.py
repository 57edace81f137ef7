"""Left and right atrium over the beat: domes on the valve planes, filled and emptied against the ventricles.

A dome stands on its valve plane and reaches up to a roof that hardly moves, as real atria hang on their veins: the
plane's descent in systole draws the atrium out. At a share s of the way up, its border lies at
    rho(theta, s) = A(theta) (1 - s) + G f(theta) 2 sqrt(s (1 - s))
from a centre that may drift with s. Moving the centres of its levels keeps a volume, so
    V = H sum over theta of (A^2 / 3 + pi / 4 A G f + 2 / 3 (G f)^2) dtheta / 2,
a quadratic in G: every moment's G is solved from the volume the beat asks for, and the volumes are exact.

Heart coordinates (see `shape`), mm, in; radii, millilitres and labels out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import PchipInterpolator

from cinecmr.anatomy import Disease, Sex, Structure
from cinecmr.phantom.population import cut_normal
from cinecmr.phantom.shape import THETAS, Z_STEP, directions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.phantom.beat import Beat
    from cinecmr.phantom.heart import Heart, Surfaces

_CELL = 2 * np.pi / THETAS
AORTA_ANGLE = np.radians(52)  # of the aortic root's centre, from the middle of the septum towards the anterior wall
_NOTCH = 0.55  # rad: width of the sector of the left ventricle's base that the root takes from the mitral valve
WALL = 1.8  # mm
# Shares of the emptying still to come, at shares of the beat for an end-systole at 0.36 (see `beat`): reservoir,
# conduit, diastasis and the kick. The middle levels scale with what the kick does.
_RESERVOIR_TIMES = np.array([0.0, 0.05, 0.20, 0.38, 0.50, 0.62, 0.78, 0.82, 0.94, 1.0])
_RESERVOIR_LEVELS = np.array([0.0, 0.06, 0.58, 1.0, 0.72, 0.42, 0.42, 0.40, 0.02, 0.0])


def reservoir(beat: Beat, time: NDArray[np.float64] | float, delay: float = 0.0) -> NDArray[np.float64]:
    """How full an atrium is: 0 at end-diastole, when it has just kicked, 1 as its valve opens.

    Args:
        beat: the ventricle's timing. A kick that does nothing (`Beat.kick` 0) leaves all emptying to the conduit.
        time: shares of the cycle.
        delay: of this side, share of the cycle.

    >>> from cinecmr.phantom.beat import Beat
    >>> [round(float(v), 2) for v in reservoir(Beat(), np.array([0.0, 0.38, 0.7]))]
    [0.0, 1.0, 0.42]
    """
    peak = beat.systole + delay
    late = _RESERVOIR_TIMES > 0.36
    times = np.where(late, peak + (_RESERVOIR_TIMES - 0.36) / 0.64 * (1 - peak), _RESERVOIR_TIMES / 0.36 * peak)
    kick = min(beat.kick / 0.19, 2.0)
    middle = (_RESERVOIR_TIMES > 0.6) & (_RESERVOIR_TIMES < 0.94)
    levels = np.where(middle, _RESERVOIR_LEVELS * kick, _RESERVOIR_LEVELS)
    levels[4] = 1 - 0.48 * (1 - levels[5])
    return np.asarray(PchipInterpolator(times, levels)(np.mod(time, 1.0)))


@dataclass(frozen=True)
class Dome:
    """One atrium at one moment.

    Attributes:
        plane: height of the valve plane on the axis, mm; its rise per mm of x and of y.
        height: from plane to roof, mm.
        annulus, bulge: (THETAS,) A, mm, and G f, mm.
        centre: (x, y) of the annulus, mm. drift: (x, y) of the roof against it, mm.
        anchor: column of the direction whose border stays where it is while the dome bulges, or -1.
    """

    plane: tuple[float, float, float]
    height: float
    annulus: NDArray[np.float64]
    bulge: NDArray[np.float64]
    centre: tuple[float, float]
    drift: tuple[float, float]
    anchor: int = -1

    def above(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Height of points (..., 3) over the valve plane, along the axis, mm."""
        base, along_x, along_y = self.plane
        rise = np.float32(along_x) * points[..., 0] + np.float32(along_y) * points[..., 1]
        return np.asarray(points[..., 2] - np.float32(base) - rise, np.float32)

    def polar(
        self, points: NDArray[np.float32], above: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Distance from the dome's own middle, mm, and column of the tables; below the plane that of the annulus."""
        share = np.clip(above / np.float32(self.height), 0, 1)
        x = points[..., 0] - np.float32(self.centre[0]) - np.float32(self.drift[0]) * share
        y = points[..., 1] - np.float32(self.centre[1]) - np.float32(self.drift[1]) * share
        if self.anchor >= 0:
            angle = float(directions()[self.anchor])
            moved = self._border(share, self.anchor) - np.float32(self.annulus[self.anchor])
            x, y = x + np.float32(np.cos(angle)) * moved, y + np.float32(np.sin(angle)) * moved
        column = ((np.arctan2(y, x) + np.pi) * (THETAS / (2 * np.pi))).astype(np.intp) % THETAS
        return np.hypot(x, y), column

    def _border(
        self, share: NDArray[np.float32], column: NDArray[np.intp] | int, more: float = 0.0
    ) -> NDArray[np.float32]:
        annulus, bulge = self.annulus.astype(np.float32), self.bulge.astype(np.float32)
        rise = 2 * np.sqrt(np.clip(share * (1 - share), 0, None))
        return np.asarray(annulus[column] * (1 - share) + bulge[column] * rise + np.float32(more), np.float32)

    def shells(
        self, points: NDArray[np.float32], coats: tuple[float, ...] = (0.0,)
    ) -> tuple[NDArray[np.intp], list[NDArray[np.bool_]]]:
        """Which points lie in the blood of the atrium, or in a coat around it.

        Args:
            points: (n, 3) heart coordinates, mm.
            coats: thickness of each coat that is asked for, mm; 0 is the blood itself.

        Returns:
            Indices (m,) of points near the atrium, and for each coat (m,) whether they lie within it.
        """
        above, most = self.above(points), max(coats)
        wide = float(self.annulus.max() + 2 * self.bulge.max() + np.hypot(*self.drift) + most)
        near = (above >= 0) & (above < self.height + most)
        near &= (np.abs(points[:, 0] - self.centre[0]) < wide) & (np.abs(points[:, 1] - self.centre[1]) < wide)
        where = np.flatnonzero(near)
        above = above[where]
        r, column = self.polar(points[where], above)
        found = []
        for coat in coats:
            share = above / np.float32(self.height + coat)
            found.append((share < 1) & (r < self._border(np.minimum(share, 1), column, coat)))
        return where, found

    def holds(self, points: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether points (..., 3) lie in the blood of the atrium."""
        where, [blood] = self.shells(points.reshape(-1, 3))
        found = np.zeros(points.shape[:-1], bool)
        found.ravel()[where] = blood
        return found

    def volume_ml(self) -> float:
        """Closed form of the volume of what `holds` says, ml."""
        a, g = self.annulus, self.bulge
        return float(self.height * 0.5 * _CELL * (a**2 / 3 + np.pi / 4 * a * g + 2 / 3 * g**2).sum() / 1000)


def bulging(annulus: NDArray[np.float64], form: NDArray[np.float64], height: float, volume_ml: float) -> float:
    """The G that gives a dome its volume, mm; 0 where even the cone over the annulus holds more."""
    a = 2 / 3 * (form**2).sum()
    b = np.pi / 4 * (annulus * form).sum()
    c = (annulus**2).sum() / 3 - volume_ml * 1000 / (height * 0.5 * _CELL)
    return float((-b + np.sqrt(b**2 - 4 * a * c)) / (2 * a)) if c < 0 else 0.0


@dataclass(frozen=True)
class Atrium:
    """One atrium over the beat.

    Attributes:
        largest, smallest: volumes, ml, as the valve opens and after the kick.
        height: from plane to roof at end-diastole, mm. roof: share of the plane's descent the roof follows.
        centre: (x, y) of the annulus from the axis, mm. drift: (x, y) of the roof against it, mm.
        form: (THETAS,) of the bulge, around 1.
        annulus: (THETAS,) radii of the valve's ring, mm; None: what the ventricle's base leaves beside the aorta.
        anchored: the septal border stands still: the atrium grows away from the septum.
    """

    largest: float
    smallest: float
    height: float
    form: NDArray[np.float64] = field(repr=False)
    roof: float = 0.12
    centre: tuple[float, float] = (0.0, 0.0)
    drift: tuple[float, float] = (0.0, 0.0)
    annulus: NDArray[np.float64] | None = field(default=None, repr=False)
    anchored: bool = False

    def volume_ml(self, beat: Beat, time: float, delay: float = 0.0) -> float:
        """Volume the beat asks for, ml."""
        return self.smallest + (self.largest - self.smallest) * float(reservoir(beat, time, delay))


@dataclass(frozen=True)
class Atria:
    """Both atria of one heart, and the great arteries that leave beside them.

    Attributes:
        left, right: see `Atrium`.
        aorta: radius of the root, mm.
        trunk: radius of the outflow tract and the pulmonary trunk, mm.
        veins: (angle rad, height as a share of the left atrium's, radius mm, rise mm per mm) of each pulmonary vein.
        septum: x of the border that the right atrium keeps, mm.
        leaflet: length of the mitral leaflets as a share of the annulus' radius.
        fat: thickness of the fat over the atria, mm.
        lumps: length, mm, and phase of the waves along x, y and z that shape the mediastinum.
        outflow: lean of the aorta along x and y, and how it turns from x to y, per mm above the mitral plane.
    """

    left: Atrium
    right: Atrium
    aorta: float = 12.5
    trunk: float = 12.0
    veins: tuple[tuple[float, float, float, float], ...] = ()
    septum: float = 34.0
    leaflet: float = 0.9
    fat: float = 3.0
    lumps: tuple[tuple[float, float], ...] = ((7.0, 1.0), (8.0, 0.5), (6.0, 2.0))
    outflow: tuple[float, float, float] = (0.42, 0.33, 0.006)

    def domes(self, heart: Heart, surfaces: Surfaces, time: float) -> tuple[Dome, Dome]:
        """Left and right atrium at a time.

        Args:
            heart: whose they are.
            surfaces: of the same time.
            time: share of the cycle.
        """
        return self._left(heart, surfaces, time), self._right(heart, surfaces, time)

    def _left(self, heart: Heart, surfaces: Surfaces, time: float) -> Dome:
        one, rim = self.left, base_radii(surfaces).astype(np.float64)
        ring = rim * mitral_share(rim, self.aorta)
        shift = heart.axis_shift(np.asarray(surfaces.base, np.float32))
        height = one.height + (1 - one.roof) * (heart.lv.length - surfaces.base)
        volume = one.volume_ml(heart.beat, time)
        grown = bulging(ring, one.form, height, volume)
        centre = (float(shift[0]) + one.centre[0], float(shift[1]) + one.centre[1])
        return Dome((surfaces.base, *surfaces.tilt), height, ring, grown * one.form, centre, one.drift)

    def _right(self, heart: Heart, surfaces: Surfaces, time: float) -> Dome:
        one, delay = self.right, heart.beat.rv_delay
        ring = np.asarray(one.annulus, np.float64)
        height = one.height + (1 - one.roof) * (heart.rv.base - surfaces.rv_top)
        grown = bulging(ring, one.form, height, one.volume_ml(heart.beat, time, delay))
        plane = (surfaces.rv_top, 0.0, surfaces.rv_tilt)
        return Dome(plane, height, ring, grown * one.form, one.centre, one.drift, 0 if one.anchored else -1)

    def volumes_ml(self, heart: Heart, surfaces: Surfaces, time: float) -> dict[Structure, float]:
        """Volume of LA and RA at a time, ml, from the closed form."""
        left, right = self.domes(heart, surfaces, time)
        return {Structure.LA: left.volume_ml(), Structure.RA: right.volume_ml()}

    def label(
        self, codes: NDArray[np.uint8], points: NDArray[np.float32], heart: Heart, surfaces: Surfaces, time: float
    ) -> None:
        """Write LA and RA into `codes` (...) where points (..., 3) hold nothing yet."""
        free = codes == Structure.BACKGROUND
        for dome, code in zip(self.domes(heart, surfaces, time), (Structure.LA, Structure.RA), strict=True):
            codes[free & dome.holds(points)] = code


def base_radii(surfaces: Surfaces) -> NDArray[np.float32]:
    """(THETAS,) endocardial radii of the left ventricle in its mitral plane on the axis, mm."""
    row = int(np.clip(np.rint((surfaces.base - surfaces.z0) / Z_STEP), 0, len(surfaces.endo) - 1))
    return np.asarray(surfaces.endo[row], np.float32)


def mitral_share(rim: NDArray[np.float64], aorta: float) -> NDArray[np.float64]:
    """(THETAS,) how far the mitral valve reaches of the ventricle's rim: all of it but beside the aortic root."""
    off = np.angle(np.exp(1j * (directions().astype(np.float64) - AORTA_ANGLE)))
    there = float(np.interp(AORTA_ANGLE, directions(), rim))
    left = np.clip(1 - 1.8 * aorta / there, 0.1, 1.0)
    return np.asarray(1 - (1 - left) * np.exp(-((off / _NOTCH) ** 2)))


# Largest volume against a healthy one, left and right, and the share of it that is emptied, %, left and right: mean
# and standard deviation. Healthy: 40 +- 8 ml/m2 and 59 % (Maceira 2010), right 52 +- 10 ml/m2 and 47 % (Maceira 2013).
_HEALTHY = ((1.0, 0.16), (1.0, 0.16), (58.0, 5.0), (47.0, 6.0))
_GROUPS: dict[str, tuple[tuple[float, float], ...]] = {
    "dcm": ((1.45, 0.25), (1.2, 0.2), (38.0, 8.0), (38.0, 8.0)),
    "hcm": ((1.40, 0.22), (1.0, 0.15), (48.0, 7.0), (45.0, 6.0)),
    "infarct": ((1.15, 0.18), (1.0, 0.15), (50.0, 7.0), (45.0, 6.0)),
    "abnormal_rv": ((1.0, 0.15), (1.45, 0.25), (55.0, 6.0), (36.0, 7.0)),
    "arvc": ((1.0, 0.15), (1.35, 0.22), (55.0, 6.0), (38.0, 7.0)),
    "hypertensive": ((1.2, 0.18), (1.0, 0.15), (52.0, 6.0), (46.0, 6.0)),
    "athlete": ((1.25, 0.15), (1.25, 0.15), (57.0, 5.0), (47.0, 6.0)),
    "amyloid": ((1.4, 0.2), (1.25, 0.2), (28.0, 8.0), (30.0, 8.0)),
}
_STROKE_SHARE = 0.75  # of the ventricle's stroke volume: the rest of it only passes through the atrium


def draw_atria(rng: np.random.Generator, heart: Heart) -> Atria:
    """Atria in step with the body, the group and the ventricles.

    Args:
        rng: a generator of their own, so that hearts and chests stay what their seeds made them.
        heart: its ventricles and beat. No atrium empties more than `_STROKE_SHARE` of what its ventricle ejects.
    """
    person = heart.person
    groups = _GROUPS.get(person.disease.value, _HEALTHY) if person.disease is not Disease.NORMAL else _HEALTHY
    size = person.bsa_m2 / 1.9
    rest, tight = heart.surfaces(0.0), heart.surfaces(heart.beat.systole)
    edge = _septal_edge(heart)
    full, empty = heart.volumes_on(rest), heart.volumes_on(tight)
    aorta = float((13.2 if person.sex is Sex.MALE else 12.0) * size**0.4 * np.exp(rng.normal(0, 0.07)))
    volumes = [
        _volumes(rng, indexed * person.bsa_m2, grown, emptied, full[side] - empty[side])
        for indexed, grown, emptied, side in (
            (40.0, groups[0], groups[2], Structure.LV),
            (52.0, groups[1], groups[3], Structure.RV),
        )
    ]
    left = _draw_left(rng, *volumes[0], size)
    reach = _reach(Atria(left, left, aorta), heart) + 3.0
    # Above a thick ventricular septum the left atrium leans over, so that only the septum lies between the atria.
    left = replace(left, drift=(left.drift[0] + float(np.clip(edge - reach, 0, 16)), left.drift[1]))
    septum = max(edge, reach) + WALL + rng.uniform(0.5, 2.0)
    return Atria(
        left,
        _draw_right(rng, *volumes[1], size, septum),
        aorta,
        aorta * rng.uniform(0.85, 1.05),
        _draw_veins(rng, size),
        septum,
        rng.uniform(0.8, 1.0),
        float(np.clip(person.weight_kg / person.height_m**2 / 8, 1.5, 6) * rng.uniform(0.7, 1.3)),
        tuple((rng.uniform(5, 11), rng.uniform(0, 2 * np.pi)) for _ in range(3)),
    )


def _volumes(
    rng: np.random.Generator, healthy: float, grown: tuple[float, float], emptied: tuple[float, float], stroke: float
) -> tuple[float, float]:
    largest = healthy * cut_normal(rng, grown, 0.6)
    share = cut_normal(rng, emptied, 8, 75) / 100
    return largest, largest - min(share * largest, _STROKE_SHARE * stroke)


def _form(rng: np.random.Generator, aspect: float) -> NDArray[np.float64]:
    """A smooth outline, wider along y by `aspect`."""
    theta = directions().astype(np.float64)
    form = 1 / np.sqrt((np.cos(theta) * np.sqrt(aspect)) ** 2 + (np.sin(theta) / np.sqrt(aspect)) ** 2)
    for order in (2, 3, 4):
        form = form + rng.normal(0, 0.035) * np.cos(order * theta + rng.uniform(0, 2 * np.pi))
    return np.asarray(form)


def _draw_left(rng: np.random.Generator, largest: float, smallest: float, size: float) -> Atrium:
    """Behind the aorta: it leans to the back, and bulges least where the root stands."""
    theta = directions().astype(np.float64)
    off = np.angle(np.exp(1j * (theta - AORTA_ANGLE)))
    form = _form(rng, rng.uniform(0.95, 1.2)) * (1 - 0.3 * np.exp(-((off / 0.6) ** 2)))
    height = size**0.5 * 36 * (largest / 76) ** 0.3 * np.exp(rng.normal(0, 0.07))
    drift = (rng.normal(-5, 2), rng.normal(-9, 3))
    return Atrium(largest, smallest, float(height), form, drift=drift)


def _draw_right(rng: np.random.Generator, largest: float, smallest: float, size: float, septum: float) -> Atrium:
    """Beside the left one, its septal border on the septum."""
    ring = size**0.5 * rng.uniform(16.5, 19.5)
    theta = directions().astype(np.float64)
    annulus = ring * (1 + 0.06 * np.cos(2 * theta))
    height = size**0.5 * 40 * (largest / 99) ** 0.3 * np.exp(rng.normal(0, 0.07))
    centre = (septum + float(annulus[0]), rng.normal(-15, 3))
    drift = (rng.normal(0, 1), rng.normal(-4, 3))
    return Atrium(
        largest, smallest, float(height), _form(rng, rng.uniform(1.25, 1.6)), 0.12, centre, drift, annulus, True
    )


def _draw_veins(rng: np.random.Generator, size: float) -> tuple[tuple[float, float, float, float], ...]:
    """Two veins from the left lung and one from the right, into the back of the left atrium."""
    return tuple(
        (rng.normal(angle, 0.15), rng.uniform(0.6, 0.78), size**0.5 * rng.uniform(5.5, 8), rng.uniform(0.2, 0.7))
        for angle in (2.75, -2.5, -0.55)
    )


def _septal_edge(heart: Heart) -> float:
    """The largest x of the left ventricle's muscle near its base over the beat, mm."""
    found = 0.0
    for time in (0.0, 0.5 * heart.beat.systole, heart.beat.systole):
        s = heart.surfaces(float(time))
        low = min(s.rv_top - 40 * abs(s.rv_tilt), s.base) - 5
        rows = s.heights > low
        dx, _ = heart.axis_shift(s.heights[rows])
        found = max(found, float((s.epi[rows] * np.cos(directions())).max() + np.abs(dx).max()))
    return found


def _reach(atria: Atria, heart: Heart) -> float:
    """The largest x of the left atrium over the beat, mm."""
    share = np.linspace(0, 1, 21, dtype=np.float32)[:, None]
    found = 0.0
    for time in (0.0, 0.5 * heart.beat.systole, heart.beat.systole + 0.02):
        dome = atria._left(heart, heart.surfaces(time), time)
        border = dome._border(share, np.arange(THETAS, dtype=np.intp))
        x = dome.centre[0] + dome.drift[0] * share + border * np.cos(directions())
        found = max(found, float(x.max()))
    return found
