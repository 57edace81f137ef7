"""A whole synthetic visit: short-axis stack and long-axis planes in patient coordinates, with the truth.

One seed in; a `Study` as a reader would hand it over, and `Findings` taken from the geometry, out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Contrast, Disease, Structure, View
from cinecmr.geometry import apply_affine
from cinecmr.phantom.heart import MUSCLE_DENSITY, Heart
from cinecmr.phantom.population import draw_heart
from cinecmr.phantom.scanner import PRESETS, Look, Scanner, draw_look, expose, slice_signal
from cinecmr.phantom.scene import Chest, Scene
from cinecmr.phantom.surroundings import draw_chest
from cinecmr.study import Facts, Findings, Image, Measurement, Study

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

# Patient RAS directions of a heart lying as most do: apex to base, and towards the septum.
_BASE_DIRECTION = np.array([0.60, -0.55, 0.58])
_SEPTUM_DIRECTION = np.array([0.70, 0.71, -0.05])
# Where the long-axis planes cut the wall: angle from the middle of the septum towards the anterior wall, degrees.
LONG_AXIS_ANGLES = {View.LAX_4C: -15.0, View.LAX_3C: 45.0, View.LAX_2C: 105.0}
SOURCE = "phantom"


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
        angle_errors: of each long-axis plane, rad.
    """

    to_patient: NDArray[np.float64]
    turn: float
    tilt: tuple[float, float]
    base_first: bool
    above: float
    wander: float
    angle_errors: dict[View, float]


def draw_placing(rng: np.random.Generator) -> Placing:
    """A lie of the heart and a plan, each a little off the usual."""
    z = _unit(_BASE_DIRECTION + rng.normal(0, 0.08, 3))
    x = _SEPTUM_DIRECTION + rng.normal(0, 0.08, 3)
    x = _unit(x - z * (x @ z))
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
    matrix[:3, 3] = rng.normal(0, 15, 3) + np.array([-35.0, 20.0, -30.0])
    tilt = (float(np.radians(rng.normal(0, 2.0))), float(np.radians(rng.normal(0, 2.0))))
    errors = {view: float(np.radians(rng.normal(0, 4.0))) for view in LONG_AXIS_ANGLES}
    return Placing(
        matrix,
        float(np.radians(rng.normal(0, 15))),
        tilt,
        bool(rng.random() < 0.7),
        rng.uniform(2, 12),
        float(abs(rng.normal(0.6, 0.4))),
        errors,
    )


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / np.linalg.norm(vector)


def synthetic_study(
    seed: int,
    disease: Disease | None = None,
    *,
    frames: int = 25,
    long_axis: bool = True,
    scanner: Scanner | None = None,
    matrix: tuple[int, int] | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[Study, Findings]:
    """One synthetic visit.

    Args:
        seed: heart, chest, scanner and plan follow from it. Seeds below 10^9 are for studies; the training stacks
            of `stacks` are seeded in another space, so no study is ever trained on.
        disease: group of the subject; drawn when None.
        frames: per beat.
        long_axis: also make 2C, 3C and 4C cines.
        scanner: drawn from `PRESETS` when None.
        matrix: pixels along x and y of the short axis; the scanner's when None. Small ones make small tests.
        progress: called with the share done.

    Returns:
        The study, and what is true of it: labels of every view as a reader draws them on the acquired planes;
        curves, cycle and measurements from the geometry, not from voxels.
    """
    rng = np.random.default_rng((7, seed))
    heart = draw_heart(rng, disease)
    chest = draw_chest(rng, heart)
    machine = scanner or list(PRESETS.values())[int(rng.integers(len(PRESETS)))]
    look, placing = draw_look(machine, rng), draw_placing(rng)
    planner = _Planner(heart, machine, placing, matrix)
    planes = planner.short_axis(rng)
    images = {View.SAX: planes}
    if long_axis:
        images |= {view: planner.long_axis(view) for view in LONG_AXIS_ANGLES}
    times = np.arange(frames) / frames
    camera = _Camera(heart, chest, machine, look, placing, times)
    taken = camera.take(images, rng, progress)
    study = Study(
        f"phantom-{seed:05d}",
        {(view, Contrast.CINE): image for view, (image, _) in taken.items()},
        _facts(heart, machine),
        provenance={"format": "synthetic", "seed": str(seed), "disease": heart.person.disease.value},
    )
    labels = {(view, Contrast.CINE): found for view, (_, found) in taken.items()}
    return study, Findings(labels=labels) | truth(heart, times)


def _facts(heart: Heart, machine: Scanner) -> Facts:
    person = heart.person
    return Facts(
        person.height_m, person.weight_kg, person.age_y, person.sex, machine.vendor, machine.model, machine.field_t
    )


def truth(heart: Heart, times: NDArray[np.float64]) -> Findings:
    """Volumes from the geometry: curves at the acquired moments, end-diastole and end-systole among them.

    Args:
        heart: the subject.
        times: (t,) shares of the cycle.
    """
    curves = heart.curves(times)
    cycle: dict[str, int] = {}
    measurements: dict[str, Measurement] = {}

    def say(name: str, value: float, unit: str, frame: int | None) -> None:
        measurements[name] = Measurement(float(value), unit, "exact, from the geometry", SOURCE, frame=frame)

    for name, structure in (("LV", Structure.LV), ("RV", Structure.RV)):
        curve = curves[structure]
        ed, es = int(np.argmax(curve)), int(np.argmin(curve))
        cycle |= {f"{name}_ED": ed, f"{name}_ES": es}
        say(f"{name}EDV", curve[ed], "ml", ed)
        say(f"{name}ESV", curve[es], "ml", es)
        say(f"{name}SV", curve[ed] - curve[es], "ml", None)
        say(f"{name}EF", 100 * (curve[ed] - curve[es]) / curve[ed], "%", None)
    say("LVM", MUSCLE_DENSITY * curves[Structure.MYO][cycle["LV_ED"]], "g", cycle["LV_ED"])
    return Findings(
        measurements=measurements, cycle=cycle, curves={"LV": curves[Structure.LV], "RV": curves[Structure.RV]}
    )


@dataclass(frozen=True)
class _Planes:
    """Planned slices of one view: an affine, a shape (x, y, z), and the shift of each slice, mm along x and y."""

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]
    shifts: NDArray[np.float64]
    thickness: float


@dataclass(frozen=True)
class _Planner:
    heart: Heart
    machine: Scanner
    placing: Placing
    matrix: tuple[int, int] | None

    def short_axis(self, rng: np.random.Generator) -> _Planes:
        """A stack from above the base to below the apex."""
        spacing = self.machine.slice_mm + self.machine.gap_mm
        top = self.heart.lv.length + self.placing.above
        count = int(np.ceil((top + 4.0) / spacing)) + 1
        heights = top - spacing * np.arange(count)
        if not self.placing.base_first:
            heights = heights[::-1]
        turn, (about_x, about_y) = self.placing.turn, self.placing.tilt
        x = _unit(np.array([-np.cos(turn), -np.sin(turn), about_y]))
        normal = _unit(np.array([-about_y, about_x, 1.0]))
        x = _unit(x - normal * (x @ normal))
        y = np.cross(x, normal) * -1.0
        if y[1] > 0:
            y = -y
        step = np.sign(heights[-1] - heights[0]) * spacing * normal
        nx, ny = self.matrix or self.machine.matrix
        pixel = self.machine.pixel_mm * max(self.machine.matrix) / max(nx, ny) if self.matrix else self.machine.pixel_mm
        centre = np.array([0.3 * self.heart.lv.epi, 0.0, 0.0]) + rng.uniform(-12, 12, 3) * [1, 1, 0]
        start = centre + normal * heights[0] - pixel * ((nx - 1) / 2 * x + (ny - 1) / 2 * y)
        shifts = rng.normal(0, self.placing.wander, (count, 2))
        return _Planes(self._affine(pixel * x, pixel * y, step, start), (nx, ny, count), shifts, self.machine.slice_mm)

    def long_axis(self, view: View) -> _Planes:
        """One plane through the axis."""
        angle = np.radians(LONG_AXIS_ANGLES[view]) + self.placing.angle_errors[view]
        across = np.array([-np.cos(angle), -np.sin(angle), 0.0])
        along = np.array([0.0, 0.0, 1.0])
        size = max(self.matrix or self.machine.matrix)
        pixel = self.machine.pixel_mm * max(self.machine.matrix) / size
        middle = np.array([0.0, 0.0, 0.55 * self.heart.lv.length])
        start = middle - pixel * (size - 1) / 2 * (across + along)
        normal = np.cross(across, along) * self.machine.slice_mm
        affine = self._affine(pixel * across, pixel * along, normal, start)
        return _Planes(affine, (size, size, 1), np.zeros((1, 2)), self.machine.slice_mm)

    def _affine(
        self, x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64], start: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        local = np.eye(4)
        local[:3, 0], local[:3, 1], local[:3, 2], local[:3, 3] = x, y, z, start
        return np.asarray(self.placing.to_patient @ local, np.float64)


@dataclass(frozen=True)
class _Camera:
    heart: Heart
    chest: Chest
    machine: Scanner
    look: Look
    placing: Placing
    times: NDArray[np.float64]

    def take(
        self,
        views: dict[View, _Planes],
        rng: np.random.Generator,
        progress: Callable[[float], None] | None,
    ) -> dict[View, tuple[Image, NDArray[np.uint8]]]:
        """Every slice of every view at every moment: picture and labels."""
        from_patient = np.linalg.inv(self.placing.to_patient)
        local = {view: self._points(planes, from_patient @ planes.affine) for view, planes in views.items()}
        pictures = {view: np.zeros((*planes.shape, len(self.times)), np.float32) for view, planes in views.items()}
        labels = {view: np.zeros((*planes.shape, len(self.times)), np.uint8) for view, planes in views.items()}
        brightness = {view: np.exp(rng.normal(0, 0.04, planes.shape[2])) for view, planes in views.items()}
        for t, moment in enumerate(self.times):
            scene = Scene(self.heart, self.chest, float(moment))
            for view, planes in views.items():
                points, normal = local[view]
                for z in range(planes.shape[2]):
                    at = points[:, :, z]
                    signal = slice_signal(scene, at, normal, planes.thickness, self.look)
                    pictures[view][:, :, z, t] = expose(signal, at, self.machine, self.look, rng) * brightness[view][z]
                    read = self.heart.reader_labels if view is View.SAX else self.heart.labels_on
                    labels[view][:, :, z, t] = read(at, scene.surfaces)
            if progress:
                progress((t + 1) / len(self.times))
        return {view: (self._image(view, planes, pictures[view]), labels[view]) for view, planes in views.items()}

    def _points(self, planes: _Planes, affine: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Pixel centres (x, y, z, 3) in heart coordinates, shifted slice by slice, and the unit normal.

        The shift is what breath-holds do: the anatomy is elsewhere than the header says.
        """
        grid = np.stack(np.meshgrid(*(np.arange(n) for n in planes.shape), indexing="ij"), axis=-1)
        points = apply_affine(affine, grid.astype(np.float64))
        directions = affine[:3, :2] / np.linalg.norm(affine[:3, :2], axis=0)
        points = points + (planes.shifts @ directions.T)[None, None]
        normal = _unit(np.cross(affine[:3, 0], affine[:3, 1]))
        return points.astype(np.float32), normal.astype(np.float32)

    def _image(self, view: View, planes: _Planes, picture: NDArray[np.float32]) -> Image:
        scale = 1200.0 / max(float(np.percentile(picture, 99.5)), 1e-6)
        data = np.clip(np.rint(picture * scale), 0, 4095).astype(np.int16)
        rr = self.heart.beat.rr_s
        return Image(
            data,
            planes.affine,
            self.times * rr,
            view,
            Contrast.CINE,
            rr_ms=1000 * rr,
            thickness_mm=planes.thickness,
            slice_shift_mm=planes.shifts if view is View.SAX else None,
        )
