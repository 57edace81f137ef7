"""What encoders of a table begin with: weights that have learned to measure other synthetic hearts.

Made once for all rows, folds and seeds of a scale, from subjects that no table asks or learns from. The file can be
given to `cinecmr finetune screening --start` as any published Video Swin can.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.errors import RefusedInput
from cinecmr.experiments.cc_cmr import cohort as cohorts
from cinecmr.io.files import write_atomically
from cinecmr.learn.fit import fit
from cinecmr.learn.recipe import Optimiser, Recipe, Schedule, plain
from cinecmr.tasks.screening_data import SEQUENCES
from cinecmr.tasks.screening_measures import MeasurePhase, MeasuringNetwork
from cinecmr.tasks.screening_samples import Samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cinecmr.experiments.cc_cmr.cohort import Cohort, CohortRecipe
    from cinecmr.experiments.cc_cmr.scales import Scale

FILE = "encoder.safetensors"
_CHECKED = 0.1  # share of the subjects on whom it is told how well the rest was learned


@dataclass(frozen=True)
class StartRecipe:
    """How encoders get to know hearts.

    Attributes:
        subjects: other synthetic ones, of the same kinds as the cohort's; seeds are `first_seed` and following.
        epochs: in each of which every sequence of every subject is seen once.
        batch: clips of an update. rate: peak learning rate.
    """

    subjects: int = 2000
    first_seed: int = 450_000
    epochs: int = 24
    batch: int = 16
    rate: float = 5e-4

    def cohort(self, asked: CohortRecipe) -> CohortRecipe:
        """Who is learned from: nobody that the tables ask.

        Raises:
            RefusedInput: so many are asked that the two overlap (`too-many-subjects`).
        """
        found = replace(asked, subjects=self.subjects, first_seed=self.first_seed)
        both = range(max(found.seeds.start, asked.seeds.start), min(found.seeds.stop, asked.seeds.stop))
        if both:
            raise RefusedInput(
                "too-many-subjects",
                f"{len(both)} of {asked.subjects} subjects are among those whom encoders measure before: ask "
                f"{max(0, self.first_seed - asked.first_seed)} at most",
            )
        return found

    @property
    def learned(self) -> int:
        """Subjects whose clips are learned from."""
        return self.subjects - max(1, round(_CHECKED * self.subjects))

    @property
    def clips(self) -> int:
        """That go forward and backward."""
        return self.epochs * len(SEQUENCES) * self.learned


def make(out: Path, scale: Scale, workers: int, device: str, say: Callable[[str], None]) -> Path | None:
    """The file of weights, made unless it is there; None for a scale whose encoders are drawn.

    Args:
        out: gets cohort/ and start/. Stopped and started again, it goes on.
        scale: see there.
        workers: processes that make subjects.
        device: where the network runs.
        say: told what is done.
    """
    wanted = scale.start
    if wanted is None:
        return None
    recipe, cohort = _recipe(scale, wanted), wanted.cohort(scale.cohort)
    folder = out / "start" / recipe.key
    if (folder / FILE).is_file():
        return folder / FILE

    def told(done: int, count: int) -> None:
        if done % max(1, count // 20) == 0 or done == count:
            say(f"hearts to begin with: {done} of {count}")

    place = cohorts.make(out / "cohort", cohort, workers, told)
    say(f"learning the measures of {wanted.learned} hearts: {recipe.schedule.updates} updates")
    network = fit(recipe, _phase(scale, wanted, cohorts.load(place, cohort)), folder, device=device)
    assert isinstance(network, MeasuringNetwork)  # noqa: S101 - what the phase made
    from safetensors.torch import save_file

    weights = {key: value.detach().cpu().contiguous() for key, value in network.encoder.backbone.state_dict().items()}
    write_atomically(folder / FILE, lambda path: save_file(weights, path))
    return folder / FILE


def _recipe(scale: Scale, wanted: StartRecipe) -> Recipe:
    updates = -(-wanted.clips // wanted.batch)
    told = max(1, updates // 20)
    objective = {
        "task": "screening-start",
        "cohort": wanted.cohort(scale.cohort).key,
        "start": plain(wanted),
        "network": plain(scale.settings.config.swin),
        "augment": plain(scale.settings.augment),
        "measures": list(cohorts.MEASURED),
    }
    optimiser = Optimiser(wanted.rate, decay=0.05, warmup=max(1, updates // 20), average=0.0, spare_vectors=True)
    return Recipe(objective, optimiser, Schedule(updates, wanted.batch, told, told * 5), precision=scale.precision)


def _phase(scale: Scale, wanted: StartRecipe, cohort: Cohort) -> MeasurePhase:
    count = len(cohort.facts)
    there = {name: np.ones(count, bool) for name in SEQUENCES}
    clips = {name: cohort.clips[name] for name in SEQUENCES}
    names = tuple(str(row["subject"]) for row in cohort.facts)
    samples = Samples(names, np.zeros(count, np.int64), clips, there)
    measures = np.array([[row["measured"][name] for name in cohorts.MEASURED] for row in cohort.facts])
    # the last of them are checked on; diseases follow one another, so every part holds all of them
    learned, checked = np.arange(wanted.learned), np.arange(wanted.learned, count)
    return MeasurePhase(
        samples.take(learned),
        samples.take(checked),
        measures[learned],
        measures[checked],
        scale.settings.config,
        scale.settings.augment,
    )
