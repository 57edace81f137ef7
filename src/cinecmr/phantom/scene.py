"""Everything a slice shows: muscle, blood and valves of the heart, and the chest around it, as tissues.

Heart coordinates (see `shape`) in, `Tissue` codes out. Contrast is `scanner`'s. The pericardial outline follows the
muscle through the beat; lung, diaphragm and chest wall stand still, so a `backdrop` serves every moment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.stats import norm

from cinecmr.phantom.chest import Chest, Tissue, Tube
from cinecmr.phantom.moment import Moment
from cinecmr.phantom.outlets import BELOW, REACH, TOP, Outlets
from cinecmr.phantom.shape import THETAS, Z_STEP, directions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.phantom.heart import Heart, Surfaces


_TRABECULA_SHARE = 0.35  # of the cavity's radius: the deepest a trabecula is
_PAPILLARY_SHARE = 0.36  # of the cavity's radius: the largest a papillary muscle's own radius is
TEXTURE_STEP = 1.6  # mm a voxel of `Chest.texture`
_SHEET_STEP = 3.2  # mm a voxel where it stands for the sheets of muscle that cross the right ventricle
_SHEET_SHARE = 0.03  # how thick they are, in its standard deviations, for each mm of `Chest.trabecula_right`


def smooth_noise(
    shape: tuple[int, ...],
    sigma: float | tuple[float, ...],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Periodic Gaussian noise of unit variance, correlated over `sigma` voxels."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="wrap")
    return np.asarray((noise - noise.mean()) / (noise.std() + 1e-9), np.float32)


@dataclass(frozen=True)
class Spots:
    """Points to paint, with what every painter needs to know of them. All arrays have one shape.

    Attributes:
        x, y, z: heart coordinates, mm. r: distance from the bent axis, mm.
        above: height over the mitral plane, mm.
        at: index into the tables of `Surfaces`. row: their row alone. noise: `Chest.texture` there.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    z: NDArray[np.float32]
    r: NDArray[np.float32]
    above: NDArray[np.float32]
    at: NDArray[np.intp]
    row: NDArray[np.intp]
    noise: NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """What stands still at some points; it serves every moment.

    Attributes:
        points: (..., 3) heart coordinates, mm.
        spots: of them. codes: (...) `Tissue` of the backdrop.
    """

    points: NDArray[np.float32]
    spots: Spots
    codes: NDArray[np.uint8]


class Scene:
    """One heart in one chest, frozen at one moment. Painters overwrite each other: the heart comes last.

    Args:
        heart: the subject's.
        chest: around it.
        time: share of the cycle.
        rest: surfaces at end-diastole, which diaphragm and chest wall lie against; made when None.
    """

    def __init__(self, heart: Heart, chest: Chest, time: float, rest: Surfaces | None = None) -> None:
        self.heart, self.chest, self.time = heart, chest, time
        self.surfaces: Surfaces = heart.surfaces(time)
        self._fat = self._fat_radius(self.surfaces.outer)
        if rest is None:
            rest = self.surfaces if self.surfaces.activation < 1e-3 else heart.surfaces(0.0)
        self._rest = rest
        self._reach_diaphragm = self._reach(rest.outer, chest.diaphragm)
        self._reach_wall = self._reach(rest.outer, chest.wall)
        self.outlets = None if chest.chambers is None else Outlets(chest.chambers, heart, self.surfaces, time)
        self._turn = -round(heart.lv.twist * self.surfaces.activation * 0.3 * THETAS / (2 * np.pi))

    def _fat_radius(self, outer: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, THETAS) outline of the pericardial fat: it fills the grooves between the ventricles."""
        coarse = outer[::4, ::8]
        filled = ndimage.grey_closing(coarse, (1, 11), mode="wrap")
        lumps = self.chest.strands[np.arange(len(coarse)) * 64 // len(coarse)][:, ::8]
        lumps = ndimage.gaussian_filter(lumps, (1, 3), mode=("nearest", "wrap"))
        depth = self.chest.pericardial_fat * np.clip(
            self.chest.fat_cover + self.chest.fat_swing * lumps / (lumps.std() + 1e-6), 0.0, 4
        )
        radius = ndimage.gaussian_filter1d(filled, 1.0, axis=1, mode="wrap")
        radius = np.maximum(radius, coarse) + depth
        heights = self.surfaces.heights[::4]
        first = int(np.searchsorted(heights, 2.0))
        below = np.clip(1 - (heights[:first] / max(self.chest.apical_fat, 1.0)) ** 2, 0, 1)
        below[heights[:first] >= 0] = 1
        radius[:first] = radius[first] * np.sqrt(below)[:, None]
        rows = np.minimum(np.arange(len(outer)) / 4, len(radius) - 1)
        columns = np.arange(THETAS) / 8 - 0.4375  # a coarse column stands for the middle of its eight
        grid = np.meshgrid(rows, columns, indexing="ij")
        return np.asarray(ndimage.map_coordinates(radius, grid, order=1, mode="grid-wrap"), np.float32)

    def _reach(self, outer: NDArray[np.float32], direction: float) -> NDArray[np.float32]:
        """(n,) how far the muscle reaches in a direction, smooth over height, mm."""
        reach = (outer[:, ::8] * np.cos(directions()[::8] - direction)).max(axis=1)
        start = int((12 - self.surfaces.z0) / Z_STEP)
        reach[:start] = reach[start]
        return np.asarray(ndimage.gaussian_filter1d(reach, 24), np.float32)

    @cached_property
    def moment(self) -> Moment:
        """The map that moves the heart to this moment."""
        return Moment(self.heart, self.time)

    def tissues(self, points: NDArray[np.float32]) -> NDArray[np.uint8]:
        """`Tissue` codes at points (..., 3), heart coordinates, mm."""
        return self.paint(self.layer(np.asarray(points, np.float32)))

    def layer(self, points: NDArray[np.float32]) -> Layer:
        """What stands still at points (..., 3)."""
        spots = self.spots(points)
        return Layer(points, spots, self.backdrop(spots))

    def paint(self, layer: Layer) -> NDArray[np.uint8]:
        """`Tissue` codes of a layer, made of this heart and chest at any moment, at this one."""
        codes = layer.codes.copy()
        self.paint_heart(codes, replace(layer.spots, above=self.surfaces.above_mitral(layer.points)))
        return codes

    def backdrop(self, spots: Spots) -> NDArray[np.uint8]:
        """`Tissue` codes of all that stands still: lung, abdomen, chest wall, vessels."""
        codes = np.full(spots.z.shape, Tissue.LUNG, np.uint8)
        codes[spots.noise > self._vessel_level()] = Tissue.LUNG_VESSEL
        self._paint_abdomen(codes, spots)
        self._paint_chest_wall(codes, spots)
        for tube in self.chest.tubes:
            self._paint_tube(codes, tube, spots, spots.z)
        if self.chest.clutter:
            self._paint_clutter(codes, spots)
        return codes

    def paint_heart(self, codes: NDArray[np.uint8], spots: Spots) -> None:
        """Paint what beats over a backdrop; nothing beyond `edge` and the outlets changes."""
        self._paint_fat(codes, spots)
        if self.outlets is None:
            self._paint_over_left(codes, spots)
            for tube in self.chest.atria:
                self._paint_tube(codes, tube, spots, spots.above)
            self._paint_right(codes, spots)
            self._paint_left(codes, spots)
            return
        near = np.flatnonzero(self._by_outlets(spots.r, spots.above))
        if not len(near):
            self._paint_right(codes, spots)
            self._paint_left(codes, spots)
            return
        points = np.stack([c.ravel()[near] for c in (spots.x, spots.y, spots.z)], axis=-1)
        part = codes.ravel()[near]
        self.outlets.paint(part, points, spots.r.ravel()[near], spots.at.ravel()[near])
        codes.ravel()[near] = part
        self._paint_right(codes, spots)
        self._paint_left(codes, spots)
        part = codes.ravel()[near]
        self.outlets.paint_leaflets(part, points)
        codes.ravel()[near] = part

    def _by_outlets(self, r: NDArray[np.float32], above: NDArray[np.float32]) -> NDArray[np.bool_]:
        return (above > -BELOW) & (above < TOP) & (r < REACH)

    def edge(self) -> NDArray[np.float32]:
        """(n, THETAS) radius within which `paint_heart` may change anything, beside what `outlets` paint."""
        s = self.surfaces
        outermost = np.maximum(s.epi, s.outer) + np.float32(self.chest.coat)
        return np.asarray(np.maximum(self._fat + np.float32(self.chest.pericardium), outermost), np.float32)

    def spots(self, points: NDArray[np.float32]) -> Spots:
        """All that painters need to know of points (..., 3)."""
        x, y, z = (np.ascontiguousarray(points[..., i]) for i in range(3))
        r, at = self.heart.polar(points, self.surfaces)
        above = self.surfaces.above_mitral(points)
        return Spots(x, y, z, r, above, at, at // THETAS, self._texture(x, y, z))

    def grain(self, codes: NDArray[np.uint8], spots: Spots) -> NDArray[np.float32]:
        """`Chest.texture` as the tissues show it: the left ventricle's muscle carries its own along, the rest has none.

        In the wall R^2 is linear in r^2 along a ray (`LeftVentricle`), so the place at rest follows from the share of
        the way from endocardium to epicardium; trabeculae keep their share of the cavity's radius.

        Args:
            codes: `Tissue` of the spots.
            spots: at this moment.
        """
        s, rest, lv = self.surfaces, self._rest, self.heart.lv
        muscle = np.flatnonzero((codes == Tissue.MYOCARDIUM) & (spots.r < s.epi.ravel()[spots.at]))
        if s is rest or not len(muscle):
            return spots.noise
        x, y, z, r = (values.ravel()[muscle] for values in (spots.x, spots.y, spots.z, spots.r))
        at = spots.at.ravel()[muscle]
        endo, epi = s.endo.ravel()[at], s.epi.ravel()[at]
        height = z / np.float32(lv.length_factor(s.activation))
        (dx, dy), (dx0, dy0) = self.heart.axis_shift(z), self.heart.axis_shift(height)
        theta = np.arctan2(y - dy, x - dx) - lv.twist_angle(height / np.float32(lv.length), s.activation)
        before = rest.index(theta, height)
        inner, outer = rest.endo.ravel()[before], rest.epi.ravel()[before]
        share = (r**2 - endo**2) / np.maximum(epi**2 - endo**2, np.float32(1e-3))
        wall = np.sqrt(np.maximum(inner**2 + share * (outer**2 - inner**2), 0))
        radius = np.where(r < endo, inner * r / np.maximum(endo, np.float32(1e-3)), wall)
        noise = spots.noise.copy()
        noise.ravel()[muscle] = self._texture(radius * np.cos(theta) + dx0, radius * np.sin(theta) + dy0, height)
        return noise

    def _paint_clutter(self, codes: NDArray[np.uint8], spots: Spots) -> None:
        x, y, z = spots.x, spots.y, spots.z
        noise = self._texture(x, y, z, self.chest.clutter_step)
        patches = np.asarray(self.chest.clutter, np.uint8)
        bins = np.clip((noise + 2.0) * (len(patches) / 4.0), 0, len(patches) - 1).astype(np.intp)
        there = self._texture(y, z, x, 2.3 * self.chest.clutter_step) > -0.3
        codes[there] = patches[bins[there]]

    def _texture(
        self, x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32], step: float = TEXTURE_STEP
    ) -> NDArray[np.float32]:
        n = self.chest.texture.shape[0]
        i, j, k = ((c * np.float32(1 / step)).astype(np.int32) % n for c in (x, y, z))
        return np.asarray(self.chest.texture.ravel()[(i * n + j) * n + k])

    def _vessel_level(self) -> float:
        share = min(max(self.chest.lung_vessels, 1e-4), 0.5)
        return float(norm.ppf(1 - share))

    def _paint_abdomen(self, codes: NDArray[np.uint8], spots: Spots) -> None:
        x, y, z, noise = spots.x, spots.y, spots.z, spots.noise
        c, s = np.cos(self.chest.diaphragm), np.sin(self.chest.diaphragm)
        along = c * y - s * x
        dome = along**2 / 500.0
        climb = self.chest.diaphragm_lean * (z - 0.5 * self.heart.lv.length)
        depth = (c * x + s * y) - self._reach_diaphragm[spots.row] - self.chest.diaphragm_gap - dome * 0.5 - climb
        below = depth > 0
        liver = along < self.chest.liver_share
        codes[below] = np.where(liver[below], Tissue.LIVER, Tissue.SPLEEN)
        codes[below & (np.abs(depth - 2) < 1.2)] = Tissue.MUSCLE
        codes[below & liver & (noise > 1.9)] = Tissue.BLOOD_VESSEL
        codes[below & ~liver & (noise < -0.4) & (depth > 6)] = Tissue.FAT

    def _paint_chest_wall(self, codes: NDArray[np.uint8], spots: Spots) -> None:
        x, y, z, noise = spots.x, spots.y, spots.z, spots.noise
        chest = self.chest
        c, s = np.cos(chest.wall), np.sin(chest.wall)
        u, v = c * x + s * y, c * y - s * x
        start = self._reach_wall[spots.row] + chest.wall_gap
        if chest.wall_lean:
            below, beyond = (12 - z) / 8, (z - self.heart.lv.length + 35) / 8
            start = start + np.float32(8 * chest.wall_lean) * (0.5 * np.logaddexp(0, beyond) - np.logaddexp(0, below))
        # A circle through the wall's nearest point, so that the wall curves around the heart.
        depth = np.hypot(u - start + chest.wall_radius, v) - chest.wall_radius
        height, length, offset = chest.wall_waves
        if height:
            depth = depth + np.float32(height) * (
                np.sin(v / length + offset) + np.sin(0.4 * v / length + 2 * offset) - 1
            )
        inside = depth > 0
        fat = inside & (depth > chest.muscle_depth)
        codes[inside] = Tissue.MUSCLE
        codes[inside & (depth < 2.5)] = Tissue.FAT
        period, phase = chest.ribs
        rib = np.abs(np.mod(v * 0.8 + 0.6 * z + phase, period) - period / 2) < period * 0.2
        core = inside & rib & (np.abs(depth - chest.muscle_depth * 0.5) < chest.muscle_depth * 0.28)
        codes[core] = Tissue.MARROW
        codes[inside & ~fat & (noise > 1.2)] = Tissue.FAT
        codes[fat] = Tissue.FAT
        codes[fat & (noise > 2.2)] = Tissue.MUSCLE
        codes[depth > chest.muscle_depth + chest.fat_depth] = Tissue.AIR

    def _paint_tube(self, codes: NDArray[np.uint8], tube: Tube, spots: Spots, z: NDArray[np.float32]) -> None:
        """Paint one vessel or organ; `z` is the height in the tube's own terms."""
        up = z - tube.z0
        near = up > tube.bottom - tube.z0 if np.isfinite(tube.bottom) else np.ones(up.shape, bool)
        if not near.any():
            return
        growth = 1 + tube.swell * self.surfaces.activation
        rx, ry, rz = (value * growth for value in tube.radii)
        dx = spots.x - tube.centre[0] - tube.lean[0] * up
        dy = spots.y - tube.centre[1] - tube.lean[1] * up
        height = (up / rz) ** 2 if np.isfinite(rz) else 0.0
        inner = (dx / rx) ** 2 + (dy / ry) ** 2 + height
        outer = (dx / (rx + tube.wall)) ** 2 + (dy / (ry + tube.wall)) ** 2 + height
        codes[near & (outer < 1)] = tube.coat
        codes[near & (inner < 1)] = tube.content

    def _paint_fat(self, codes: NDArray[np.uint8], spots: Spots) -> None:
        r, noise = spots.r, spots.noise
        edge = self._fat.ravel()[spots.at]
        if self.outlets is not None:  # which have fat of their own
            low = spots.above < 10
            codes[low & (edge > 0) & (r < edge + self.chest.pericardium)] = Tissue.PERICARDIUM
            codes[low & (r < edge)] = Tissue.FAT
            return
        codes[r < edge + self.chest.pericardium] = Tissue.PERICARDIUM
        # Above the ventricles the mediastinum is fat, vessels and lung by turns.
        mixed = (spots.above > 4) & (noise < self.chest.mediastinum)
        codes[r < edge] = Tissue.FAT
        codes[(r < edge) & mixed] = Tissue.MUSCLE
        codes[(r < edge) & mixed & (noise < self.chest.mediastinum - 1)] = Tissue.LUNG

    def _paint_right(self, codes: NDArray[np.uint8], spots: Spots) -> None:
        y, z, r, at = spots.y, spots.z, spots.r, spots.at
        s = self.surfaces
        inner, outer, epi = (table.ravel()[at] for table in (s.rv, s.outer, s.epi))
        there = inner > epi + 0.3
        over = z - s.rv_top - s.rv_tilt * y
        if self.outlets is None:
            self._paint_over_right(codes, spots, np.where(there, inner, 0), over)
        below = (over < 0) & there
        codes[below & (r < outer) & (r >= epi - 2)] = Tissue.MYOCARDIUM
        cavity = below & (r < inner) & (r >= epi)
        codes[cavity] = Tissue.BLOOD_RIGHT
        depth = np.minimum(inner - r, r - epi)
        apical = np.clip(1.4 - (z - self.heart.rv.apex) / max(s.rv_top - self.heart.rv.apex, 1.0), 0.2, 1.2)
        band = self.chest.trabecula_right * (0.5 + 0.8 * self._strand(at, z)) * apical
        codes[cavity & (depth < np.maximum(band, self.chest.lining[1]))] = Tissue.MYOCARDIUM
        inside = np.flatnonzero(cavity & (z < s.rv_top - 15))
        there_x, there_y, there_z = (values.ravel()[inside] for values in (spots.x, spots.y, z))
        sheets = self._texture(there_x, there_y, there_z, _SHEET_STEP)
        thick = _SHEET_SHARE * self.chest.trabecula_right * apical.ravel()[inside]
        codes.ravel()[inside[np.abs(sheets) < thick]] = Tissue.MYOCARDIUM

    def _paint_over_right(
        self, codes: NDArray[np.uint8], spots: Spots, inner: NDArray[np.float32], over: NDArray[np.float32]
    ) -> None:
        """Atrium behind and outflow tract in front go on from the right ventricle, narrower the further up."""
        reach = inner - np.float32(0.35) * over
        room = (over >= 0) & (over < 22) & (spots.r >= self.surfaces.epi.ravel()[spots.at])
        codes[room & (spots.r < reach + 1.5)] = Tissue.MUSCLE
        blood = room & (spots.r < reach)
        codes[blood] = np.where(spots.y[blood] < 0, Tissue.BLOOD_ATRIUM, Tissue.BLOOD_RIGHT)

    def _paint_over_left(self, codes: NDArray[np.uint8], spots: Spots) -> None:
        """Above the mitral plane the atrium goes on from the ventricle: blood in a thin wall, leaflets between."""
        endo = self.surfaces.endo.ravel()[spots.at]
        room = (spots.above >= 0) & (spots.above < 16)
        reach = endo - np.float32(0.2) * spots.above
        codes[room & (spots.r < reach + 1.8)] = Tissue.MUSCLE
        blood = room & (spots.r < reach)
        codes[blood] = Tissue.BLOOD_ATRIUM
        codes[blood & (spots.above < 0.8) & (spots.noise > 0)] = Tissue.MUSCLE

    def _strand(self, at: NDArray[np.intp], z: NDArray[np.float32]) -> NDArray[np.float32]:
        height = z / (self.heart.lv.length_factor(self.surfaces.activation) * self.heart.lv.length)
        row = np.clip(height * 64, 0, 63).astype(np.intp)
        return np.asarray(self.chest.strands.ravel()[row * THETAS + (at - self._turn) % THETAS])

    def _paint_left(self, codes: NDArray[np.uint8], spots: Spots) -> None:
        z, r, at = spots.z, spots.r, spots.at
        s = self.surfaces
        endo, epi = s.endo.ravel()[at], s.epi.ravel()[at]
        below = spots.above < 0
        coat = below & (r < epi + self.chest.coat) & (codes != Tissue.BLOOD_RIGHT)
        if self.outlets is not None:  # long-axis planes would see a thread of it below the apex
            coat &= epi > 0
        codes[(below & (r < epi)) | coat] = Tissue.MYOCARDIUM
        cavity = below & (r < endo)
        codes[cavity] = Tissue.BLOOD_LEFT
        inside = np.flatnonzero(cavity)
        if not len(inside):
            return
        x, y, z, r, endo = (values.ravel()[inside] for values in (spots.x, spots.y, z, r, endo))
        at, row = at.ravel()[inside], spots.row.ravel()[inside]
        share = z / s.base
        apical = np.clip(1.5 - 1.6 * share, 0, 1.2)
        # Between trabeculae some blood stays visible: a cavity that a reader contours shows what it is.
        band = np.minimum(
            self.chest.trabecula_left * (0.2 + 0.8 * self._strand(at, z)) * apical, _TRABECULA_SHARE * endo
        )
        muscle = endo - r < np.maximum(band, self.chest.lining[0] * endo)
        for papillary in self.chest.papillary:
            muscle |= self._papillary(papillary, x, y, z, row)
        codes.ravel()[inside[muscle]] = Tissue.MYOCARDIUM

    def _papillary(
        self,
        papillary: tuple[float, float, float, float],
        x: NDArray[np.float32],
        y: NDArray[np.float32],
        z: NDArray[np.float32],
        row: NDArray[np.intp],
    ) -> NDArray[np.bool_]:
        """Which points of the cavity a papillary muscle fills."""
        angle, radius, low, high = papillary
        s = self.surfaces
        share = z / s.base
        size = radius * np.sqrt(np.clip((high - share) / (high - low), 0, 1)) * (share > low * 0.6)
        # Where the cavity closes the papillary muscles are pressed into the wall: of the little that is left they
        # never fill more than a part.
        mean = s.endo.mean(axis=1)[row]
        size = np.minimum(size, _PAPILLARY_SHARE * mean)
        column = int((angle + np.pi) / (2 * np.pi) * THETAS) % THETAS
        seat = np.maximum(s.endo[:, column][row] - size * (0.6 + share), 0.25 * size)
        dx, dy = self.heart.axis_shift(z)
        px, py = seat * np.cos(angle) + dx, seat * np.sin(angle) + dy
        return np.asarray((x - px) ** 2 + (y - py) ** 2 < size**2)
