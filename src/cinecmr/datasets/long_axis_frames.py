"""Long-axis frames to learn from: one 2C, 3C or 4C plane at one moment, with labels and the points a reader marks.

Wider than any scanner and any technologist on purpose: contrast, noise, pixel size, where the plane lies, how the
picture is turned. What is drawn depends only on the seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import Structure, View
from cinecmr.datasets.synthetic import Pool
from cinecmr.geometry import apply_affine
from cinecmr.phantom.chest import Tissue
from cinecmr.phantom.landmarks import apex, hinge_points
from cinecmr.phantom.population import draw_heart
from cinecmr.phantom.scanner import draw_look, expose, slice_signal
from cinecmr.phantom.scene import Scene
from cinecmr.phantom.stacks import GROUPS, draw_scanner, draw_wild_look, to_bytes
from cinecmr.phantom.stacks import VERSION as STACKS_VERSION
from cinecmr.phantom.surroundings import draw_chest
from cinecmr.phantom.torso import draw_torso
from cinecmr.phantom.views import LONG_AXIS, Aim, draw_placing, long_axis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.phantom.atria import Atria
    from cinecmr.phantom.chest import Chest
    from cinecmr.phantom.heart import Surfaces
    from cinecmr.phantom.views import Planes

    Array = NDArray[np.float64]

VERSION = 10 * STACKS_VERSION + 2  # raise it whenever a seed begins to give other frames
VIEWS = LONG_AXIS
POINTS = ("mitral", "mitral", "apex", "tricuspid", "tricuspid")  # what each of a frame's points is
VESSEL = 6  # in a frame's labels: blood in veins and arteries, which no reader labels but which looks like chambers
_STEP_MM, _BESIDE_MM = 0.25, 0.6  # along a valve's line, and to either side of it
_SPAN_MM = 110.0  # how far from the axis the tricuspid valve is looked for
_SHORTEST_VALVE_MM = 6.0
_TRIES = 20


@dataclass(frozen=True)
class FrameRecipe:
    """What a training frame looks like.

    Attributes:
        pixels: of the square window. pixel_mm: their spacing, the network's own.
        zoom: range of pixel sizes drawn around `pixel_mm`, as factors.
        centre_mm: how far the window's centre may lie from the heart's along each axis.
        miss_mm: standard deviation by which a plane misses apex and mitral centre.
        miss_deg: standard deviation of a plane's angle about the long axis.
        warp_mm: standard deviation of a smooth in-plane distortion that bends heart and chest alike.
        clutter: share of moments whose surroundings are random patches.
        wild: share of frames whose tissue contrasts are far from any scanner's.
    """

    pixels: int = 128
    pixel_mm: float = 1.6
    zoom: tuple[float, float] = (0.75, 1.3)
    centre_mm: float = 22.0
    miss_mm: float = 3.0
    miss_deg: float = 7.0
    warp_mm: float = 2.0
    clutter: float = 0.25
    wild: float = 0.35


@dataclass(frozen=True)
class Frame:
    """One sample.

    Attributes:
        image: (x, y) 0 to 255.
        labels: (x, y) `Structure` codes, all that the plane cuts, and `VESSEL`.
        points: (5, 2) pixels, as `POINTS` names them; NaN where the plane has none or the window ends before.
        view: which plane.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    points: NDArray[np.float32]
    view: View


@dataclass(frozen=True)
class FramePool(Pool):
    """A pool of frames: every view at each moment.

    Attributes:
        frame: see `FrameRecipe`.
        version: of what makes them.
    """

    moments: int = 6
    frame: FrameRecipe = field(default_factory=FrameRecipe)
    version: int = VERSION

    def shard(self, number: int) -> dict[str, NDArray[Any]]:
        """`images` and `labels` (frames, x, y), `points` (frames, 5, 2) and `views` (frames,), numbers of `VIEWS`."""
        frames = [one for seed in self.seeds(number) for one in training_frames(seed, self.frame, self.moments)]
        return {
            "images": np.stack([one.image for one in frames]),
            "labels": np.stack([one.labels for one in frames]),
            "points": np.stack([one.points for one in frames]),
            "views": np.array([VIEWS.index(one.view) for one in frames], np.uint8),
        }


def training_frames(seed: int, recipe: FrameRecipe | None = None, moments: int = 2) -> list[Frame]:
    """Frames of one synthetic subject: every long-axis view at each of some moments.

    Args:
        seed: everything follows from it; another space than that of studies and stacks.
        recipe: see `FrameRecipe`.
        moments: of the beat; at each, every view has its own machine, plane and look.
    """
    recipe = recipe or FrameRecipe()
    rng = np.random.default_rng((20262, seed))
    heart = draw_heart(rng, GROUPS[seed % len(GROUPS)])
    chest = draw_torso(rng, draw_chest(rng, heart), heart)
    frames = []
    for _ in range(moments):
        chest = replace(chest, chambers=_other_aorta(chest.chambers, rng))
        around = cluttered(chest, rng) if rng.random() < recipe.clutter else chest
        time = float(rng.choice([0.0, heart.beat.systole, rng.random()], p=[0.25, 0.35, 0.4]))
        scene = Scene(heart, around, time)
        frames += [_frame(scene, view, recipe, rng) for view in VIEWS]
    return frames


def _other_aorta(atria: Atria | None, rng: np.random.Generator) -> Atria | None:
    """As wide as aortas get and leaning as steeply or as little: a 3C plane must not take it for an atrium."""
    if atria is None:
        return None
    lean, turn = rng.uniform(0.2, 1.3), rng.uniform(0.0, 0.7)
    way = np.radians(rng.normal(45, 8))
    outflow = (0.53 * lean * float(np.cos(way)), 0.53 * lean * float(np.sin(way)), 0.006 * turn)
    return replace(atria, aorta=float(rng.uniform(11.5, 17.5)), outflow=outflow)


def cluttered(chest: Chest, rng: np.random.Generator) -> Chest:
    """A chest whose surroundings are patches of random tissues."""
    choice = rng.choice(np.arange(1, len(Tissue)), int(rng.integers(4, 10)))
    return replace(chest, clutter=tuple(Tissue(int(c)) for c in choice), clutter_step=float(rng.uniform(2.5, 9)))


def _frame(scene: Scene, view: View, recipe: FrameRecipe, rng: np.random.Generator) -> Frame:
    machine = draw_scanner(rng)
    look = draw_wild_look(machine, rng) if rng.random() < recipe.wild else draw_look(machine, rng, 0.2)
    plane, hinges = _planned(scene, view, recipe, rng)
    bend = _Bend(rng, recipe.warp_mm, float(np.linalg.norm(plane.local[:3, 0])))
    grid = np.arange(recipe.pixels, dtype=np.float64)
    index = bend(np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1))
    points = _spots(plane, index)
    signal = slice_signal(scene, points, plane.normal.astype(np.float32), machine.slice_mm, look)
    image = to_bytes(expose(signal, points, machine, look, rng))
    marks = np.array([*hinges, apex(scene.heart, scene.surfaces, plane), *tricuspid_hinges(scene, plane)])
    at = bend.undone(apply_affine(np.asarray(np.linalg.inv(plane.local), np.float64), marks)[:, :2])
    at[((at < 0) | (at > recipe.pixels - 1)).any(axis=1)] = np.nan
    labels = plane_labels(scene, points)
    labels[(labels == Structure.BACKGROUND) & _blood(scene, points)] = VESSEL
    return Frame(image, labels, at.astype(np.float32), view)


def _planned(
    scene: Scene, view: View, recipe: FrameRecipe, rng: np.random.Generator
) -> tuple[Planes, list[NDArray[np.float64]]]:
    """A window on a plane that somebody might have planned, and the two points where it cuts the mitral rim."""
    heart, atria = scene.heart, scene.chest.chambers
    assert atria is not None  # noqa: S101 - `training_frames` draws a torso
    for _ in range(_TRIES):
        size = recipe.pixel_mm * float(np.exp(rng.uniform(*np.log(recipe.zoom))))
        machine = replace(draw_scanner(rng), pixel_mm=size, matrix=(recipe.pixels,) * 2)
        apex_off, mitral_off = (float(off) for off in rng.normal(0, recipe.miss_mm, 2))
        angle = float(np.radians(rng.normal(0, recipe.miss_deg)))
        aim = Aim(apex_off, mitral_off, angle, float(rng.uniform(-np.pi, np.pi)))
        placing = replace(draw_placing(rng), aims={view: aim})
        plane = long_axis(view, heart, atria, machine, placing)
        local = plane.local.copy()
        local[:3, 3] += local[:3, :2] @ (rng.uniform(-1, 1, 2) * recipe.centre_mm / size)
        if rng.random() < 0.5:  # mirrored: the other end of the columns first
            local[:3, 3] += (recipe.pixels - 1) * local[:3, 0]
            local[:3, 0] *= -1
        plane = replace(plane, local=local)
        try:
            return plane, hinge_points(heart, scene.surfaces, plane)
        except ValueError:  # it passes beside the valve: nobody would take it
            continue
    raise ValueError(f"none of {_TRIES} planes cuts the mitral rim twice; miss_mm is {recipe.miss_mm:g}")


def _spots(plane: Planes, index: Array) -> NDArray[np.float32]:
    """(x, y, 3) heart coordinates of places in the plane, (x, y, 2) pixels."""
    return apply_affine(plane.local, np.concatenate([index, np.zeros((*index.shape[:2], 1))], -1)).astype(np.float32)


def plane_labels(scene: Scene, points: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(x, y) `Structure` codes of points (x, y, 3): ventricles, muscle and atria as the plane cuts them."""
    codes = scene.heart.labels_on(points, scene.surfaces)
    if scene.chest.chambers is not None:
        scene.chest.chambers.label(codes, points, scene.heart, scene.surfaces, scene.time)
    return codes


def _blood(scene: Scene, points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(x, y) where the plane meets blood; that of random patches around the heart does not count."""
    layer = scene.layer(points)
    if scene.chest.clutter:
        layer = replace(layer, codes=np.full_like(layer.codes, Tissue.AIR))
    tissues = scene.paint(layer)
    return np.asarray((tissues >= Tissue.BLOOD_LEFT) & (tissues <= Tissue.BLOOD_VESSEL))


def tricuspid_hinges(scene: Scene, plane: Planes) -> Array:
    """(2, 3) the ends of the line along which right ventricle and atrium touch; heart coordinates, mm.

    NaN unless the plane is of the four-chamber view and cuts both.
    """
    nowhere = np.full((2, 3), np.nan)
    atria, surfaces = scene.chest.chambers, scene.surfaces
    if plane.view is not View.LAX_4C or atria is None:
        return nowhere
    line, up = _valve_line(surfaces, plane)
    below = scene.heart.labels_on((line - _BESIDE_MM * up).astype(np.float32), surfaces) == Structure.RV
    over = atria.domes(scene.heart, surfaces, scene.time)[1].holds((line + _BESIDE_MM * up).astype(np.float32))
    there = np.flatnonzero(below & over)
    if len(there) * _STEP_MM < _SHORTEST_VALVE_MM:
        return nowhere
    return np.stack([line[there[0]], line[there[-1]]])


def _valve_line(surfaces: Surfaces, plane: Planes) -> tuple[Array, Array]:
    """Points (n, 3) where the picture's plane meets that of the tricuspid valve, and the way up from there."""
    normal, start = plane.normal, plane.local[:3, 3]
    valve = np.array([0.0, -surfaces.rv_tilt, 1.0])  # z - tilt y = top
    way = np.cross(normal, valve)
    way /= np.linalg.norm(way)
    middle = np.linalg.lstsq(
        np.stack([normal, valve, np.zeros(3)]), np.array([normal @ start, surfaces.rv_top, 0]), rcond=None
    )[0]
    up = np.array([0.0, 0.0, 1.0]) - normal * normal[2]
    return middle + np.arange(-_SPAN_MM, _SPAN_MM, _STEP_MM)[:, None] * way, up / np.linalg.norm(up)


class _Bend:
    """A smooth shift of every pixel in plane: three waves, 60 to 200 mm long. Pixels in, pixels out."""

    def __init__(self, rng: np.random.Generator, size_mm: float, pixel_mm: float) -> None:
        self.waves = [
            (
                2 * np.pi * pixel_mm / rng.uniform(60, 200, 2) * rng.choice([-1, 1], 2),
                rng.uniform(0, 2 * np.pi),
                rng.normal(0, size_mm / pixel_mm, 2),
            )
            for _ in range(3)
        ]

    def __call__(self, index: Array) -> Array:
        moved = index.astype(np.float64)
        for wave, phase, shift in self.waves:
            moved = moved + np.sin(index @ wave + phase)[..., None] * shift
        return moved

    def undone(self, index: Array) -> Array:
        """Where the bend takes to `index`: the shift is smooth and small, so following it back converges."""
        found = index
        for _ in range(30):
            found = found - (self(found) - index)
        return found
