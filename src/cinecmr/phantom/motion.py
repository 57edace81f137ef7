"""Where every point of the heart goes: the motion that the surfaces of `shape` come from, for any point and moment.

Heart coordinates, mm, float64; capital letters are end-diastole, small ones now. In the wall of the left ventricle the
map is the closed form of `shape`, so det F = 1 and the surfaces land on `LeftVentricle.radii`; in its cavity it is
closed too. Elsewhere (`around`) it is smooth, has no folds, and comes to rest far away; its inverse is found by
Newton's method. F is continuous but for the surfaces of the cavity and wall, where tissue changes.

Source: the phantom recommended in section 8 of the specification of the tagged prior (maps in the manner of Arts 1992).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.geometry import apply_affine
from cinecmr.phantom.around import outside
from cinecmr.phantom.moment import Moment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.phantom.heart import Heart
    from cinecmr.phantom.moment import Profile

    Array = NDArray[np.float64]

CLOSE_MM = 1e-8  # an inverse is found when it maps back this near
STEP_MM = 1e-3  # of central differences: their error is below 1e-7
_STEPS = 12  # of Broyden's method: most points need 6
_ROUNDS = 40  # of Newton's method, for the few that are left


def forward(heart: Heart, points: Array, time: float) -> Array:
    """Where points of the end-diastolic heart are at a time.

    Args:
        heart: the subject.
        points: (..., 3) heart coordinates at end-diastole, mm.
        time: share of the cycle.

    Returns:
        (..., 3) heart coordinates, mm.
    """
    points = np.asarray(points, np.float64)
    return _move(Moment(heart, time), points.reshape(-1, 3)).reshape(points.shape)


def inverse(heart: Heart, points: Array, time: float) -> Array:
    """Where points of the heart at a time were at end-diastole.

    Args:
        heart: the subject.
        points: (..., 3) heart coordinates now, mm.
        time: share of the cycle.

    Returns:
        (..., 3) heart coordinates at end-diastole, mm; `forward` brings them back within `CLOSE_MM`.

    Raises:
        ArithmeticError: a point has no origin: the map folds there. No heart of the population does.
    """
    return origins(Moment(heart, time), points)


def origins(moment: Moment, points: Array) -> Array:
    """`inverse` for many calls at one moment."""
    points = np.asarray(points, np.float64)
    flat = points.reshape(-1, 3)
    if moment.rests:
        return points.copy()
    found, known = _closed_inverse(moment, flat)
    if not known.all():
        found[~known] = _newton(moment, flat[~known], _broyden(moment, flat[~known]))
    return found.reshape(points.shape)


def gradient(heart: Heart, points: Array, time: float) -> Array:
    """Deformation gradient F = d(now)/d(end-diastole).

    In the wall it is the closed form, with the slopes of the drawn surfaces by central differences of `STEP_MM`: its
    determinant is 1 to rounding. Elsewhere it is central differences of `forward`.

    Args:
        heart: the subject.
        points: (..., 3) heart coordinates at end-diastole, mm.
        time: share of the cycle.

    Returns:
        (..., 3, 3).
    """
    points = np.asarray(points, np.float64)
    moment, flat = Moment(heart, time), points.reshape(-1, 3)
    wall = moment.in_wall(flat)
    found = np.empty((len(flat), 3, 3))
    found[wall] = _wall_gradient(moment, flat[wall])
    found[~wall] = _differences(moment, flat[~wall])
    return found.reshape(*points.shape, 3)


@dataclass(frozen=True)
class HeartMotion:
    """The true motion of a synthetic heart as a `study.Motion`.

    Attributes:
        heart: the subject.
        affine: (4, 4) heart coordinates to patient RAS, mm.
    """

    heart: Heart
    affine: Array

    def displacement(self, points: Array, time: float) -> Array:
        """(n, 3) displacement, mm, of points at end-diastole, (n, 3) patient RAS mm, at a share of the cycle."""
        at_rest = apply_affine(_undone(self.affine), np.asarray(points, np.float64))
        return np.asarray((forward(self.heart, at_rest, time) - at_rest) @ self.affine[:3, :3].T)

    def gradient(self, points: Array, time: float) -> Array:
        """(n, 3, 3) deformation gradient at the same points and time, in patient axes."""
        back = _undone(self.affine)
        found = gradient(self.heart, apply_affine(back, np.asarray(points, np.float64)), time)
        return np.asarray(self.affine[:3, :3] @ found @ back[:3, :3])


def _undone(affine: Array) -> Array:
    return np.asarray(np.linalg.inv(affine), np.float64)


def _move(moment: Moment, points: Array) -> Array:
    """`forward` for (n, 3)."""
    if moment.rests:
        return points.copy()
    radius, theta, height = moment.polar(points)
    wall = moment.profile(theta, height)
    within = radius <= wall.epi
    squared, turned, z = np.empty_like(radius), np.empty_like(radius), np.empty_like(radius)
    for where, rule in ((within, _inside), (~within, outside)):
        if where.any():
            squared[where], turned[where], z[where] = rule(
                moment, radius[where], theta[where], height[where], wall.at(where)
            )
    return moment.cartesian(np.sqrt(np.maximum(squared, 0)), turned, z)


def _inside(moment: Moment, radius: Array, theta: Array, height: Array, wall: Profile) -> tuple[Array, Array, Array]:
    """Squared radius, angle and height now within the epicardium: wall, cavity, and on above the base."""
    squared = moment.lumen_or_wall(radius, wall)
    squared = radius**2 + moment.near_base(height) * (squared - radius**2) + moment.atrial_swelling(radius, height)
    return squared, theta + moment.turn(height), moment.lowered(height)


def _closed_inverse(moment: Moment, points: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Origins of points in wall and cavity below the mitral plane, and which points those are."""
    r, theta, z = moment.polar(points)
    height = z / moment.shorter
    before = theta - moment.turn(height)
    wall = moment.profile(before, height)
    inner = wall.f * wall.endo
    squared = moment.shorter * (r**2 - wall.area)
    hollow = r < inner
    ratio = np.divide(r, wall.endo, out=np.zeros_like(r), where=hollow)
    cavity = r / wall.middle / (1 - (1 / wall.f - 1 / wall.middle) * ratio)
    radius = np.where(hollow, cavity, np.sqrt(np.maximum(squared, 0)))
    known = (height >= 0) & (height <= moment.top) & (radius <= wall.epi)
    return moment.cartesian(radius, before, height), known


def _broyden(moment: Moment, points: Array) -> Array:
    """Most origins of (n, 3) points, after Broyden: one gradient a point, mended from what each step brings."""
    guess = 2 * points - _move(moment, points)
    off = _move(moment, guess) - points
    slopes = [_move(moment, guess + step) - points - off for step in STEP_MM * np.eye(3)]
    back = np.linalg.inv(np.stack(slopes, axis=-1) / STEP_MM)
    left = np.arange(len(points))
    for _ in range(_STEPS):
        left = left[np.linalg.norm(off[left], axis=1) > CLOSE_MM]
        if not len(left):
            break
        step = -(back[left] @ off[left][..., None])
        there = _move(moment, guess[left] + step[..., 0]) - points[left]
        nearer = np.linalg.norm(there, axis=1) < np.linalg.norm(off[left], axis=1)
        left, step, there = left[nearer], step[nearer], there[nearer]  # the others wait for Newton
        brought = back[left] @ (there - off[left])[..., None]
        across = np.swapaxes(step, 1, 2) @ back[left]
        size = np.swapaxes(step, 1, 2) @ brought
        back[left] += np.where(size == 0, 0.0, (step - brought) @ across / np.where(size == 0, 1.0, size))
        guess[left], off[left] = guess[left] + step[..., 0], there
    return guess


def _newton(moment: Moment, points: Array, guess: Array) -> Array:
    """Origins of (n, 3) points by Newton's method, with halved steps where a full one leads away."""
    off = _move(moment, guess) - points
    error = np.linalg.norm(off, axis=1)
    for _ in range(_ROUNDS):
        left = np.flatnonzero(error > CLOSE_MM)
        if not len(left):
            return guess
        step = np.linalg.solve(_differences(moment, guess[left]), off[left][..., None])[..., 0]
        share = np.ones(len(left))
        for _ in range(6):
            trial = guess[left] - share[:, None] * step
            there = _move(moment, trial) - points[left]
            worse = np.linalg.norm(there, axis=1) >= error[left]
            if not worse.any():
                break
            share[worse] /= 2
        guess[left], off[left], error[left] = trial, there, np.linalg.norm(there, axis=1)
    if error.max() > 1e-4:
        raise ArithmeticError(f"{int((error > 1e-4).sum())} points have no origin within {error.max():.2g} mm")
    return guess


def _differences(moment: Moment, points: Array) -> Array:
    """(n, 3, 3) F by central differences of the map."""
    steps = STEP_MM * np.eye(3)
    pairs = [_move(moment, points + step) - _move(moment, points - step) for step in steps]
    return np.stack(pairs, axis=-1) / (2 * STEP_MM)


def _wall_gradient(moment: Moment, points: Array) -> Array:
    """(n, 3, 3) F in the wall: the triangle of polar derivatives, turned into the axes, between two shears."""
    radius, theta, height = moment.polar(points)
    wall = moment.profile(theta, height)
    r = np.sqrt(radius**2 / moment.shorter + wall.area)
    by_theta, by_height = moment.area_slopes(theta, height)
    polar = np.zeros((len(points), 3, 3))
    polar[:, 0, 0] = radius / (moment.shorter * r)
    polar[:, 0, 1] = by_theta / (2 * r * radius)
    polar[:, 0, 2] = by_height / (2 * r)
    polar[:, 1, 1] = r / radius
    polar[:, 1, 2] = r * moment.turn_slope(height)
    polar[:, 2, 2] = moment.shorter
    now = _frame(theta + moment.turn(height))
    straight = now @ polar @ np.swapaxes(_frame(theta), 1, 2)
    return moment.shear(moment.shorter * height) @ straight @ moment.shear(height, sign=-1.0)


def _frame(theta: Array) -> Array:
    """(n, 3, 3) unit vectors outwards, around and along, as columns."""
    c, s, none = np.cos(theta), np.sin(theta), np.zeros_like(theta)
    rows = [np.stack(row, axis=-1) for row in ((c, -s, none), (s, c, none), (none, none, none + 1))]
    return np.stack(rows, axis=-2)
