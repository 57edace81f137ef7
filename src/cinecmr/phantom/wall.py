"""Points of a synthetic left ventricular wall, from its geometry: no voxels, no labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import aha_segments
from cinecmr.geometry import apply_affine, wall_directions
from cinecmr.study import WallPoints

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.phantom.heart import Heart

    Array = NDArray[np.float64]

_SLOPE_STEP = 1e-4  # rad and mm, of central differences of the drawn surfaces


def wall_points(
    heart: Heart,
    affine: NDArray[np.float64] | None = None,
    *,
    follow_wall: bool = True,
    cells: tuple[int, int, int] = (72, 48, 6),
) -> WallPoints:
    """The wall below the mitral plane, cut into cells between its faces: one point in the middle of each.

    Args:
        heart: the subject.
        affine: (4, 4) heart coordinates to patient RAS, mm; none leaves the points in heart coordinates.
        follow_wall: directions are across and along the layers, see `study.WallPoints`.
        cells: around the axis, along it up to the highest point of the mitral plane, and through the wall.
    """
    lv, (around, along, through) = heart.lv, cells
    edge = lv.reference_radii(np.linspace(-np.pi, np.pi, 90), np.array([[lv.length]]))[1].max()
    step = (lv.length + float(np.hypot(*lv.tilt) * edge)) / along
    middles = (np.arange(n) + 0.5 for n in cells)
    theta, height, depth = (grid.ravel() for grid in np.meshgrid(*middles, indexing="ij"))
    theta, height, depth = theta * (2 * np.pi / around) - np.pi, height * step, depth / through
    radius, thickness = _layer(heart, theta, height, depth)
    points = radius[:, None] * _turned(theta, 1.0, 0.0) + _axis(heart, height)
    below = np.clip((lv.length + points[:, :2] @ np.asarray(lv.tilt) - height) / step + 0.5, 0, 1)
    weights = below * radius * thickness / through * (2 * np.pi / around) * step
    kept = (weights > 0) & (radius > 1e-6)
    theta, height, depth = theta[kept], height[kept], depth[kept]
    matrix = np.eye(4) if affine is None else np.asarray(affine, np.float64)
    tip = _cavity_tip(heart)
    share = (height - tip) / (lv.length - tip)
    return WallPoints(
        apply_affine(matrix, points[kept]),
        *_directions(heart, theta, height, depth, follow_wall, matrix[:3, :3]),
        aha_segments(share, theta),
        depth,
        weights[kept],
        matrix[:3, 2] / np.linalg.norm(matrix[:3, 2]),
    )


def _directions(
    heart: Heart, theta: Array, height: Array, depth: Array, follow_wall: bool, turn: Array
) -> tuple[Array, Array, Array]:
    """Radial, circumferential and longitudinal unit vectors, turned from heart coordinates."""
    h = _SLOPE_STEP
    radius = _layer(heart, theta, height, depth)[0]
    by_theta = (_layer(heart, theta + h, height, depth)[0] - _layer(heart, theta - h, height, depth)[0]) / (2 * h)
    tilt = (by_theta / radius)[:, None]
    out, turned = _turned(theta, 1.0, 0.0), _turned(theta, 0.0, 1.0)
    circumferential = (turned + tilt * out) / np.hypot(1, tilt)
    if not follow_wall:
        radial, longitudinal = (out - tilt * turned) / np.hypot(1, tilt), np.tile([0.0, 0.0, 1.0], (len(theta), 1))
        return radial @ turn.T, circumferential @ turn.T, longitudinal @ turn.T
    by_height = (_layer(heart, theta, height + h, depth)[0] - _layer(heart, theta, height - h, depth)[0]) / (2 * h)
    along = by_height[:, None] * out + (_axis(heart, height + h) - _axis(heart, height - h)) / (2 * h)
    radial, longitudinal = wall_directions(out, circumferential, along)
    return radial @ turn.T, circumferential @ turn.T, longitudinal @ turn.T


def _cavity_tip(heart: Heart) -> float:
    """Height at which the cavity begins, mm: added wall may close its lowest part."""
    heights = np.arange(0.0, heart.lv.length, 0.1)
    angles = np.linspace(-np.pi, np.pi, 72, endpoint=False)
    open_there = heart.lv.reference_radii(angles, heights[:, None])[0].max(axis=1) > 0
    return float(heights[int(np.argmax(open_there))])


def _layer(heart: Heart, theta: Array, height: Array, depth: Array) -> tuple[Array, Array]:
    """Radius of the layer a point lies on, and the thickness of the wall there, mm."""
    endo, epi = heart.lv.reference_radii(theta, np.minimum(height, heart.lv.length))
    return endo + depth * (epi - endo), epi - endo


def _turned(theta: Array, outwards: float, around: float) -> Array:
    """(n, 3) vectors in the short-axis plane."""
    c, s = np.cos(theta), np.sin(theta)
    return np.stack([outwards * c - around * s, outwards * s + around * c, 0 * c], axis=1)


def _axis(heart: Heart, height: Array) -> Array:
    """(n, 3) points of the bent axis."""
    share = height / heart.lv.length
    bow = 4 * share * (1 - share)
    return np.stack([bow * heart.bend[0], bow * heart.bend[1], height], axis=1)
