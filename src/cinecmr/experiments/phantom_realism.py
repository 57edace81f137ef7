"""Synthetic pictures beside real ones: a contact sheet to look at, and the figures that give the phantom away.

`cinecmr evaluate realism REAL --out DIR`. Nothing real is kept but what the sheet shows: do not publish a sheet whose
real images may not be published.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Disease, Structure
from cinecmr.datasets import label_maps
from cinecmr.errors import RefusedInput
from cinecmr.evaluate.appearance import describe
from cinecmr.experiments import provenance
from cinecmr.experiments.phantom_shapes import mix
from cinecmr.io import nifti
from cinecmr.io.files import write_atomically, write_text
from cinecmr.measure import reference
from cinecmr.phantom.heart import MUSCLE_DENSITY
from cinecmr.phantom.population import draw_heart
from cinecmr.phantom.scanner import PRESETS, draw_look, expose, slice_signal
from cinecmr.phantom.scene import Scene
from cinecmr.phantom.surroundings import draw_chest
from cinecmr.phantom.torso import draw_torso
from cinecmr.study import Facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.phantom.heart import Heart

PIXEL_MM, PIXELS, SPACING_MM = 1.5, 128, 10.0
RANGE_HEARTS = 200  # healthy synthetic people whose volumes are held against published ranges
LEVELS = (0.15, 0.5, 0.8)  # of the slices that hold LV, base to apex: what the sheet shows
HALF = 44  # pixels to either side of the heart's centre on the sheet

Pictures = list[tuple[str, str, "NDArray[np.float32]", "NDArray[np.uint8]"]]  # phase, group, (x, y, z), (x, y, z)


@dataclass(frozen=True)
class Figure:
    """One figure of appearance, real and synthetic.

    Attributes:
        phase, name: which; explained in `evaluate.appearance.describe`.
        real, synthetic: 25th, 50th and 75th percentile.
        gives_away: probability that the figure tells a synthetic picture from a real one drawn at random, by the
            better of the two directions: 0.5 cannot, 1 always does.
    """

    phase: str
    name: str
    real: tuple[float, float, float]
    synthetic: tuple[float, float, float]
    gives_away: float


def run(
    real: Path, out: Path, subjects: int, seed: int, progress: Callable[[float], None] | None = None
) -> Iterator[str]:
    """Describe both, compare, draw the sheet; the lines for the terminal.

    Args:
        real: images and label maps in ACDC's layout, SUBJECT/SUBJECT_ED.nii.gz beside SUBJECT_ED_gt.nii.gz.
        out: gets realism.json, realism.md and contact_sheet.png.
        subjects: synthetic hearts, in the real folder's mix of diseases.
        seed: of the first.
        progress: told the share done.

    Raises:
        RefusedInput: no label maps, a subject without a group, or a label map without its image.
    """
    started = time.perf_counter()
    cases = label_maps.cases(real)
    theirs = [row for case in cases for row in real_pictures(case)]
    ours = []
    for number, disease in enumerate(mix(cases, subjects)):
        ours += synthetic_pictures(seed + number, disease)
        if progress:
            progress((number + 1) / subjects)
    figures = compare(theirs, ours)
    ranges = healthy_in_range(seed)
    draw_sheet(theirs, ours, out / "contact_sheet.png")
    about = provenance.about(started, seed=seed, synthetic_hearts=subjects, real_hearts=len(cases))
    content = {"about": about, "figures": [asdict(figure) for figure in figures], "healthy_in_range": ranges}
    write_text(out / "realism.json", provenance.as_json(content))
    page = _markdown(about, figures, ranges)
    write_text(out / "realism.md", "\n".join(page) + "\n")
    yield from page


def real_pictures(case: label_maps.Case) -> Pictures:
    """Image and labels of both phases of a subject.

    Raises:
        RefusedInput: a label map without its image.
    """
    rows: Pictures = []
    for phase, path in case.labels.items():
        image = path.with_name(path.name.replace("_gt.nii", ".nii"))
        if image == path or not image.is_file():
            raise RefusedInput("no-image", f"{path} has no image {case.subject}_{phase}.nii.gz beside it")
        labels, _ = label_maps.read_labels(path)
        group = case.disease.value if case.disease else ""
        rows.append((phase, group, nifti.read_image(image).data[..., 0].astype(np.float32), labels))
    return rows


def synthetic_pictures(seed: int, disease: Disease) -> Pictures:
    """A synthetic subject's short-axis stack at end-diastole and end-systole, on one of the preset machines."""
    rng = np.random.default_rng((11, seed))
    heart = draw_heart(rng, disease)
    chest = draw_torso(rng, draw_chest(rng, heart), heart)
    scanner = list(PRESETS.values())[int(rng.integers(len(PRESETS)))]
    look = draw_look(scanner, rng)
    heights = np.arange(heart.lv.length + rng.uniform(0, 1) * SPACING_MM, -SPACING_MM, -SPACING_MM)
    normal = np.array([0, 0, 1], np.float32)
    rows: Pictures = []
    for phase, moment in (("ED", 0.0), ("ES", heart.beat.systole)):
        scene = Scene(heart, chest, moment)
        pictures, labels = [], []
        for height in heights:
            points = _plane(float(height))
            signal = slice_signal(scene, points, normal, scanner.slice_mm, look)
            pictures.append(expose(signal, points, scanner, look, rng))
            labels.append(heart.reader_labels(points, scene.surfaces))
        rows.append((phase, disease.value, np.stack(pictures, -1), np.stack(labels, -1)))
    return rows


def _plane(height: float) -> NDArray[np.float32]:
    """(x, y, 3) points as a reader sees them: septum to the left, anterior wall up."""
    grid = (np.arange(PIXELS) - PIXELS / 2) * PIXEL_MM
    u, v = np.meshgrid(grid, grid, indexing="ij")
    return np.stack([20.0 - u, -v, np.full_like(u, height)], axis=-1).astype(np.float32)


def compare(real: Pictures, synthetic: Pictures) -> list[Figure]:
    """Every figure of either phase, the one that gives most away first."""
    figures = []
    for phase in label_maps.PHASES:
        theirs, ours = (
            [describe(picture, labels) for at, _, picture, labels in rows if at == phase] for rows in (real, synthetic)
        )
        for name in dict.fromkeys(name for row in theirs + ours for name in row):
            a, b = (np.array([row.get(name, np.nan) for row in rows], np.float64) for rows in (theirs, ours))
            a, b = a[np.isfinite(a)], b[np.isfinite(b)]
            if len(a) and len(b):
                figures.append(Figure(phase, name, _quartiles(a), _quartiles(b), gives_away(a, b)))
    return sorted(figures, key=lambda figure: -figure.gives_away)


def _quartiles(values: NDArray[np.float64]) -> tuple[float, float, float]:
    low, middle, high = np.percentile(values, (25, 50, 75))
    return float(low), float(middle), float(high)


def gives_away(real: NDArray[np.float64], synthetic: NDArray[np.float64]) -> float:
    """Probability that the larger of one real and one synthetic value is of the same kind as usual, 0.5 to 1 (AUC).

    >>> gives_away(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    1.0
    """
    larger = (synthetic[:, None] > real[None, :]).mean() + 0.5 * (synthetic[:, None] == real[None, :]).mean()
    return float(max(larger, 1 - larger))


def healthy_in_range(seed: int) -> dict[str, tuple[float, int]]:
    """Share of healthy synthetic people within the published normal range, and how many had one that fits.

    By measurement, from the geometry; ranges as `measure.reference` chooses them by sex and age.
    """
    inside: dict[str, list[bool]] = {}
    for number in range(RANGE_HEARTS):
        heart = draw_heart(np.random.default_rng((11, seed, number)), Disease.NORMAL)
        person = heart.person
        facts = Facts(person.height_m, person.weight_kg, person.age_y, person.sex)
        for name, value in _measured(heart).items():
            if (known := reference.find(name, facts)) is not None:
                inside.setdefault(name, []).append(known.low <= value <= known.high)
    return {name: (float(np.mean(hits)), len(hits)) for name, hits in inside.items()}


def _measured(heart: Heart) -> dict[str, float]:
    """Volumes ml, indices ml/m2 and g/m2, fractions %, from the geometry."""
    start, end = heart.volumes_ml(0.0), heart.volumes_ml(heart.beat.systole)
    area = heart.person.bsa_m2
    mass = MUSCLE_DENSITY * start[Structure.MYO]
    row = {"LVM": mass, "LVMi": mass / area}
    for side, code in (("LV", Structure.LV), ("RV", Structure.RV)):
        edv, esv = start[code], end[code]
        row |= {f"{side}EDV": edv, f"{side}ESV": esv, f"{side}SV": edv - esv, f"{side}EF": 100 * (1 - esv / edv)}
        row |= {f"{side}{what}i": row[f"{side}{what}"] / area for what in ("EDV", "ESV", "SV")}
    return row


def draw_sheet(real: Pictures, synthetic: Pictures, path: Path) -> None:
    """One row for each disease and phase: base, middle and apex of a real heart, and of a synthetic one beside it."""
    from matplotlib.figure import Figure as Canvas

    groups = list(dict.fromkeys((group, phase) for phase, group, *_ in real))
    columns = 2 * len(LEVELS)
    canvas = Canvas(figsize=(1.6 * columns, 1.7 * len(groups) + 0.4), dpi=110, facecolor="black")
    axes = canvas.subplots(len(groups), columns, squeeze=False)
    for row, (group, phase) in enumerate(groups):
        for side, rows in enumerate((real, synthetic)):
            fitting = [(p, c) for at, name, p, c in rows if (name, at) == (group, phase)]
            tiles = _tiles(*fitting[len(fitting) // 2]) if fitting else []
            for column, tile in enumerate(tiles):
                axes[row, side * len(LEVELS) + column].imshow(tile.T, cmap="gray", vmin=0, vmax=1)
        axes[row, 0].set_title(f"real | synthetic: {group} {phase}", color="white", fontsize=7, loc="left")
    for axis in axes.ravel():
        axis.axis("off")
    canvas.subplots_adjust(0.01, 0.01, 0.99, 0.97, 0.02, 0.14)
    write_atomically(path, lambda part: canvas.savefig(part, format="png"))


def _tiles(picture: NDArray[np.float32], labels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """Squares around the heart at three levels, 0 to 1; base first where LV area tells it."""
    held = np.flatnonzero((labels == Structure.LV).any((0, 1)))
    if not len(held):
        return []
    area = (labels == Structure.LV).sum((0, 1))[held]
    held = held if area[: len(held) // 2].sum() >= area[len(held) // 2 :].sum() else held[::-1]
    middle = np.argwhere(labels >= Structure.MYO)[:, :2].mean(axis=0).astype(int)
    low = np.maximum(middle - HALF, 0)
    top = float(np.percentile(picture, 99.0)) or 1.0
    chosen = [held[int(level * (len(held) - 1))] for level in LEVELS]
    window = (slice(low[0], middle[0] + HALF), slice(low[1], middle[1] + HALF))
    return [np.clip(picture[(*window, z)] / top, 0, 1) for z in chosen]


def _markdown(about: dict[str, str], figures: list[Figure], ranges: dict[str, tuple[float, int]]) -> list[str]:
    lines = ["# Synthetic pictures beside real ones", "", *provenance.as_lines(about)]
    lines += [
        "Median (quartiles). `gives away`: probability that the figure tells a synthetic from a real picture; 0.5",
        "cannot, 1 always does. The figures are explained in `cinecmr.evaluate.appearance.describe`.",
        "",
        "| phase | figure | real | synthetic | gives away |",
        "|---|---|---|---|---|",
    ]
    for figure in figures:
        real, made = (f"{q[1]:.3f} ({q[0]:.3f} to {q[2]:.3f})" for q in (figure.real, figure.synthetic))
        lines.append(f"| {figure.phase} | {figure.name} | {real} | {made} | {figure.gives_away:.2f} |")
    lines += ["", "Healthy synthetic people within the published normal range for their sex and age:", ""]
    lines += ["| measurement | within | of |", "|---|---|---|"]
    lines += [f"| {name} | {100 * share:.0f} % | {n} |" for name, (share, n) in ranges.items()]
    return lines
