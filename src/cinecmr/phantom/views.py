"""Where the planes of a visit lie: the short-axis stack and the 2C, 3C and 4C planes, as a technologist plans them.

Planning is done on the heart's own landmarks, each a little missed: long-axis planes go through apex and mitral
centre, 4C through the tricuspid valve, 3C through the aortic root, 2C through the anterior and inferior walls beside
the septum. Heart coordinates (see `shape`) and patient RAS, mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import View
from cinecmr.geometry import apply_affine
from cinecmr.phantom.atria import AORTA_ANGLE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.phantom.atria import Atria
    from cinecmr.phantom.heart import Heart
    from cinecmr.phantom.scanner import Scanner

LONG_AXIS = (View.LAX_2C, View.LAX_3C, View.LAX_4C)
# Patient RAS directions of a heart lying as most do: apex to base, and towards the septum.
_BASE_DIRECTION = np.array([0.60, -0.55, 0.58])
_SEPTUM_DIRECTION = np.array([0.70, 0.71, -0.05])
# From the middle of the septum towards the anterior wall, degrees: clear of the right ventricle.
TWO_CHAMBER_ANGLE = 103.0
# Which patient directions (RAS) a picture's columns and rows follow: 4C is nearly axial, the others nearly sagittal.
_ROWS_AND_COLUMNS = {
    View.LAX_4C: ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)),
    View.LAX_3C: ((0.0, -1.0, 0.0), (0.0, 0.0, -1.0)),
    View.LAX_2C: ((0.0, -1.0, 0.0), (0.0, 0.0, -1.0)),
}
MIDDLE = 0.5  # of the long axis: the level of the mid-ventricular slice


@dataclass(frozen=True)
class Aim:
    """How one long-axis plane misses what it was planned on.

    Attributes:
        apex, mitral: mm by which it passes the apex and the mitral centre.
        angle: about the long axis, rad.
        turn: of the picture in its plane, rad.
    """

    apex: float = 0.0
    mitral: float = 0.0
    angle: float = 0.0
    turn: float = 0.0


@dataclass(frozen=True)
class Placing:
    """Where a heart lies in the patient and how the technologist planned.

    Attributes:
        to_patient: (4, 4) heart coordinates to patient RAS, mm.
        turn: in-plane rotation of the short-axis stack, rad.
        tilt: (2,) error of the stack's normal, rad about x and y.
        base_first: order of the slices.
        above: distance of the first slice above the mitral plane at end-diastole, mm.
        wander: standard deviation of the breath-hold shift from slice to slice, mm.
        off_centre: (2,) mm by which the stack's middle misses the heart's, along x and y.
        aims: of each long-axis plane.
    """

    to_patient: NDArray[np.float64]
    turn: float
    tilt: tuple[float, float]
    base_first: bool
    above: float
    wander: float
    off_centre: tuple[float, float]
    aims: dict[View, Aim]


@dataclass(frozen=True)
class Planes:
    """Planned slices of one view.

    Attributes:
        view: whose they are.
        affine: (4, 4) voxel index to patient RAS, mm. shape: (x, y, z).
        shifts: (z, 2) mm along x and y by which the anatomy lies elsewhere than the header says: breath-holds differ.
        thickness: of the excited slab, mm.
        local: (4, 4) voxel index to heart coordinates.
    """

    view: View
    affine: NDArray[np.float64]
    shape: tuple[int, int, int]
    shifts: NDArray[np.float64]
    thickness: float
    local: NDArray[np.float64]

    @property
    def normal(self) -> NDArray[np.float64]:
        """(3,) unit normal in heart coordinates."""
        return unit(np.cross(self.local[:3, 0], self.local[:3, 1]))

    def points(self, z: int) -> NDArray[np.float32]:
        """(x, y, 3) centres of one slice's pixels in heart coordinates, mm, breath-hold shift included."""
        nx, ny, _ = self.shape
        index = np.stack(np.meshgrid(np.arange(nx), np.arange(ny), [z], indexing="ij"), axis=-1)[:, :, 0]
        return (apply_affine(self.local, index.astype(np.float64)) + self.offset(z)).astype(np.float32)

    def offset(self, z: int) -> NDArray[np.float64]:
        """(3,) breath-hold shift of one slice in heart coordinates, mm."""
        directions = self.local[:3, :2] / np.linalg.norm(self.local[:3, :2], axis=0)
        return np.asarray(directions @ self.shifts[z], np.float64)

    def slice_at(self, height: float) -> int:
        """The slice nearest to a height on the axis, mm."""
        middle = np.array([(n - 1) / 2 for n in self.shape[:2]])
        centres = [self.local[2, :3] @ [*middle, z] + self.local[2, 3] for z in range(self.shape[2])]
        return int(np.argmin(np.abs(np.array(centres) - height)))


def unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """A vector of length 1."""
    return np.asarray(vector / np.linalg.norm(vector), np.float64)


def draw_placing(rng: np.random.Generator) -> Placing:
    """A lie of the heart and a plan, each a little off the usual."""
    z = unit(_BASE_DIRECTION + rng.normal(0, 0.08, 3))
    x = _SEPTUM_DIRECTION + rng.normal(0, 0.08, 3)
    x = unit(x - z * (x @ z))
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
    matrix[:3, 3] = rng.normal(0, 15, 3) + np.array([-35.0, 20.0, -30.0])
    return replan(matrix, rng)


def replan(to_patient: NDArray[np.float64], rng: np.random.Generator) -> Placing:
    """Another plan for a heart that lies where it lies."""
    tilt = (float(np.radians(rng.normal(0, 2.0))), float(np.radians(rng.normal(0, 2.0))))
    off = rng.uniform(-12, 12, 2)
    return Placing(
        to_patient,
        float(np.radians(rng.normal(0, 15))),
        tilt,
        bool(rng.random() < 0.7),
        rng.uniform(2, 12),
        float(abs(rng.normal(0.6, 0.4))),
        (float(off[0]), float(off[1])),
        {view: _draw_aim(rng) for view in LONG_AXIS},
    )


def _draw_aim(rng: np.random.Generator) -> Aim:
    apex, mitral = rng.normal(0, (1.5, 1.5))
    return Aim(float(apex), float(mitral), float(np.radians(rng.normal(0, 4))), float(np.radians(rng.normal(0, 6))))


def _grid(machine: Scanner, matrix: tuple[int, int] | None) -> tuple[int, int, float]:
    """Pixels along x and y of the short axis and their spacing, mm: a smaller matrix keeps the field of view."""
    nx, ny = matrix or machine.matrix
    return nx, ny, machine.pixel_mm * max(machine.matrix) / max(nx, ny) if matrix else machine.pixel_mm


def short_axis(
    heart: Heart,
    machine: Scanner,
    placing: Placing,
    rng: np.random.Generator,
    matrix: tuple[int, int] | None = None,
    heights: NDArray[np.float64] | None = None,
) -> Planes:
    """Parallel slices across the long axis.

    Args:
        heart: they are planned on its end-diastole.
        machine: thickness, gap and pixels.
        placing: where the heart lies and what the technologist misses.
        rng: of the breath-hold shifts.
        matrix: pixels along x and y; the scanner's when None.
        heights: (z,) evenly spaced levels on the axis, mm; from above the base to below the apex when None.
    """
    spacing = machine.slice_mm + machine.gap_mm
    levels = _covering(heart, placing, spacing) if heights is None else heights
    step = float(levels[1] - levels[0]) if len(levels) > 1 else spacing
    turn, (about_x, about_y) = placing.turn, placing.tilt
    x = unit(np.array([-np.cos(turn), -np.sin(turn), about_y]))
    normal = unit(np.array([-about_y, about_x, 1.0]))
    x = unit(x - normal * (x @ normal))
    y = np.cross(normal, x)
    if y[1] > 0:
        y = -y
    nx, ny, pixel = _grid(machine, matrix)
    centre = np.array([0.3 * heart.lv.epi + placing.off_centre[0], placing.off_centre[1], 0.0])
    start = centre + normal * levels[0] - pixel * ((nx - 1) / 2 * x + (ny - 1) / 2 * y)
    shifts = rng.normal(0, placing.wander, (len(levels), 2))
    axes = (pixel * x, pixel * y, step * normal, start)
    return _planes(View.SAX, axes, (nx, ny, len(levels)), shifts, machine.slice_mm, placing)


def _covering(heart: Heart, placing: Placing, spacing: float) -> NDArray[np.float64]:
    """(z,) levels from above the base to below the apex, mm."""
    top = heart.lv.length + placing.above
    levels = top - spacing * np.arange(int(np.ceil((top + 4.0) / spacing)) + 1, dtype=np.float64)
    return levels if placing.base_first else levels[::-1]


def _planes(
    view: View,
    axes: tuple[NDArray[np.float64], ...],
    shape: tuple[int, int, int],
    shifts: NDArray[np.float64],
    thickness: float,
    placing: Placing,
) -> Planes:
    local = np.eye(4)
    for column, axis in enumerate(axes):
        local[:3, column] = axis
    return Planes(view, placing.to_patient @ local, shape, shifts, thickness, local)


def target(view: View, heart: Heart, atria: Atria) -> NDArray[np.float64]:
    """(2,) what a long-axis plane is turned towards, x and y from the axis, mm.

    4C: the middle of the tricuspid valve. 3C: the middle of the aortic root. 2C: the anterior wall.
    """
    if view is View.LAX_4C:
        return np.asarray(atria.right.centre, np.float64)
    angle = AORTA_ANGLE if view is View.LAX_3C else np.radians(TWO_CHAMBER_ANGLE)
    return heart.lv.endo * np.array([np.cos(angle), np.sin(angle)])


def long_axis(
    view: View,
    heart: Heart,
    atria: Atria,
    machine: Scanner,
    placing: Placing,
    matrix: tuple[int, int] | None = None,
) -> Planes:
    """One plane through apex, mitral centre and the view's own target, each missed by the plan's aim."""
    aim = placing.aims[view]
    aside = target(view, heart, atria)
    angle = float(np.arctan2(aside[1], aside[0])) + aim.angle
    across = np.array([np.cos(angle), np.sin(angle), 0.0])
    off = np.array([-np.sin(angle), np.cos(angle), 0.0])
    apex, mitral = aim.apex * off, np.array([0.0, 0.0, heart.lv.length]) + aim.mitral * off
    along = unit(mitral - apex)
    normal = unit(np.cross(along, across))
    x, y = _picture_axes(view, normal, placing, aim.turn)
    nx, ny, pixel = _grid(machine, matrix)
    size = max(nx, ny)
    middle = apex + 0.62 * heart.lv.length * along
    start = middle - pixel * (size - 1) / 2 * (x + y)
    axes = (pixel * x, pixel * y, machine.slice_mm * np.cross(x, y), start)
    return _planes(view, axes, (size, size, 1), np.zeros((1, 2)), machine.slice_mm, placing)


def _picture_axes(
    view: View, normal: NDArray[np.float64], placing: Placing, turn: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors of a picture's columns and rows in heart coordinates, along the patient's own as far as can be."""
    wanted = np.array(_ROWS_AND_COLUMNS[view]) @ placing.to_patient[:3, :3]
    x = unit(wanted[0] - normal * (wanted[0] @ normal))
    y = np.cross(normal, x)
    if y @ wanted[1] < 0:
        y = -y
    return np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
