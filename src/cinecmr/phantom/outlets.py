"""What joins the ventricles above their valves, as tissues: atria, veins, great arteries, leaflets, and fat between.

`Outlets` is the part of a `Scene` that long-axis views look at. Shapes of the atria are `atria`'s; here they get
walls, valves that open and close, and surroundings. Heart coordinates (see `shape`), mm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.phantom.atria import AORTA_ANGLE, WALL, Dome, base_radii
from cinecmr.phantom.chest import Tissue
from cinecmr.phantom.shape import THETAS, Z_STEP

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.phantom.atria import Atria
    from cinecmr.phantom.beat import Beat
    from cinecmr.phantom.heart import Heart, Surfaces

REACH = 110.0  # mm from the axis within which outlets are painted
BELOW, TOP = 26.0, 80.0  # mm under and over the mitral plane between which they are
_LEAFLET = 0.8  # mm: half of a leaflet's thickness
_CLOSED, _OPEN = np.radians(10), np.radians(78)  # angle of the leaflets to their plane
# How far an inflow valve is open, at shares of the beat for an end-systole at 0.36 (see `beat`).
_INFLOW_TIMES = np.array([0.0, 0.02, 0.38, 0.43, 0.52, 0.66, 0.80, 0.88, 0.97, 1.0])
_INFLOW_LEVELS = np.array([0.05, 0.0, 0.0, 1.0, 0.9, 0.45, 0.45, 0.8, 0.2, 0.05])
_TRUNK_ANGLE = np.radians(52)  # of the right ventricle's outflow tract, from the middle of the septum
_TRUNK_LEAN = (-0.55, 0.45)


def inflow(beat: Beat, time: float, delay: float = 0.0) -> float:
    """How far the mitral (or, delayed, tricuspid) valve is open: 0 in systole, 1 in early filling.

    >>> from cinecmr.phantom.beat import Beat
    >>> inflow(Beat(), 0.2), round(inflow(Beat(), 0.44), 1)
    (0.0, 1.0)
    """
    peak = beat.systole + delay
    late = _INFLOW_TIMES > 0.36
    times = np.where(late, peak + (_INFLOW_TIMES - 0.36) / 0.64 * (1 - peak), _INFLOW_TIMES / 0.36 * peak)
    return float(np.interp(np.mod(time, 1.0), times, _INFLOW_LEVELS))


def ejecting(beat: Beat, time: float, delay: float = 0.0) -> bool:
    """Whether the outflow valves are open."""
    return bool(0.04 < np.mod(time, 1.0) < beat.systole + delay - 0.01)


class Outlets:
    """Atria, arteries and valves of one heart, frozen at one moment."""

    def __init__(self, atria: Atria, heart: Heart, surfaces: Surfaces, time: float) -> None:
        self.atria, self.surfaces, self.beat, self.time = atria, surfaces, heart.beat, time
        self.left, self.right = atria.domes(heart, surfaces, time)
        self.delay = heart.beat.rv_delay
        self.aorta = self._root(heart)
        self.trunk = self._tract()

    def _root(self, heart: Heart) -> tuple[float, float]:
        """Where the middle of the aortic root lies in the mitral plane, mm."""
        column = int((AORTA_ANGLE + np.pi) / (2 * np.pi) * THETAS)
        far = float(base_radii(self.surfaces)[column]) - 0.9 * self.atria.aorta
        dx, dy = heart.axis_shift(np.asarray(self.surfaces.base, np.float32))
        return far * float(np.cos(AORTA_ANGLE)) + float(dx), far * float(np.sin(AORTA_ANGLE)) + float(dy)

    def _tract(self) -> tuple[float, float]:
        """Where the middle of the right ventricle's outflow lies in its plane, mm."""
        s = self.surfaces
        column = int((_TRUNK_ANGLE + np.pi) / (2 * np.pi) * THETAS)
        row = int(np.clip(np.rint((s.rv_top - s.z0) / Z_STEP), 0, len(s.rv) - 1))
        inner, outer = float(s.epi[row, column]), float(s.rv[row, column])
        far = inner + max(0.5 * (outer - inner), 0.8 * self.atria.trunk)
        return far * float(np.cos(_TRUNK_ANGLE)), far * float(np.sin(_TRUNK_ANGLE))

    def paint(
        self,
        codes: NDArray[np.uint8],
        points: NDArray[np.float32],
        r: NDArray[np.float32],
        at: NDArray[np.intp],
    ) -> None:
        """Paint everything above the valves into `codes` (n,). The ventricles are painted after this.

        Args:
            codes: `Tissue` of the points so far.
            points: (n, 3) heart coordinates, mm.
            r: (n,) distance from the axis, mm.
            at: (n,) index into the tables of `Surfaces`.
        """
        above, over = self.left.above(points), self.right.above(points)
        self._paint_mediastinum(codes, points, above)
        coats = (WALL + self.atria.fat, WALL, 0.0)
        shells = [dome.shells(points, coats) for dome in (self.left, self.right)]
        for where, (fat, _, _) in shells:
            codes[where[fat]] = Tissue.FAT
        self._paint_lids(codes, above, over, r, at)
        self._paint_aorta(codes, points, above)
        self._paint_trunk(codes, points, over)
        for where, (_, wall, _) in shells:
            codes[where[wall]] = Tissue.MUSCLE
        self._paint_veins(codes, points, above)
        for where, (_, _, blood) in shells:
            codes[where[blood]] = Tissue.BLOOD_ATRIUM

    def _paint_mediastinum(
        self, codes: NDArray[np.uint8], points: NDArray[np.float32], above: NDArray[np.float32]
    ) -> None:
        """Fat, with some vessels in it, where lung was: around the roots, and in the groove between the atria."""
        where = np.flatnonzero((above > -12) & ((codes == Tissue.LUNG) | (codes == Tissue.LUNG_VESSEL)))
        (x, y, z), up = points[where].T, above[where]
        lumps = sum(np.sin(c / length + phase) for c, (length, phase) in zip((x, y, z), self.atria.lumps, strict=True))
        aside, ahead = x - 14 - 0.1 * up, y - 14 - 0.3 * up
        dome = 0.9 * np.clip(up - 22, 0, None)
        roots = (up > 0) & (aside**2 + ahead**2 + dome**2 < (34 + 3 * lumps) ** 2)
        septum = self.atria.septum
        groove = (x > self.left.centre[0]) & (x < septum + 6) & (np.abs(y + 8) < 24 + 2 * lumps)
        groove &= up < 0.85 * self.left.height
        codes[where[roots | groove]] = Tissue.FAT
        codes[where[roots & (lumps > 1.9) & (up > 30)]] = Tissue.BLOOD_VESSEL

    def _paint_lids(
        self,
        codes: NDArray[np.uint8],
        above: NDArray[np.float32],
        over: NDArray[np.float32],
        r: NDArray[np.float32],
        at: NDArray[np.intp],
    ) -> None:
        """The fibrous skeleton closes the left ventricle around its valves, muscle the right one."""
        s = self.surfaces
        epi = s.epi.ravel()[at]
        right = (over >= 0) & (over < 3) & (r >= epi) & (r < s.outer.ravel()[at] - 0.35 * over)
        codes[right] = Tissue.MYOCARDIUM
        codes[(above >= 0) & (above < 2.2) & (r < epi - 1.5 * above)] = Tissue.MUSCLE

    def _paint_aorta(self, codes: NDArray[np.uint8], points: NDArray[np.float32], above: NDArray[np.float32]) -> None:
        along_x, along_y, turn = self.atria.outflow
        bend = turn * above**2
        dx = points[..., 0] - self.aorta[0] - along_x * above + bend
        dy = points[..., 1] - self.aorta[1] - along_y * above - bend
        radius = np.asarray(self.atria.aorta * (1 + 0.14 * np.exp(-(((above - 11) / 7) ** 2))), np.float32)
        self._paint_artery(codes, np.hypot(dx, dy), above, radius, Tissue.BLOOD_LEFT, 5.0, 0.0)

    def _paint_trunk(self, codes: NDArray[np.uint8], points: NDArray[np.float32], over: NDArray[np.float32]) -> None:
        dx = points[..., 0] - self.trunk[0] - _TRUNK_LEAN[0] * over
        dy = points[..., 1] - self.trunk[1] - _TRUNK_LEAN[1] * over
        radius = np.asarray(self.atria.trunk * (1 + 0.35 * np.exp(-np.clip(over, 0, None) / 7)), np.float32)
        self._paint_artery(codes, np.hypot(dx, dy), over, radius, Tissue.BLOOD_RIGHT, 12.0, self.delay)

    def _paint_artery(
        self,
        codes: NDArray[np.uint8],
        distance: NDArray[np.float32],
        height: NDArray[np.float32],
        radius: NDArray[np.float32],
        blood: Tissue,
        valve: float,
        delay: float,
    ) -> None:
        """A tube over a valve plane with three cusps drawn as one shallow bowl; open cusps lie at the wall."""
        there = (height > -1) & (height < TOP)
        codes[there & (distance < radius + 1.6) & (codes != blood)] = Tissue.MUSCLE
        lumen = there & (distance < radius)
        codes[lumen] = blood
        if not ejecting(self.beat, self.time, delay):
            codes[lumen & (np.abs(height - valve - 3 + 0.35 * (radius - distance)) < _LEAFLET)] = Tissue.MUSCLE

    def _paint_veins(self, codes: NDArray[np.uint8], points: NDArray[np.float32], above: NDArray[np.float32]) -> None:
        dome = self.left
        high = np.flatnonzero(above > 0.3 * dome.height)
        points, part = points[high], codes[high]
        for angle, share, radius, rise in self.atria.veins:
            height = share * dome.height
            start = np.array(
                [
                    dome.centre[0] + dome.drift[0] * share,
                    dome.centre[1] + dome.drift[1] * share,
                    dome.plane[0] + height,
                ],
                np.float32,
            )
            course = np.array([np.cos(angle), np.sin(angle), rise], np.float32)
            course /= np.linalg.norm(course)
            dx, dy, dz = (points[:, i] - start[i] for i in range(3))
            along = dx * course[0] + dy * course[1] + dz * course[2]
            apart = np.sqrt(np.clip(dx**2 + dy**2 + dz**2 - along**2, 0, None))
            near = (along > 0) & (along < 75)
            wide = radius * (0.75 + 0.25 * np.exp(-((along - 20) / 15)))
            part[near & (apart < wide + 1.0) & (part != Tissue.BLOOD_ATRIUM)] = Tissue.MUSCLE
            part[near & (apart < wide)] = Tissue.BLOOD_ATRIUM
        codes[high] = part

    def paint_leaflets(self, codes: NDArray[np.uint8], points: NDArray[np.float32]) -> None:
        """Mitral and tricuspid leaflets, hinged at the annulus: over the valve in systole, into the ventricle after."""
        for dome, delay in ((self.left, 0.0), (self.right, self.delay)):
            self._paint_valve(codes, points, dome, inflow(self.beat, self.time, delay))

    def _paint_valve(self, codes: NDArray[np.uint8], points: NDArray[np.float32], dome: Dome, opening: float) -> None:
        above = dome.above(points)
        blood = (codes >= Tissue.BLOOD_LEFT) & (codes <= Tissue.BLOOD_ATRIUM)
        wide = np.float32(dome.annulus.max() + 1)
        close = (np.abs(points[:, 0] - dome.centre[0]) < wide) & (np.abs(points[:, 1] - dome.centre[1]) < wide)
        near = np.flatnonzero((above < 1) & (above > -BELOW) & blood & close)
        below = -above[near]
        r, column = dome.polar(points[near], above[near])
        ring = dome.annulus.astype(np.float32)[column]
        angle = _CLOSED + (_OPEN - _CLOSED) * opening
        behind = np.clip(-np.cos((column + 0.5) * (2 * np.pi / THETAS) - np.pi - AORTA_ANGLE), 0, 1)
        # The leaflet away from the aorta is the shorter one; closed, both meet in the middle.
        length = ring * (self.atria.leaflet + (1.0 - self.atria.leaflet) * (1 - opening)) * (1 - 0.4 * opening * behind)
        inwards = ring - r
        sheet = np.abs(below - inwards * np.tan(angle)) * np.cos(angle) < _LEAFLET
        sheet &= (inwards > 0) & (inwards < length * np.cos(angle))
        codes[near[sheet]] = Tissue.MUSCLE
