"""Train and score everything a plan asks for; stopped and started again, it goes on where it was."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cinecmr.datasets import Case
from cinecmr.errors import RefusedInput
from cinecmr.evaluate.overlap import dice
from cinecmr.experiments.ssp import plan as planning
from cinecmr.experiments.ssp import published as lists
from cinecmr.experiments.ssp.plan import METHODS, NNUNET, SCRATCH, Job, Plan
from cinecmr.experiments.ssp.subjects import HEART, SAX, Subject, load_subjects
from cinecmr.io.files import write_text
from cinecmr.learn.fit import fit
from cinecmr.learn.progress import clock
from cinecmr.learn.slices import draw_subset
from cinecmr.learn.splits import by_shares, nested, person_of
from cinecmr.learn.start import WEIGHTS
from cinecmr.study import Study
from cinecmr.tasks.slice_reading import Ensemble
from cinecmr.tasks.slice_segmentation import updates_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cinecmr.learn.slices import Slice

    Row = dict[str, Any]

DATA, RUNS, SPLITS, SCORES, PACE = "data", "runs", "splits.json", "scores.json", "pace.json"
CHECKPOINT = "checkpoint.safetensors"
MIRRORED = 4  # copies of each slice that nnU-Net's way of labelling asks about
PRETRAINING_SHARE = 0.3  # of a budget, where there is any pre-training
SPARE = 0.9  # of a budget that is planned for; the rest is for reading, and for a machine that has other work too


@dataclass(frozen=True)
class Splits:
    """Who is learned from and who is tested; names of subjects.

    Attributes:
        train, test: no person in both. subsets: labelled ones by seed and number.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    subsets: dict[str, tuple[str, ...]]

    def labelled(self, seed: int, count: int) -> tuple[str, ...]:
        """Labelled subjects of a seed; longer lists hold the shorter ones."""
        return self.subsets[f"{seed}/{count}"]


def balanced(subjects: Sequence[Subject], plan: Plan, test_share: float) -> Splits:
    """Test subjects, and nested lists of labelled ones for each seed, all with the mix of groups alike.

    Args:
        subjects: all of them.
        plan: says how many are labelled, and how many seeds there are.
        test_share: of the people.

    Raises:
        RefusedInput: too few people (`too-few-subjects`).
    """
    visits: dict[str, list[str]] = defaultdict(list)
    people: dict[str, Case] = {}
    for one in sorted(subjects, key=lambda subject: subject.name):
        people.setdefault(one.person, Case(one.person, _unread, group=one.group, person=one.person))
        visits[person_of(people[one.person])].append(one.name)
    parts = by_shares(people.values(), {"train": 1 - test_share, "test": test_share})
    train, test = (tuple(name for person in parts.parts[part] for name in visits[person]) for part in ("train", "test"))
    subsets = {}
    for seed in range(plan.seeds):
        for count, chosen in nested(parts.of(people.values(), "train"), plan.labels, seed).items():
            subsets[f"{seed}/{count}"] = tuple(name for person in chosen for name in visits[person])
    return Splits(train, test, subsets)


def people_to_learn_from(subjects: Sequence[Subject], test_share: float) -> int:
    """How many people `balanced` leaves to learn from."""
    train = set(balanced(subjects, Plan(labels=(1,), seeds=1), test_share).train)
    return len({one.person for one in subjects if one.name in train})


def _unread() -> Any:
    """In the place of a case's images where only its names are looked at: nobody may ask for them."""
    raise RuntimeError("a plan of who is learned from looks at names only; this case has no images to read")


def published(names: Mapping[str, str], plan: Plan) -> Splits:
    """The split of the paper, with its lists of labelled subjects.

    Args:
        names: of the kept subjects by published identifier; all 510.
        plan: says how many are labelled, and how many seeds there are.
    """
    _, train = lists.development(names)
    subsets = {
        f"{seed}/{count}": tuple(names[one] for one in draw_subset(train, count, seed))
        for seed in range(plan.seeds)
        for count in plan.labels
    }
    return Splits(tuple(names[one] for one in train), tuple(names[one] for one in lists.test_subjects()), subsets)


def keep(out: Path, made: Splits) -> Splits:
    """Write the splits of a study, once.

    Raises:
        RefusedInput: the folder holds another study's (`other-study`).
    """
    path, text = out / SPLITS, json.dumps(asdict(made), indent=1) + "\n"
    if path.is_file() and path.read_text("utf-8") != text:
        raise RefusedInput("other-study", f"{out} holds another study, of other subjects or numbers; give a new folder")
    write_text(path, text)
    return made


def subjects_of(out: Path) -> dict[str, Subject]:
    """The kept subjects by name, read once a process."""
    return _subjects(str(out))


@lru_cache(maxsize=2)
def _subjects(out: str) -> dict[str, Subject]:
    return {subject.name: subject for subject in load_subjects(Path(out) / DATA)}


def splits_of(out: Path) -> Splits:
    """The splits that `prepare` kept."""
    told = json.loads((out / SPLITS).read_text("utf-8"))
    lists = {key: tuple(names) for key, names in told["subsets"].items()}
    return Splits(tuple(told["train"]), tuple(told["test"]), lists)


def unlabelled(subjects: dict[str, Subject], names: Iterable[str], plan: Plan) -> list[Slice]:
    """Slices of all kept frames; the published code's presets may see where the hearts are."""
    found = [one for name in names for one in subjects[name].slices(every_frame=True)]
    if plan.preset != "official":
        return found
    centres = {n: next((s.centre for s in subjects[n].slices(every_frame=False) if s.centre), None) for n in names}
    return [replace(one, centre=centres[one.subject]) for one in found]


def labelled(subjects: dict[str, Subject], names: Iterable[str], job: Job) -> list[Slice]:
    """Slices with labels, of the phase and vendors that a job learns from."""
    chosen = [subjects[n] for n in names if not job.vendors or lists.vendor_letter(subjects[n].vendor) in job.vendors]
    return [one for subject in chosen for one in subject.slices(every_frame=False, phase=job.phase)]


def slices_by_count(subjects: dict[str, Subject], splits: Splits, plan: Plan) -> dict[int, float]:
    """Mean number of labelled slices over the seeds, for each number of labelled subjects."""
    each = {name: len(subjects[name].slices(every_frame=False)) for name in splits.train}
    return {
        count: float(np.mean([sum(each[n] for n in splits.labelled(seed, count)) for seed in range(plan.seeds)]))
        for count in plan.labels
    }


def recipe_of(out: Path, plan: Plan, job: Job, splits: Splits | None = None) -> Any:
    """The recipe of a job; its key names the folder of its run."""
    parts = splits or splits_of(out)
    names = parts.train if job.pretraining else parts.labelled(job.seed, job.labels)
    return planning.recipe(plan, job, f"{_hash(parts.train)}/{_hash(names)}")


def _hash(names: Iterable[str]) -> str:
    return sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]


def work(out: Path, plan: Plan, job: Job, device: str = "cpu") -> None:
    """Train one job, score it if it has labels, and leave only what is needed later."""
    torch.set_num_threads(1 if device == "cpu" else torch.get_num_threads())
    splits, subjects = splits_of(out), subjects_of(out)
    recipe = recipe_of(out, plan, job, splits)
    folder = out / RUNS / recipe.key
    if done(out, plan, job, splits):
        return
    if job.pretraining:
        objective = planning.pretraining(plan, job.init, unlabelled(subjects, splits.train, plan))
        fit(recipe, objective, folder, device=device)
        (folder / CHECKPOINT).unlink(missing_ok=True)
        return
    folds, networks, folders = plan.folds(job), list[Any](), list[Path]()
    for number in range(folds):
        # as in cross-validation: each network misses its own part of the labelled subjects, and one alone misses none
        names = [n for i, n in enumerate(splits.labelled(job.seed, job.labels)) if folds == 1 or i % folds != number]
        objective = planning.segmentation(plan, job, labelled(subjects, names, job))
        mine = planning.fold_of(recipe, number, folds)
        folders.append(out / RUNS / mine.key)
        networks.append(fit(mine, objective, folders[-1], device=device))
    network = networks[0] if folds == 1 else Ensemble(networks)
    rows = [row for name in splits.test for row in score(objective, network, subjects[name])]
    write_text(folder / SCORES, json.dumps({"job": asdict(job), "rows": rows}) + "\n")
    for one in folders:
        for left in (WEIGHTS, CHECKPOINT):
            (one / left).unlink(missing_ok=True)


def done(out: Path, plan: Plan, job: Job, splits: Splits | None = None) -> bool:
    """Whether nothing of a job is left to do."""
    folder: Path = out / RUNS / recipe_of(out, plan, job, splits).key
    return (folder / (WEIGHTS if job.pretraining else SCORES)).is_file()


def score(objective: Any, network: Any, subject: Subject) -> list[Row]:
    """Dice of each structure at each labelled frame of a subject, in three dimensions on its own grid."""
    frames = subject.labelled
    study = Study(subject.name, {SAX: subject.image})
    found = objective.predict(network, study, frames).labels[SAX]
    return [
        {
            "subject": subject.name, "person": subject.person, "group": subject.group, "vendor": subject.vendor,
            "phase": subject.phase(t), **{f"dice_{structure.name.lower()}":
            dice(found[..., t], subject.labels[..., t], structure) for structure in HEART},
        }
        for t in frames
    ]  # fmt: skip


def rows_of(out: Path, plan: Plan, job: Job, splits: Splits | None = None) -> list[Row]:
    """The scores of a job.

    Raises:
        RefusedInput: it is not done (`not-done`).
    """
    path = out / RUNS / recipe_of(out, plan, job, splits).key / SCORES
    if not path.is_file():
        raise RefusedInput("not-done", f"{path.parent} has no scores yet; run the study to its end")
    rows: list[Row] = json.loads(path.read_text("utf-8"))["rows"]
    return rows


def ends(out: Path, plan: Plan, todo: Sequence[Job]) -> dict[Job, dict[str, float]]:
    """The last line of the log of every training and of what it starts from; of several networks, the first's."""
    splits, found = splits_of(out), {}
    for job in (*before(plan, todo), *todo):
        mine = planning.fold_of(recipe_of(out, plan, job, splits), 0, plan.folds(job))
        found[job] = json.loads((out / RUNS / mine.key / "log.jsonl").read_text("utf-8").splitlines()[-1])
    return found


def pace(out: Path, plan: Plan, splits: Splits) -> dict[str, float]:
    """Seconds of an update of each training and of scoring a subject, on one thread; measured once and kept.

    They are the processor's, so that other work on the machine does not count.
    """
    path = out / PACE
    if path.is_file():
        kept: dict[str, float] = json.loads(path.read_text("utf-8"))
        return kept
    torch.set_num_threads(1)
    subjects, found = subjects_of(out), {}
    few = splits.labelled(0, min(plan.labels))
    trial = replace(plan, pretrain_updates=dict.fromkeys(METHODS, 100))
    for init in dict.fromkeys((SCRATCH, *plan.methods)):
        if init == SCRATCH:
            objective: Any = planning.segmentation(
                plan, Job(init, 1, 0, 1), labelled(subjects, few, Job(init, 1, 0, 1))
            )
            size = plan.size.batch
        else:
            objective = planning.pretraining(trial, init, unlabelled(subjects, few, plan))
            size = planning.pretrain_batch(plan.size, init)
        network = objective.network().train()
        found[init] = min(_timed(objective, network, size, number) for number in range(2))
        if init == SCRATCH:
            started = time.process_time()
            score(objective, network.eval(), subjects[splits.test[0]])
            found["score"] = time.process_time() - started
    write_text(path, json.dumps(found) + "\n")
    return found


def _timed(objective: Any, network: Any, size: int, seed: int) -> float:
    started = time.process_time()
    objective.loss(network, objective.batch(np.random.default_rng(seed), size)).total.backward()
    return time.process_time() - started


def within(
    plan: Plan,
    paces: dict[str, float],
    asked: Callable[[Plan], list[Job]],
    tests: int,
    budget_s: float,
    workers: int,
    pool: tuple[int, int] = (0, 0),
) -> Plan:
    """The plan with as many updates as fit into a budget.

    Every method of pre-training gets the same time, not the same number of updates: the question is what a user's hour
    is best spent on. Where the scale says how many updates, the budget is not asked.

    Args:
        plan: the study.
        paces: see `pace`.
        asked: the trainings with labels of a plan.
        tests: subjects that every training is scored on.
        budget_s: seconds on the clock.
        workers: trainings at a time.
        pool: slices without labels and most slices with labels, from which published epochs follow.

    Raises:
        RefusedInput: not even one update of each training fits (`budget-too-small`).
    """
    scale, methods = plan.size, plan.methods
    if scale.published:
        each = {m: METHODS[m].EPOCHS * max(1, pool[0] // METHODS[m].BATCH) for m in methods}
        return replace(plan, updates=updates_of(pool[1]), pretrain_updates=each)
    if scale.updates:
        each = dict.fromkeys(methods, scale.pretrain_updates or 1)
        return replace(plan, updates=scale.updates, pretrain_updates=each)
    unit = 1000
    trial = asked(replace(plan, updates=unit))
    seconds = SPARE * budget_s * workers - sum(costs(plan, replace(job, updates=0), paces, tests) for job in trial)
    share = PRETRAINING_SHARE if methods else 0.0
    networks = sum(job.updates * plan.folds(job) for job in trial) / unit
    updates = int(seconds * (1 - share) / (networks * paces[SCRATCH]))
    each = {m: int(seconds * share / (len(methods) * plan.seeds) / paces[m]) for m in methods}
    if min([updates * min(job.updates for job in trial) / unit, *each.values()]) < 1:
        raise RefusedInput(
            "budget-too-small", f"{clock(budget_s)} are too little for {len(trial)} trainings; give more, or fewer rows"
        )
    return replace(plan, updates=updates, pretrain_updates=each)


def cost(plan: Plan, paces: dict[str, float], todo: Sequence[Job], tests: int, workers: int) -> float:
    """Seconds on the clock that a whole study takes."""
    return sum(costs(plan, job, paces, tests) for job in (*before(plan, todo), *todo)) / workers


def costs(plan: Plan, job: Job, paces: dict[str, float], tests: int) -> float:
    """Seconds of one job."""
    if job.pretraining:
        return job.updates * paces[job.init]
    copies = MIRRORED if job.init == NNUNET else 1
    return plan.folds(job) * (job.updates * paces[SCRATCH] + tests * copies * paces["score"])


def before(plan: Plan, todo: Sequence[Job]) -> list[Job]:
    """The pre-trainings that trainings start from, each once."""
    return list(dict.fromkeys(Job(j.init, 0, j.seed, plan.pretrain_updates[j.init]) for j in todo if j.init in METHODS))


def run(
    out: Path, plan: Plan, todo: Sequence[Job], workers: int, say: Callable[[str], None], device: str = "cpu"
) -> None:
    """Train what is not done yet: first everything without labels, then everything with.

    Args:
        out: of the study.
        plan: the study.
        todo: trainings with labels; what they start from is found here.
        workers: processes.
        say: told after each training, with the time left.
        device: where networks run.
    """
    splits = splits_of(out)
    first = before(plan, todo)
    started, finished = time.monotonic(), 0
    waiting = [[job for job in group if not done(out, plan, job, splits)] for group in (first, list(todo))]
    paces, tests = pace(out, plan, splits), len(splits.test)
    weights = {job: costs(plan, job, paces, tests) for group in waiting for job in group}
    behind = 0.0
    for group in waiting:
        for job in _finished(out, plan, group, workers, device):
            finished, behind = finished + 1, behind + weights[job]
            left = (time.monotonic() - started) * (sum(weights.values()) - behind) / behind
            say(f"{finished} of {len(weights)}  {told(job)}  about {clock(left)} left")


def _finished(out: Path, plan: Plan, group: Sequence[Job], workers: int, device: str) -> Iterable[Job]:
    """Jobs as they end; the longest begin first."""
    ordered = sorted(group, key=lambda job: -job.updates)
    if workers <= 1:
        for job in ordered:
            work(out, plan, job, device)
            yield job
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(work, out, plan, job, device): job for job in ordered}
        for future in as_completed(futures):
            future.result()
            yield futures[future]


def told(job: Job) -> str:
    """A job in words."""
    name = planning.TITLES[job.init]
    if job.pretraining:
        return f"pre-training {name}, seed {job.seed}, {job.updates} updates"
    return f"{job.labels} labelled subjects, {name}, seed {job.seed}, {job.updates} updates"
