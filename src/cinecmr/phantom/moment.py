"""One heart at one moment, as the map of `motion` needs it: profiles of the left ventricle and what fades where.

Heart coordinates, mm, float64; capital letters are end-diastole, small ones now.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.phantom.shape import directions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.phantom.heart import Heart

    Array = NDArray[np.float64]

BELOW_MM = 25.0  # how far below the apex the motion along the axis reaches
ABOVE_MM = 85.0  # how far above the base: the roof of the atria stands still
NARROWING_MM = 35.0  # how far above the base the squeeze of the ventricle reaches
LEVEL_MM = 10.0  # how far above the mitral plane the motion along the axis stops growing
ATRIUM_MM = (32.0, 22.0, 45.0)  # height of the atria's middle above the base, half height, half width
SWELLING = 0.45  # of the cross-section in the atria's middle at end-systole, as a share
_SLOPE_STEP = 1e-3  # rad and mm, of central differences of the drawn surfaces


def fall(way: Array) -> Array:
    """1 up to 0, 0 from 1 on, and a smooth cubic between.

    >>> fall(np.array([-1.0, 0.0, 0.5, 1.0, 2.0]))
    array([1. , 1. , 0.5, 0. , 0. ])
    """
    way = np.clip(way, 0, 1)
    return np.asarray(1 - way**2 * (3 - 2 * way))


def levelled(height: Array, top: float) -> Array:
    """Heights as they are up to a top, and never `LEVEL_MM` above it: what moves with the top moves no further."""
    return np.minimum(height, top) + LEVEL_MM * np.tanh(np.maximum(height - top, 0) / LEVEL_MM)


@dataclass(frozen=True)
class Profile:
    """The left ventricle along the rays of some material points; all (n,).

    Attributes:
        endo, epi: radii at end-diastole, mm.
        f: endocardial factor now. middle: its mean around the axis.
        area: a = endo^2 (f^2 - 1 / lambda), mm2.
    """

    endo: Array
    epi: Array
    f: Array
    middle: Array
    area: Array

    def at(self, where: NDArray[np.bool_]) -> Profile:
        """Those of some points only."""
        return Profile(self.endo[where], self.epi[where], self.f[where], self.middle[where], self.area[where])


class Moment:
    """What the map needs and no point changes.

    Attributes:
        heart: the subject. activation, rv_activation: of both ventricles. rests: whether nothing moves.
        shorter: lambda. top: height up to which the wall's closed form holds, above the tilted mitral plane, mm.
    """

    def __init__(self, heart: Heart, time: float) -> None:
        self.heart, lv = heart, heart.lv
        self.activation = float(heart.beat.activation(time))
        self.rv_activation = float(heart.beat.activation(time, heart.beat.rv_delay))
        self.rests = self.activation == 0 and self.rv_activation == 0
        self.shorter = lv.length_factor(self.activation)
        rim = lv.reference_radii(directions().astype(np.float64), np.array([[lv.length]]))[1]
        self.top = lv.length + float(np.hypot(*lv.tilt) * rim.max()) + 2.0
        self._around = [np.exp(-((np.linspace(-np.pi, np.pi, 721) / r.width_theta) ** 2)).mean() for r in lv.still]

    # From and to the axes -------------------------------------------------------------------------------------

    def axis_shift(self, z: Array) -> Array:
        """(n, 2) how far the axis lies off the straight line: `Heart.axis_shift` in float64."""
        share = np.clip(z / self.heart.lv.length, -0.3, 1.6)
        return np.asarray((4 * share * (1 - share))[:, None] * np.asarray(self.heart.bend))

    def shear(self, z: Array, sign: float = 1.0) -> Array:
        """(n, 3, 3) gradient of the bending of the axis at heights z; of its undoing with `sign` -1."""
        share = z / self.heart.lv.length
        slope = np.where((share > -0.3) & (share < 1.6), 4 * (1 - 2 * share) / self.heart.lv.length, 0.0)
        matrix = np.tile(np.eye(3), (len(z), 1, 1))
        matrix[:, :2, 2] = sign * slope[:, None] * np.asarray(self.heart.bend)
        return matrix

    def polar(self, points: Array) -> tuple[Array, Array, Array]:
        """Radius and angle about the bent axis, and height, of (n, 3) points."""
        x, y = (points[:, :2] - self.axis_shift(points[:, 2])).T
        return np.hypot(x, y), np.arctan2(y, x), points[:, 2]

    def cartesian(self, radius: Array, theta: Array, z: Array) -> Array:
        """(n, 3) points from radius, angle and height."""
        straight = np.stack([radius * np.cos(theta), radius * np.sin(theta)], axis=1)
        return np.column_stack([straight + self.axis_shift(z), z])

    # The left ventricle ---------------------------------------------------------------------------------------

    def profile(self, theta: Array, height: Array) -> Profile:
        """The ventricle at material angles and heights; above the base it goes on as it is there."""
        lv = self.heart.lv
        height = np.minimum(height, lv.length)
        endo, epi = lv.reference_radii(theta, height)
        share = height / lv.length
        f = lv.squeeze_factor(theta, share, self.activation)
        return Profile(endo, epi, f, self._mean_squeeze(share), endo**2 * (f**2 - 1 / self.shorter))

    def _mean_squeeze(self, share: Array) -> Array:
        """F around the axis at heights, so that blood on the axis has one motion and not that of every direction."""
        lv = self.heart.lv
        end = lv.squeeze + lv.squeeze_slope * (2 * share - 1)
        for region, around in zip(lv.still, self._around, strict=True):
            weight = around * np.exp(-(((share - region.height) / region.width_height) ** 2))
            end = end + weight * (region.amount - end)
        return np.asarray(1 + (np.clip(end, 0.12, 1.3) - 1) * self.activation)

    def in_wall(self, points: Array) -> NDArray[np.bool_]:
        """Which (n, 3) points lie in the wall where its closed form holds."""
        radius, theta, height = self.polar(points)
        wall = self.profile(theta, height)
        return (radius >= wall.endo) & (radius <= wall.epi) & (radius > 0) & (height >= 0) & (height <= self.top)

    def lumen_or_wall(self, radius: Array, wall: Profile) -> Array:
        """Squared radius now: r^2 = R^2 / lambda + a in the wall.

        In the cavity 1 / r falls from that of the mean squeeze on the axis to that of f at the endocardium, which for
        an f that is the same all round is r = f R. So r grows with R whatever f is, and the axis stays smooth.
        """
        hollow = radius < wall.endo
        ratio = np.divide(radius, wall.endo, out=np.zeros_like(radius), where=hollow)
        cavity = radius / (1 / wall.middle + (1 / wall.f - 1 / wall.middle) * ratio)
        return np.where(hollow, cavity**2, radius**2 / self.shorter + wall.area)

    def area_slopes(self, theta: Array, height: Array) -> tuple[Array, Array]:
        """da/dTheta, mm2/rad, and da/dZ, mm, by central differences: the surfaces are drawn with many waves."""
        h = _SLOPE_STEP
        around = self.profile(theta + h, height).area - self.profile(theta - h, height).area
        along = self.profile(theta, height + h).area - self.profile(theta, height - h).area
        return around / (2 * h), along / (2 * h)

    def turn(self, height: Array) -> Array:
        """Angle tau by which material heights are turned, rad; it fades beyond apex and base."""
        share = np.clip(height / self.heart.lv.length, 0, 1)
        return self.heart.lv.twist_angle(share, self.activation) * self.near_base(height) * self._below(height)

    def turn_slope(self, height: Array) -> Array:
        """dtau/dZ in the wall, rad/mm."""
        lv = self.heart.lv
        return np.where(height < lv.length, lv.twist * self.activation / lv.length, 0.0)

    # Along the axis -------------------------------------------------------------------------------------------

    def lowered(self, height: Array) -> Array:
        """Height now on the axis: lambda Z up to the mitral plane; above it the atria are stretched."""
        return height + (self.shorter - 1) * levelled(height, self.top) * self.along(height)

    def along(self, height: Array) -> Array:
        """Share of the motion along the axis at material heights: 1 in the ventricle."""
        return fall((height - self.top) / ABOVE_MM) * self._below(height)

    def near_base(self, height: Array) -> Array:
        """Share of squeeze and twist at material heights: 1 in the ventricle, 0 in the atria."""
        return fall((height - self.top) / NARROWING_MM)

    def _below(self, height: Array) -> Array:
        return np.asarray(np.exp(-((np.minimum(height, 0) / BELOW_MM) ** 2)))

    def atrial_swelling(self, radius: Array, height: Array) -> Array:
        """What the filling of the atria adds to squared radii above the base, mm2."""
        middle, high, wide = ATRIUM_MM
        up = height - self.top
        form = np.exp(-(((up - middle) / high) ** 2) - (radius / wide) ** 2) * (1 - fall(up / middle))
        return np.asarray(SWELLING * self.activation * radius**2 * form)

    # Means around the axis, for what lies outside --------------------------------------------------------------

    @cached_property
    def means(self) -> tuple[Array, Array, Array]:
        """Material heights, mm; mean epicardial radius there at end-diastole, and now, mm."""
        lv = self.heart.lv
        height = np.arange(-20.0, lv.length + 0.5, 0.5)
        theta = np.broadcast_to(directions().astype(np.float64)[None, ::4], (len(height), len(directions()[::4])))
        wall = self.profile(theta, np.broadcast_to(height[:, None], theta.shape))
        now = np.sqrt(wall.epi**2 / self.shorter + np.where(wall.epi > 0, wall.area, 0))
        return height, wall.epi.mean(axis=1), now.mean(axis=1)
