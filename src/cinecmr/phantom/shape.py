"""The two ventricles as surfaces around the long axis of the left ventricle, in closed form over the beat.

Heart coordinates, mm: z along the long axis of the left ventricle from its apex (0) to its base, x towards the
middle of the septum, y towards the anterior wall; theta = atan2(y, x). The left ventricular wall moves by
    z = lambda Z,   r^2 = R^2 / lambda + a(Theta, Z),   a = Ren^2 (f^2 - 1/lambda),   theta = Theta + tau(Z)
so that its volume is kept exactly (det F = 1), the endocardial radius becomes f Ren, and a cavity of constant f
ejects 1 - lambda f^2 (specs of the tagged prior, section 8).

Arrays keep their precision: images are drawn from float32 tables, motion is computed in float64.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Real = TypeVar("Real", np.float32, np.float64)

THETAS = 384  # directions around the long axis in a table of radii: 0.6 mm apart at the epicardium
Z_STEP = 1.0  # mm between the levels of a table


def directions() -> NDArray[np.float32]:
    """(THETAS,) the angles of a table's columns, -pi to pi."""
    return (-np.pi + (np.arange(THETAS) + 0.5) * 2 * np.pi / THETAS).astype(np.float32)


@dataclass(frozen=True)
class Ripple:
    """A smooth bump field over angle and height that makes every heart its own.

    Attributes:
        amplitudes: (n,) shares of the radius.
        orders: (n,) waves around the axis, 1 or more.
        phases: (n,) rad.
        twists: (n,) rad from apex to base: how the bumps turn on the way up.
    """

    amplitudes: tuple[float, ...] = ()
    orders: tuple[int, ...] = ()
    phases: tuple[float, ...] = ()
    twists: tuple[float, ...] = ()

    def __call__(self, theta: NDArray[Real], share: NDArray[Real]) -> NDArray[Real]:
        """The sum of the waves at angles (..., THETAS) and heights (..., 1) given as shares of the axis."""
        kind = theta.dtype.type
        total = np.zeros(np.broadcast_shapes(theta.shape, share.shape), kind)
        for amplitude, order, phase, twist in zip(self.amplitudes, self.orders, self.phases, self.twists, strict=True):
            total += kind(amplitude) * np.cos(order * theta + kind(phase) + kind(twist) * share)
        return total


@dataclass(frozen=True)
class Region:
    """A piece of wall that is thicker, or that contracts less, than the rest.

    Attributes:
        theta, height: centre: rad, share of the long axis.
        width_theta, width_height: Gaussian half widths: rad, share of the long axis.
        amount: added wall thickness as a share of the wall, or the endocardial factor f at the centre.
    """

    theta: float
    height: float
    width_theta: float
    width_height: float
    amount: float

    def weight(self, theta: NDArray[Real], share: NDArray[Real]) -> NDArray[Real]:
        """1 at the centre, falling to 0, at angles and heights that broadcast."""
        off = np.angle(np.exp(1j * (theta - self.theta))).astype(theta.dtype) / self.width_theta
        up = (share - self.height) / self.width_height
        return np.asarray(np.exp(-(off**2) - up**2), theta.dtype)


def bowl(share: NDArray[Real], fullness: float) -> NDArray[Real]:
    """Radius of a half ellipsoid (fullness 2) or a blunter bowl, as a share of its rim; 0 below the apex.

    >>> bowl(np.array([-0.1, 0.0, 1.0], np.float32), 2.0)
    array([0., 0., 1.], dtype=float32)
    """
    rise = np.clip(share, 0, 1)
    return np.asarray(np.sqrt(1 - (1 - rise) ** fullness), share.dtype)


@dataclass(frozen=True)
class LeftVentricle:
    """Left ventricle at end-diastole and how it contracts.

    Attributes:
        epi, endo: radii at the rim, mm, before ripple, taper and thickening.
        length: apex to base along the axis, mm.
        apex_wall: thickness of the wall at the apex, mm.
        fullness: bluntness of the bowl, 2 = ellipsoid.
        taper: share by which the radii shrink at the base.
        shortening: lambda at end-systole: length as a share of the end-diastolic one.
        squeeze: f at end-systole, mid-height: endocardial radius as a share of the end-diastolic one.
        squeeze_slope: added to f from apex (-) to base (+).
        twist: rotation of the apex against the base at end-systole, rad.
        flattening: share by which the septum is pushed in (right ventricular overload).
        tilt: rise of the mitral plane per mm of x and of y: no stack is quite parallel to it.
        thick: regions of added wall. still: regions whose f is their own amount.
        ripple: irregularity of both surfaces. wall_ripple: irregularity of the thickness.
    """

    epi: float = 33.0
    endo: float = 25.0
    length: float = 90.0
    apex_wall: float = 7.0
    fullness: float = 2.3
    taper: float = 0.05
    shortening: float = 0.85
    squeeze: float = 0.68
    squeeze_slope: float = 0.08
    twist: float = 0.2
    flattening: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)
    thick: tuple[Region, ...] = ()
    still: tuple[Region, ...] = ()
    ripple: Ripple = field(default_factory=Ripple)
    wall_ripple: Ripple = field(default_factory=Ripple)

    def __post_init__(self) -> None:
        if not 0 < self.endo < self.epi:
            raise ValueError(f"endo must lie inside epi, got {self.endo} and {self.epi} mm")
        if not 0.5 < self.shortening <= 1.2:
            raise ValueError(f"shortening is a share of the length, 0.5 to 1.2, got {self.shortening}")
        if not 0.2 < self.squeeze <= 1.3:
            raise ValueError(f"squeeze is a share of the endocardial radius, 0.2 to 1.3, got {self.squeeze}")

    def reference_radii(
        self,
        theta: NDArray[Real],
        height: NDArray[Real],
    ) -> tuple[NDArray[Real], NDArray[Real]]:
        """Endocardial and epicardial radius at end-diastole.

        Args:
            theta: (THETAS,) material angles, rad.
            height: (n, 1) material heights Z, mm.

        Returns:
            Two (n, THETAS) arrays, mm; 0 below the apex of each surface.
        """
        share = (height / self.length).astype(theta.dtype)
        rim = 1 - self.taper * np.clip((share - 0.7) / 0.3, 0, 1) ** 2
        septum = np.exp(-((theta / 0.8) ** 2)) * np.clip(share * 2, 0, 1)
        form = rim * (1 + self.ripple(theta, share)) * (1 - self.flattening * septum)
        epi = self.epi * bowl(share, self.fullness) * form
        inner = (height - self.apex_wall) / (self.length - self.apex_wall)
        endo = self.endo * bowl(inner.astype(theta.dtype), self.fullness) * form
        wall = (epi - endo) * (1 + self.wall_ripple(theta, share))
        for region in self.thick:
            wall = wall * (1 + region.amount * region.weight(theta, share))
        # Added wall grows half inwards and half outwards, as in hypertrophy.
        grown = wall - (epi - endo)
        endo = np.where(endo > 0, np.clip(endo - 0.5 * grown, 0, None), 0)
        return endo.astype(theta.dtype), np.maximum(epi + 0.5 * grown, endo).astype(theta.dtype)

    def length_factor(self, activation: float) -> float:
        """Lambda at an activation."""
        return 1 + (self.shortening - 1) * activation

    def squeeze_factor(
        self,
        theta: NDArray[Real],
        share: NDArray[Real],
        activation: float,
    ) -> NDArray[Real]:
        """F at material angles and heights, broadcast."""
        end = self.squeeze + self.squeeze_slope * (2 * share - 1) + 0 * theta
        for region in self.still:
            weight = region.weight(theta, share)
            end = end + weight * (region.amount - end)
        return np.asarray(1 + (np.clip(end, 0.12, 1.3) - 1) * activation, theta.dtype)

    def twist_angle(self, share: NDArray[Real], activation: float) -> NDArray[Real]:
        """tau(Z), rad: the apex turns from septum to inferior wall (for one who looks from it, counter-clockwise)."""
        return np.asarray(self.twist * activation * (share - 0.7), share.dtype)

    def radii(
        self,
        theta: NDArray[Real],
        z: NDArray[Real],
        activation: float,
    ) -> tuple[NDArray[Real], NDArray[Real]]:
        """Endocardial and epicardial radius at heights z in space, for (THETAS,) angles and (n, 1) heights, mm."""
        shorter = self.length_factor(activation)
        height = (z / shorter).astype(theta.dtype)
        share = height / self.length
        material = theta - self.twist_angle(share, activation)
        endo0, epi0 = self.reference_radii(material, height)
        f = self.squeeze_factor(material, share, activation)
        epi2 = epi0**2 / shorter + endo0**2 * (f**2 - 1 / shorter)
        endo = f * endo0
        return endo.astype(theta.dtype), np.sqrt(np.maximum(epi2, endo**2)).astype(theta.dtype)

    def cavity_ml(self, activation: float) -> float:
        """Volume of the cavity, ml: lambda times the sum of f^2 Ren^2 / 2 over material angles and heights."""
        height = np.arange(0.5 * Z_STEP, self.length, Z_STEP, dtype=np.float32)[:, None]
        theta = directions()[::4]
        endo = self.reference_radii(theta, height)[0].astype(np.float64)
        f = self.squeeze_factor(theta, (height / self.length).astype(np.float32), activation)
        cell = (2 * np.pi / len(theta)) * (self.length / len(height)) / 1000
        return float(0.5 * (f.astype(np.float64) ** 2 * endo**2).sum() * cell * self.length_factor(activation))

    def base(self, activation: float) -> float:
        """Height of the mitral plane on the axis, mm."""
        return self.length * self.length_factor(activation)


# Half angle and reach of the right ventricle, by height between its apex (0) and its base (1); the reach is in
# epicardial radii of the left ventricle. A blunt crescent, higher towards the inferior wall.
_RV_HEIGHTS = np.array([0.0, 0.05, 0.12, 0.22, 0.36, 0.5, 0.7, 0.9, 1.0])
_RV_REACH = np.array([0.0, 0.44, 0.60, 0.74, 0.83, 0.90, 1.02, 1.20, 1.25])
_RV_HALF_ANGLE = np.radians([26, 40, 47, 53, 57, 62, 68, 75, 78])


@dataclass(frozen=True)
class RightVentricle:
    """Right ventricle: a crescent on the septum with a free wall that contracts on its own.

    Attributes:
        reach: size of the crescent against the usual one, 1 = usual.
        apical_reach: extra factor of the reach at the apex (dilated ventricles reach further down).
        angle: half angle against the usual one.
        apex, base: heights at end-diastole, mm.
        descent: how far the tricuspid plane comes down, mm.
        squeeze: width of the crescent at end-systole at base and apex, shares of the end-diastolic one.
        skew: how much fuller the inferior half is.
        centre: angle of the crescent's middle at the base, rad.
        wind: by how much the middle lies nearer to the inferior wall at the apex, rad.
        tilt: rise of the tricuspid and outflow plane per mm towards the anterior wall.
        wall: thickness of the free wall, mm.
        ripple: irregularity of the free wall, as a share of the width.
        still: regions of the free wall whose end-systolic width is their own amount, as a share of the end-diastolic
            one: 1 stands still, more moves outwards. Their heights are shares of the ventricle's own axis.
        bulge: regions that reach further at rest: added width as a share of it.
    """

    reach: float = 1.0
    apical_reach: float = 1.0
    angle: float = 1.0
    apex: float = 8.0
    base: float = 92.0
    descent: float = 18.0
    squeeze: tuple[float, float] = (0.84, 0.55)
    skew: float = 0.25
    centre: float = 0.05
    wind: float = 0.45
    tilt: float = 0.15
    wall: float = 3.0
    ripple: Ripple = field(default_factory=Ripple)
    still: tuple[Region, ...] = ()
    bulge: tuple[Region, ...] = ()

    def outer_radius(
        self,
        theta: NDArray[Real],
        z: NDArray[Real],
        septum: NDArray[Real],
        reference: NDArray[Real],
        activation: float,
    ) -> NDArray[Real]:
        """Radius of the inner face of the free wall.

        Args:
            theta: (THETAS,) rad.
            z: (n, 1) mm.
            septum: (n, THETAS) epicardial radius of the left ventricle now, mm.
            reference: (n, 1) mean epicardial radius at end-diastole at these heights, mm.
            activation: 0 to 1.

        Returns:
            (n, THETAS), mm; equal to `septum` where there is no right ventricle.
        """
        top = self.base - self.descent * activation
        share = np.clip((z - self.apex) / (top - self.apex), 0, 1)
        reach = self.extent(share)
        half = np.interp(share, _RV_HEIGHTS, _RV_HALF_ANGLE) * self.angle
        narrower = self.narrowing(theta, share, activation)
        off = (theta - self.middle(share)) / half
        arc = np.clip(1 - np.abs(off) ** 2.3, 0, None) ** 0.52 * (1 - self.skew * off)
        width = reach * reference * narrower * arc * (1 + self.ripple(theta, share.astype(theta.dtype)))
        for region in self.bulge:
            width = width * (1 + region.amount * region.weight(theta, share))
        there = z > self.apex
        return np.asarray(septum + np.where(there, np.clip(width, 0, None), 0), theta.dtype)

    def middle(self, share: NDArray[Real] | float) -> NDArray[np.float64]:
        """Angle of the crescent's middle at shares of the height, rad: it winds inferiorly on its way to the apex."""
        return np.asarray(self.centre - self.wind * (1 - share) ** 1.5)

    def extent(self, share: NDArray[Real]) -> NDArray[np.float64]:
        """Width at end-diastole at shares of the height, in epicardial radii of the left ventricle."""
        reach = np.interp(share, _RV_HEIGHTS, _RV_REACH) * self.reach
        return np.asarray(reach * (1 + (self.apical_reach - 1) * (1 - share) ** 1.5))

    def narrowing(self, theta: NDArray[Real], share: NDArray[Real], activation: float) -> NDArray[Real]:
        """Width now as a share of that at end-diastole, at angles and at shares of the height that broadcast."""
        basal, apical = self.squeeze
        narrow = apical + (basal - apical) * share
        for region in self.still:
            narrow = narrow + region.weight(theta, share) * (region.amount - narrow)
        return 1 + (narrow - 1) * activation

    def top(self, activation: float) -> float:
        """Height of the tricuspid plane on the axis, mm."""
        return self.base - self.descent * activation
