"""A whole synthetic visit: all views and contrasts of one heart in patient coordinates, with the truth.

One seed in; a `Study` as a reader would hand it over, and `Findings` taken from the geometry, out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Contrast, Disease, Landmark, Structure, View
from cinecmr.phantom import views
from cinecmr.phantom.film import Beats, Film
from cinecmr.phantom.heart import MUSCLE_DENSITY, Heart
from cinecmr.phantom.landmarks import mark
from cinecmr.phantom.motion import HeartMotion
from cinecmr.phantom.population import draw_heart
from cinecmr.phantom.scanner import PRESETS, Look, Scanner, draw_look, expose
from cinecmr.phantom.surroundings import draw_chest
from cinecmr.phantom.torso import draw_torso
from cinecmr.study import Facts, Findings, Image, Measurement, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from cinecmr.phantom.atria import Atria
    from cinecmr.phantom.chest import Chest
    from cinecmr.phantom.heart import Surfaces
    from cinecmr.phantom.views import Placing, Planes

SOURCE = "phantom"
_TORSO, _PLAN, _NOISE = 77, 100, 200  # what each generator of a visit is for, beside the one of heart and chest
_HINGES = (
    Landmark.MITRAL_2C_ANTERIOR,
    Landmark.MITRAL_2C_INFERIOR,
    Landmark.MITRAL_4C_SEPTAL,
    Landmark.MITRAL_4C_LATERAL,
)


@dataclass(frozen=True)
class Visit:
    """One person in one machine on one day: all that pictures and truth follow from.

    Attributes:
        seed, rescan: of the person, and which visit of the same person this is.
        heart, chest: with atria. machine, look: how it is seen. placing: where it lies and what was planned.
    """

    seed: int
    rescan: int
    heart: Heart
    chest: Chest
    machine: Scanner
    look: Look
    placing: Placing

    @property
    def atria(self) -> Atria:
        """The chest's chambers, which every visit has."""
        if self.chest.chambers is None:
            raise ValueError("this chest has no atria: draw it with torso.draw_torso")
        return self.chest.chambers

    def noise(self, view: View, contrast: Contrast) -> np.random.Generator:
        """Of one image alone: no image depends on which others are made."""
        place = list(View).index(view), list(Contrast).index(contrast)
        return np.random.default_rng((7, self.seed, _NOISE + self.rescan, *place))


def draw_visit(
    seed: int,
    disease: Disease | None = None,
    *,
    rescan: int = 0,
    scanner: Scanner | None = None,
    severity: float | None = None,
    linked: bool = True,
) -> Visit:
    """Everything about a visit that a seed decides; see `synthetic_study`."""
    if rescan < 0:
        raise ValueError(f"rescan counts further visits of the same person from 0, got {rescan}")
    rng = np.random.default_rng((7, seed))
    heart = draw_heart(rng, disease, severity=severity, linked=linked)
    chest = draw_chest(rng, heart)
    machine = scanner or list(PRESETS.values())[int(rng.integers(len(PRESETS)))]
    look = draw_look(machine, rng)
    torso = draw_torso(np.random.default_rng((7, seed, _TORSO)), chest, heart)
    placing = views.draw_placing(np.random.default_rng((7, seed, _PLAN)))
    visit = Visit(seed, 0, heart, torso, machine, look, placing)
    return visit if rescan == 0 else _again(visit, rescan)


def _again(visit: Visit, rescan: int) -> Visit:
    """The same person on another day: same heart, another pulse, another place on the table, another plan."""
    rng = np.random.default_rng((7, visit.seed, _PLAN + rescan))
    beat = visit.heart.beat
    rate = float(np.exp(np.clip(rng.normal(0, 0.05), -0.12, 0.12)))
    heart = replace(visit.heart, beat=replace(beat, rr_s=float(np.clip(beat.rr_s * rate, 0.3, 2.0))))
    chest = replace(visit.chest, diaphragm_gap=max(visit.chest.diaphragm_gap + rng.normal(0, 2), 1.0))
    fresh = draw_look(visit.machine, rng)
    look = replace(visit.look, flow=fresh.flow, shading_direction=fresh.shading_direction, waves=fresh.waves)
    moved = visit.placing.to_patient.copy()
    moved[:3, 3] += rng.normal(0, 8, 3)
    return replace(visit, rescan=rescan, heart=heart, chest=chest, look=look, placing=views.replan(moved, rng))


def synthetic_study(
    seed: int,
    disease: Disease | None = None,
    *,
    frames: int = 25,
    long_axis: bool = True,
    contrasts: Sequence[Contrast] = (Contrast.CINE,),
    rescan: int = 0,
    scanner: Scanner | None = None,
    matrix: tuple[int, int] | None = None,
    severity: float | None = None,
    linked: bool = True,
    progress: Callable[[float], None] | None = None,
) -> tuple[Study, Findings]:
    """One synthetic visit.

    Args:
        seed: heart, chest, scanner and plan follow from it. Seeds below 10^9 are for studies; the training stacks
            of `stacks` are seeded in another space, so no study is ever trained on.
        disease: group of the subject; drawn when None.
        frames: per beat.
        long_axis: also make 2C, 3C and 4C cines.
        contrasts: what to make of the short axis beside or instead of the cine.
        rescan: which visit of the same person: 0 is the first. Later ones have the same heart with the same true
            volumes at another heart rate, another plan and other noise.
        scanner: drawn from `PRESETS` when None.
        matrix: pixels along x and y of the short axis; the scanner's when None. Small ones make small tests.
        severity: see `population.draw_heart`.
        linked: see `population.draw_heart`.
        progress: called with the share done.

    Returns:
        The study, and what is true of it: labels of every image as a reader draws them on the acquired planes;
        landmarks, motion, curves, cycle and measurements from the geometry, not from voxels.
    """
    visit = draw_visit(seed, disease, rescan=rescan, scanner=scanner, severity=severity, linked=linked)
    times = np.arange(frames) / frames
    beats = Beats(visit.heart, visit.chest, times)
    planes = plan(visit, matrix, long_axis=long_axis)
    moments = [scene.surfaces for scene in beats.scenes]
    known = truth(visit.heart, times, visit.atria, moments) | _where(visit, moments, planes)
    shown = {view: one for view, one in planes.items() if Contrast.CINE in contrasts}
    images, labels = _cines(visit, beats, shown, progress)
    study = Study(f"phantom-{seed:05d}", images, _facts(visit), provenance=_provenance(visit))
    return study, Findings(labels=labels) | known | _excursion(visit, known)


def plan(visit: Visit, matrix: tuple[int, int] | None = None, *, long_axis: bool = True) -> dict[View, Planes]:
    """Every plane of a visit, the short axis first."""
    rng = np.random.default_rng((7, visit.seed, _PLAN + visit.rescan, 1))
    planes = {View.SAX: views.short_axis(visit.heart, visit.machine, visit.placing, rng, matrix)}
    if long_axis:
        for view in views.LONG_AXIS:
            planes[view] = views.long_axis(view, visit.heart, visit.atria, visit.machine, visit.placing, matrix)
    return planes


def _facts(visit: Visit) -> Facts:
    person, machine = visit.heart.person, visit.machine
    return Facts(
        person.height_m, person.weight_kg, person.age_y, person.sex, machine.vendor, machine.model, machine.field_t
    )


def _provenance(visit: Visit) -> dict[str, str]:
    return {
        "format": "synthetic",
        "seed": str(visit.seed),
        "rescan": str(visit.rescan),
        "disease": visit.heart.person.disease.value,
    }


Key = tuple[View, Contrast]


def _cines(
    visit: Visit, beats: Beats, planes: Mapping[View, Planes], progress: Callable[[float], None] | None
) -> tuple[dict[Key, Image], dict[Key, NDArray[np.uint8]]]:
    """Every slice of every view at every moment: picture and labels."""
    images, labels, done, count = {}, {}, 0, sum(one.shape[2] for one in planes.values())
    for view, one in planes.items():
        rng = visit.noise(view, Contrast.CINE)
        picture = np.zeros((*one.shape, len(beats.times)), np.float32)
        found = np.zeros(picture.shape, np.uint8)
        for z in range(one.shape[2]):
            points, brightness = one.points(z), np.float32(np.exp(rng.normal(0, 0.04)))
            film = Film(beats, points, one.normal, one.thickness, visit.look)
            for t in range(len(beats.times)):
                exposed = expose(film.signal(t), points, visit.machine, visit.look, rng)
                picture[:, :, z, t] = exposed * brightness
                found[:, :, z, t] = film.labels(t, reader=view is View.SAX)
            done += 1
            if progress:
                progress(done / count)
        key = view, Contrast.CINE
        images[key], labels[key] = _image(visit, one, picture, beats.times, Contrast.CINE), found
    return images, labels


def _image(
    visit: Visit, planes: Planes, picture: NDArray[np.float32], times: NDArray[np.float64], contrast: Contrast
) -> Image:
    """An image as DICOM holds it: 12 bits, seconds."""
    scale = 1200.0 / max(float(np.percentile(picture, 99.5)), 1e-6)
    data = np.clip(np.rint(picture * scale), 0, 4095).astype(np.int16)
    rr = visit.heart.beat.rr_s
    return Image(
        data,
        planes.affine,
        times * rr,
        planes.view,
        contrast,
        rr_ms=1000 * rr,
        thickness_mm=planes.thickness,
        slice_shift_mm=planes.shifts if planes.view is View.SAX else None,
    )


def _where(visit: Visit, moments: Sequence[Surfaces], planes: Mapping[View, Planes]) -> Findings:
    """Landmarks at every frame, and the motion they follow."""
    marks = mark(visit.heart, moments, planes.values())
    return Findings(landmarks=marks, motion=HeartMotion(visit.heart, visit.placing.to_patient))


def _exact(value: float, unit: str, frame: int | None = None, method: str = "exact, from the geometry") -> Measurement:
    return Measurement(float(value), unit, method, SOURCE, frame=frame)


def truth(
    heart: Heart,
    times: NDArray[np.float64],
    atria: Atria | None = None,
    moments: Sequence[Surfaces] | None = None,
) -> Findings:
    """Volumes from the geometry: curves at the acquired moments, end-diastole and end-systole among them.

    Args:
        heart: the subject.
        times: (t,) shares of the cycle.
        atria: theirs; without them there are no atrial volumes.
        moments: surfaces at these times, where they are made already.
    """
    moments = moments or [heart.surfaces(float(time)) for time in times]
    rows = [heart.volumes_on(surfaces) for surfaces in moments]
    curves = {name: np.array([row[Structure[name]] for row in rows]) for name in ("LV", "RV")}
    cycle: dict[str, int] = {}
    found: dict[str, Measurement] = {}
    for name, curve in curves.items():
        ed, es = int(np.argmax(curve)), int(np.argmin(curve))
        cycle |= {f"{name}_ED": ed, f"{name}_ES": es}
        found[f"{name}EDV"], found[f"{name}ESV"] = _exact(curve[ed], "ml", ed), _exact(curve[es], "ml", es)
        found[f"{name}SV"] = _exact(curve[ed] - curve[es], "ml")
        found[f"{name}EF"] = _exact(100 * (curve[ed] - curve[es]) / curve[ed], "%")
    found["LVM"] = _exact(MUSCLE_DENSITY * rows[cycle["LV_ED"]][Structure.MYO], "g", cycle["LV_ED"])
    if atria is not None:
        filled = [atria.volumes_ml(heart, s, float(t)) for s, t in zip(moments, times, strict=True)]
        curves |= {name: np.array([row[Structure[name]] for row in filled]) for name in ("LA", "RA")}
        for name in ("LA", "RA"):
            found |= _atrial(name, curves[name])
    return Findings(measurements=found, cycle=cycle, curves=curves)


def _atrial(name: str, curve: NDArray[np.float64]) -> dict[str, Measurement]:
    largest, smallest = int(np.argmax(curve)), int(np.argmin(curve))
    return {
        f"{name}Vmax": _exact(curve[largest], "ml", largest),
        f"{name}Vmin": _exact(curve[smallest], "ml", smallest),
        f"{name}EF": _exact(100 * (curve[largest] - curve[smallest]) / curve[largest], "%"),
    }


def _excursion(visit: Visit, known: Findings) -> Findings:
    """MAPSE: how far the mitral hinges come down along the long axis from end-diastole to end-systole."""
    if not all(name in known.landmarks for name in _HINGES):
        return Findings()
    axis = visit.placing.to_patient[:3, 2]
    ed, es = known.cycle["LV_ED"], known.cycle["LV_ES"]
    down = [float((known.landmarks[name][ed] - known.landmarks[name][es]) @ axis) for name in _HINGES]
    method = "mean of four mitral hinges along the long axis"
    return Findings(measurements={"MAPSE": _exact(float(np.mean(down)), "mm", es, method)})
