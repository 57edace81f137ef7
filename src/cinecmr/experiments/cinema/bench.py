"""What the names in the first paper's tables mean: data, networks, recipes, and what is trained before what."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cinecmr.anatomy import Structure
from cinecmr.experiments.cinema import CINEMA
from cinecmr.experiments.cinema.cohorts import PRETRAIN, TEST, TRAIN, VAL, Cohort, cohort, few, shared, unlabelled
from cinecmr.experiments.cinema.scales import SCALES, SOUND, architecture, changes, epochs, grid, optimiser, sized
from cinecmr.experiments.run import Job
from cinecmr.io.subject import subject_name
from cinecmr.learn.loading import updates_per_epoch
from cinecmr.learn.recipe import Recipe, Schedule, Stopping, hash_of
from cinecmr.learn.splits import person_of
from cinecmr.pretrain import mae
from cinecmr.pretrain.pool import Entry, gather
from cinecmr.pretrain.run import held_apart
from cinecmr.tasks.classification import Classification, ClassificationSettings
from cinecmr.tasks.landmarks import Landmarks, LandmarkSettings
from cinecmr.tasks.regression import Regression, RegressionSettings
from cinecmr.tasks.volume_segmentation import VolumeSegmentation, VolumeSegmentationSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cinecmr.datasets import Case
    from cinecmr.experiments.cinema.scales import Scale
    from cinecmr.experiments.table import Row, Training

    Task = VolumeSegmentation | Regression | Classification | Landmarks

_TIMED = 3  # visits that the cost of a pre-training is judged by
WARM = 0.05  # share of the updates until the peak, where epochs are not counted
_INFARCT = (Structure.SCAR, Structure.NO_REFLOW)
MERGED = {
    "emidec": (("wall", (Structure.MYO, *_INFARCT)), ("infarct", _INFARCT)),
    "myops": (("oedema_or_scar", (Structure.OEDEMA, Structure.SCAR)),),
}
_FIRST_SCORES = {"segmentation": "dice_mean", "classification": "correct", "regression": "closeness",
                 "landmarks": "closeness"}  # fmt: skip


@dataclass
class CinemaBench:
    """Everything a table of the first paper needs, at one scale.

    Attributes:
        scale: see `scales`.
        folder: for synthetic data and pools.
        data: folders of data sets by name, and of visits to pre-train on under `PRETRAIN`.
        preset: "sound", "published" or "official".
        say: told what takes long.
    """

    scale: Scale
    folder: Path
    data: Mapping[str, Path] = field(default_factory=dict)
    preset: str = SOUND
    say: Callable[[str], None] = print

    def __post_init__(self) -> None:
        self._cohorts: dict[str, Cohort] = {}
        self._before: Job | None = None
        self._pretrained_on = ""

    def cohort(self, name: str) -> Cohort:
        """A data set, read once."""
        if name not in self._cohorts:
            made = cohort(name, self.data.get(name), self.scale, self.folder / "data", self.say)
            self._cohorts[name] = made
        return self._cohorts[name]

    def told(self, names: tuple[str, ...]) -> dict[str, str]:
        """What was seen, and how large everything was, for the table."""
        seen = {f"data: {name}": self.cohort(name).told for name in names} | {"size": sized(self.scale)}
        return seen | ({"data: pre-training": self._pretrained_on} if self._pretrained_on else {})

    def parts(self, training: Training, seed: int) -> tuple[list[Case], list[Case], list[Case]]:
        """Whom a training learns from, checks on and would be tested on."""
        of = self.cohort(training.data)
        if training.labelled:
            learned, tested = few(of.everyone, training.labelled, seed)
            return learned, [], tested
        return shared(of.parts[TRAIN], training.share, seed), of.parts[VAL], of.parts[TEST]

    def tests(self, row: Row, seed: int) -> list[Case]:
        """Whom a row is tested on."""
        if row.test and row.test != row.training.data:
            return self.cohort(row.test).parts[TEST]
        return self.parts(row.training, seed)[2]

    def task(self, training: Training, seed: int) -> Task:
        """The objective of a training."""
        learned, checked, _ = self.parts(training, seed)
        view, scale = training.view, self.scale
        checked = [] if scale.updates else checked  # the last weights are kept: nothing to check for
        common: dict[str, Any] = {
            "view": view,
            "contrasts": training.contrasts,
            "grid": grid(scale, view),
            "architecture": architecture(scale, training, self.preset),
            "changes": changes(scale, view, training.task == "segmentation", self.preset),
        }
        if training.task == "segmentation":
            merged = MERGED.get(training.data, ())
            settings = VolumeSegmentationSettings(**common, structures=training.structures, merged=merged)
            return VolumeSegmentation(settings, learned, checked)
        if training.task == "landmarks":
            return Landmarks(LandmarkSettings(**common, sub_pixel=self.preset == SOUND), learned, checked)
        if training.task == "regression":
            return Regression(RegressionSettings(**common, target=training.target), learned, checked)
        return Classification(ClassificationSettings(**common, target=training.target), learned, checked)

    def job(self, training: Training, seed: int) -> Job:
        """A training with its recipe, and what is trained before it."""
        before = self.pretraining() if training.model == CINEMA else None
        task = self.task(training, seed)
        recipe = self._recipe(training, task, seed)
        if before is not None:
            recipe = replace(recipe, start=before.recipe)
        return Job(f"{_titled(training)} seed {seed}", recipe, lambda: self.task(training, seed), before)

    def _recipe(self, training: Training, task: Task, seed: int) -> Recipe:
        people = sorted({person_of(case) for case in task.cases})
        about = {"bench": "cinema", "scale": self.scale.name, "data": self.cohort(training.data).told,
                 "subjects": hash_of(people), **task.settings.as_json()}  # fmt: skip
        scale, model = self.scale, training.model
        if scale.updates:
            every = max(1, scale.updates // 20)
            schedule = Schedule(scale.updates, scale.batch, every, every * (scale.updates // every), scale.micro)
            rates = optimiser(scale, model, scale.updates, WARM, self.preset)
            return Recipe(about, rates, schedule, seed, precision=scale.precision)
        run, warm, check = epochs(training.task)
        batch = scale.batch
        while batch > max(1, task.size):
            batch //= 2
        per = updates_per_epoch(task.size, batch)
        schedule = Schedule(run * per, batch, per, check * per, min(scale.micro, batch), by_epochs=True)
        rates = optimiser(scale, model, run * per, warm / run, self.preset)
        stopping = Stopping(_FIRST_SCORES[training.task]) if task.held_out else None
        return Recipe(about, rates, schedule, seed, stopping, scale.precision)

    def pretraining(self) -> Job:
        """The masked autoencoder of all views that every task of a scale starts from."""
        if self._before is None:
            plan, given = self.scale.plan, self.data.get(PRETRAIN)
            self._pretrained_on, cases = unlabelled(given, self.scale)
            grids, pool = plan.settings.grids(), self.folder / "pool"
            # synthetic visits are all of use: their names are enough for a recipe, and they are made when it is trained
            named = [Entry(pool, subject_name(case.subject), person_of(case), {}) for case in cases]
            known = gather(cases, grids, pool, plan.frames, self.say) if given else named

            def objective(count: int | None = None) -> mae.MAE:
                self.say(f"gathering {self._pretrained_on if count is None else 'a few visits'} for pre-training")
                learned, held = held_apart(gather(cases[:count], grids, pool, plan.frames, self.say), plan.held_out)
                return mae.MAE(learned, held if count is None else [], plan.settings)

            recipe = plan.recipe(held_apart(sorted(known, key=lambda one: one.name), plan.held_out)[0], 0)
            self._before = Job("pre-training", recipe, objective, None, lambda: objective(_TIMED))
        return self._before


def _titled(training: Training) -> str:
    how = "" if training.task != "landmarks" else "heatmaps" if training.dense else "coordinates"
    labelled = f"{training.labelled} labelled" if training.labelled else ""
    share = f"{100 * training.share:.0f} %" if training.share < 1 else ""
    words = (training.model, training.task, how, training.target, training.data, training.view.value, labelled, share)
    return " ".join(filter(None, words))


def bench(
    scale: str,
    folder: Path,
    data: Mapping[str, Path],
    preset: str,
    say: Callable[[str], None],
    updates: int | None = None,
    seeds: int | None = None,
) -> CinemaBench:
    """A bench of one scale, by name, perhaps with other updates of each fine-tuning and another number of seeds."""
    chosen = SCALES[scale]
    if updates:
        chosen = replace(chosen, updates=updates)
    if seeds:
        chosen = replace(chosen, seeds=seeds)
    return CinemaBench(chosen, folder, data, preset, say)
