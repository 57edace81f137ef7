"""From a row of a table to what it says of every subject: phases chained, each trained once however many rows use it.

A fold and a seed are one job. Whatever is finished lies on disk under the hash of what decides it, so a job that was
killed goes on where it was, and rows share the phases that they have in common.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.experiments.cc_cmr.cohort import CONTROLS, SUBTYPES, UNLINKED
from cinecmr.experiments.cc_cmr.scales import used
from cinecmr.io.files import write_atomically
from cinecmr.learn.fit import fit
from cinecmr.learn.recipe import Recipe
from cinecmr.learn.start import WEIGHTS
from cinecmr.tasks import screening_model
from cinecmr.tasks.screening import (
    FusionPhase,
    JointNetwork,
    JointPhase,
    ScreeningSettings,
    SequencePhase,
    features_of,
    probabilities,
)
from cinecmr.tasks.screening_data import CINES, LGE, SEQUENCES
from cinecmr.tasks.screening_network import ScreeningNetwork
from cinecmr.tasks.screening_samples import Part, Samples, parts
from cinecmr.tasks.screening_start import read_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from cinecmr.experiments.cc_cmr.cohort import Cohort
    from cinecmr.experiments.cc_cmr.rows import Row
    from cinecmr.experiments.cc_cmr.scales import Scale

SHUFFLE = 5  # what this generator of a seed is for


@dataclass(frozen=True, eq=False)
class Question:
    """Subjects, and what is asked of them.

    Attributes:
        samples: with the late enhancement that is linked to motion. unlinked: with the other.
        strata: (n) what folds are alike in. rows: (n) of the cohort.
    """

    samples: Samples
    unlinked: Samples
    strata: list[str]
    rows: NDArray[np.intp]


def screening_question(cohort: Cohort) -> Question:
    """Controls against patients, everybody."""
    rows = np.arange(len(cohort.facts))
    return _question(cohort, rows, np.array([disease not in CONTROLS for disease in cohort.diseases], np.int64))


def subtype_question(cohort: Cohort) -> Question:
    """Which of five groups: patients alone."""
    rows = np.array([n for n, disease in enumerate(cohort.diseases) if disease in SUBTYPES])
    return _question(cohort, rows, np.array([SUBTYPES.index(cohort.diseases[row]) for row in rows], np.int64))


def _question(cohort: Cohort, rows: NDArray[np.intp], classes: NDArray[np.int64]) -> Question:
    there = {name: np.ones(len(rows), bool) for name in SEQUENCES}
    clips = {name: cohort.clips[name][rows] for name in SEQUENCES}
    names = tuple(str(cohort.facts[row]["subject"]) for row in rows)
    samples = Samples(names, classes, clips, there)
    unlinked = replace(samples, clips={**clips, LGE: cohort.clips[UNLINKED][rows]})
    return Question(samples, unlinked, [cohort.diseases[row].value for row in rows], rows)


@dataclass(frozen=True, eq=False)
class Job:
    """One fold and seed.

    Attributes:
        scale, question: see there. data: name of cohort and question, for hashes.
        folder: gets runs/ and predictions/. fold, seed: which.
        say: told what is trained.
        start: weights of encoders that phase 1 begins with, and start_name: their checksum. device: of the networks.
    """

    scale: Scale
    question: Question
    data: str
    folder: Path
    fold: int
    seed: int
    say: Callable[[str], None] = lambda _: None
    start: Mapping[str, Tensor] = field(default_factory=dict)
    start_name: str = ""
    device: str = "cpu"

    @property
    def part(self) -> Part:
        """Who is trained on and who is asked; the same for every seed and row."""
        return parts(self.question.samples.classes, self.question.strata, self.scale.folds)[self.fold]

    def settings(self, row: Row) -> ScreeningSettings:
        """The scale's own, with the row's encoder and heads."""
        config = replace(
            self.scale.settings.config,
            classes=len(np.unique(self.question.samples.classes)),
            encoder=row.encoder,
            shared_head=row.shared_head,
        )
        return replace(self.scale.settings, config=config)

    def samples(self, row: Row) -> Samples:
        """Everybody, with the late enhancement that this row is given. Shuffling stays within the training subjects."""
        samples = self.question.unlinked if row.unlinked else self.question.samples
        if not row.shuffled:
            return samples
        train = self.part.train
        clips = samples.clips[LGE].copy()
        clips[train] = samples.take(train).with_shuffled(LGE, (self.seed + 1) * 100 + SHUFFLE).clips[LGE]
        return replace(samples, clips={**samples.clips, LGE: clips})


def begun(job: Job, row: Row, start: Path | None) -> Job:
    """The job with the weights that a row's encoders begin with, where there are any.

    Raises:
        RefusedInput: no such file, or weights of another encoder.
    """
    if start is None:
        return job
    weights = read_weights(job.settings(row).config, start)
    return replace(job, start=weights, start_name=screening_model.checksum(start))


def predict(job: Job, row: Row) -> Path:
    """Train what a row needs and ask the fold's subjects; returns the file, which is there when this is done.

    The file holds `test` and `inner` (rows of the question), `said_test` and `said_inner` (n, classes), and
    `features_NAME` (n of test, then of inner, features) of the cines: of subjects whom the network never saw.
    """
    path = job.folder / "predictions" / row.name / f"fold{job.fold}-seed{job.seed}.npz"
    if path.exists():
        return path
    job.say(f"fold {job.fold + 1} of {job.scale.folds}, seed {job.seed}: {row.title}")
    samples, part = job.samples(row), job.part
    test, inner = samples.take(part.test), samples.take(part.inner)
    network = trained(job, row)
    found = {
        "test": part.test,
        "inner": part.inner,
        "said_test": probabilities(network, test, row.alone or None),
        "said_inner": probabilities(network, inner, row.alone or None),
    }
    both = samples.take(np.concatenate([part.test, part.inner]))
    found |= {f"features_{name}": features_of(network, both, name).numpy() for name in network.sequences}

    def write(target: Path) -> None:
        with target.open("wb") as file:
            np.savez_compressed(file, **found)  # type: ignore[arg-type]

    write_atomically(path, write)
    _slim(job)
    return path


def trained(job: Job, row: Row) -> ScreeningNetwork:
    """A row's network, all its phases done; those that other rows have in common are trained once."""
    settings, samples, part = job.settings(row), job.samples(row), job.part
    train, inner = samples.take(part.train), samples.take(part.inner)
    weights, key = _first(job, row, settings, train, inner)
    if row.joint is not None:
        weights, key = _second(job, row, settings, train, inner, weights, key)
    network = ScreeningNetwork(settings.config, (row.alone,) if row.alone else CINES).to(job.device)
    network.load_state_dict({name: weights.get(name, value) for name, value in network.state_dict().items()})
    if not row.alone:
        _third(job, row, settings, train, inner, network, key)
    return network.eval()


def _slim(job: Job) -> None:
    """Drop the weights of finished second phases, three encoders each, of which no other row makes use.

    What they were trained by and how it went is kept; the weights follow from it.
    """
    for recipe in (job.folder / "runs").glob("*/recipe.json"):
        told = json.loads(recipe.read_text("utf-8"))
        mine = (told["objective"]["fold"], told["seed"], told["objective"]["phase"]) == (job.fold, job.seed, 2)
        if mine and (recipe.parent / WEIGHTS).is_file():
            for name in (WEIGHTS, "checkpoint.safetensors"):
                (recipe.parent / name).unlink(missing_ok=True)


def _told(job: Job, settings: ScreeningSettings, **more: Any) -> dict[str, object]:
    """What decides a run, apart from its length and seed."""
    return {"task": "screening", "data": job.data, "fold": job.fold, "settings": settings.as_json(), **more}


def _first(
    job: Job, row: Row, settings: ScreeningSettings, train: Samples, inner: Samples
) -> tuple[dict[str, Tensor], list[str]]:
    """Phase 1 of every sequence the row learns: their weights by name, and the names of the runs."""
    weights: dict[str, Tensor] = {}
    keys = []
    plain = replace(settings, config=replace(settings.config, shared_head=False))
    for name in used(row):
        phase = SequencePhase(train, inner, plain, job.start, sequence=name)
        what = "shuffled" if row.shuffled else "unlinked" if row.unlinked else "linked"
        more = {"start": job.start_name} if job.start_name else {}
        told = _told(job, plain, phase=1, sequence=name, given=what if name == LGE else "cine", **more)
        trained, key = _run(job, 0, phase, told, phase.size)
        weights |= {k: v for k, v in trained.state_dict().items() if not k.startswith("fusion.")}
        keys.append(key)
    return weights, keys


def _second(
    job: Job,
    row: Row,
    settings: ScreeningSettings,
    train: Samples,
    inner: Samples,
    weights: dict[str, Tensor],
    keys: list[str],
) -> tuple[dict[str, Tensor], list[str]]:
    """Phase 2: the same, after the sequences learned from each other."""
    assert row.joint is not None  # noqa: S101 - asked for by `predict`
    phase = JointPhase(train, inner, settings, weights, row.joint)
    told = _told(job, settings, phase=2, interaction=asdict(row.joint), start=keys)
    trained, key = _run(job, 1, phase, told, phase.size)
    assert isinstance(trained, JointNetwork)  # noqa: S101
    return dict(trained.screening.state_dict()), [key]


def _third(
    job: Job,
    row: Row,
    settings: ScreeningSettings,
    train: Samples,
    inner: Samples,
    network: ScreeningNetwork,
    keys: list[str],
) -> None:
    """Phase 3: the fusion, put into the network."""
    phase = FusionPhase(train, inner, settings, network, seed=job.seed)
    told = _told(job, settings, phase=3, start=keys, row=row.name)
    trained, _ = _run(job, 2, phase, told, phase.size)
    network.fusion.load_state_dict(trained.state_dict())


def _run(job: Job, number: int, phase: Any, told: dict[str, object], size: int) -> tuple[nn.Module, str]:
    recipe = Recipe(
        told, *job.scale.schedule(number, size, phase.settings.config.classes), job.seed, precision=job.scale.precision
    )
    return fit(recipe, phase, job.folder / "runs" / recipe.key, device=job.device), recipe.key
