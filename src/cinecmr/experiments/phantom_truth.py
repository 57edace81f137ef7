"""Is the phantom's truth true? Volumes and motion from the geometry beside the same measured another way.

Each heart is drawn, its formulas are evaluated, and then it is treated as an unknown: labels are sampled on a fine grid
and counted, walls are made from those labels, and F is taken from differences of displacements. What the formulas say
and what is measured must agree.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Disease, Structure
from cinecmr.evaluate.deformation import jacobians
from cinecmr.experiments import provenance
from cinecmr.io.files import write_text
from cinecmr.measure.strain import strain, twist
from cinecmr.measure.wall import wall_points
from cinecmr.phantom import wall as true_wall
from cinecmr.phantom.heart import MUSCLE_DENSITY, Heart
from cinecmr.phantom.motion import HeartMotion
from cinecmr.phantom.population import draw_heart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FINITE_MM = 0.01  # of the differences that F is measured by
NEAR_AXIS_MM = 10.0  # where the mitral plane is looked for
ROOM_MM = 4.0  # of the grid around the heart
UNITS = {"EDV": "ml", "ESV": "ml", "EF": "%", "mass": "g", "RVEDV": "ml", "RVESV": "ml"} | {
    "GCS": "%", "GRS": "%", "GLS": "%", "twist": "deg", "MAPSE": "mm",
}  # fmt: skip
# How far apart the two may lie: 1 % of a volume, half a point of EF and strain 0.3 points, 0.3 degrees, 0.3 mm.
RELATIVE = {"EDV": 0.01, "ESV": 0.01, "mass": 0.01, "RVEDV": 0.01, "RVESV": 0.01}
ABSOLUTE = {"EF": 0.3, "GCS": 0.3, "GRS": 0.3, "GLS": 0.3, "twist": 0.3, "MAPSE": 0.3}
FINE = (72, 96, 6)  # cells of a wall: twice as many change no strain by 0.05 points
KEPT = 1e-6  # |det F - 1| in the wall


@dataclass(frozen=True)
class Figure:
    """One quantity of one heart.

    Attributes:
        disease, seed: which heart.
        name: a key of `UNITS`.
        geometry: from the formulas.
        measured: from labels and displacements.
        within: whether they agree as `RELATIVE` or `ABSOLUTE` asks.
    """

    disease: str
    seed: int
    name: str
    geometry: float
    measured: float
    within: bool


@dataclass(frozen=True)
class Differences:
    """A motion of which only displacements are known: F is found by central differences."""

    motion: HeartMotion

    def displacement(self, points: Array, time: float) -> Array:
        """As the motion's own."""
        return self.motion.displacement(points, time)

    def gradient(self, points: Array, time: float) -> Array:
        """(n, 3, 3), from six displacements `FINITE_MM` away."""
        columns = []
        for step in FINITE_MM * np.eye(3):
            ahead, behind = (self.motion.displacement(points + sign * step, time) for sign in (1.0, -1.0))
            columns.append((ahead - behind) / (2 * FINITE_MM))
        return np.eye(3) + np.stack(columns, axis=-1)


def run(
    out: Path,
    subjects: int,
    seed: int,
    step: float,
    diseases: Sequence[Disease] = tuple(Disease),
    progress: Callable[[float], None] | None = None,
) -> Iterator[str]:
    """Compare, write truth.json and truth.md; the lines for the terminal.

    Args:
        out: folder.
        subjects: hearts of each disease.
        seed: of the first of each; heart n is that of `cinecmr phantom --seed SEED+n` with the same disease.
        step: of the grid on which labels are sampled, mm.
        diseases: the groups.
        progress: told the share of hearts done.
    """
    started = time.perf_counter()
    figures: list[Figure] = []
    deviations: dict[str, float] = {}
    for number, disease in enumerate(diseases):
        for subject in range(subjects):
            heart = draw_heart(np.random.default_rng((7, seed + subject)), disease)
            found, deviation = compare(heart, seed + subject, step)
            figures += found
            deviations[disease.value] = max(deviation, deviations.get(disease.value, 0.0))
            if progress:
                progress((number + (subject + 1) / subjects) / len(diseases))
    about = provenance.about(started, seed=seed, hearts_a_disease=subjects, grid_mm=step)
    content = {"about": about, "det_f_minus_1": deviations, "figures": [asdict(figure) for figure in figures]}
    write_text(out / "truth.json", provenance.as_json(content))
    page = _markdown(about, figures, deviations)
    write_text(out / "truth.md", "\n".join(page) + "\n")
    yield from page


def compare(heart: Heart, seed: int, step: float) -> tuple[list[Figure], float]:
    """All figures of one heart, and the largest |det F - 1| in its wall."""
    told, measured = geometry(heart), measure(heart, step)
    figures = [
        Figure(
            heart.person.disease.value, seed, name, told[name], measured[name], agree(name, told[name], measured[name])
        )
        for name in UNITS
    ]
    points = true_wall.wall_points(heart, cells=(24, 24, 3)).points
    worst = jacobians(HeartMotion(heart, np.eye(4)), points, (0.5 * heart.beat.systole, heart.beat.systole)).worst
    return figures, worst


def agree(name: str, geometry: float, measured: float) -> bool:
    """Whether two values of a figure are near enough."""
    allowed = ABSOLUTE[name] if name in ABSOLUTE else RELATIVE[name] * abs(geometry)
    return bool(abs(measured - geometry) <= allowed)


def geometry(heart: Heart) -> dict[str, float]:
    """What the formulas say: surfaces integrated, F in closed form, tau and lambda as they stand."""
    end, motion = heart.beat.systole, HeartMotion(heart, np.eye(4))
    late = end + heart.beat.rv_delay
    rest, tight = heart.volumes_ml(0.0), heart.volumes_ml(end)
    wall = true_wall.wall_points(heart, cells=FINE)
    whole = strain(motion, wall, (end,)).whole()
    turned = twist(motion, wall, (end,))
    return {
        "EDV": rest[Structure.LV],
        "ESV": tight[Structure.LV],
        "EF": 100 * (1 - tight[Structure.LV] / rest[Structure.LV]),
        "mass": MUSCLE_DENSITY * rest[Structure.MYO],
        "RVEDV": rest[Structure.RV],
        "RVESV": heart.volumes_ml(late)[Structure.RV],
        **{name: float(curve[0]) for name, curve in whole.items()},
        # tau falls evenly along the axis, and a right-handed turn is clockwise seen from the apex.
        "twist": float(np.degrees(heart.lv.twist)) * turned.distance_mm / heart.lv.length,
        "MAPSE": (1 - heart.lv.shortening) * heart.lv.length,
    }


def measure(heart: Heart, step: float) -> dict[str, float]:
    """The same from labels on a grid of `step` mm and from displacements."""
    end = heart.beat.systole
    late = end + heart.beat.rv_delay
    points, affine = grid(heart, step)
    rest, tight, right = (heart.labels(points, t) for t in (0.0, end, late))
    each = step**3 / 1000

    def volume(labels: NDArray[np.uint8], structure: Structure) -> float:
        return float(np.count_nonzero(labels == structure)) * each

    wall = wall_points(exact_faces(heart, points, rest), affine)
    motion = Differences(HeartMotion(heart, np.eye(4)))
    edv, esv = volume(rest, Structure.LV), volume(tight, Structure.LV)
    return {
        "EDV": edv,
        "ESV": esv,
        "EF": 100 * (1 - esv / edv),
        "mass": MUSCLE_DENSITY * volume(rest, Structure.MYO),
        "RVEDV": volume(rest, Structure.RV),
        "RVESV": volume(right, Structure.RV),
        **{name: float(curve[0]) for name, curve in strain(motion, wall, (end,)).whole().items()},
        "twist": float(twist(motion, wall, (end,)).twist[0]),
        "MAPSE": _descent(points, rest, tight),
    }


def grid(heart: Heart, step: float) -> tuple[NDArray[np.float32], Array]:
    """(x, y, z, 3) points around a heart, heart coordinates, mm, and the (4, 4) affine of their indices."""
    surfaces = heart.surfaces(0.0)
    far = float(surfaces.outer.max()) + ROOM_MM
    low = float(surfaces.epi.max()) + ROOM_MM + max(abs(b) for b in heart.bend)
    start, stop = np.array([-low, -far, min(heart.rv.apex, 0.0) - ROOM_MM]), np.array([far, far, 0.0])
    stop[2] = max(heart.lv.length + float(np.hypot(*heart.lv.tilt)) * low, heart.rv.base + abs(heart.rv.tilt) * far)
    axes = [np.arange(a, b + step, step) for a, b in zip(start + 0.37 * step, stop, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = [axis[0] for axis in axes]
    return points, affine


def exact_faces(heart: Heart, points: NDArray[np.float32], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """End-diastolic labels with the left ventricle's faces from its formulas.

    `Heart.labels` looks radii up in tables of 1 mm and 0.6 mm, so 2 % of the muscle's voxels belong to a neighbour.
    That moves no volume, but F jumps at the faces, and GRS would be off by a point.
    """
    share = points[..., 2].astype(np.float64) / heart.lv.length
    bow = 4 * share * (1 - share)
    x, y = (points[..., i].astype(np.float64) - heart.bend[i] * bow for i in (0, 1))
    rise = points[..., 2] - heart.lv.length - points[..., :2] @ np.asarray(heart.lv.tilt)
    near = (np.hypot(x, y) < heart.surfaces(0.0).epi.max() + 1) & (rise < 0) & (share > 0)
    radius = np.hypot(x[near], y[near])
    height = np.minimum(points[near][:, 2].astype(np.float64), heart.lv.length)
    endo, epi = heart.lv.reference_radii(np.arctan2(y[near], x[near]), height)
    exact = np.where(np.isin(labels, (Structure.MYO, Structure.LV)), np.uint8(0), labels)
    inside = np.where(radius < endo, Structure.LV, Structure.MYO).astype(np.uint8)
    exact[near] = np.where(radius < epi, inside, exact[near])
    return exact


def _descent(points: NDArray[np.float32], rest: NDArray[np.uint8], tight: NDArray[np.uint8]) -> float:
    """How far the top of the cavity comes down near the axis, mm: MAPSE without knowing the motion."""
    near = np.hypot(points[..., 0, 0], points[..., 0, 1]) < NEAR_AXIS_MM
    heights = points[0, 0, :, 2].astype(np.float64)
    tops = [np.where((labels == Structure.LV)[near], heights, -np.inf).max(axis=1) for labels in (rest, tight)]
    return float((tops[0] - tops[1]).mean())


def _markdown(about: dict[str, str], figures: list[Figure], deviations: dict[str, float]) -> list[str]:
    lines = ["# Truth of the phantom: geometry beside measurement", "", *provenance.as_lines(about)]
    lines += [
        "Each cell: from the geometry, measured from labels and displacements; bold where they differ by more than",
        "1 % (volumes, mass), 0.3 points (EF, strain), 0.3 degrees or 0.3 mm. Strain is engineering strain at",
        "end-systole along the wall's own directions, segments 1 to 16; twist is counter-clockwise seen from the apex.",
        "",
        f"| heart | {' | '.join(f'{name} {unit}' for name, unit in UNITS.items())} | det F - 1 |",
        "|---|" + "---|" * (len(UNITS) + 1),
    ]
    for disease, seed in dict.fromkeys((figure.disease, figure.seed) for figure in figures):
        own = [figure for figure in figures if (figure.disease, figure.seed) == (disease, seed)]
        lines.append(f"| {disease} {seed} | {' | '.join(map(_text, own))} | {deviations[disease]:.0e} |")
    within = sum(figure.within for figure in figures)
    kept = sum(value <= KEPT for value in deviations.values())
    return [
        *lines,
        "",
        f"{within} of {len(figures)} figures agree; det F = 1 within {KEPT:.0e} in the wall of {kept} of "
        f"{len(deviations)} groups",
    ]


def _text(figure: Figure) -> str:
    measured = f"{figure.measured:.1f}" if figure.within else f"**{figure.measured:.1f}**"
    return f"{figure.geometry:.1f}, {measured}"
