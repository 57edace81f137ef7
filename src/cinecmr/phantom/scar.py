"""Scar, no-reflow and oedema as geometry of the material: they move with the wall and keep their volume.

A `Patch` covers part of the wall's depth, from endocardium (0) to epicardium (1), over a region of angle and height;
its depth at any place is a closed form, so transmurality and volume are exact. Where it lies in each disease, and how
it is tied to the motion, is `draw_scar`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Disease, Structure
from cinecmr.phantom.disease import CULPRITS, TERRITORIES
from cinecmr.phantom.shape import Z_STEP, Region, Ripple, directions

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cinecmr.phantom.heart import Heart, Surfaces

    Draw = Callable[[Heart, np.random.Generator, bool], tuple["Patch", ...]]

_OUTERMOST = 1 - 1e-6  # a depth that the outermost layer still holds
EVERYWHERE = 50.0  # half width, rad or shares of the axis, of a region that knows no border that way


@dataclass(frozen=True)
class Patch:
    """One layer of changed wall.

    Attributes:
        region: where, by its weight over material angle and height; its `amount` is not used here.
        depth: from and to, shares of the wall's thickness, where the patch is fully developed.
        anchor: share of the wall towards which it thins out: 0 endocardium, 1 epicardium.
        edge: weights of the region at which the patch begins, and at which it is fully developed.
        code: SCAR, NO_REFLOW or OEDEMA.
        rag: irregularity of the border: a share of the weight.
        right: in the free wall of the right ventricle and not in the left one.
    """

    region: Region
    depth: tuple[float, float] = (0.0, 1.0)
    anchor: float = 0.0
    edge: tuple[float, float] = (0.3, 0.7)
    code: Structure = Structure.SCAR
    rag: Ripple = field(default_factory=Ripple)
    right: bool = False

    def __post_init__(self) -> None:
        low, high = self.depth
        if not 0 <= low < high <= 1:
            raise ValueError(f"depth runs from and to shares of the wall, 0 <= from < to <= 1, got {self.depth}")
        if not 0 <= self.edge[0] < self.edge[1] <= 1:
            raise ValueError(f"edge holds two rising weights between 0 and 1, got {self.edge}")

    def bounds(
        self, theta: NDArray[np.float32], share: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Inner and outer depth, shares of the wall, at material angles and heights that broadcast; equal: no patch."""
        weight = self.region.weight(theta, share) * (1 + self.rag(theta, share))
        start, full = self.edge
        grown = np.clip((weight - start) / (full - start), 0, 1).astype(np.float32)
        low, high = (np.float32(self.anchor) + (np.float32(d) - np.float32(self.anchor)) * grown for d in self.depth)
        return np.asarray(low, np.float32), np.asarray(high, np.float32)


@dataclass(frozen=True)
class Scar:
    """All changed wall of one heart.

    Attributes:
        patches: painted in order: oedema, then scar, then its core without reflow.
        pattern: what a reader would call it, such as "LAD" or "mid-wall".
        linked: it lies where the wall contracts badly.
    """

    patches: tuple[Patch, ...]
    pattern: str = ""
    linked: bool = True

    @property
    def acute(self) -> bool:
        """There is oedema: the injury is days old."""
        return any(patch.code is Structure.OEDEMA for patch in self.patches)

    def codes(
        self,
        points: NDArray[np.floating],
        heart: Heart,
        time: float = 0.0,
        surfaces: Surfaces | None = None,
        slack_mm: float = 0.0,
    ) -> NDArray[np.uint8]:
        """`Structure` codes of changed wall: SCAR, NO_REFLOW, OEDEMA, or 0.

        Args:
            points: (..., 3) heart coordinates, mm; at end-diastole unless `time` says otherwise.
            heart: whose wall it is.
            time: share of the cycle at which the points are where they are.
            surfaces: of that time, where they are already made.
            slack_mm: points so far inside or outside a wall count as its nearest layer: trabeculae and coats look
                like wall.

        Returns:
            (...) codes; 0 outside the wall and above the mitral plane.
        """
        points = np.asarray(points, np.float32)
        surfaces = surfaces or heart.surfaces(time)
        radius, at = heart.polar(points, surfaces)
        near = radius < surfaces.outer.ravel()[at] + 1
        found = np.zeros(points.shape[:-1], np.uint8)
        for right in {patch.right for patch in self.patches}:
            if right:
                place = right_wall_coordinates(heart, points[near], surfaces)
            else:
                place = wall_coordinates(heart, points[near], time)
            codes = self.layers(place.theta, place.share, np.clip(place.depth, 0, _OUTERMOST), right=right)
            found[near] = np.where(place.inside(slack_mm), codes, found[near])
        return found

    def layers(
        self,
        theta: NDArray[np.float32],
        share: NDArray[np.float32],
        depth: NDArray[np.float32],
        *,
        right: bool = False,
    ) -> NDArray[np.uint8]:
        """Codes at material angle, height (share of the axis) and depth (share of the wall), which broadcast."""
        found = np.zeros(np.broadcast_shapes(theta.shape, share.shape, depth.shape), np.uint8)
        for patch in self.patches:
            if patch.right is right:
                low, high = patch.bounds(theta, share)
                found[np.broadcast_to((depth >= low) & (depth < high), found.shape)] = patch.code
        return found

    def transmurality(self, theta: NDArray[np.float32], share: NDArray[np.float32]) -> NDArray[np.float32]:
        """Share of the left ventricular wall's thickness that is scar, core included, exactly.

        Args:
            theta: material angles, rad.
            share: heights, shares of the axis, that broadcast with the angles.
        """
        cuts, kinds = self._column(theta, share, right=False)
        dead = (kinds == Structure.SCAR) | (kinds == Structure.NO_REFLOW)
        return np.asarray((np.diff(cuts, axis=0) * dead).sum(axis=0), np.float32)

    def volume_ml(self, heart: Heart, *, right: bool = False) -> dict[Structure, float]:
        """Volume of each kind in the left ventricular wall (or the right free wall), ml; the same all through the beat.

        Exact in depth, summed over the same angles and heights as `Heart.volumes_ml`. A core lies within its scar and
        is counted apart from it, as oedema is.
        """
        surfaces = heart.surfaces(0.0)
        theta, z = directions()[None, :], surfaces.heights[:, None]
        if right:
            inner, outer = surfaces.rv, np.where(surfaces.rv > surfaces.epi + 0.3, surfaces.outer, surfaces.rv)
            share, top = (z - heart.rv.apex) / (surfaces.rv_top - heart.rv.apex), surfaces.rv_top
            rise = (0.0, surfaces.rv_tilt)
        else:
            inner, outer, share, top = surfaces.endo, surfaces.epi, z / heart.lv.length, surfaces.base
            rise = surfaces.tilt
        cuts, kinds = self._column(theta, share.astype(np.float32), right=right)
        radii = inner + cuts.astype(np.float64) * (outer - inner)
        rings = 0.5 * np.diff(radii**2, axis=0) * (2 * np.pi / theta.size) * Z_STEP
        middle = 0.5 * (radii[1:] + radii[:-1])
        dx, dy = heart.axis_shift(z)
        plane = top + rise[0] * (dx + middle * np.cos(theta)) + rise[1] * (dy + middle * np.sin(theta))
        rings = rings * np.clip((plane - z) / Z_STEP + 0.5, 0, 1)
        return {
            code: float(rings[kinds == code].sum() / 1000)
            for code in (Structure.SCAR, Structure.NO_REFLOW, Structure.OEDEMA)
        }

    def _column(
        self, theta: NDArray[np.float32], share: NDArray[np.float32], *, right: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Depths (k + 1, ...) at which any patch begins or ends, with 0 and 1; the code between each two (k, ...)."""
        shape = np.broadcast_shapes(theta.shape, share.shape)
        ends = [bound for patch in self.patches if patch.right is right for bound in patch.bounds(theta, share)]
        cuts = np.stack([np.zeros(shape, np.float32), *(np.broadcast_to(e, shape) for e in ends), np.ones(shape)])
        cuts = np.sort(np.clip(cuts, 0, 1).astype(np.float32), axis=0)
        return cuts, self.layers(theta, share, 0.5 * (cuts[1:] + cuts[:-1]), right=right)


@dataclass(frozen=True)
class Place:
    """Where points are in a wall. All arrays have one shape.

    Attributes:
        theta: material angle, rad. share: height as a share of the ventricle's axis.
        depth: share of the wall, below 0 in the cavity and above 1 outside.
        wall: thickness at end-diastole of the left wall, now of the right one, mm.
        below: the point lies below the valve plane, on the side of the ventricle.
    """

    theta: NDArray[np.float32]
    share: NDArray[np.float32]
    depth: NDArray[np.float32]
    wall: NDArray[np.float32]
    below: NDArray[np.bool_]

    def inside(self, slack_mm: float = 0.0) -> NDArray[np.bool_]:
        """Which points are wall, or no further from it than `slack_mm`."""
        slack = slack_mm / np.maximum(self.wall, np.float32(1e-3))
        return np.asarray(self.below & (self.depth >= -slack) & (self.depth < 1 + slack), np.bool_)


def wall_coordinates(heart: Heart, points: NDArray[np.float32], time: float) -> Place:
    """Where points of the left ventricular wall are in the material: the motion undone in closed form.

    Args:
        heart: whose wall it is.
        points: (n, 3) heart coordinates, mm, now.
        time: share of the cycle.
    """
    lv, activation = heart.lv, float(heart.beat.activation(time))
    shorter = np.float32(lv.length_factor(activation))
    dx, dy = heart.axis_shift(points[:, 2])
    x, y, height = points[:, 0] - dx, points[:, 1] - dy, points[:, 2] / shorter
    share = (height / np.float32(lv.length)).astype(np.float32)
    theta = (np.arctan2(y, x) - lv.twist_angle(share, activation)).astype(np.float32)
    endo, epi = lv.reference_radii(theta, np.minimum(height, np.float32(lv.length)))
    squeeze = lv.squeeze_factor(theta, np.minimum(share, np.float32(1)), activation)
    radius = np.sqrt(np.maximum(shorter * (x**2 + y**2 - endo**2 * (squeeze**2 - 1 / shorter)), 0))
    depth = (radius - endo) / np.maximum(epi - endo, np.float32(1e-3))
    tilt = np.float32(lv.tilt[0]) * points[:, 0] + np.float32(lv.tilt[1]) * points[:, 1]
    below = (points[:, 2] - np.float32(lv.base(activation)) - tilt < 0) & (height > 0)
    return Place(theta, share, depth.astype(np.float32), epi - endo, below)


def right_wall_coordinates(heart: Heart, points: NDArray[np.float32], surfaces: Surfaces) -> Place:
    """As `wall_coordinates` for the free wall of the right ventricle; heights are shares of that ventricle's axis."""
    radius, at = heart.polar(points, surfaces)
    dx, dy = heart.axis_shift(points[:, 2])
    theta = np.arctan2(points[:, 1] - dy, points[:, 0] - dx).astype(np.float32)
    inner, outer, septum = (table.ravel()[at] for table in (surfaces.rv, surfaces.outer, surfaces.epi))
    share = ((points[:, 2] - heart.rv.apex) / (surfaces.rv_top - heart.rv.apex)).astype(np.float32)
    depth = (radius - inner) / np.maximum(outer - inner, np.float32(1e-3))
    below = points[:, 2] < surfaces.rv_top + surfaces.rv_tilt * points[:, 1]
    return Place(theta, share, depth.astype(np.float32), outer - inner, below & (inner > septum + 0.3))


def draw_scar(heart: Heart, rng: np.random.Generator, *, linked: bool = True) -> Scar | None:
    """What the disease leaves in the wall.

    Args:
        heart: with its motion.
        rng: not the one that shape and motion are drawn from.
        linked: place and extent follow the motion (an infarct's scar is the region that stands still, and the deeper
            the less it contracts). False: drawn alike, but without looking at the motion.

    Returns:
        None where nothing is left, as in every healthy heart.
    """
    disease = heart.person.disease
    if disease not in _PATTERNS or heart.person.severity == 0:
        return None
    pattern, draw = _PATTERNS[disease]
    patches = draw(heart, rng, linked)
    return Scar(patches, pattern, linked) if patches else None


def _ragged(rng: np.random.Generator, size: float) -> Ripple:
    """A border that wanders: six waves of 4 to 9 round the axis that also turn with height."""
    return Ripple(
        tuple(map(float, size * rng.standard_normal(6) / 2.0)),
        tuple(range(4, 10)),
        tuple(rng.uniform(0, 2 * np.pi, 6)),
        tuple(rng.uniform(-14, 14, 6)),
    )


def infarct_depth(amount: float) -> float:
    """Largest transmurality of an infarct whose centre contracts by f = `amount`: the less it moves, the deeper.

    Somewhat more than half the wall where a little contraction is left, all of it where there is none.

    >>> [round(infarct_depth(f), 2) for f in (0.7, 0.92, 0.96, 1.0, 1.06)]
    [0.1, 0.6, 0.8, 1.0, 1.0]
    """
    return float(np.interp(amount, (0.75, 0.92, 1.0), (0.1, 0.6, 1.0)))


def _infarct(heart: Heart, rng: np.random.Generator, linked: bool) -> tuple[Patch, ...]:
    """Subendocardial to transmural in a coronary territory; acute ones with oedema and often a core."""
    territory = TERRITORIES[list(TERRITORIES)[int(rng.choice(3, p=CULPRITS))]]
    region = Region(
        territory[0] + rng.normal(0, 0.25),
        territory[1] + rng.normal(0, 0.08),
        rng.uniform(0.6, 1.2),
        rng.uniform(0.22, 0.45),
        rng.uniform(0.92, 1.06),
    )
    if linked:
        if not heart.lv.still:
            return ()
        region = heart.lv.still[0]
    deep, rag = infarct_depth(region.amount), _ragged(rng, 0.10)
    patches = [Patch(region, (0.0, deep), edge=(0.15, 0.5), rag=rag)]
    acute, plugged = rng.random() < 0.45, rng.random() < 0.6
    if acute:
        patches.insert(0, Patch(region, edge=(0.06, 0.10), code=Structure.OEDEMA, rag=rag))
        if plugged and deep > 0.6:
            core = (0.12 * deep, 0.62 * deep)
            patches.append(Patch(region, core, 0.3 * deep, (0.5, 0.75), Structure.NO_REFLOW, _ragged(rng, 0.06)))
    return tuple(patches)


def _dilated(heart: Heart, rng: np.random.Generator, linked: bool) -> tuple[Patch, ...]:
    """A stripe in the middle of the septum, likelier and longer the worse the ventricle ejects."""
    drawn, chance = rng.random(2)
    ejection = 1 - heart.lv.cavity_ml(1.0) / heart.lv.cavity_ml(0.0)
    loss = float(np.clip((0.45 - ejection) / 0.35, 0, 1)) if linked else drawn
    centre, half = rng.uniform(0.45, 0.6), 0.08 + 0.09 * loss + rng.uniform(0, 0.03)
    where = Region(rng.normal(0.05, 0.15), rng.uniform(0.6, 0.78), 0.4 + 0.6 * loss, 0.18 + 0.25 * loss, 0.0)
    stripe = Patch(where, (centre - half, centre + half), centre, (0.3, 0.5), rag=_ragged(rng, 0.12))
    return (stripe,) if chance < 0.15 + 0.45 * loss else ()


def _insertion(heart: Heart, rng: np.random.Generator, side: int, size: float) -> Patch:
    """A spot in the wall where the right ventricle is attached: in front (1) or behind (-1)."""
    off, height = rng.normal(0, 0.06), rng.uniform(0.5, 0.75)
    theta = float(heart.rv.middle(height)) + side * 1.02 * heart.rv.angle + off
    where = Region(theta, height, size * rng.uniform(0.16, 0.26), rng.uniform(0.12, 0.3), 0.0)
    middle = rng.uniform(0.55, 0.7)
    return Patch(where, (middle - 0.24, middle + 0.24), middle, (0.25, 0.6), rag=_ragged(rng, 0.15))


def _hypertrophic(heart: Heart, rng: np.random.Generator, linked: bool) -> tuple[Patch, ...]:
    """Patches at the insertion points and within the thickest wall, more of them the thicker it is."""
    if rng.random() > 0.65:
        return ()
    thick = heart.lv.thick[0] if heart.lv.thick else Region(0.0, 0.6, EVERYWHERE, 1.0, 0.2)
    if not linked:
        spread = rng.uniform(0.2, 0.8, 3)
        thick = Region(rng.uniform(-np.pi, np.pi), spread[0], rng.uniform(0.7, 1.2), spread[1], spread[2])
    patches = [_insertion(heart, rng, side, 1.0) for side in (1, -1) if linked and rng.random() < 0.7]
    for _ in range(int(rng.poisson(0.5 + 2.5 * thick.amount))):
        theta = thick.theta + min(thick.width_theta, 1.6) * rng.uniform(-0.7, 0.7)
        height = float(np.clip(thick.height + thick.width_height * rng.uniform(-0.6, 0.6), 0.12, 0.9))
        where = Region(theta, height, rng.uniform(0.12, 0.3), rng.uniform(0.06, 0.16), 0.0)
        middle, half = rng.uniform(0.4, 0.65), rng.uniform(0.12, 0.28)
        patches.append(Patch(where, (middle - half, middle + half), middle, (0.25, 0.7), rag=_ragged(rng, 0.25)))
    return tuple(patches)


def _overloaded_right(heart: Heart, rng: np.random.Generator, linked: bool) -> tuple[Patch, ...]:
    """Spots at both insertion points, where a wide right ventricle pulls."""
    drawn, chance = rng.random(2)
    load = float(np.clip((heart.rv.reach - 0.85) / 0.6, 0, 1)) if linked else drawn
    spots = tuple(_insertion(heart, rng, side, 0.7 + 0.5 * load) for side in (1, -1))
    return spots if chance < load else ()


def _right_dysplasia(heart: Heart, rng: np.random.Generator, linked: bool) -> tuple[Patch, ...]:
    """The free wall of the right ventricle where it fails; in some also the outer layer of the inferolateral wall."""
    regions = heart.rv.still
    if not linked:
        drawn = [rng.uniform((-0.9, 0.1, 0.22, 0.14), (0.9, 0.9, 0.4, 0.24)).tolist() for _ in regions]
        regions = tuple(Region(theta, height, wide, high, 0.0) for theta, height, wide, high in drawn)
    patches = [Patch(region, edge=(0.3, 0.5), rag=_ragged(rng, 0.1), right=True) for region in regions]
    left = Region(rng.normal(-2.5, 0.2), rng.uniform(0.55, 0.8), rng.uniform(0.3, 0.6), rng.uniform(0.15, 0.3), 0.0)
    if rng.random() < 0.3:
        patches.append(Patch(left, (0.6, 1.0), 1.0, rag=_ragged(rng, 0.15)))
    return tuple(patches)


def _hypertensive(heart: Heart, rng: np.random.Generator, linked: bool) -> tuple[Patch, ...]:
    """One or two faint patches in the middle of the wall, in about a third."""
    severity = heart.person.severity if linked else rng.random()
    patches = []
    for _ in range(1 + int(rng.random() < 0.4)):
        where = Region(rng.uniform(-2.8, -1.2), rng.uniform(0.4, 0.8), rng.uniform(0.15, 0.35), 0.12, 0.0)
        patches.append(Patch(where, (0.38, 0.62), 0.5, (0.3, 0.7), rag=_ragged(rng, 0.2)))
    return tuple(patches) if rng.random() < 0.45 * severity else ()


def _athlete(heart: Heart, rng: np.random.Generator, linked: bool) -> tuple[Patch, ...]:  # noqa: ARG001
    """In one of ten a spot at the lower insertion point, without meaning for motion."""
    spot = _insertion(heart, rng, -1, 0.8)
    return (spot,) if rng.random() < 0.1 else ()


def _amyloid(heart: Heart, rng: np.random.Generator, linked: bool) -> tuple[Patch, ...]:
    """All round from within, deeper towards the base, where contraction fails first; the right wall when severe."""
    drawn = rng.random(2)
    severity, height = (heart.person.severity, 1.05) if linked else (0.5 + 0.5 * drawn[0], float(drawn[1]))
    where = Region(0.0, height, EVERYWHERE, rng.uniform(0.7, 0.95), 0.0)
    deep = float(np.clip(0.15 + 0.8 * severity + rng.normal(0, 0.08), 0.15, 1.0))
    patches = [Patch(where, (0.0, deep), edge=(0.05, 0.85), rag=_ragged(rng, 0.22))]
    if severity > 0.7:
        patches.append(Patch(Region(0.0, 0.5, EVERYWHERE, EVERYWHERE, 0.0), rag=_ragged(rng, 0.2), right=True))
    return tuple(patches)


_PATTERNS: dict[Disease, tuple[str, Draw]] = {
    Disease.INFARCT: ("infarct", _infarct),
    Disease.DCM: ("mid-wall stripe", _dilated),
    Disease.HCM: ("patchy", _hypertrophic),
    Disease.ABNORMAL_RV: ("insertion points", _overloaded_right),
    Disease.ARVC: ("right free wall", _right_dysplasia),
    Disease.HYPERTENSIVE: ("patchy mid-wall", _hypertensive),
    Disease.ATHLETE: ("insertion point", _athlete),
    Disease.AMYLOID: ("diffuse subendocardial", _amyloid),
}
