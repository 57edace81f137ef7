"""Strain, twist and long-axis motion from any `study.Motion`: the phantom's own or a fitted one.

F is the deformation gradient from end-diastole. Along a unit direction d of the wall at end-diastole the stretch is
|F d|. Strain is told in %: by default the engineering strain |F d| - 1 = sqrt(1 + 2 d' E d) - 1, as clinical software
and the tagged-prior paper tell it; or after Green and Lagrange, d' E d = (|F d|^2 - 1) / 2 with E = (F' F - 1) / 2.
GCS, GRS and GLS are means over the wall of segments 1 to 16, weighted by volume; the apical cap has no ring and is
left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from cinecmr.study import Motion, WallPoints

    Array = NDArray[np.float64]

BASAL, APICAL, CAP = (1, 6), (13, 16), 17  # segments, first and last
LAYERS = ("endo", "mid", "epi")  # thirds of the wall
LEVEL_MM = 4.0  # height of a ring whose rotation is measured
_FEWEST = 8  # points of a ring whose rotation can be told


class Convention(Enum):
    """Which number a stretch becomes."""

    GREEN_LAGRANGE = "green-lagrange"  # (stretch^2 - 1) / 2
    ENGINEERING = "engineering"  # stretch - 1

    def of(self, stretch: Array) -> Array:
        """Strain, %.

        >>> Convention.ENGINEERING.of(np.array([0.8])), Convention.GREEN_LAGRANGE.of(np.array([0.8]))
        (array([-20.]), array([-18.]))
        """
        lengthened = (stretch**2 - 1) / 2 if self is Convention.GREEN_LAGRANGE else stretch - 1
        return np.asarray(100 * lengthened)


@dataclass(frozen=True)
class Strain:
    """Strain of every wall point at every time, and its means.

    Attributes:
        wall: the points.
        radial, circumferential, longitudinal: (t, n) %, along the directions of `wall`.
        convention: what the numbers are.
    """

    wall: WallPoints
    radial: Array
    circumferential: Array
    longitudinal: Array
    convention: Convention = Convention.ENGINEERING

    def curves(self, where: NDArray[np.bool_] | None = None) -> dict[str, Array]:
        """(t,) means, %, under "CS", "RS" and "LS", over some of the points; NaN where there are none."""
        chosen = np.ones(len(self.wall), bool) if where is None else where
        weights = self.wall.weights[chosen]
        total = float(weights.sum())
        found = {"CS": self.circumferential, "RS": self.radial, "LS": self.longitudinal}
        if total == 0:
            return {name: np.full(len(values), np.nan) for name, values in found.items()}
        return {name: np.asarray(values[:, chosen] @ weights / total) for name, values in found.items()}

    def whole(self) -> dict[str, Array]:
        """(t,) "GCS", "GRS" and "GLS", %: segments 1 to 16."""
        return {f"G{name}": curve for name, curve in self.curves(self.wall.segments != CAP).items()}

    def segments(self) -> dict[str, Array]:
        """(t, 17) under "CS", "RS" and "LS", %; NaN for a segment without points."""
        rows = [self.curves(self.wall.segments == number) for number in range(1, CAP + 1)]
        return {name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]}

    def layers(self) -> dict[str, dict[str, Array]]:
        """The curves of each of `LAYERS`, segments 1 to 16."""
        third = np.minimum(self.wall.depth * 3, 2).astype(int)
        ring = self.wall.segments != CAP
        return {name: self.curves(ring & (third == number)) for number, name in enumerate(LAYERS)}


def strain(
    motion: Motion,
    wall: WallPoints,
    times: Iterable[float],
    convention: Convention = Convention.ENGINEERING,
) -> Strain:
    """Strain along the wall's directions.

    Args:
        motion: how the heart moves.
        wall: where, and along what.
        times: (t,) shares of the cycle.
        convention: what the numbers shall be.
    """
    directions = {name: getattr(wall, name) for name in ("radial", "circumferential", "longitudinal")}
    found: dict[str, list[Array]] = {name: [] for name in directions}
    for time in times:
        gradient = motion.gradient(wall.points, float(time))
        for name, unit in directions.items():
            stretch = np.linalg.norm((gradient @ unit[..., None])[..., 0], axis=1)
            found[name].append(convention.of(stretch))
    return Strain(wall, **{name: np.stack(rows) for name, rows in found.items()}, convention=convention)


@dataclass(frozen=True)
class Twist:
    """How apex and base turn against each other.

    Attributes:
        apical, basal: (t,) rotation of the apical and basal third, degrees, counter-clockwise seen from the apex.
        distance_mm: between their middles at end-diastole, along the axis.
    """

    apical: Array
    basal: Array
    distance_mm: float

    @property
    def twist(self) -> Array:
        """(t,) apical minus basal rotation, degrees; positive in the systole of a healthy heart."""
        return self.apical - self.basal

    @property
    def torsion(self) -> Array:
        """(t,) twist over the distance, degrees/cm."""
        return self.twist / (self.distance_mm / 10)


def twist(motion: Motion, wall: WallPoints, times: Iterable[float]) -> Twist:
    """Rotation of the wall about its own middle, ring by ring of `LEVEL_MM`, in its apical and basal thirds.

    Args:
        motion: how the heart moves.
        wall: at end-diastole.
        times: (t,) shares of the cycle.

    Raises:
        ValueError: the wall has no apical or no basal ring.

    Source: signs and thirds after Rüssel et al., JACC Cardiovasc Imaging 2009;2:648.
    """
    height = wall.points @ wall.long_axis
    rings = {third: list(_rings(wall, height, third)) for third in (APICAL, BASAL)}
    if not all(rings.values()):
        raise ValueError("twist needs apical and basal rings of the wall: segments 13 to 16 and 1 to 6")
    across = _plane(wall.long_axis)
    moved = [wall.points + motion.displacement(wall.points, float(time)) for time in times]
    turned, middles = {}, {}
    for third, found in rings.items():
        shares = np.array([wall.weights[ring].sum() for ring in found])
        shares = shares / shares.sum()
        turned[third] = np.array([[_rotation(wall, now, ring, across) for ring in found] for now in moved]) @ shares
        whole = np.any(found, axis=0)
        middles[third] = float(np.average(height[whole], weights=wall.weights[whole]))
    # About the axis from apex to base a right-handed turn is clockwise for one who looks from the apex.
    return Twist(-np.degrees(turned[APICAL]), -np.degrees(turned[BASAL]), middles[BASAL] - middles[APICAL])


def _rings(wall: WallPoints, height: Array, third: tuple[int, int]) -> Iterator[NDArray[np.bool_]]:
    inside = (wall.segments >= third[0]) & (wall.segments <= third[1])
    if not inside.any():
        return
    level = np.floor((height - height[inside].min()) / LEVEL_MM + 1e-9)
    for number in np.unique(level[inside]):
        ring = inside & (level == number)
        if ring.sum() >= _FEWEST and len(np.unique(wall.segments[ring])) == third[1] - third[0] + 1:
            yield ring


def _plane(axis: Array) -> Array:
    """(2, 3) unit vectors across an axis; with it they are right-handed."""
    first = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(axis, first)])


def _rotation(wall: WallPoints, now: Array, ring: NDArray[np.bool_], across: Array) -> float:
    """Rad by which a ring turned about its middle: that of the rigid turn that fits it best."""
    weights = wall.weights[ring]
    before, after = (points[ring] @ across.T for points in (wall.points, now))
    before, after = (points - weights @ points / weights.sum() for points in (before, after))
    sine = weights @ (before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0])
    return float(np.arctan2(sine, weights @ (before * after).sum(axis=1)))


def mapse(motion: Motion, hinges: Array, apex: Array, times: Iterable[float]) -> Array:
    """How far the mitral ring has come down towards the apex.

    Args:
        motion: how the heart moves.
        hinges: (k, 3) points of the mitral ring at end-diastole, patient RAS mm.
        apex: (3,) at end-diastole.
        times: (t,) shares of the cycle.

    Returns:
        (t,) mean over the hinge points, mm; MAPSE is its largest value.
    """
    axis = apex - hinges.mean(axis=0)
    axis = axis / np.linalg.norm(axis)
    return np.array([float((motion.displacement(hinges, float(time)) @ axis).mean()) for time in times])


def long_axis_shortening(motion: Motion, hinges: Array, apex: Array, times: Iterable[float]) -> Array:
    """Shortening of the distance from the apex to the middle of the mitral ring.

    Args:
        motion: how the heart moves.
        hinges: (k, 3) points of the mitral ring at end-diastole, patient RAS mm.
        apex: (3,) at end-diastole.
        times: (t,) shares of the cycle.

    Returns:
        (t,) % of the end-diastolic distance, positive in systole.
    """
    points = np.concatenate([np.atleast_2d(apex), hinges])
    lengths = []
    for time in times:
        now = points + motion.displacement(points, float(time))
        lengths.append(float(np.linalg.norm(now[0] - now[1:].mean(axis=0))))
    rest = float(np.linalg.norm(apex - hinges.mean(axis=0)))
    return 100 * (1 - np.array(lengths) / rest)
