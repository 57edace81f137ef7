"""A whole synthetic visit: all views and contrasts of one heart in patient coordinates, with the truth.

One seed in; a `Study` as a reader would hand it over, and `Findings` taken from the geometry, out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Contrast, Disease, Landmark, Structure, View
from cinecmr.phantom import late
from cinecmr.phantom.film import Beats
from cinecmr.phantom.heart import MUSCLE_DENSITY, Heart
from cinecmr.phantom.landmarks import mark
from cinecmr.phantom.motion import HeartMotion
from cinecmr.phantom.pictures import take
from cinecmr.phantom.visit import draw_visit, plan
from cinecmr.study import Facts, Findings, Measurement, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from cinecmr.phantom.atria import Atria
    from cinecmr.phantom.heart import Surfaces
    from cinecmr.phantom.scanner import Scanner
    from cinecmr.phantom.views import Planes
    from cinecmr.phantom.visit import Visit

SOURCE = "phantom"
_HINGES = (
    Landmark.MITRAL_2C_ANTERIOR,
    Landmark.MITRAL_2C_INFERIOR,
    Landmark.MITRAL_4C_SEPTAL,
    Landmark.MITRAL_4C_LATERAL,
)


def synthetic_study(
    seed: int,
    disease: Disease | None = None,
    *,
    frames: int | None = 25,
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
        frames: per beat; the scanner's when None.
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
    frames = visit.machine.frames if frames is None else frames
    times = np.arange(frames) / frames
    beats = Beats(visit.heart, visit.chest, times)
    planes = plan(visit, matrix, long_axis=long_axis)
    moments = [scene.surfaces for scene in beats.scenes]
    known = truth(visit.heart, times, visit.atria, moments) | _where(visit, moments, planes)
    images, labels = take(visit, beats, planes, contrasts, progress)
    study = Study(f"phantom-{seed:05d}", images, _facts(visit), provenance=_provenance(visit))
    return study, Findings(labels=labels) | known | _excursion(visit, known)


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
        "still_at": f"{late.moment(visit.heart):.4f}",  # share of the cycle of late enhancement and T2
    }


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
