"""Long-axis views of synthetic hearts nobody learned from: points, excursions, atria and labels, found against true.

The truth is the geometry's: points where a plane cuts the valves' rims, volumes of the atria in closed form, strain of
the border on a grid four times as fine.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.analyze import long_axis
from cinecmr.anatomy import Contrast, Landmark, Structure, View
from cinecmr.datasets.long_axis_frames import plane_labels, tricuspid_hinges
from cinecmr.errors import RefusedInput
from cinecmr.evaluate.landmarks import NEAR_MM, distances, localisation
from cinecmr.evaluate.overlap import dice
from cinecmr.experiments import provenance
from cinecmr.geometry import apply_affine
from cinecmr.io.files import write_text
from cinecmr.measure import long_axis as measured_by
from cinecmr.measure.hinges import POINTS, TRICUSPID, marks_from_labels
from cinecmr.measure.long_axis_strain import border_lengths, strain_curve
from cinecmr.measure.volumes import left_curve, mitral_plane
from cinecmr.phantom.film import Beats
from cinecmr.phantom.landmarks import hinge_points, mark
from cinecmr.phantom.pictures import take
from cinecmr.phantom.study import truth as true_volumes
from cinecmr.phantom.views import LONG_AXIS, short_axis
from cinecmr.phantom.views import long_axis as planned
from cinecmr.phantom.visit import draw_visit
from cinecmr.study import Findings, Measurement, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.analyze.long_axis import LongAxisModel
    from cinecmr.phantom.scene import Scene
    from cinecmr.phantom.views import Planes

    Array = NDArray[np.float64]

STRUCTURES = (Structure.LV, Structure.MYO, Structure.RV, Structure.LA, Structure.RA)
UNITS = {"MAPSE": "mm", "TAPSE": "mm", "gl_shortening": "points", "GLS": "points", "LAVmax": "ml", "LAVmin": "ml",
         "LAEF": "points", "RAVmax": "ml"}  # fmt: skip
VOLUMES = {"LVEDV": "ml", "LVESV": "ml", "LVEF": "points"}
WAYS = ("network", "from its labels")  # how a point is found: by the network's hills, or where its labels end
ENDS = ("short axis alone", "with the views")  # what tells where the left ventricle ends
_FINER = 4
_COARSE = (96, 96)  # pixels of the stack whose labels show what a known base is worth


@dataclass
class Tally:
    """What a run of studies gave.

    Attributes:
        far: by way and landmark, distances of found from true points, mm, NaN where there was none.
        values: by measurement, pairs of found and true; NaN where it was not found.
        dice: by view and structure, one a frame.
    """

    far: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    values: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    dice: dict[tuple[str, str], list[float]] = field(default_factory=dict)


def run(
    out: Path,
    subjects: int,
    seed: int,
    model: LongAxisModel | None,
    frames: int = 20,
    matrix: tuple[int, int] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Iterator[str]:
    """Make studies, read them, write long_axis.json and long_axis.md; the lines for the terminal.

    Args:
        out: folder.
        subjects: studies, drawn from all groups and scanners.
        seed: of the first; the training's hearts are of another space.
        model: what reads the views.
        frames: of a beat.
        matrix: pixels; the scanner's when None.
        progress: told the share done.

    Raises:
        RefusedInput: no model (`no-such-model`).
    """
    if model is None:
        raise RefusedInput(
            "no-such-model", "no weights that read 2C, 3C and 4C views are there: name some with --models"
        )
    started, tally = time.perf_counter(), Tally()
    for number in range(subjects):
        study, truth = views_of(seed + number, frames, matrix)
        count(tally, study, truth, model)
        if progress:
            progress((number + 1) / subjects)
    about = provenance.about(started, "torch", model=model.source, subjects=subjects, seed=seed, frames=frames)
    content = {"about": about, **figures(tally)}
    write_text(out / "long_axis.json", provenance.as_json(content))
    page = _markdown(about, figures(tally))
    write_text(out / "long_axis.md", "\n".join(page) + "\n")
    yield from page


def views_of(seed: int, frames: int, matrix: tuple[int, int] | None = None) -> tuple[Study, Findings]:
    """The long-axis cines of a visit, a short axis without pictures, and what is true; labels of that stack, too."""
    visit = draw_visit(seed)
    times = np.arange(frames) / frames
    beats = Beats(visit.heart, visit.chest, times)
    middle = np.array([0.5 * visit.heart.lv.length])
    how = visit.heart, visit.machine, visit.placing, np.random.default_rng(seed)
    stack, planes = short_axis(*how, _COARSE), {View.SAX: short_axis(*how, (16, 16), middle)}
    for view in LONG_AXIS:
        planes[view] = planned(view, visit.heart, visit.atria, visit.machine, visit.placing, matrix)
    images, labels = take(visit, beats, planes, (Contrast.CINE,))
    moments = [scene.surfaces for scene in beats.scenes]
    rings = [[visit.heart.reader_labels(stack.points(z), now) for z in range(stack.shape[2])] for now in moments]
    labels[View.SAX, Contrast.CINE] = np.moveaxis(np.array(rings), (0, 1), (3, 2))
    blank = np.zeros((*stack.shape, frames), np.int16)
    images[View.SAX, Contrast.CINE] = replace(images[View.SAX, Contrast.CINE], data=blank, affine=stack.affine,
                                              slice_shift_mm=None)  # fmt: skip
    known = true_volumes(visit.heart, times, visit.atria, moments)
    marks = dict(mark(visit.heart, moments, [planes[view] for view in POINTS]))
    marks |= dict(zip(TRICUSPID, _tricuspid(beats, planes[View.LAX_4C]), strict=True))
    told = measured_by.measurements(marks, known.cycle, "phantom", marks[Landmark.TRICUSPID_4C_LATERAL])
    strain = _strain(beats, planes, known.cycle["LV_ED"], known.cycle["LV_ES"])
    gls = {"GLS": Measurement(strain, "%", "border on a fine grid", "phantom")}
    study = Study(f"phantom-{seed:05d}", images)
    return study, known | Findings(labels=labels, landmarks=marks, measurements=told | gls)


def _tricuspid(beats: Beats, plane: Planes) -> tuple[Array, Array]:
    """(t, 3) of the septal and of the lateral hinge, patient RAS mm."""
    both = np.stack([tricuspid_hinges(scene, plane) for scene in beats.scenes])
    across = np.hypot(both[..., 0], both[..., 1])
    lateral = np.where(np.isfinite(across).all(axis=1), across.argmax(axis=1), 0)
    rows = np.arange(len(both))
    there = plane.affine @ np.linalg.inv(plane.local)
    return apply_affine(there, both[rows, 1 - lateral]), apply_affine(there, both[rows, lateral])


def _strain(beats: Beats, planes: dict[View, Planes], ed: int, es: int) -> float:
    told = []
    for view in LONG_AXIS:
        plane = planes[view]
        lengths = [_border(beats.scenes[frame], plane) for frame in (ed, es)]
        told.append(float(strain_curve(np.array(lengths[1:]), lengths[0])[0]))
    return float(np.mean(told))


def _border(scene: Scene, plane: Planes) -> float:
    """Length of the endocardial border from the geometry's hinges, on a grid `_FINER` times as fine, mm."""
    fine = np.diag([1 / _FINER, 1 / _FINER, 1.0, 1.0])
    nx, ny, _ = plane.shape
    index = np.stack(np.meshgrid(np.arange(_FINER * nx), np.arange(_FINER * ny), [0], indexing="ij"), axis=-1)[:, :, 0]
    points = apply_affine(plane.local @ fine, index.astype(np.float64)).astype(np.float32)
    codes = plane_labels(scene, points)[:, :, None, None]
    there = plane.affine @ np.linalg.inv(plane.local)
    ends = apply_affine(there, np.stack(hinge_points(scene.heart, scene.surfaces, plane)))
    return float(border_lengths(codes, plane.affine @ fine, ends[None])[0])


def count(tally: Tally, study: Study, truth: Findings, model: LongAxisModel) -> None:
    """Read one study and add what was found of it."""
    found = long_axis.find(study, model)
    told = long_axis.measure(study, Findings(cycle=truth.cycle) | found, model.source)
    for name in UNITS:
        if name in truth.measurements:
            got = told.measurements.get(name)
            pair = np.nan if got is None else got.value, truth.measurements[name].value
            tally.values.setdefault(name, []).append(pair)
    _count_base(tally, study, truth, found)
    for view in LONG_AXIS:
        codes, true = found.labels[view, Contrast.CINE], truth.labels[view, Contrast.CINE]
        for structure in STRUCTURES:
            frames = [t for t in range(true.shape[3]) if (true[..., t] == structure).any()]
            scores = [dice(codes[..., t], true[..., t], structure) for t in frames]
            tally.dice.setdefault((view.value, structure.name), []).extend(scores)
        if view not in POINTS:
            continue
        names = (*POINTS[view], *(TRICUSPID if view is View.LAX_4C else ()))
        true_marks = {name: truth.landmarks[name] for name in names}
        for way in WAYS:
            marks = _marks(way, view, study, found)
            for point, gaps in distances(marks, true_marks).items():
                if point in marks or way == WAYS[0] or point not in TRICUSPID:
                    tally.far.setdefault((way, point.value), []).extend(gaps[~np.isnan(gaps)].tolist())


def _count_base(tally: Tally, study: Study, truth: Findings, found: Findings) -> None:
    """Volumes of true short-axis labels that end where these alone say, and where the views say."""
    labels, affine = truth.labels[View.SAX, Contrast.CINE], study[View.SAX].affine
    ed, es = truth.cycle["LV_ED"], truth.cycle["LV_ES"]
    for way, seen in zip(ENDS, (None, long_axis.base_heights(study, found.landmarks)), strict=True):
        curve = left_curve(labels, Structure.LV, affine, mitral_plane(labels, affine, seen))
        values = {"LVEDV": curve[ed], "LVESV": curve[es], "LVEF": 100 * (1 - curve[es] / curve[ed])}
        for name, value in values.items():
            tally.values.setdefault(f"{name} {way}", []).append((float(value), truth.measurements[name].value))


def _marks(way: str, view: View, study: Study, found: Findings) -> dict[Landmark, Array]:
    if way == WAYS[0]:
        return dict(found.landmarks)
    codes = found.labels[view, Contrast.CINE]
    return marks_from_labels(codes, study[view].affine, view) if view in POINTS else {}


def figures(tally: Tally) -> dict[str, dict[str, dict[str, Any]]]:
    """Landmarks (mm), measurements and Dice, summed up."""
    landmarks = {f"{name}, {way}": asdict(localisation(far)) for (way, name), far in tally.far.items()}
    for way in WAYS:
        all_ = [far for (which, _), values in tally.far.items() if which == way for far in values]
        landmarks[f"all, {way}"] = asdict(localisation(all_))
    return {
        "landmarks": landmarks,
        "measurements": {name: _of_values(np.array(pairs)) for name, pairs in tally.values.items()},
        "dice": {f"{view} {structure}": {"mean": float(np.mean(scores)), "worst_tenth": float(np.quantile(scores, 0.1)),
                                         "frames": len(scores)}
                 for (view, structure), scores in tally.dice.items() if scores},
    }  # fmt: skip


def _of_values(pairs: Array) -> dict[str, float]:
    known = pairs[np.isfinite(pairs[:, 0])]
    off = known[:, 0] - known[:, 1]
    return {
        "abs_error": float(np.abs(off).mean()) if len(off) else np.nan,
        "median_abs_error": float(np.median(np.abs(off))) if len(off) else np.nan,
        "bias": float(off.mean()) if len(off) else np.nan,
        "worst": float(np.abs(off).max()) if len(off) else np.nan,
        "true_mean": float(pairs[:, 1].mean()),
        "measured": len(known),
        "studies": len(pairs),
    }


def _markdown(about: dict[str, str], told: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    every = told["landmarks"][f"all, {WAYS[0]}"]
    mapse = told["measurements"]["MAPSE"]
    said = f"{every['median']:.2f} mm, median MAPSE error {mapse['median_abs_error']:.2f} mm"
    return [
        "# Long-axis views of synthetic hearts that nobody learned from",
        "",
        *provenance.as_lines(about),
        *_point_rows(told["landmarks"]),
        *_value_rows(told["measurements"]),
        *_dice_rows(told["dice"]),
        f"median landmark error {said}",
    ]


def _point_rows(rows: dict[str, dict[str, Any]]) -> list[str]:
    near = " | ".join(f"within {mm:g} mm" for mm in NEAR_MM)
    page = [
        "## Points",
        "",
        f"Distance of found from true points over all frames. {WAYS[0]}: its own hills; {WAYS[1]}: where they end.",
        "",
        f"| point | median mm | mean mm | 95 % mm | {near} | missed | points |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        within = " | ".join(f"{100 * share:.1f} %" for share in row["within"])
        middle = " | ".join(f"{row[key]:.2f}" for key in ("median", "mean", "p95"))
        page.append(f"| {name} | {middle} | {within} | {row['missed']} | {row['n']} |")
    return [*page, ""]


def _value_rows(rows: dict[str, dict[str, Any]]) -> list[str]:
    page = [
        "## Measurements",
        "",
        f"LV volumes are those of true short-axis labels that end where the {ENDS[0]} or {ENDS[1]} says.",
        "",
        "| | mean error | median error | bias | worst | true mean | measured |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        errors = f"{row['abs_error']:.2f} | {row['median_abs_error']:.2f} | {row['bias']:+.2f} | {row['worst']:.1f}"
        counts = f"{row['true_mean']:.1f} | {row['measured']} of {row['studies']}"
        page.append(f"| {name}, {(UNITS | VOLUMES)[name.split()[0]]} | {errors} | {counts} |")
    return [*page, ""]


def _dice_rows(rows: dict[str, dict[str, Any]]) -> list[str]:
    page = ["## Labels", "", "| view and structure | mean Dice | worst tenth | frames |", "|---|---|---|---|"]
    page += [
        f"| {name} | {row['mean']:.3f} | {row['worst_tenth']:.3f} | {row['frames']} |" for name, row in rows.items()
    ]
    return [*page, ""]
