"""What `cinecmr compare DATA` does: the whole question of pre-training, for a user's own data."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from cinecmr.datasets.run import recognised
from cinecmr.errors import RefusedInput
from cinecmr.experiments import provenance
from cinecmr.experiments.ssp import plan as planning
from cinecmr.experiments.ssp import published, report, runs, tables
from cinecmr.experiments.ssp.plan import METHODS, TITLES, Plan
from cinecmr.experiments.ssp.subjects import cases_of, gather
from cinecmr.io.files import write_text
from cinecmr.io.subject import subject_name
from cinecmr.learn.progress import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cinecmr.datasets import Case
    from cinecmr.experiments.ssp.plan import Job

PLAN = "plan.json"
TABLES = ("t1", "t2", "t3", "t4", "supplement_b")
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h)")


def seconds(text: str) -> float:
    """A time such as "20min", "1.5h" or "90s".

    Raises:
        RefusedInput: it is none (`bad-time`).

    >>> seconds("20min")
    1200.0
    """
    if not (read := _TIME.fullmatch(text.strip())) or not float(read[1]):
        raise RefusedInput("bad-time", f"{text!r} is no time; give one such as 20min, 1.5h or 90s")
    return float(read[1]) * {"s": 1, "min": 60, "h": 3600}[read[2]]


@dataclass(frozen=True)
class Request:
    """What a user asked for beside the plan.

    Attributes:
        data: folders, or the word "phantom". out: of the study.
        budget: time on the clock, for the scales that do not say how many updates.
        layout: the data set that the folders are; found out when None.
        test_share: of the people that are tested on; not asked where the data are those of the paper.
        subjects: how many synthetic ones.
        workers: trainings at a time. device: where networks run.
        dry: only say what it would cost.
        results: folder of the tables and the figure; `out` when None.
        page: of the documentation, that gets the figures between its marks.
    """

    data: tuple[str, ...]
    out: Path
    budget: str = "20min"
    layout: str | None = None
    test_share: float = 1 / 3
    subjects: int = 60
    workers: int = 2
    device: str = "cpu"
    dry: bool = False
    results: Path | None = None
    page: Path | None = None


@dataclass(frozen=True)
class _Study:
    """A study whose data are read, whose splits are drawn and whose pace is known."""

    request: Request
    plan: Plan
    splits: runs.Splits
    slices: dict[int, float]
    paces: dict[str, float]
    jobs: Callable[[Plan], list[Job]]
    about: dict[str, object]

    def train(self, say: Callable[[str], None]) -> bool:
        """Announce and do everything; False where only the announcement was wanted."""
        request, plan, todo = self.request, self.plan, self.jobs(self.plan)
        for line in announced(plan, self.splits, self.slices, len(todo)):
            say(line)
        seconds_left = runs.cost(plan, self.paces, todo, len(self.splits.test), request.workers)
        say(f"this takes about {clock(seconds_left)} from the beginning, on a machine without other work")
        if request.dry:
            return False
        runs.run(request.out, plan, todo, request.workers, say, request.device)
        return True


def compare(request: Request, plan: Plan, say: Callable[[str], None] = print) -> list[str]:
    """Pre-train, fine-tune, score and tell; stopped and started again, it goes on where it was.

    Args:
        request: see there. Its `out` gets the kept subjects, the runs, and results.md, .csv, .json and curve.svg.
        plan: what is compared.
        say: told one line at a time.

    Returns:
        The sentences that answer the question.

    Raises:
        RefusedInput: data, numbers or budget that do not fit.
    """
    started = time.perf_counter()
    study = _opened(request, plan, say)
    if not study.train(say):
        return []
    out, plan, trained = request.out, study.plan, runs.ends(request.out, study.plan, study.jobs(study.plan))
    time_of = f"{sum(end.get('seconds', 0.0) for end in trained.values()) / 60:.0f} min, other work beside it included"
    about = provenance.about(started, "torch", device_name=request.device, **study.about, training=time_of)
    told = [*notes(plan), *report.left(trained)]
    found, title = report.cells(out, plan, study.slices), "What pre-training is worth"
    return report.write(request.results or out, found, title, about, told, request.page, plan.size.resamples)


def reproduce(name: str, request: Request, plan: Plan, say: Callable[[str], None] = print) -> list[str]:
    """Make one of the paper's tables; see `compare`.

    Args:
        name: "t1", "t2", "t3", "t4" or "supplement_b".
        request: see there.
        plan: its scale, preset and seeds count; the table says the rest.
        say: told one line at a time.

    Returns:
        The page's path.
    """
    started = time.perf_counter()
    if name not in TABLES:
        raise RefusedInput("no-such-table", f"no table {name!r}: there are {', '.join(TABLES)}")
    table: tables.StudyTable = import_module(f"cinecmr.experiments.ssp.{name}").TABLE
    study = _opened(request, replace(plan, inits=table.inits), say, table)
    if not study.train(say):
        return []
    about = provenance.about(started, "torch", device_name=request.device, **study.about)
    made = tables.jobs(table, study.plan, study.slices)
    return [str(tables.told(table, request.out, study.plan, made, about, request.results))]


def _opened(
    request: Request,
    plan: Plan,
    say: Callable[[str], None],
    table: tables.StudyTable | None = None,
) -> _Study:
    """Read, draw, measure the pace, settle the updates."""
    out, wanted = request.out, seconds(request.budget)
    out.mkdir(parents=True, exist_ok=True)
    cases = [(case, folder) for folder in request.data for case in cases_of(folder, request.layout, request.subjects)]
    names = _published_names(cases)
    wanted_names = set(names.values())
    chosen = [case for case, _ in cases if not names or subject_name(case.subject) in wanted_names]
    kept = gather(chosen, out / runs.DATA, plan.size.others, say)
    if table is not None:
        train = published.TRAINED if names else runs.people_to_learn_from(kept, request.test_share)
        plan = replace(plan, labels=tuple(sorted({tables.count_of(line, train) for line in table.lines})))
    splits = runs.keep(out, runs.published(names, plan) if names else runs.balanced(kept, plan, request.test_share))
    slices = runs.slices_by_count({s.name: s for s in kept}, splits, plan)
    jobs = partial(_asked, table, slices)
    paces = runs.pace(out, plan, splits)
    if not (out / PLAN).is_file():
        pool = (
            sum(s.image.frames * s.image.slices for s in kept if s.name in splits.train),
            round(max(slices.values())),
        )
        plan = runs.within(plan, paces, jobs, len(splits.test), wanted, request.workers, pool)
        write_text(out / PLAN, json.dumps(asdict(plan), indent=1) + "\n")
    plan = settled(out / PLAN, plan)
    about: dict[str, object] = {
        "scale": plan.scale, "preset": plan.preset, "seeds": plan.seeds,
        "data": f"{'synthetic hearts' if request.data == ('phantom',) else 'real subjects'}: {len(splits.train)} to "
        f"learn from, {len(splits.test)} to test on" + (", the split of the paper" if names else ""),
    }  # fmt: skip
    return _Study(request, plan, splits, slices, paces, jobs, about)


def _asked(table: tables.StudyTable | None, slices: dict[int, float], plan: Plan) -> list[Job]:
    """The trainings with labels of a table, or of the whole comparison."""
    if table is None:
        return planning.jobs(plan, slices)
    return list(dict.fromkeys(tables.jobs(table, plan, slices).values()))


def _published_names(cases: Sequence[tuple[Case, str]]) -> dict[str, str]:
    """Names of subjects by published identifier, where the data are exactly those of the paper; else none."""
    folders = {folder: recognised(Path(folder)) for folder in {folder for _, folder in cases} if Path(folder).is_dir()}
    if sorted(folders.values()) != [["mnms"], ["mnms2"]]:
        return {}
    found = {}
    for case, folder in cases:
        (layout,) = folders[folder]
        if layout == "mnms" or published.without_overlap([case]):
            found[published.identifier(case, layout)] = subject_name(case.subject)
    return found if published.is_published(list(found)) else {}


def settled(path: Path, plan: Plan) -> Plan:
    """The plan with its updates, as they were settled when the study began.

    Raises:
        RefusedInput: the folder holds a study of other settings (`other-study`).
    """
    told = json.loads(path.read_text("utf-8"))
    found = replace(plan, updates=told["updates"], pretrain_updates=told["pretrain_updates"])
    asked = json.loads(json.dumps(asdict(found)))
    free = ("inits", "protocols")  # these may be added, and left out: every training stays what it is
    same = all(asked[key] == told[key] for key in asked if key not in free)
    if not same or not set(plan.methods) <= set(told["pretrain_updates"]):
        raise RefusedInput("other-study", f"{path} is of a study with other settings; give a new folder")
    return found


def announced(plan: Plan, splits: runs.Splits, slices: dict[int, float], trainings: int) -> list[str]:
    """What is about to happen."""
    train, test = len(splits.train), len(splits.test)
    lines = [f"{train} subjects to learn from, {test} to test on; scale {plan.scale}, preset {plan.preset}"]
    if plan.methods:
        counts = ", ".join(f"{TITLES[m]} {plan.pretrain_updates[m]}" for m in plan.methods)
        lines.append(f"pre-training on all {train}, {plan.seeds} seeds each, updates: {counts}")
    counts = ", ".join(f"{count} ({slices[count]:.0f} slices)" for count in plan.labels)
    lines.append(f"{trainings} trainings with labels of up to {plan.updates} updates, labelled subjects: {counts}")
    return lines


def notes(plan: Plan) -> list[str]:
    """What the reader of the table must know."""
    lines = [
        "Differences are of the same test subjects; intervals draw subjects and trainings again, p is a permutation "
        "test of subjects adjusted by Holm for the kinds of pre-training compared at each number of labels. Labelled "
        "subjects of a seed are nested, so points along a line are not independent.",
    ]
    if plan.pretrain_updates and not plan.size.updates:
        counts = ", ".join(f"{TITLES[m]} {n} of {planning.pretrain_batch(plan.size, m)} slices"
                           for m, n in plan.pretrain_updates.items() if m in METHODS)  # fmt: skip
        lines.append(f"\nEach method of pre-training had the same computing time. Its updates: {counts}.")
    return lines
