"""Short-axis stacks to learn from: windows of slices with wide variation of anatomy, machine and placing.

Wider than any scanner on purpose. What is drawn depends only on the seed, so a pool of stacks can be made again
anywhere, in any order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Disease
from cinecmr.phantom.chest import Chest, Tissue
from cinecmr.phantom.population import draw_heart
from cinecmr.phantom.scanner import BLOOD, Look, Scanner, draw_look, expose, slice_signal
from cinecmr.phantom.scene import Scene
from cinecmr.phantom.surroundings import draw_chest
from cinecmr.phantom.torso import draw_torso

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.phantom.heart import Heart


VERSION = 5  # raise it whenever a seed begins to give another stack, so that no old pool is taken for a new one
# Who the stacks are of, by seed: these nine in this order whatever `Disease` grows to, for a seed is a promise.
GROUPS = (
    Disease.NORMAL,
    Disease.DCM,
    Disease.HCM,
    Disease.INFARCT,
    Disease.ABNORMAL_RV,
    Disease.ARVC,
    Disease.HYPERTENSIVE,
    Disease.ATHLETE,
    Disease.AMYLOID,
)


@dataclass(frozen=True)
class StackRecipe:
    """What a training stack looks like.

    Attributes:
        pixels: of the square window. pixel_mm: their spacing, the network's own.
        slices: in a window.
        zoom: range of pixel sizes drawn around `pixel_mm`, as factors: hearts come larger and smaller than their
            spacing says, and some files do not record it.
        centre_mm: how far the window's centre may lie from the heart's.
        warp_mm: standard deviation of a smooth in-plane distortion that bends heart and chest alike.
        clutter: share of stacks whose surroundings are random patches.
        torso: share of subjects with the atria, valves and arteries of whole visits above their ventricles; the others
            have plainer ones, of other shapes.
        wild: share of stacks whose tissue contrasts are far from any scanner's.
    """

    pixels: int = 112
    pixel_mm: float = 1.7
    slices: int = 8
    zoom: tuple[float, float] = (0.72, 1.3)
    centre_mm: float = 24.0
    clutter: float = 0.3
    warp_mm: float = 1.8
    wild: float = 0.35
    torso: float = 0.75


def draw_scanner(rng: np.random.Generator) -> Scanner:
    """A machine from a range wider than the presets."""
    return Scanner(
        field_t=float(rng.choice([1.5, 3.0])),
        flip_deg=rng.uniform(35, 75),
        tr_ms=rng.uniform(2.6, 4.0),
        slice_mm=rng.uniform(5, 10),
        gap_mm=0.0,
        blur=rng.uniform(0.4, 1.3),
        snr=float(np.exp(rng.uniform(np.log(12), np.log(120)))),
        shading=rng.uniform(0, 0.9),
        banding=rng.uniform(0, 0.4) * (rng.random() < 0.4),
    )


def draw_wild_look(scanner: Scanner, rng: np.random.Generator) -> Look:
    """Contrasts that no machine has: every tissue anywhere, but blood brighter than muscle."""
    look = draw_look(scanner, rng, spread=0.45)
    signals = look.signals.copy()
    muscle = signals[Tissue.BLOOD_LEFT] * rng.uniform(0.2, 0.72)
    signals[Tissue.MYOCARDIUM] = muscle
    signals[Tissue.LUNG] = muscle * rng.uniform(0.0, 0.9)
    for tissue in BLOOD:
        signals[tissue] = max(signals[tissue], muscle * rng.uniform(1.2, 1.8))
    return replace(look, signals=signals, opposed=bool(rng.random() < 0.5))


def _heights(heart: Heart, recipe: StackRecipe, rng: np.random.Generator) -> NDArray[np.float64]:
    """Slice heights of one window, base first or apex first; it may begin above the base or end below the apex."""
    step = float(
        rng.choice(
            [rng.uniform(5, 7), rng.uniform(7.5, 10.5), rng.uniform(10, 13), rng.uniform(13, 18)],
            p=[0.15, 0.6, 0.17, 0.08],
        )
    )
    top = heart.lv.length + rng.uniform(-4, 24)
    bottom = -rng.uniform(-6, 18)
    heights = np.arange(top, bottom, -step)
    while len(heights) < recipe.slices:
        heights = np.append(heights, heights[-1] - step)
    start = int(rng.integers(0, len(heights) - recipe.slices + 1))
    window = heights[start : start + recipe.slices]
    return window if rng.random() < 0.5 else window[::-1]


def _plane(
    recipe: StackRecipe, heart: Heart, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pixel centres (x, y, 3) of a slice through the origin, heart coordinates, and its unit normal.

    Turned any way about the axis, mirrored or not, tilted by a technologist's error.
    """
    step = recipe.pixel_mm * float(np.exp(rng.uniform(*np.log(recipe.zoom))))
    grid = (np.arange(recipe.pixels) - (recipe.pixels - 1) / 2) * step
    u, v = np.meshgrid(grid, grid * rng.choice([-1, 1]), indexing="ij")
    angle, tilt, toward = rng.uniform(-np.pi, np.pi), np.radians(abs(rng.normal(0, 3.0))), rng.uniform(-np.pi, np.pi)
    x, y = np.cos(angle) * u - np.sin(angle) * v, np.sin(angle) * u + np.cos(angle) * v
    off = rng.uniform(-1, 1, 2) * recipe.centre_mm
    middle = 0.35 * heart.rv.reach * heart.lv.epi
    slope = np.tan(tilt)
    normal = np.array([-slope * np.cos(toward), -slope * np.sin(toward), 1.0])
    z = slope * (np.cos(toward) * x + np.sin(toward) * y)
    points = np.stack([x + middle + off[0], y + off[1], z], axis=-1).astype(np.float32)
    return points, (normal / np.linalg.norm(normal)).astype(np.float32)


class _Warp:
    """A smooth shift of every point in plane: three waves each way, 60 to 200 mm long."""

    def __init__(self, rng: np.random.Generator, size: float) -> None:
        self.waves = [
            (
                *(2 * np.pi / rng.uniform(60, 200) * rng.choice([-1, 1], 2)),
                rng.normal(0, 0.02),
                rng.uniform(0, 2 * np.pi),
                rng.normal(0, size, 2),
            )
            for _ in range(3)
        ]

    def __call__(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        moved = points.copy()
        for kx, ky, kz, phase, shift in self.waves:
            wave = np.sin(kx * points[..., 0] + ky * points[..., 1] + kz * points[..., 2] + phase).astype(np.float32)
            moved[..., 0] += np.float32(shift[0]) * wave
            moved[..., 1] += np.float32(shift[1]) * wave
        return moved


def _cluttered(chest: Chest, rng: np.random.Generator) -> Chest:
    choice = rng.choice(np.arange(1, len(Tissue)), int(rng.integers(4, 10)))
    return replace(chest, clutter=tuple(Tissue(int(c)) for c in choice), clutter_step=float(rng.uniform(2.5, 9)))


def _moment(heart: Heart, rng: np.random.Generator) -> float:
    """End-diastole and end-systole often, any other moment sometimes."""
    return float(rng.choice([0.0, heart.beat.systole, rng.random()], p=[0.3, 0.4, 0.3]))


def to_bytes(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A stack's intensities as 0 to 255, between its 0.5th and 99.5th percentile."""
    low, high = np.percentile(picture, (0.5, 99.5))
    return np.asarray(np.rint(np.clip((picture - low) / max(high - low, 1e-6), 0, 1) * 255), np.uint8)


def training_stacks(
    seed: int,
    recipe: StackRecipe | None = None,
    moments: int = 2,
) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Stacks of one synthetic subject.

    Args:
        seed: everything follows from it.
        recipe: see `StackRecipe`.
        moments: stacks to make of the subject, each at its own moment, placing and look.

    Returns:
        Pairs of image and labels, (slices, x, y) each; labels as a reader draws them.
    """
    recipe = recipe or StackRecipe()
    rng = np.random.default_rng((20261, seed))
    heart = draw_heart(rng, GROUPS[seed % len(GROUPS)])
    chest = draw_chest(rng, heart)
    if rng.random() < recipe.torso:
        chest = draw_torso(rng, chest, heart)
    return [_stack(heart, chest, recipe, rng) for _ in range(moments)]


def _stack(
    heart: Heart,
    chest: Chest,
    recipe: StackRecipe,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    scanner = draw_scanner(rng)
    look = draw_wild_look(scanner, rng) if rng.random() < recipe.wild else draw_look(scanner, rng, 0.2)
    around = _cluttered(chest, rng) if rng.random() < recipe.clutter else chest
    scene = Scene(heart, around, _moment(heart, rng))
    plane, normal = _plane(recipe, heart, rng)
    wander = abs(rng.normal(0, 1.2))
    bend = _Warp(rng, recipe.warp_mm)
    pictures, labels = [], []
    for height in _heights(heart, recipe, rng):
        shift = np.array([*rng.normal(0, wander, 2), height], np.float32)
        points = bend(plane + shift)
        signal = slice_signal(scene, points, normal, scanner.slice_mm, look)
        pictures.append(expose(signal, points, scanner, look, rng) * np.float32(np.exp(rng.normal(0, 0.06))))
        labels.append(heart.reader_labels(points, scene.surfaces))
    return to_bytes(np.stack(pictures)), np.stack(labels)
