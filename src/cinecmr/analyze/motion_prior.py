"""A motion prior from a cohort: which studies it has, and who labels them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cinecmr.anatomy import Contrast, Disease, View
from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from cinecmr.analyze.pipeline import Segmenter
    from cinecmr.motion.prior import Prior
    from cinecmr.study import Study

    Labelled = tuple[Study, NDArray[np.uint8]]

PHANTOM = "phantom"
FRAMES = 13  # of a synthetic subject: enough for the waves of a fit
KINDS = (Disease.NORMAL, Disease.DCM, Disease.HCM, Disease.INFARCT)  # in turn, for a synthetic cohort


def synthetic(name: str) -> Labelled:
    """One tagged synthetic heart, "phantom-SEED"; its disease follows from the seed."""
    from cinecmr.phantom.study import synthetic_study

    seed = int(name.rsplit("-", 1)[1])
    kind = KINDS[seed % len(KINDS)]
    study, truth = synthetic_study(seed, kind, frames=FRAMES, contrasts=(Contrast.CINE, Contrast.TAGGED))
    return study, truth.labels[View.SAX, Contrast.CINE]


def build(
    cohort: str,
    out: Path,
    *,
    method: str = "robust",
    subjects: int = 20,
    seed: int = 700_000,
    segmenter: Callable[[], Segmenter] | None = None,
    say: Callable[[str], None] | None = None,
) -> Prior:
    """Register a cohort and write the prior; beside it a folder with every subject's motion, to go on from.

    Args:
        cohort: a folder of studies, one a folder or file, or the word `phantom`.
        out: the prior's file.
        method: see `motion.cohort.cohort_prior`.
        subjects: of the synthetic cohort, with seeds from `seed` on.
        seed: first seed of the synthetic cohort.
        segmenter: makes the model that labels studies of a folder; called once, when the first one is needed.
        say: told of every subject.

    Raises:
        RefusedInput: no such folder, no such method, or no subject that could be registered.
    """
    from cinecmr.motion.cohort import META, cohort_prior
    from cinecmr.motion.prior import METHODS

    if method not in (*METHODS, META):
        raise RefusedInput("no-such-setting", f"no method {method!r}: there are {', '.join((*METHODS, META))}")
    load: Callable[[str], Labelled] = synthetic
    if cohort == PHANTOM:
        names = [f"phantom-{seed + number:06d}" for number in range(subjects)]
    else:
        names, load = _folder(Path(cohort), segmenter)
    found = cohort_prior(names, load, out.with_suffix(".subjects"), method=method, say=say)
    found.save(out)
    return found


def _folder(folder: Path, segmenter: Callable[[], Segmenter] | None) -> tuple[list[str], Callable[[str], Labelled]]:
    """Numbered studies of a folder: its entries' own names may tell who somebody is."""
    if not folder.is_dir():
        raise RefusedInput("no-such-path", f"there is no folder {folder}; give a folder of studies, or `phantom`")
    places = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if not places or segmenter is None:
        raise RefusedInput("no-such-path", f"{folder} is empty: a prior needs studies")
    models: list[Segmenter] = []

    def load(name: str) -> Labelled:
        from cinecmr import io

        study = io.read(places[int(name.rsplit("-", 1)[1])])
        if View.SAX not in study:
            raise RefusedInput("no-sax", "no short-axis cine in it")
        if not models:
            models.append(segmenter())
        return study, models[0].segment(study[View.SAX], None)

    return [f"study-{number:04d}" for number in range(len(places))], load
