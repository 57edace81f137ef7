"""A synthetic cohort for screening: clips of every subject on disk, made once, with the scar that is true of each.

Half of the subjects are controls, among them athletes and hypertensives, whom a screening must not call ill. Patients
are ill enough for a small network to learn from three hundred of both: between 0.1 and 0.6, where the ejection fraction
alone tells them with an area of 0.68, every row stayed at chance. Late enhancement is made twice: with scar
where the wall contracts badly, and drawn without looking at the motion; the cine is the same. Never imports torch.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import Contrast, Disease, Structure, View
from cinecmr.geometry import voxel_volume_ml
from cinecmr.io.files import write_atomically, write_text
from cinecmr.study import Facts, Image, Study
from cinecmr.tasks.screening_data import LGE, SEQUENCES, Window, choose_slices, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.phantom.views import Planes
    from cinecmr.phantom.visit import Visit

CONTROLS = (Disease.NORMAL, Disease.ATHLETE, Disease.HYPERTENSIVE)
# One subject after another, so that any number of subjects is balanced: half controls, each patient group a tenth.
MIX = (
    Disease.NORMAL,
    Disease.DCM,
    Disease.ATHLETE,
    Disease.HCM,
    Disease.NORMAL,
    Disease.ARVC,
    Disease.HYPERTENSIVE,
    Disease.AMYLOID,
    Disease.NORMAL,
    Disease.INFARCT,
)
# Five groups for subtyping. The phantom has no NDLVC and no RCM: scar in a hardly dilated ventricle (infarct) and a
# stiff, restrictive heart (amyloid) stand in their places.
SUBTYPES = (Disease.HCM, Disease.DCM, Disease.INFARCT, Disease.AMYLOID, Disease.ARVC)
UNLINKED = "lge_unlinked"
# What an encoder can learn of a heart before anybody says whether it is ill.
MEASURED = ("LVEDV", "LVESV", "LVEF", "LVM", "RVEDV", "RVESV", "RVEF")
_SEVERITY = 811  # what this generator of a seed is for
VERSION = 2


@dataclass(frozen=True)
class CohortRecipe:
    """Which subjects.

    Attributes:
        subjects: how many; seeds are `first_seed` and following.
        window: of the clips.
        frames, matrix: of the cine before it is cut, and pixels a side of all images; the scanner's when None.
        severity: lowest and highest of patients.
        version: of the way subjects are made.
    """

    subjects: int = 500
    first_seed: int = 400_000
    window: Window = field(default_factory=Window)
    frames: int = 25
    matrix: int | None = None
    severity: tuple[float, float] = (0.3, 1.0)
    version: int = VERSION

    @property
    def key(self) -> str:
        """Name of the settings: 10 hex digits, the number of subjects apart, as a cohort can grow."""
        told = {name: value for name, value in asdict(self).items() if name != "subjects"}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:10]

    @property
    def seeds(self) -> range:
        """Of all subjects."""
        return range(self.first_seed, self.first_seed + self.subjects)

    def disease(self, seed: int) -> Disease:
        """What a subject has."""
        return MIX[(seed - self.first_seed) % len(MIX)]

    def severity_of(self, seed: int) -> float | None:
        """How severe it is; None for controls, whose own draw stands."""
        if self.disease(seed) in CONTROLS:
            return None
        return float(np.random.default_rng((seed, _SEVERITY)).uniform(*self.severity))


@dataclass(frozen=True, eq=False)
class Cohort:
    """All subjects in memory.

    Attributes:
        clips: by sequence and `UNLINKED`, (n, slices, moments, x, y) float16.
        facts: (n) disease, severity, sex, age_y, vendor, scar_ml and, under `measured`, the true `MEASURED` of each.
    """

    clips: dict[str, NDArray[np.float16]]
    facts: list[dict[str, Any]]

    @property
    def diseases(self) -> list[Disease]:
        """(n)."""
        return [Disease(row["disease"]) for row in self.facts]


def subject_path(folder: Path, seed: int) -> Path:
    """File of one subject."""
    return folder / f"subject_{seed:07d}.npz"


def write_subject(folder: Path, recipe: CohortRecipe, seed: int) -> Path:
    """Make one subject, unless it is there."""
    path = subject_path(folder, seed)
    if path.exists():
        return path
    made = _acquire(recipe, seed)
    key = (View.SAX, Contrast.LGE)
    prepared = prepare(made.study, recipe.window)
    unlinked = prepare(replace(made.study, images={**made.study.images, key: made.unlinked}), recipe.window)
    clips = {name: clip.astype(np.float16) for name, clip in prepared.clips.items()}
    clips[UNLINKED] = unlinked.clips[LGE].astype(np.float16)
    person = made.study.facts
    facts = {
        "subject": made.study.subject,
        "disease": recipe.disease(seed).value,
        "severity": recipe.severity_of(seed),
        "sex": person.sex.value if person.sex else "",
        "age_y": person.age_y,
        "vendor": person.vendor or "",
        "scar_ml": round(made.scar_ml, 2),
        "measured": made.measured,
        "flags": [flag.code for flag in prepared.flags],
    }

    def write(target: Path) -> None:
        with target.open("wb") as file:
            np.savez_compressed(file, facts=np.array(json.dumps(facts)), **clips)  # type: ignore[arg-type]

    write_atomically(path, write)
    return path


@dataclass(frozen=True)
class _Acquired:
    """What is needed of one visit: the slices that are read, and the truth that is kept.

    Attributes:
        study: with linked scar. unlinked: late enhancement without the link.
        scar_ml: in the slices of late enhancement. measured: see `MEASURED`.
    """

    study: Study
    unlinked: Image
    scar_ml: float
    measured: dict[str, float]


def _acquire(recipe: CohortRecipe, seed: int) -> _Acquired:
    """The visit that `synthetic_study` makes of a seed, without the slices that screening does not read."""
    from cinecmr.phantom.film import Beats
    from cinecmr.phantom.pictures import take
    from cinecmr.phantom.study import truth
    from cinecmr.phantom.visit import draw_visit, plan

    def visit(linked: bool) -> Visit:
        return draw_visit(seed, recipe.disease(seed), severity=recipe.severity_of(seed), linked=linked)

    one = visit(linked=True)
    times = np.arange(recipe.frames) / recipe.frames
    beats = Beats(one.heart, one.chest, times)
    planes = plan(one, (recipe.matrix, recipe.matrix) if recipe.matrix else None)
    stack, late = planes[View.SAX], (View.SAX, Contrast.LGE)
    cines = {View.SAX: central(stack, recipe.window.sax_slices), View.LAX_4C: planes[View.LAX_4C]}
    images, _ = take(one, beats, cines, (Contrast.CINE,))
    stills = {View.SAX: central(stack, recipe.window.lge_slices)}
    enhanced, labels = take(one, beats, stills, (Contrast.LGE,))
    unlinked, _ = take(visit(linked=False), beats, stills, (Contrast.LGE,))
    scarred = np.isin(labels[late], (Structure.SCAR, Structure.NO_REFLOW)).sum()
    known = truth(one.heart, times, moments=[scene.surfaces for scene in beats.scenes])
    person, machine = one.heart.person, one.machine
    facts = Facts(person.height_m, person.weight_kg, person.age_y, person.sex, machine.vendor)
    return _Acquired(
        Study(f"phantom-{seed:05d}", {**images, **enhanced}, facts),
        unlinked[late],
        float(scarred) * voxel_volume_ml(enhanced[late].affine),
        {name: round(known.measurements[name].value, 2) for name in MEASURED},
    )


def central(planes: Planes, wanted: int) -> Planes:
    """The slices that `screening_data` would choose of a stack, planned alone."""
    placeholder = Image(np.zeros((1, 1, planes.shape[2], 1)), planes.affine, np.zeros(1))
    chosen, _ = choose_slices(placeholder, wanted)
    first, last = int(chosen.min()), int(chosen.max())
    affine, local = planes.affine.copy(), planes.local.copy()
    for matrix in (affine, local):
        matrix[:3, 3] += first * matrix[:3, 2]
    kept = slice(first, last + 1)
    return replace(
        planes, affine=affine, local=local, shape=(*planes.shape[:2], last + 1 - first), shifts=planes.shifts[kept]
    )


def make(
    folder: Path, recipe: CohortRecipe, workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Make the subjects that are missing; stopped and started again, it goes on.

    Args:
        folder: cohorts of other settings may lie in it too: each has a folder of its own.
        recipe: what to make.
        workers: processes.
        progress: told subjects done and subjects in all.

    Returns:
        The cohort's own folder.
    """
    place = folder / recipe.key
    write_text(place / "recipe.json", json.dumps(asdict(recipe), indent=1) + "\n")
    missing = [seed for seed in recipe.seeds if not subject_path(place, seed).exists()]
    done = recipe.subjects - len(missing)
    for _ in _made(place, recipe, missing, workers):
        done += 1
        if progress:
            progress(done, recipe.subjects)
    return place


def _made(place: Path, recipe: CohortRecipe, seeds: list[int], workers: int) -> Iterable[Path]:
    if workers <= 1 or len(seeds) < 2:
        yield from (write_subject(place, recipe, seed) for seed in seeds)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(write_subject, place, recipe, seed) for seed in seeds]
        try:
            for job in as_completed(jobs):
                yield job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def load(place: Path, recipe: CohortRecipe) -> Cohort:
    """All subjects of a cohort that `make` finished."""
    clips: dict[str, list[NDArray[np.float16]]] = {name: [] for name in (*SEQUENCES, UNLINKED)}
    facts = []
    for seed in recipe.seeds:
        with np.load(subject_path(place, seed), allow_pickle=False) as held:
            facts.append(json.loads(str(held["facts"])))
            for name, rows in clips.items():
                rows.append(held[name])
    return Cohort({name: np.stack(rows) for name, rows in clips.items()}, facts)
