"""From a data set to a trained and tested model: who is learned from, how long, and how it does on the others.

What `cinecmr finetune TASK DATA` does. The split by people is written once and read ever after; nobody who is tested
is learned from or chosen by.
"""

from __future__ import annotations

import csv
import io
import json
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from cinecmr.anatomy import View
from cinecmr.errors import RefusedInput
from cinecmr.evaluate.summary import summarise
from cinecmr.geometry import lying_otherwise
from cinecmr.io.files import write_text
from cinecmr.io.subject import subject_name
from cinecmr.learn.fit import fit
from cinecmr.learn.overrides import overridden
from cinecmr.learn.parallel import joined
from cinecmr.learn.progress import Bar, tensorboard, together
from cinecmr.learn.recipe import Optimiser, Recipe, Schedule, Stopping, Weights, hash_of
from cinecmr.learn.samples import LONG, Grid
from cinecmr.learn.splits import Splits, by_shares, nested, person_of
from cinecmr.learn.splits import labelled as labelled_only
from cinecmr.learn.start import WEIGHTS
from cinecmr.learn.warp import for_labels, on_grid
from cinecmr.tasks.architecture import Architecture
from cinecmr.tasks.classification import Classification, ClassificationSettings
from cinecmr.tasks.landmarks import Landmarks, LandmarkSettings
from cinecmr.tasks.regression import Regression, RegressionSettings
from cinecmr.tasks.volume_segmentation import VolumeSegmentation, VolumeSegmentationSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from cinecmr.datasets import Case
    from cinecmr.tasks._learner import Learner, ViewSettings

TASKS: dict[str, tuple[type[Learner], type[ViewSettings], str]] = {
    "segmentation": (VolumeSegmentation, VolumeSegmentationSettings, "convunetr"),
    "classification": (Classification, ClassificationSettings, "convvit"),
    "regression": (Regression, RegressionSettings, "convvit"),
    "landmarks": (Landmarks, LandmarkSettings, "convunetr"),
}
# Of each scale: grid of the short axis, widths of networks, updates, and samples of one.
_SIZES: dict[str, tuple[Grid, dict[str, Any], int, int]] = {
    "smoke": (Grid((32, 32, 4), (6.0, 6.0, 24.0)),
              {"width": 24, "depth": 1, "heads": 2, "stem": (8, 16), "decoder": (4, 8, 8, 8, 8), "levels": (4, 8, 8),
               "layers": 50, "inplanes": (2, 2, 2, 2)}, 6, 4),
    "laptop": (Grid((96, 96, 8), (2.0, 2.0, 10.0)),
               {"width": 192, "depth": 6, "heads": 6, "stem": (24, 48), "decoder": (8, 16, 24, 32, 64),
                "levels": (8, 16, 32, 64, 128), "inplanes": (16, 32, 64, 128)}, 600, 8),
    "gpu": (Grid(), {}, 1500, 16),
    "full": (Grid(), {}, 12_000, 64),
}  # fmt: skip
SCALES = tuple(_SIZES)
SHOWN = 5  # names of visits that a line tells
_SHORT = (30.0, 20.0)  # largest rotation, degrees, and shift, mm, of a run of hundreds of updates
SPLITS = "splits.json"
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
_HIGHER = ("dice", "correct", "share_of_true", "closeness")  # beginnings of scores that are better the higher
_LOWER = ("abs_error", "hd95", "volume", "lvef_error", "rvef_error", "distance", "mapse_error", "gl_shortening_error")


@dataclass(frozen=True)
class Lesson:
    """A fine-tuning run before its data are counted.

    Attributes:
        settings: of the task. optimiser: see there; its warm-up is set from `warm`.
        updates, batch, micro: see `learn.recipe.Schedule`. warm: share of the updates until the peak.
        patience: checks without progress until it stops early; 0 learns to the end and keeps the last weights.
        precision: "fp32" or "bf16".
    """

    settings: ViewSettings
    optimiser: Optimiser
    updates: int
    batch: int
    micro: int = 0
    warm: float = 0.05
    patience: int = 5
    precision: str = "fp32"

    def recipe(self, learner: Learner, score: str, seed: int, start: Weights | None) -> Recipe:
        """The run over the learner's cases, whose names are part of it."""
        batch = max(1, min(self.batch, learner.size))
        log_every = max(1, min(20, self.updates // 20))
        checks = max(1, self.updates // log_every // 10) * log_every
        people = sorted(subject_name(case.subject) for case in learner.cases)
        return Recipe(
            learner.settings.as_json() | {"samples": learner.size, "data": hash_of(people)},
            replace(self.optimiser, warmup=max(1, round(self.warm * self.updates))),
            Schedule(self.updates, batch, log_every, checks, min(self.micro, batch), by_epochs=True),
            seed,
            stopping=Stopping(score, self.patience) if self.patience else None,
            precision=self.precision,
            start=start,
        )


def lesson(
    task: str, scale: str = "laptop", network: str | None = None, pretrained: bool = False, view: View | None = None
) -> Lesson:
    """Settings of a task at a scale.

    Args:
        task: one of `TASKS`.
        scale: one of `SCALES`.
        network: kind, see `tasks.architecture`; the task's own when None.
        pretrained: whether it starts from weights.
        view: that is read; the task's own when None.

    Layer-wise decay is for weights that start pre-trained. Both starts have the same weight decay, which the published
    comparison has not. Samples are changed as published, over smaller ranges where a run is short.

    Raises:
        RefusedInput: no such task, scale or network (`no-such-task`).

    Source: CineMA (Fu et al.), section 4.1; specification of its code, sections 8 and 12 (row 7).
    """
    if task not in TASKS or scale not in SCALES:
        raise RefusedInput(
            "no-such-task", f"no {task!r} at {scale!r}: there are {', '.join(TASKS)}, at {', '.join(SCALES)}"
        )
    kind = network or TASKS[task][2]
    optimiser = Optimiser(1e-3, 0.05, clip=5.0, average=0.0, betas=(0.9, 0.95), last_rate=1e-5, from_zero=True,
                          spare_vectors=True, fused=True, layer_decay=0.75 if pretrained else 1.0)  # fmt: skip
    grid, widths, updates, batch = _SIZES[scale]
    large = scale in ("gpu", "full")
    try:
        of = TASKS[task][1](architecture=Architecture(kind, **widths))
        of = replace(of, view=view or of.view)
    except ValueError as error:
        raise RefusedInput("no-such-task", str(error)) from error
    if of.view is not View.SAX:
        grid = LONG if large else replace(grid, size=(*grid.size[:2], 1), spacing=(*grid.spacing[:2], 0.0))
    changes = on_grid(for_labels("sound", of.view is not View.SAX), grid, *(() if large else _SHORT))
    settings = replace(of, grid=grid, changes=changes if task == "segmentation" else replace(changes, hole=None))
    return Lesson(settings, optimiser, updates, batch, 4 if large else 0, precision="bf16" if large else "fp32")


def split_of(cases: Sequence[Case], path: Path, seed: int) -> Splits:
    """Who is learned from, chosen by and tested: the written split, else the data set's own, else a drawn one.

    A data set with parts "train" and "test" keeps them; where it has no "val", a fifth of the people in "train" is.

    Raises:
        RefusedInput: the file was changed, one person is in two parts, or there are fewer than three people.
    """
    if path.is_file():
        return Splits.read(path)
    own = {part: [case for case in cases if case.split == part] for part in SHARES}
    if own["train"] and own["test"]:
        parts = {part: tuple(sorted({person_of(case) for case in found})) for part, found in own.items()}
        if not parts["val"]:
            drawn = by_shares(own["train"], {"train": 0.8, "val": 0.2}, seed)
            parts |= drawn.parts
        made = Splits(parts, seed)
    else:
        made = by_shares(cases, SHARES, seed)
    made.write(path)
    return made


def teach(
    task: str,
    cases: Sequence[Case],
    out: Path,
    of: Lesson,
    *,
    given: Sequence[str] = (),
    start: Path | None = None,
    labelled: int = 0,
    seed: int = 0,
    device: str = "cpu",
    workers: int = 0,
    watch: bool = False,
    say: Callable[[str], None] = print,
) -> Path:
    """Train a task's model and test it; stopped and started again, it goes on where it was.

    Args:
        task: one of `TASKS`.
        cases: every visit of the data set.
        out: gets splits.json, and a folder of the run's name with weights, log, scores.csv and summary.json.
        of: see `lesson`.
        given: settings that differ, as `--set` takes them.
        start: weights to start from, such as a masked autoencoder's.
        labelled: learn from so many people only, balanced, each list holding the shorter ones; 0 for all.
        seed: of the split, the weights and the order.
        device: where the network runs.
        workers: threads that make batches ahead of time.
        watch: also write what TensorBoard shows.
        say: told one line at a time.

    Returns:
        The weights.

    Raises:
        RefusedInput: data that cannot be split or learned from, weights that do not fit, a setting that cannot be.
    """
    of = overridden(of, given)
    with joined(device) as world:
        path = out / SPLITS
        if world.first and not path.is_file():
            split_of(_usable(TASKS[task][0](of.settings, cases), say), path, seed)
        world.wait()
        splits = Splits.read(path)
        learned = _fewer(splits.of(cases, "train"), labelled, seed)
        learner = TASKS[task][0](of.settings, learned, splits.of(cases, "val"))
        score = _first_score(learner) if of.patience else ""
        recipe = of.recipe(learner, score, seed, Weights.of(start) if start else None)
        folder = out / recipe.key
        if world.first:
            say(_about(recipe, task, learner, splits))
        bar = Bar(recipe, task) if world.first else None
        with bar or nullcontext():
            listeners = together(bar, tensorboard(folder) if watch and world.first else None)
            network = fit(recipe, learner, folder, listeners, device=device, workers=workers)
        if world.first:
            for line in tested(learner, network, splits.of(cases, "test"), folder, splits.sha256):
                say(line)
        return folder / WEIGHTS


def _about(recipe: Recipe, task: str, learner: Learner, splits: Splits) -> str:
    people = ", ".join(f"{len(people)} {name}" for name, people in splits.parts.items())
    return (
        f"run {recipe.key}: {task}; people: {people}; {learner.size} samples to learn from, "
        f"{recipe.schedule.updates} updates of {recipe.schedule.batch}"
    )


def _fewer(cases: list[Case], people: int, seed: int) -> list[Case]:
    """The visits of so many people; of all if 0."""
    if not people:
        return cases
    kept = set(nested(cases, (people,), seed)[people])
    return [case for case in cases if person_of(case) in kept]


def _usable(learner: Learner, say: Callable[[str], None]) -> list[Case]:
    """The visits that hold what the task learns from; the others are told, and are in no part of the split."""
    affines: dict[str, NDArray[np.float64]] = {}

    def holds(case: Case) -> bool:
        try:
            loaded = case.load()
            if not any(True for _ in learner.prepare(replace(case, load=lambda: loaded))):
                return False
        except RefusedInput as refusal:
            say(f"{subject_name(case.subject)} cannot be read: {refusal.message}  [{refusal.code}]")
            return False
        affines[case.subject] = learner.image(loaded[0]).affine
        return True

    found = labelled_only(learner.cases, holds)
    missing = [case.subject for case in learner.cases if case.subject not in affines]
    if missing:
        say(f"{len(missing)} visits lack what is learned here and are left out: {_named(missing)}")
    names = list(affines)
    if turned := [names[n] for n in lying_otherwise(list(affines.values()))]:
        say(f"{len(turned)} of {len(names)} images lie in their files otherwise than most, turned or mirrored, and are "
            f"harder to learn with them; store all alike: {_named(turned)}")  # fmt: skip
    return found


def _named(subjects: Sequence[str]) -> str:
    return ", ".join(map(subject_name, subjects[:SHOWN])) + (", ..." if len(subjects) > SHOWN else "")


def _first_score(learner: Learner) -> str:
    """The name of the score that a check tells first, by which runs stop early."""
    for case in learner.held_out:
        truth = learner.truth(case)
        try:
            return next(iter(learner.score(truth, truth)))
        except (RefusedInput, StopIteration):
            continue
    raise RefusedInput("nothing-to-score", "nobody in the part `val` has what this task is compared with")


def tested(learner: Learner, network: nn.Module, cases: Sequence[Case], folder: Path, split: str) -> list[str]:
    """Score the people nobody learned from; writes scores.csv, a row a visit, and summary.json.

    Returns:
        A line for each score: mean with interval, worst tenth, failures.
    """
    rows: dict[str, dict[str, float]] = {}
    with torch.inference_mode():
        for case in cases:
            try:
                rows[subject_name(case.subject)] = learner.examine(network, case)
            except RefusedInput:
                rows[subject_name(case.subject)] = {}  # a failure, and counted as one
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    _table(folder / "scores.csv", names, rows)
    people = [person_of(case) for case in cases]
    lines, figures = [], {}
    for name in names:
        if not name.startswith(_HIGHER + _LOWER):
            continue  # an answer or a truth, not a score
        scores = [row.get(name, float("nan")) for row in rows.values()]
        summary = summarise(scores, higher_is_better=name.startswith(_HIGHER), names=list(rows), patients=people)
        figures[name] = summary.row()
        lines.append(f"{name}: {summary.text()}")
    write_text(folder / "summary.json", json.dumps({"split": split, "scores": figures}, indent=1) + "\n")
    return lines


def _table(path: Path, names: Sequence[str], rows: dict[str, dict[str, float]]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["subject", *names])
    writer.writerows([subject, *(row.get(name, "") for name in names)] for subject, row in rows.items())
    write_text(path, buffer.getvalue())
