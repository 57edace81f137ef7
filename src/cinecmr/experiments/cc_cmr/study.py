"""All rows over all folds and seeds: the cost before, the work, and what every row says of every subject."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Literal

import numpy as np

from cinecmr.experiments.cc_cmr import cohort as cohorts
from cinecmr.experiments.cc_cmr import start as starts
from cinecmr.experiments.cc_cmr.rows import ROWS, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.experiments.cc_cmr.scales import Scale

Asked = Literal["screening", "subtypes"]


@dataclass(frozen=True, eq=False)
class Features:
    """Features of subjects whom one fold's network never saw; those of another fold lie in another space.

    Attributes:
        rows: (m,) of the study. test: (m,) whether this fold asks them; the others set its threshold.
        of: by sequence, (m, features).
    """

    rows: NDArray[np.intp]
    test: NDArray[np.bool_]
    of: dict[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Said:
    """What one row says of everybody, each subject asked by a network that never saw it.

    Attributes:
        row: see there.
        test: (seeds, n, classes) probabilities. threshold: (n,) mean over seeds of what each subject's fold chose on
            its inner subjects; of two classes alone.
        called: (seeds, n) class, two classes by the threshold, more by the largest probability.
        features: of every fold, first seed.
    """

    row: Row
    test: NDArray[np.float64]
    threshold: NDArray[np.float64]
    called: NDArray[np.intp]
    features: list[Features]


@dataclass(frozen=True, eq=False)
class Study:
    """The answers to one question.

    Attributes:
        scale, asked: what was done. classes: (n,) truth. facts: (n) see `Cohort`.
        said: by row. seconds: of this process; what was there already took none.
    """

    scale: Scale
    asked: Asked
    classes: NDArray[np.int64]
    facts: list[dict[str, object]]
    said: dict[str, Said]
    seconds: float


def run(
    out: Path,
    scale: Scale,
    rows: Sequence[Row],
    *,
    asked: Asked = "screening",
    workers: int = 1,
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> Study:
    """Make the cohort, train every row on every fold and seed, and gather what they say.

    Args:
        out: gets cohort/, start/ and, by scale and question, runs/ and predictions/. Stopped and started again, it
            goes on.
        scale: how large.
        rows: which.
        asked: controls against patients, or which of five groups.
        workers: processes, of one thread each.
        device: where networks run.
        say: told the cost before, and what is done.
    """
    started = time.perf_counter()
    say(f"{scale.name}, {asked}: {scale.cost(rows, 0.5 if asked == 'subtypes' else 1.0)}")
    place = cohorts.make(out / "cohort", scale.cohort, workers, _counting(say))
    starts.make(out, scale, workers, device, say)  # each worker finds it there
    jobs = [
        (out, scale, asked, fold, seed, row.name) for seed in scale.seeds for fold in range(scale.folds) for row in rows
    ]
    by_fold = [jobs[i : i + len(rows)] for i in range(0, len(jobs), len(rows))]
    for number, _ in enumerate(_done(by_fold, workers, device, say)):
        say(f"{number + 1} of {len(by_fold)} folds and seeds, {time.perf_counter() - started:.0f} s")
    held = cohorts.load(place, scale.cohort)
    return _gather(out, scale, rows, asked, held, time.perf_counter() - started)


def folder_of(out: Path, scale: Scale, asked: Asked) -> Path:
    """Where runs and predictions of a scale and question are."""
    return out / f"{scale.name}-{asked}-{scale.key}"


JobName = tuple["Path", "Scale", Asked, int, int, str]


def _done(by_fold: list[list[JobName]], workers: int, device: str, say: Callable[[str], None]) -> Iterator[None]:
    if workers <= 1:
        for some in by_fold:
            _work(some, device, say)
            yield
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_work, some, device) for some in by_fold]
        try:
            for future in as_completed(futures):
                future.result()
                yield
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _work(jobs: list[JobName], device: str, say: Callable[[str], None] | None = None) -> None:
    """Every row of one fold and seed, one after another: they share phase 1."""
    import torch

    from cinecmr.experiments.cc_cmr import training

    out, scale, asked, fold, seed, _ = jobs[0]
    place = folder_of(out, scale, asked)
    missing = [job[5] for job in jobs if not (place / "predictions" / job[5] / f"fold{fold}-seed{seed}.npz").exists()]
    if not missing:
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        held = cohorts.load(out / "cohort" / scale.cohort.key, scale.cohort)
        question = training.screening_question(held) if asked == "screening" else training.subtype_question(held)
        data = f"{scale.cohort.key}-{scale.cohort.subjects}-{asked}"
        job = training.Job(scale, question, data, place, fold, seed, say or (lambda _: None), device=device)
        start = starts.make(out, scale, 1, device, job.say)
        for name in missing:
            row = ROWS[name]
            training.predict(training.begun(job, row, start if row.encoder == "video_swin" else None), row)
    finally:
        torch.set_num_threads(before)


def _gather(out: Path, scale: Scale, rows: Sequence[Row], asked: Asked, held: cohorts.Cohort, seconds: float) -> Study:
    from cinecmr.experiments.cc_cmr import training

    question = training.screening_question(held) if asked == "screening" else training.subtype_question(held)
    classes = question.samples.classes
    place = folder_of(out, scale, asked) / "predictions"
    said = {row.name: _said(place / row.name, scale, row, classes) for row in rows}
    return Study(scale, asked, classes, [held.facts[row] for row in question.rows], said, seconds)


def _said(place: Path, scale: Scale, row: Row, classes: NDArray[np.int64]) -> Said:
    from cinecmr.evaluate.diagnosis import youden_threshold

    count, kinds = len(classes), len(np.unique(classes))
    test = np.full((len(scale.seeds), count, kinds), np.nan)
    threshold = np.full((len(scale.seeds), count), np.nan)
    features: list[Features] = []
    for number, seed in enumerate(scale.seeds):
        for fold in range(scale.folds):
            with np.load(place / f"fold{fold}-seed{seed}.npz", allow_pickle=False) as file:
                asked, inner = file["test"], file["inner"]
                test[number, asked] = file["said_test"]
                if kinds == 2:
                    threshold[number, asked] = youden_threshold(file["said_inner"][:, 1], classes[inner])
                if number == 0:
                    of = {key.removeprefix("features_"): file[key] for key in file if key.startswith("features_")}
                    rows = np.concatenate([asked, inner])
                    features.append(Features(rows, np.arange(len(rows)) < len(asked), of))
    called = test[..., 1] >= threshold if kinds == 2 else test.argmax(2)
    return Said(row, test, threshold.mean(0), np.asarray(called, np.intp), features)


def _counting(say: Callable[[str], None]) -> Callable[[int, int], None]:
    def told(done: int, count: int) -> None:
        if done % max(1, count // 20) == 0 or done == count:
            say(f"cohort: {done} of {count} subjects")

    return told
