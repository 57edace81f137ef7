"""Coordinates that fit a left ventricle, and smooth functions on its wall.

A prolate spheroid is laid along the long axis. Every point then has a direction n on the unit sphere (the apex is
n = (0, 0, 1)) and a depth: 0 on the endocardium, 1 on the epicardium, both smooth surfaces fitted to the labels of
end-diastole. Functions of position are products Re or Im (nx + i ny)^m . Legendre_j(nz) . Legendre_k(depth). They have
no pole at the apex, follow the wall, mean the same in every heart, and have exact derivatives.

Source: prolate coordinates as in Arts et al. 1992; the functions are our own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.errors import RefusedInput
from cinecmr.geometry import apply_affine, plane_normal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MUSCLE = (Structure.MYO, Structure.SCAR, Structure.NO_REFLOW, Structure.OEDEMA)
ABOVE_MM = 8.0  # of the highest slice with muscle: the field still follows the wall there
DEPTHS = (-0.75, 1.75)  # beyond, the field is that of the nearest of these depths
CENTRE_SHARE = 0.65  # of the length: height of the spheroid's middle above the apex
_NEAREST = 0.3  # spheroid of the cavity's tip: the poles stay in blood, for muscle about one would have no direction
_SHORTEST = 0.2  # of the length: a focus, however short the cavity
_FLIP = np.array([1.0, 1.0, -1.0])  # heart coordinates have z towards the base, spheroids' poles lie at the apex
_FEWEST_SLICES = 3
_THINNEST = 0.04  # wall, in the spheroid's own measure: about 2 mm
_SHAPE = (4, 4)  # orders of the two surfaces that depth is counted between


@dataclass(frozen=True)
class HeartFrame:
    """Where a left ventricle lies.

    Attributes:
        turn: (3, 3) rows are unit vectors in patient RAS: towards the septum, square to it, from apex to base.
        origin: (3,) middle of the spheroid, in turned coordinates, mm.
        focus: distance from the middle to a focus, mm.
        length: from the lowest to the highest face of the muscle, mm.
    """

    turn: Array
    origin: Array
    focus: float
    length: float

    @classmethod
    def of(cls, labels: NDArray[np.uint8], affine: Array) -> HeartFrame:
        """From (x, y, z) labels of end-diastole. Without a right ventricle the first vector is the image's own x.

        Raises:
            RefusedInput: fewer than 3 slices with cavity and muscle.
        """
        pool, muscle = labels == Structure.LV, np.isin(labels, MUSCLE)
        held = np.flatnonzero(pool.any(axis=(0, 1)) & muscle.any(axis=(0, 1)))
        if len(held) < _FEWEST_SLICES:
            raise RefusedInput(
                "no-wall",
                f"motion needs myocardium around the cavity of the left ventricle in {_FEWEST_SLICES} slices or more, "
                f"and the labels of end-diastole have it in {len(held)}; segment a short-axis stack",
            )
        axis = _axis(pool, held, affine)
        middle = apply_affine(affine, np.argwhere(pool).astype(np.float64)).mean(axis=0)
        turn = _turn(labels, affine, axis, middle)
        points = apply_affine(affine, np.argwhere(pool | muscle).astype(np.float64)) @ turn.T
        step = abs(float(affine[:3, 2] @ axis))
        low, high = points[:, 2].min() - step / 2, points[:, 2].max() + step / 2
        centre = turn @ middle
        reach = CENTRE_SHARE * (high - low)
        across = np.sqrt(2 * np.median(((points[:, :2] - centre[:2]) ** 2).sum(axis=1)))
        focus = float(np.sqrt(reach**2 - min(across, 0.6 * reach) ** 2))
        tip = low + reach - (apply_affine(affine, np.argwhere(pool).astype(np.float64)) @ axis).min() + step / 2
        focus = max(min(focus, float(tip) / np.cosh(_NEAREST)), _SHORTEST * float(high - low))
        return cls(turn, np.array([centre[0], centre[1], low + reach]), focus, float(high - low))

    def local(self, points: Array) -> Array:
        """(n, 3) heart coordinates, mm, of patient points."""
        return np.asarray(points @ self.turn.T - self.origin)

    def patient(self, points: Array) -> Array:
        """The inverse of `local`."""
        return np.asarray((points + self.origin) @ self.turn)


def _axis(pool: NDArray[np.bool_], held: NDArray[np.intp], affine: Array) -> Array:
    """(3,) from apex to base: across the slices, towards the larger cavity."""
    area = pool.sum(axis=(0, 1))[held]
    half = len(held) // 2
    upwards = affine[:3, 2] if area[:half].sum() <= area[-half:].sum() else -affine[:3, 2]
    normal = plane_normal(affine)
    return normal if normal @ upwards > 0 else -normal


def _turn(labels: NDArray[np.uint8], affine: Array, axis: Array, middle: Array) -> Array:
    right = np.argwhere(labels == Structure.RV).astype(np.float64)
    way = apply_affine(affine, right).mean(axis=0) - middle if len(right) else affine[:3, 0]
    way = way - axis * (way @ axis)
    septum = way / np.linalg.norm(way)
    return np.stack([septum, np.cross(axis, septum), axis])


def prolate(points: Array, focus: float) -> tuple[Array, Array, Array, Array]:
    """Directions and spheroids of points.

    Args:
        points: (n, 3) heart coordinates, mm.
        focus: mm.

    Returns:
        Unit directions (n, 3), spheroids lambda (n,), and their derivatives by the points, (n, 3, 3) and (n, 3).
    """
    q = points * _FLIP
    across = (q[:, :2] ** 2).sum(axis=1) + 1e-12
    far, near = np.sqrt(across + (q[:, 2] + focus) ** 2), np.sqrt(across + (q[:, 2] - focus) ** 2)
    cosh = np.maximum((far + near) / (2 * focus), 1 + 1e-6)
    sinh = np.sqrt(cosh**2 - 1)
    along = np.clip((far - near) / (2 * focus), -1, 1)
    sideways = q[:, :2] / (focus * sinh[:, None])
    to_far = np.column_stack([q[:, :2], q[:, 2] + focus]) / far[:, None]
    to_near = np.column_stack([q[:, :2], q[:, 2] - focus]) / near[:, None]
    by_lambda = (to_far + to_near) / (2 * focus * sinh[:, None])
    by_direction = np.empty((len(q), 3, 3))
    by_direction[:, :2] = -(sideways * (cosh / sinh)[:, None])[:, :, None] * by_lambda[:, None, :]
    by_direction[:, 0, 0] += 1 / (focus * sinh)
    by_direction[:, 1, 1] += 1 / (focus * sinh)
    by_direction[:, 2] = (to_far - to_near) / (2 * focus)
    return np.column_stack([sideways, along]), np.arccosh(cosh), by_direction * _FLIP, by_lambda * _FLIP


def legendre(x: Array, order: int) -> tuple[list[Array], list[Array]]:
    """Legendre polynomials 0 to order, and their derivatives."""
    values, slopes = [np.ones_like(x), x], [np.zeros_like(x), np.ones_like(x)]
    for j in range(2, order + 1):
        values.append(((2 * j - 1) * x * values[-1] - (j - 1) * values[-2]) / j)
        slopes.append(slopes[-2] + (2 * j - 1) * values[-2])
    return values[: order + 1], slopes[: order + 1]


def around_orders(orders: tuple[int, int]) -> list[tuple[int, int]]:
    """(m, j) of each function of direction: waves around the axis and order along it, sines after cosines."""
    most = max(orders) + 2
    return [
        (m, j)
        for m in range(orders[0] + 1)
        for _ in range(1 if m == 0 else 2)
        for j in range(orders[1] + 1)
        if m + j <= most
    ]


def directional(n: Array, orders: tuple[int, int], lowest: float) -> Array:
    """Functions of direction.

    Args:
        n: (n, 3) directions.
        orders: largest m and j.
        lowest: nz of the base, where the Legendre polynomials begin.

    Returns:
        (n, functions).
    """
    return _products(n, orders, lowest, slopes=False)[0]


def with_directional_slopes(n: Array, orders: tuple[int, int], lowest: float) -> tuple[Array, Array]:
    """`directional`, and its (3, n, functions) derivatives by the three parts of n, taken as free of each other."""
    return _products(n, orders, lowest, slopes=True)


def _products(n: Array, orders: tuple[int, int], lowest: float, *, slopes: bool) -> tuple[Array, Array]:
    along, steep = legendre((2 * n[:, 2] - 1 - lowest) / (1 - lowest), orders[1])
    lattice = around_orders(orders)
    values = np.empty((len(lattice), len(n)))
    found = np.empty((3 if slopes else 0, len(lattice), len(n)))
    waves = [np.ones(len(n), complex)]
    for _ in range(orders[0]):
        waves.append(waves[-1] * (n[:, 0] + 1j * n[:, 1]))
    for row, (m, j) in enumerate(lattice):
        sine = (m, j) in lattice[:row]
        values[row] = (waves[m].imag if sine else waves[m].real) * along[j]
        if slopes:
            by = m * waves[max(m - 1, 0)]
            found[0, row] = (by.imag if sine else by.real) * along[j]
            found[1, row] = (by.real if sine else -by.imag) * along[j]
            found[2, row] = (waves[m].imag if sine else waves[m].real) * steep[j] * (2 / (1 - lowest))
    return values.T, found.swapaxes(1, 2)


def edges(labels: NDArray[np.uint8], outer: bool) -> Array:
    """(n, 3) voxel indices, half ones in plane, where cavity meets muscle, or muscle meets what is not the cavity."""
    pool, muscle = labels == Structure.LV, np.isin(labels, MUSCLE)
    found = []
    for axis in (0, 1):
        first, second = (
            tuple(cut if i == axis else slice(None) for i in range(3)) for cut in (slice(None, -1), slice(1, None))
        )
        if outer:
            other = ~(muscle | pool | (labels == Structure.UNSEEN))
            meets = (muscle[first] & other[second]) | (other[first] & muscle[second])
        else:
            meets = (pool[first] & muscle[second]) | (muscle[first] & pool[second])
        index = np.argwhere(meets).astype(np.float64)
        index[:, axis] += 0.5
        found.append(index)
    return np.concatenate(found)


def fit_surface(points: Array, frame: HeartFrame, lowest: float, orders: tuple[int, int], stiffness: float) -> Array:
    """(functions,) coefficients of lambda over directions, through (n, 3) heart points; stiff ones wave less."""
    n, spheroid, _, _ = prolate(points, frame.focus)
    values = directional(n, orders, lowest)
    waves = np.array([((m * m + j * j) / 8) ** 2 for m, j in around_orders(orders)])
    normal = values.T @ values + np.diag(stiffness * len(points) * waves + 1e-9)
    return np.asarray(np.linalg.solve(normal, values.T @ spheroid))


@dataclass(frozen=True)
class Shell:
    """The functions on one heart's wall.

    Attributes:
        frame: where it lies.
        lowest: nz of the base.
        endo, epi: coefficients of lambda of both surfaces.
        orders: largest m around, j along, and k through the wall.
    """

    frame: HeartFrame
    lowest: float
    endo: Array
    epi: Array
    orders: tuple[int, int, int] = (5, 5, 3)

    @classmethod
    def of(cls, labels: NDArray[np.uint8], affine: Array, orders: tuple[int, int, int] = (5, 5, 3)) -> Shell:
        """From (x, y, z) labels of end-diastole and their affine; raises as `HeartFrame.of`."""
        frame = HeartFrame.of(labels, affine)
        inner, outer = (frame.local(apply_affine(affine, edges(labels, side))) for side in (False, True))
        if min(len(inner), len(outer)) < 50:
            raise RefusedInput(
                "no-wall", "motion needs myocardium that surrounds the cavity; the labels have next to none"
            )
        lowest = min(float(prolate(inner, frame.focus)[0][:, 2].min()), -0.3) - ABOVE_MM / frame.focus
        endo, epi = (fit_surface(points, frame, lowest, _SHAPE, 1e-3) for points in (inner, outer))
        return cls(frame, lowest, endo, epi, orders)

    def depth(self, points: Array) -> tuple[Array, Array, Array, Array]:
        """Directions, depths of patient points (n, 3), and their derivatives by heart coordinates."""
        n, spheroid, by_n, by_lambda = prolate(self.frame.local(points), self.frame.focus)
        values, slopes = with_directional_slopes(n, _SHAPE, self.lowest)
        inner, outer = values @ self.endo, values @ self.epi
        by_inner, by_outer = (np.einsum("in,nic->nc", slopes @ face, by_n) for face in (self.endo, self.epi))
        width = np.maximum(outer - inner, _THINNEST)
        depth = (spheroid - inner) / width
        slope = np.where((outer - inner > _THINNEST)[:, None], by_outer - by_inner, 0.0)
        return n, depth, by_n, (by_lambda - by_inner - depth[:, None] * slope) / width[:, None]

    def across(self, points: Array) -> Array:
        """(n, 3, 3) at patient points: rows are unit vectors across the wall, around and along, heart coordinates."""
        out = self.depth(points)[3]
        out = out / np.linalg.norm(out, axis=1, keepdims=True)
        around = np.cross([0.0, 0.0, 1.0], out)
        size = np.linalg.norm(around, axis=1, keepdims=True)
        around = np.where(size > 1e-6, around / np.maximum(size, 1e-6), [1.0, 0.0, 0.0])
        return np.stack([out, around, np.cross(out, around)], axis=1)

    def waves(self) -> NDArray[np.intp]:
        """(functions, 3) orders m, j, k of every function."""
        flat = around_orders(self.orders[:2])
        return np.array([(m, j, k) for k in range(self.orders[2] + 1) for m, j in flat])

    def functions(self, points: Array) -> Array:
        """(n, functions) at patient points (n, 3)."""
        n, depth, _, _ = self.depth(points)
        flat = directional(n, self.orders[:2], self.lowest)
        through, _ = legendre(np.clip(depth, *DEPTHS) - 0.5, self.orders[2])
        return np.concatenate([flat * p[:, None] for p in through], axis=1)

    def with_gradient(self, points: Array) -> tuple[Array, Array]:
        """`functions`, and their (n, functions, 3) derivatives by heart coordinates, 1/mm."""
        n, depth, by_n, by_depth = self.depth(points)
        flat, slopes = with_directional_slopes(n, self.orders[:2], self.lowest)
        within = np.clip(depth, *DEPTHS)
        through, steep = legendre(within - 0.5, self.orders[2])
        values = np.concatenate([flat * p[:, None] for p in through], axis=1)
        by_depth = np.where((within == depth)[:, None], by_depth, 0.0)
        count = flat.shape[1]
        found = np.empty((len(n), len(through) * count, 3))
        across = np.matmul(slopes.transpose(1, 2, 0), by_n)
        for k, (p, s) in enumerate(zip(through, steep, strict=True)):
            part = found[:, k * count : (k + 1) * count]
            np.multiply(across, p[:, None, None], out=part)
            part += (flat * s[:, None])[:, :, None] * by_depth[:, None, :]
        return values, found
