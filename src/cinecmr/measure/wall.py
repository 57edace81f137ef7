"""Points of the left ventricular wall from labels: where strain is measured, and along what.

The labels are those of one frame, end-diastole, on a short-axis grid. Contours of each slice are smooth curves fitted
to all of its voxels (`Contour`), so directions do not jump from pixel to pixel as gradients of a distance map do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Structure, aha_segments
from cinecmr.errors import RefusedInput
from cinecmr.geometry import apply_affine, plane_normal, wall_directions
from cinecmr.study import WallPoints

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

WAVES = 8  # of a contour around the axis: finer ones are pixels, not anatomy
CLOSED = 0.8  # of its radius in the slices below: a ring that comes nearer to its middle is cut by the mitral plane
FEWEST_SLICES = 3  # with a cavity
STEEPNESS_MM = 4.0  # how far up and down a layer is looked at to tell how steep it is
_SECTORS = 12  # in which a ring is compared with those below


@dataclass(frozen=True)
class Contour:
    """A closed curve around a middle: R^2(theta) = sum of c_k exp(i k theta).

    A region's area element is R^2 / 2 dtheta, so its moments, sums of exp(-i k theta) over its pixels, are the
    coefficients: no edge is traced and no pixel is favoured.

    Attributes:
        coefficients: (WAVES + 1,) complex, mm2.
    """

    coefficients: NDArray[np.complex128]

    @classmethod
    def around(cls, theta: Array, pixel_mm2: float) -> Contour:
        """The curve around pixels at angles (n,) from the middle."""
        order = np.arange(WAVES + 1)
        waves = np.exp(-1j * order[:, None] * theta).sum(axis=1) * (pixel_mm2 / np.pi)
        fine = order > np.sqrt(waves[0].real / pixel_mm2)  # waves shorter than about 6 pixels are noise
        return cls(np.asarray(np.where(fine & (order > 0), 0, waves)))

    def radius(self, theta: Array) -> tuple[Array, Array]:
        """Radius, mm, and its slope, mm/rad, at angles."""
        if not self.coefficients[0].real:
            return np.zeros_like(theta), np.zeros_like(theta)
        order = np.arange(1, WAVES + 1)
        waves = 2 * self.coefficients[1:, None] * np.exp(1j * order[:, None] * theta)
        squared = self.coefficients[0].real + waves.real.sum(axis=0)
        radius = np.sqrt(np.maximum(squared, 0.01 * self.coefficients[0].real))
        return radius, (1j * order[:, None] * waves).real.sum(axis=0) / (2 * radius)


@dataclass(frozen=True)
class Ring:
    """One slice.

    Attributes:
        z: of which the contours are; another slice's where the mitral plane cuts this one.
        middle: (2,) in the slice plane, see `Stack.frame`, mm.
        endo, epi: borders of the wall around it.
        reach: radii of its sectors, mm.
    """

    z: int
    middle: Array
    endo: Contour
    epi: Contour
    reach: Array


def wall_points(labels: NDArray[np.uint8], affine: NDArray[np.float64], *, follow_wall: bool = True) -> WallPoints:
    """Every voxel of the myocardium as a point of the wall.

    Thirds are thirds of the cavity's length, between its lowest slice and the highest that holds at least half of a
    ring; the septum's middle lies towards the right ventricle; slices without cavity are the apex (segment 17).

    Args:
        labels: (x, y, z) `Structure` codes at end-diastole, z across the slices.
        affine: (4, 4) voxel index to patient RAS, mm.
        follow_wall: directions are across and along the layers, see `study.WallPoints`; how steep a layer is, is told
            by the contours of the slices above and below.

    Raises:
        RefusedInput: fewer than 3 slices with a cavity inside myocardium, or no right ventricle beside it.
    """
    labels = np.asarray(labels)
    stack = Stack(labels, np.asarray(affine, np.float64))
    rings, lowest, highest = stack.rings()
    columns = zip(*(stack.points(z, rings, follow_wall) for z in sorted(rings)), strict=True)
    points, radial, circumferential, longitudinal, height, angle, depth = (np.concatenate(column) for column in columns)
    volume = abs(float(np.linalg.det(affine[:3, :3])))
    return WallPoints(
        points,
        radial,
        circumferential,
        longitudinal,
        aha_segments((height - lowest) / (highest - lowest), angle),
        depth,
        np.full(len(points), volume),
        stack.axis,
    )


class Stack:
    """Labels with a right-handed frame: x to the septum, y to the anterior wall, z from apex to base.

    Attributes:
        labels, affine: as given.
        muscle, pool: (x, y, z) of the left ventricle.
        axis: (3,) unit vector across the slices, to the base.
        frame: (2, 3) unit vectors in the slices, to the septum's middle and to the anterior wall.
        height: (z,) mm along the axis.

    Raises:
        RefusedInput: see `wall_points`.
    """

    def __init__(self, labels: NDArray[np.uint8], affine: Array) -> None:
        self.labels, self.affine = labels, affine
        self.muscle = np.isin(labels, (Structure.MYO, Structure.SCAR, Structure.NO_REFLOW, Structure.OEDEMA))
        self.pool = labels == Structure.LV
        area = self.pool.sum(axis=(0, 1))
        held = np.flatnonzero(area)
        if len(held) < FEWEST_SLICES or not self.muscle.any():
            raise RefusedInput(
                "no-wall",
                f"strain needs myocardium around the cavity of the left ventricle in {FEWEST_SLICES} slices or more, "
                f"and the labels have it in {len(held)}; segment the end-diastolic frame of a short-axis stack",
            )
        half = len(held) // 2
        self.apex_first = bool(area[held[:half]].sum() <= area[held[-half:]].sum())
        axis = plane_normal(affine)
        upwards = affine[:3, 2] if self.apex_first else -affine[:3, 2]
        self.axis = axis if axis @ upwards > 0 else -axis
        septum = self._septum()
        self.frame = np.stack([septum, np.cross(self.axis, septum)])
        self.pixel_mm2 = float(np.linalg.norm(np.cross(affine[:3, 0], affine[:3, 1])))
        self.height = apply_affine(affine, np.array([[0, 0, z] for z in range(labels.shape[2])], float)) @ self.axis

    def _septum(self) -> Array:
        """Unit vector across the axis from the left ventricle to the right, where slices hold both."""
        right = self.labels == Structure.RV
        both = right.any(axis=(0, 1)) & self.pool.any(axis=(0, 1))
        if not both.any():
            raise RefusedInput(
                "no-wall", "the labels hold no right ventricle beside the left: where the septum lies is not known"
            )
        middles = [apply_affine(self.affine, np.argwhere(m & both).mean(axis=0)) for m in (self.pool, right)]
        way = middles[1] - middles[0]
        way = way - self.axis * (way @ self.axis)
        return np.asarray(way / np.linalg.norm(way))

    def rings(self) -> tuple[dict[int, Ring], float, float]:
        """Contours of every slice with muscle, and the heights, mm, between which the cavity lies.

        A slice that the mitral plane cuts takes the contours of the next whole ring below it.
        """
        own = {int(z): self.ring(int(z)) for z in np.flatnonzero(self.muscle.any(axis=(0, 1)))}
        order = sorted(own, reverse=not self.apex_first)
        reached, whole = own[order[0]].reach, 0
        for number, z in enumerate(order):
            if (own[z].reach < CLOSED * reached).any() and self.pool[:, :, z].any():
                break
            reached, whole = np.maximum(reached, own[z].reach), number
        last = own[order[whole]]
        half = [z for z in order[whole:] if (own[z].reach ** 2).sum() >= 0.5 * (last.reach**2).sum()]
        own |= dict.fromkeys(order[whole + 1 :], last)
        hollow = [z for z in order if self.pool[:, :, z].any()]
        step = abs(float(self.affine[:3, 2] @ self.axis))
        return own, float(self.height[hollow[0]] - step / 2), float(self.height[half[-1]] + step / 2)

    def ring(self, z: int) -> Ring:
        """Contours of one slice with muscle."""
        inside = self.pool[:, :, z] | self.muscle[:, :, z]
        middle = self.plane(np.argwhere(inside), z).mean(axis=0)
        angles = []
        for region in (self.pool[:, :, z], inside):
            across = self.plane(np.argwhere(region), z) - middle
            angles.append(np.arctan2(across[:, 1], across[:, 0]))
        endo, epi = (Contour.around(angle, self.pixel_mm2) for angle in angles)
        pixels = np.histogram(angles[1], bins=_SECTORS, range=(-np.pi, np.pi))[0]
        return Ring(z, middle, endo, epi, np.sqrt(pixels * (self.pixel_mm2 * _SECTORS / np.pi)))

    def plane(self, index: NDArray[np.intp], z: int) -> Array:
        """(n, 2) in the slice plane, mm, of (n, 2) pixel indices."""
        voxels = np.column_stack([index, np.full(len(index), z)]).astype(np.float64)
        return np.asarray(apply_affine(self.affine, voxels) @ self.frame.T)

    def points(self, z: int, rings: dict[int, Ring], follow_wall: bool) -> tuple[Array, ...]:
        """Points, radial, circumferential and longitudinal directions, heights, angles and depths of one slice."""
        ring, index = rings[z], np.argwhere(self.muscle[:, :, z])
        across = self.plane(index, z) - ring.middle
        radius, theta = np.maximum(np.hypot(*across.T), 1e-6), np.arctan2(across[:, 1], across[:, 0])
        (endo, endo_slope), (epi, epi_slope) = ring.endo.radius(theta), ring.epi.radius(theta)
        depth = np.clip((radius - endo) / np.maximum(epi - endo, 1e-6), 0, 1)
        tilt = ((endo_slope + depth * (epi_slope - endo_slope)) / radius)[:, None]
        out = np.stack([np.cos(theta), np.sin(theta)], axis=1)
        turned = np.stack([-out[:, 1], out[:, 0]], axis=1)
        radial = (out - tilt * turned) / np.hypot(1, tilt) @ self.frame
        circumferential = (turned + tilt * out) / np.hypot(1, tilt) @ self.frame
        longitudinal = np.broadcast_to(self.axis, radial.shape)
        if follow_wall:
            up = self._up(z, rings, theta, depth) @ self.frame + self.axis
            radial, longitudinal = wall_directions(radial, circumferential, up)
        voxels = np.column_stack([index, np.full(len(index), z)]).astype(np.float64)
        height = np.full(len(index), self.height[z])
        return apply_affine(self.affine, voxels), radial, circumferential, longitudinal, height, theta, depth

    def _up(self, z: int, rings: dict[int, Ring], theta: Array, depth: Array) -> Array:
        """(n, 2) how far the layers move across the slice plane per mm up the axis, from the slices on both sides."""
        own = rings[z].z  # another than z where the mitral plane cuts the slice: as steep as just below
        step = max(1, round(STEEPNESS_MM / abs(self.height[1] - self.height[0])))
        reached = [[at for at in range(own, own + way * (step + 1), way) if at in rings] for way in (-1, 1)]
        low, high = (max((at for at in way if rings[at].z == at), key=lambda at: abs(at - own)) for way in reached)
        if low == high:
            return np.zeros((len(theta), 2))
        near = [rings[at] for at in (low, own, high)]
        endo = _steepness([ring.endo for ring in near], theta)
        epi = _steepness([ring.epi for ring in near], theta)
        way = np.stack([np.cos(theta), np.sin(theta)], axis=1)
        outwards = (endo + depth * (epi - endo))[:, None] * way
        return np.asarray((outwards + rings[high].middle - rings[low].middle) / (self.height[high] - self.height[low]))


def _steepness(contours: list[Contour], theta: Array) -> Array:
    """Growth of a radius from the lower to the upper of three contours, mm, at the radius of the middle one.

    It is that of the square, which is even as far as a bowl's tip.
    """
    low, radius, high = (contour.radius(theta)[0] for contour in contours)
    return np.divide(high**2 - low**2, 2 * radius, out=np.zeros_like(radius), where=radius > 0)
