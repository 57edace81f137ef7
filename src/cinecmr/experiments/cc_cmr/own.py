"""Train a screening on a user's subjects, or on synthetic ones, and keep it with the evidence it earned.

Three fifths are learned from, one fifth sets threshold and temperature, one fifth is asked once, at the end.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize

from cinecmr.anatomy import Disease
from cinecmr.evaluate import diagnosis
from cinecmr.experiments.cc_cmr import cohort as cohorts
from cinecmr.experiments.cc_cmr import scales, training
from cinecmr.experiments.cc_cmr import start as starts
from cinecmr.experiments.cc_cmr.rows import CC_CMR, ROWS, for_use
from cinecmr.experiments.provenance import commit
from cinecmr.tasks import screening_model
from cinecmr.tasks.screening import probabilities
from cinecmr.tasks.screening_cohort import read_cohort
from cinecmr.tasks.screening_data import LGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cinecmr.experiments.cc_cmr.rows import Row
    from cinecmr.experiments.cc_cmr.scales import Scale

PHANTOM = "phantom"


@dataclass(frozen=True, eq=False)
class _Subjects:
    """What is learned from, whoever it comes from."""

    question: training.Question
    classes: tuple[str, ...]
    diseases: tuple[Disease | None, ...]
    name: str  # for hashes
    words: str  # for the card


def finetune(
    data: str,
    out: Path,
    scale: str,
    *,
    subjects: int | None = None,
    row: str = CC_CMR.name,
    start: Path | None = None,
    seed: int = 0,
    workers: int = 1,
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> Path:
    """Train, choose the threshold, ask the subjects that were kept apart, write the model.

    Args:
        data: folder of `screening_cohort.read_cohort`, or `phantom`.
        out: gets the runs, and weights and card. Stopped and started again, it goes on.
        scale: size of network and clips.
        subjects: synthetic ones, for `phantom`.
        row: which way of training, see `rows.for_use`.
        start: published weights of the encoders; where there are none, what the scale's own learn first.
        seed: of weights, order and augmentation.
        workers: processes that make synthetic subjects.
        device: where networks run.
        say: told what is done.

    Returns:
        The card's path.

    Raises:
        RefusedInput: data that cannot be learned from, a class too thin for five parts, no such scale or row,
            weights that do not fit.
    """
    begun, chosen, asked = time.perf_counter(), scales.chosen(scale, subjects), for_use(row)
    given = _phantom(out, chosen, workers, say) if data == PHANTOM else _own(Path(data), chosen, say)
    wanted = _without_contrast(asked, given, say)
    job = training.Job(chosen, given.question, given.name, out, 0, seed, say, device=device)
    say(f"training on {len(job.part.train)}, threshold on {len(job.part.inner)}, asking {len(job.part.test)}")
    job, began = _begun(job, wanted, start, workers)
    network = training.trained(job, wanted)
    inner, test = (given.question.samples.take(rows) for rows in (job.part.inner, job.part.test))
    temperature = best_temperature(probabilities(network, inner), inner.classes)
    said_inner, said_test = (sharpened(probabilities(network, some), temperature) for some in (inner, test))
    point = _point(said_inner, inner.classes, said_test, test.classes) if len(given.classes) == 2 else None
    return screening_model.save(
        out,
        network,
        name=out.name or "screening",
        summary=f"{', '.join(given.classes)} from four-chamber and short-axis cine; {wanted.title}",
        classes=list(given.classes),
        diseases=[disease.value if disease else None for disease in given.diseases],
        temperature=temperature,
        point=point,
        scores=_scores(said_test, test.classes),
        data=f"{int(_known(said_test).sum())} subjects kept apart, of {given.words}",
        trained_on=[f"{len(job.part.train)} of {given.words}; seed {seed}, scale {chosen.name}", *began],
        made=_circumstances(begun),
    )


def _begun(job: training.Job, row: Row, start: Path | None, workers: int) -> tuple[training.Job, list[str]]:
    """The job with the weights that its encoders begin with, and a line that tells which; none where they are drawn."""
    before, own = "", job.scale.start
    if start is None and own is not None and row.encoder == "video_swin":
        start = starts.make(job.folder, job.scale, workers, job.device, job.say)
        before = f", the measures of {own.learned} synthetic hearts"
    job = training.begun(job, row, start)
    return job, [f"encoders began with weights {job.start_name[:8]}{before}"] if job.start_name else []


def _circumstances(begun: float) -> dict[str, str]:
    seconds = f"{time.perf_counter() - begun:.0f}"
    return {"commit": commit(), "python": platform.python_version(), "seconds": seconds}


def _phantom(out: Path, scale: Scale, workers: int, say: Callable[[str], None]) -> _Subjects:
    recipe = scale.cohort
    place = cohorts.make(out / "cohort", recipe, workers, lambda done, count: say(f"cohort: {done} of {count}"))
    question = training.screening_question(cohorts.load(place, recipe))
    words = f"{recipe.subjects} synthetic subjects, half of them controls"
    return _Subjects(
        question, ("control", "cardiomyopathy"), (Disease.NORMAL, None), f"{recipe.key}-{recipe.subjects}", words
    )


def _own(folder: Path, scale: Scale, say: Callable[[str], None]) -> _Subjects:
    read = read_cohort(folder, scale.settings.config.window)
    for line in read.left_out:
        say(f"left out: {line}")
    # subjects decide the run, so that a folder that has changed is not taken for the one that was trained on
    listed = json.dumps([read.samples.names, read.samples.classes.tolist()])
    name = "own-" + hashlib.sha256(listed.encode()).hexdigest()[:10]  # names themselves may be identifiers
    question = training.Question(read.samples, read.samples, read.strata, np.arange(len(read.samples)))
    known = {disease.value: disease for disease in Disease} | {"control": Disease.NORMAL}
    diseases = tuple(known.get(one.lower()) for one in read.classes)
    return _Subjects(question, read.classes, diseases, name, f"{len(read.samples)} subjects of the user's own")


def _without_contrast(row: Row, given: _Subjects, say: Callable[[str], None]) -> Row:
    """The same without late enhancement, where hardly anybody has any."""
    there = given.question.samples.there[LGE]
    classes = given.question.samples.classes[there]
    least = min((int((classes == one).sum()) for one in range(len(given.classes))), default=0)
    if least >= 10 or row.joint is None or LGE not in row.joint.sequences:
        return row
    say(f"late enhancement of {int(there.sum())} subjects, {least} of a class: too few, so the cines are aligned alone")
    return replace(ROWS["cines-aligned"], encoder=row.encoder)


def sharpened(shares: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Probabilities as if their logits had been divided by a temperature."""
    logits = np.log(np.clip(shares, 1e-12, 1.0)) / temperature
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def best_temperature(shares: NDArray[np.float64], classes: NDArray[np.int64]) -> float:
    """The temperature, 0.05 to 20, at which the truth is likeliest; 1 where nobody can be asked.

    The focal loss leaves probabilities too timid; one number set on subjects nobody learned from mends most of it.
    """
    some = _known(shares)
    if not some.any():
        return 1.0

    def surprise(log_temperature: float) -> float:
        told = sharpened(shares[some], float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(told[np.arange(len(told)), classes[some]], 1e-300)).mean())

    found = optimize.minimize_scalar(surprise, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def _known(shares: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(~np.isnan(shares).any(axis=1))


def _point(
    inner: NDArray[np.float64],
    inner_classes: NDArray[np.int64],
    test: NDArray[np.float64],
    test_classes: NDArray[np.int64],
) -> screening_model.OperatingPoint:
    some, asked = _known(inner), _known(test)
    threshold = diagnosis.youden_threshold(inner[some, 1], inner_classes[some])
    counts = diagnosis.counts(test[asked, 1] >= threshold, test_classes[asked])
    return screening_model.OperatingPoint(
        threshold=threshold,
        chosen=f"largest sum of sensitivity and specificity on {int(some.sum())} other subjects",
        tp=counts.tp,
        fn=counts.fn,
        tn=counts.tn,
        fp=counts.fp,
    )


def _scores(shares: NDArray[np.float64], classes: NDArray[np.int64]) -> dict[str, float]:
    some = _known(shares)
    found, truth = shares[some].argmax(1), classes[some]
    area = diagnosis.roc_auc(shares[some, 1], truth) if shares.shape[1] == 2 else diagnosis.roc_auc_one_vs_rest(
        shares[some], truth
    )  # fmt: skip
    told = {"auc": area, "f1_macro": diagnosis.f1_macro(found, truth, shares.shape[1])}
    return {name: round(value, 4) for name, value in told.items() if np.isfinite(value)}
