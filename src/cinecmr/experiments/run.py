"""A table -> the trainings it needs -> scores of single cases -> figures beside the published ones.

A training is named by its recipe, so tables share what they have in common and nothing is trained twice. Everything
is kept as it is made: a run that was killed goes on where it was.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from safetensors.torch import load_file

from cinecmr.errors import RefusedInput
from cinecmr.experiments import curves, provenance, telling
from cinecmr.experiments.scoring import Scored, difference, figure
from cinecmr.io.files import write_text
from cinecmr.io.subject import subject_name
from cinecmr.learn.fit import fit, in_use
from cinecmr.learn.loading import moved
from cinecmr.learn.progress import Bar, clock
from cinecmr.learn.recipe import hash_of
from cinecmr.learn.splits import person_of
from cinecmr.learn.start import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from torch import nn

    from cinecmr.datasets import Case
    from cinecmr.experiments.table import Row, Table, Training
    from cinecmr.learn.recipe import Recipe

RUNS = "runs"
TIMED = 2  # samples of the pass that a cost is judged by
WAIT = 5.0  # seconds until a training that another process has in hand is asked for again


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        title: for a person. recipe: decides the result, and names it.
        objective: makes what is trained.
        before: the training whose weights it starts from.
        timed: makes the same with less data, by which its cost is judged; None for `objective`.
    """

    title: str
    recipe: Recipe
    objective: Callable[[], Any]
    before: Job | None = None
    timed: Callable[[], Any] | None = None

    def folder(self, out: Path) -> Path:
        """Where it is kept."""
        return out / RUNS / self.recipe.key

    def state(self, out: Path) -> str:
        """Whether it is "done", "begun" or "new"."""
        folder = self.folder(out)
        if (folder / WEIGHTS).is_file():
            return "done"
        return "begun" if (folder / "checkpoint.safetensors").is_file() else "new"


class Size(Protocol):
    """What `reproduce` needs to know of a scale."""

    @property
    def name(self) -> str:
        """Of the scale."""

    @property
    def seeds(self) -> int:
        """Trainings of one kind; 0 for as many as the table has."""

    @property
    def resamples(self) -> int:
        """Of patients."""

    @property
    def draws(self) -> int:
        """Of cases, as the paper draws them."""


class Bench(Protocol):
    """What a table's names mean; see `cinema.bench`."""

    @property
    def scale(self) -> Size:
        """How large everything is."""

    @property
    def preset(self) -> str:
        """Whose settings."""

    def told(self, names: tuple[str, ...]) -> dict[str, str]:
        """What data were seen, by "data: NAME"."""

    def job(self, training: Training, seed: int) -> Job:
        """One training."""

    def tests(self, row: Row, seed: int) -> list[Case]:
        """Whom a row is tested on."""


def reproduce(
    table: Table,
    bench: Bench,
    out: Path,
    *,
    device: str = "cpu",
    workers: int = 0,
    only_list: bool = False,
    results: Path | None = None,
    say: Callable[[str], None] = print,
) -> Path | None:
    """Make a table.

    Args:
        table: see there.
        bench: what its names mean.
        out: gets runs/.
        device: where networks run.
        workers: threads that make batches ahead of time.
        only_list: stop after the list of what would be trained, and what it costs.
        results: gets TABLE-SCALE.md, .csv, .json and, of curves, .svg; `out` when None.
        say: told one line at a time.

    Returns:
        The page; None where only the list was wanted.

    Raises:
        RefusedInput: data are missing or laid out otherwise, or hold nothing to learn from.
    """
    started = time.perf_counter()
    seeds = table.seeds[: bench.scale.seeds or None]
    jobs = {(training, seed): bench.job(training, seed) for training in table.trainings for seed in seeds}
    every = in_order(jobs.values())
    for line in listed(every, out, device):
        say(line)
    if only_list:
        return None
    train_all(every, out, device, workers, say)
    scored = {row.labels: [_scored(row, jobs[row.training, seed], bench, seed, out, device, say) for seed in seeds]
              for row in table.rows}  # fmt: skip
    about = provenance.about(
        started, "torch", device_name=device, table=table.name, scale=bench.scale.name, preset=bench.preset,
        seeds=", ".join(map(str, seeds)), updates=updates_of(every),
        training=f"{clock(sum(spent(job, out) for job in every))}, shared with other tables", **bench.told(table.data),
    )  # fmt: skip
    return told(table, scored, bench.scale, about, results or out)


def updates_of(jobs: Sequence[Job]) -> str:
    """Of the trainings and of what came before them."""
    after = sorted({job.recipe.schedule.updates for job in jobs if not _starts(job, jobs)})
    before = sorted({job.recipe.schedule.updates for job in jobs if _starts(job, jobs)})
    return ", ".join(map(str, after)) + (f" after {', '.join(map(str, before))} of pre-training" if before else "")


def _starts(job: Job, jobs: Sequence[Job]) -> bool:
    return any(other.before is not None and other.before.recipe.key == job.recipe.key for other in jobs)


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """Every training once, each after what it starts from."""
    found: dict[str, Job] = {}
    for job in jobs:
        for one in (job.before, job):
            if one is not None:
                found.setdefault(one.recipe.key, one)
    return sorted(found.values(), key=lambda job: job.before is not None)


_PACE: dict[tuple[str, str], float] = {}  # seconds a sample of each network met, for all tables of one run


def listed(jobs: Sequence[Job], out: Path, device: str) -> list[str]:
    """What will be trained, what is done already, and about how long the rest takes."""
    lines, total = [], 0.0
    for job in jobs:
        state, told = job.state(out), job.recipe.objective
        kind = hash_of([told.get(name) for name in ("task", "architecture", "view", "width", "sax_size")])
        seconds = 0.0
        if state != "done":
            if (kind, device) not in _PACE:
                _PACE[kind, device] = seconds_a_sample(job, device)
            left = job.recipe.schedule.updates - _done(job, out)
            seconds = _PACE[kind, device] * job.recipe.schedule.batch * left
        total += seconds
        cost = "" if state == "done" else f", about {clock(seconds)}"
        lines.append(f"{job.recipe.key}  {state:<6}{job.title}: {job.recipe.schedule.updates} updates{cost}")
    count = sum(job.state(out) != "done" for job in jobs)
    return [*lines, f"{len(jobs)} trainings, {count} to do: about {clock(total)} on this machine, then the scores"]


def seconds_a_sample(job: Job, device: str) -> float:
    """Time of a forward and a backward pass, for each sample of it."""
    objective = (job.timed or job.objective)()
    network = objective.network().to(device).train()
    batch = moved(objective.batch(np.random.default_rng(0), TIMED), device)
    before = time.perf_counter()
    objective.loss(network, batch).total.backward()
    return (time.perf_counter() - before) / TIMED


def _done(job: Job, out: Path) -> int:
    """Updates that a run has behind it, by its log."""
    lines = _logged(job, out)
    return int(lines[-1].get("update", 0)) if lines else 0


def spent(job: Job, out: Path) -> float:
    """Seconds that a run trained, by its log, whose clock begins anew wherever a run was killed."""
    times = [float(line.get("seconds", 0)) for line in _logged(job, out)]
    return sum(a for a, b in pairwise([*times, 0.0]) if b < a)


def _logged(job: Job, out: Path) -> list[dict[str, Any]]:
    log = job.folder(out) / "log.jsonl"
    found = []
    for line in log.read_text().splitlines() if log.is_file() else ():
        with suppress(ValueError):  # a kill may have cut the last one short
            found.append(json.loads(line))
    return found


def train_all(jobs: Sequence[Job], out: Path, device: str, workers: int, say: Callable[[str], None]) -> None:
    """Train what is not trained; what another process has in hand comes last.

    So a table that is started twice, or two that share trainings, share the work.
    """
    left, told = list(jobs), set[str]()
    while left:
        others = []
        for job in left:
            if job.state(out) == "done":
                continue
            ready = job.before is None or job.before.state(out) == "done"
            if not ready or in_use(job.folder(out)):
                others.append(job)
                continue
            try:
                train(job, out, device, workers, say)
            except RefusedInput as refusal:  # another process was quicker
                if refusal.code != "run-in-use":
                    raise
                others.append(job)
        if len(others) == len(left):
            if others[0].recipe.key not in told:
                say(f"waiting for another process, which trains {others[0].title}")
                told.add(others[0].recipe.key)
            time.sleep(WAIT)
        left = others


def train(job: Job, out: Path, device: str, workers: int, say: Callable[[str], None]) -> None:
    """Train what is not trained."""
    if job.state(out) == "done":
        return
    say(f"training {job.title}")
    with Bar(job.recipe, job.title) as bar:
        fit(job.recipe, job.objective(), job.folder(out), bar, device=device, workers=workers)


def _scored(
    row: Row, job: Job, bench: Bench, seed: int, out: Path, device: str, say: Callable[[str], None]
) -> list[Scored]:
    """Scores of every test case, read where they were kept."""
    cases = bench.tests(row, seed)
    name = hash_of([bench.told((row.tested_on,)).get(f"data: {row.tested_on}"), [case.subject for case in cases]])
    path = job.folder(out) / f"scores-{name}.json"
    if path.is_file():
        return [Scored(**one) for one in json.loads(path.read_text())]
    task = job.objective()
    network = task.network()
    network.load_state_dict(load_file(job.folder(out) / WEIGHTS))
    network = network.to(device).eval()
    found = [score(task, network, case, say) for case in cases]
    write_text(path, json.dumps([asdict(one) for one in found], indent=1) + "\n")
    return found


def score(task: Any, network: nn.Module, case: Case, say: Callable[[str], None]) -> Scored:
    """One case; one that cannot be scored has no scores, and is told."""
    scores: dict[str, float] = {}
    try:
        scores = task.examine(network, case)
    except RefusedInput as refusal:
        say(f"{subject_name(case.subject)} has no score: {refusal.message}  [{refusal.code}]")
    return Scored(subject_name(case.subject), person_of(case), scores)


def told(
    table: Table, scored: dict[tuple[str, ...], list[list[Scored]]], scale: Size, about: dict[str, str], out: Path
) -> Path:
    """Figures, differences, and the files that tell them; returns the page."""
    figures = {
        row.labels: [figure(scored[row.labels], column, scale.resamples, scale.draws) for column in table.columns]
        for row in table.rows
    }
    differences = {
        (rows[-1].labels, other.labels): [
            difference(scored[rows[-1].labels], scored[other.labels], column, scale.resamples)
            for column in table.columns
        ]
        for rows in table.groups()
        for other in rows[:-1]
    }
    name = f"{table.name}-{scale.name}"
    write_text(out / f"{name}.json", provenance.as_json(telling.content(table, figures, differences, about)))
    write_text(out / f"{name}.csv", telling.csv_text(table, figures))
    if table.curve:
        curves.draw(table, figures, out / f"{name}.svg")
    write_text(out / f"{name}.md", telling.page(table, figures, differences, about))
    return out / f"{name}.md"
