"""How the motion of the left ventricle goes on outside of it: right ventricle, atria, and the chest at rest.

With Q = R^2 - R_epi^2, the squared distance beyond the epicardium, and c a length squared,
    r^2 = R^2 + D w(Q) + (P(Q) - Q) w(Q),   D = change of the squared epicardial radius,
w = 1 at the epicardium and 0 far away (specification of the tagged prior, section 8). Towards the right ventricle w
stays 1 as far as its free wall, and P narrows what lies between by the factor of `RightVentricle.narrowing`: the free
wall so lands on `RightVentricle.outer_radius`, but where its arc ends: the crescent stands while the left ventricle
turns under it, and a smooth map cannot slide. Heights go down with either valve plane.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.phantom.moment import ABOVE_MM, fall, levelled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.phantom.moment import Moment, Profile

    Array = NDArray[np.float64]

ARC = (1.45, 0.9)  # half angle of what moves with the right ventricle, and of its fading beyond, rad
TWIST_MM = 10.0  # how far outside the twist of the wall reaches
VALVE_MM = 10.0  # how far outside the wall the right ventricle's own descent begins
FADING_MM = (20.0, 45.0)  # how far below and above the right ventricle its narrowing reaches
REACH = 2.5  # c, in squared epicardial radii
WIDEST = 1.08  # of the crescent with its irregularities against its plain width


def outside(moment: Moment, radius: Array, theta: Array, height: Array, wall: Profile) -> tuple[Array, Array, Array]:
    """Squared radius, angle and height now of material points outside the epicardium.

    Args:
        moment: the heart and its moment.
        radius: (n,) from the bent axis at end-diastole, mm.
        theta: (n,) angles there, rad.
        height: (n,) heights there, mm.
        wall: the left ventricle on their rays.
    """
    beyond = radius**2 - wall.epi**2
    right = _Right(moment, theta, height)
    near = _near(moment, beyond, right)
    size = 2 * np.hypot(wall.epi, 0.3 * moment.heart.lv.epi)
    own = right.share * (1 - np.exp(-beyond / (size * VALVE_MM)))
    z = height + near * ((1 - own) * (moment.lowered(height) - height) + own * right.descent)
    turned = theta + moment.turn(height) * np.exp(-beyond / (size * TWIST_MM))
    moved = wall.epi**2 / moment.shorter + wall.area
    change = moment.near_base(height) * (moved - wall.epi**2 + own * (_epi_there(moment, turned, z) - moved))
    squeezed = right.share * (right.narrowed(beyond, z) - beyond)
    return radius**2 + near * (change + squeezed) + moment.atrial_swelling(radius, height), turned, z


def _epi_there(moment: Moment, theta: Array, z: Array) -> Array:
    """Squared epicardial radius now at angles and heights in space, mm2."""
    height = z / moment.shorter
    wall = moment.profile(theta - moment.turn(height), height)
    return np.where(wall.epi > 0, wall.epi**2 / moment.shorter + wall.area, 0.0)


def _near(moment: Moment, beyond: Array, right: _Right) -> Array:
    """w: 1 up to the right ventricle's free wall, falling to 0 outside."""
    length2 = np.maximum(REACH * moment.heart.lv.epi**2, right.reach2)
    return np.asarray(np.exp(-((np.maximum(beyond - right.reach2, 0) / length2) ** 2)))


class _Right:
    """The right ventricle on the rays of some material points.

    Attributes:
        share: 1 where the motion is the right ventricle's, 0 elsewhere.
        descent: change of height with its own valve plane, mm.
        reach2: beyond which Q the free wall surely lies behind, mm2.
    """

    def __init__(self, moment: Moment, theta: Array, height: Array) -> None:
        self._moment, self._theta, self._height = moment, theta, height
        rv, active = moment.heart.rv, moment.rv_activation
        top, bottom = rv.top(0.0), rv.apex
        # The valve plane is tilted: what lies just above its height on the axis may still be ventricle.
        rim = top + abs(rv.tilt) * 1.5 * moment.heart.lv.epi
        self._level = np.clip((height - bottom) / (top - bottom), 0, 1)
        off = np.abs(np.angle(np.exp(1j * (theta - rv.middle(self._level)))))
        arc = fall((off - ARC[0]) / ARC[1])
        self.share = arc * fall((bottom - height) / FADING_MM[0]) * fall((height - rim) / FADING_MM[1])
        goes = (rv.top(active) - bottom) / (top - bottom) - 1
        self.descent = goes * (levelled(height, rim) - bottom) * fall((height - rim) / ABOVE_MM)
        at, rest, now = moment.means
        floor = 0.15 * moment.heart.lv.epi
        self._rest = np.hypot(np.interp(height, at, rest), floor)
        self._now = np.hypot(np.interp(height, at, now), floor)
        width = WIDEST * rv.extent(self._level) * self._reference(height) + rv.wall
        self.reach2 = self.share * (2 * self._rest * width + width**2)

    def _reference(self, height: Array) -> Array:
        """Mean epicardial radius that the crescent's width is a share of, at material heights of the left ventricle."""
        at, rest, _ = self._moment.means
        return np.maximum(np.interp(height, at, rest), 0.3 * self._moment.heart.lv.epi)

    def narrowed(self, beyond: Array, z: Array) -> Array:
        """P: Q now of points at Q, when widths shrink by one factor for all angles."""
        rv = self._moment.heart.rv
        factor = rv.narrowing(self._theta, self._level, self._moment.rv_activation)
        factor = factor * self._reference(z / self._moment.shorter) / self._reference(self._height)
        over = np.maximum(beyond - self.reach2, 0)
        soft = (self.reach2 + 500.0) / 3
        held = np.minimum(beyond, self.reach2) + soft * np.tanh(over / soft)  # beyond the wall it narrows no further
        width = factor * (np.sqrt(self._rest**2 + held) - self._rest)
        return np.asarray(width * (2 * self._now + width) + beyond - held)
