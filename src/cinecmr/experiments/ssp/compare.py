"""What `cinecmr compare DATA` does: the whole question of pre-training, for a user's own data."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from cinecmr.errors import RefusedInput
from cinecmr.experiments import provenance
from cinecmr.experiments.ssp import plan as planning
from cinecmr.experiments.ssp import report, runs
from cinecmr.experiments.ssp.plan import METHODS, SCRATCH, TITLES, Plan
from cinecmr.experiments.ssp.subjects import cases_of, gather
from cinecmr.io.files import write_text
from cinecmr.learn.progress import clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLAN = "plan.json"
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


def compare(
    data: str,
    out: Path,
    plan: Plan,
    *,
    budget: str = "20min",
    layout: str | None = None,
    test_share: float = 1 / 3,
    subjects: int = 60,
    workers: int = 2,
    device: str = "cpu",
    dry: bool = False,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Pre-train, fine-tune, score and tell; stopped and started again, it goes on where it was.

    Args:
        data: a folder, or the word "phantom".
        out: gets the kept subjects, the runs, and results.md, .csv, .json and curve.svg.
        plan: what is compared; numbers of labels beyond the subjects there are refused.
        budget: time on the clock, for the scales that do not say how many updates.
        layout: the data set the folder is; found out when None.
        test_share: of the people that are tested on.
        subjects: how many synthetic ones.
        workers: trainings at a time.
        device: where networks run.
        dry: only say what it would cost.
        say: told one line at a time.

    Returns:
        The sentences that answer the question.

    Raises:
        RefusedInput: data, numbers or budget that do not fit.
    """
    started, wanted = time.perf_counter(), seconds(budget)
    out.mkdir(parents=True, exist_ok=True)
    kept = gather(cases_of(data, layout, subjects), out / runs.DATA, plan.size.others, say)
    splits = runs.prepare(out, plan, kept, test_share)
    slices = runs.slices_by_count({s.name: s for s in kept}, splits, plan)
    paces = runs.pace(out, plan, splits)
    plan = _settled(out / PLAN, plan, paces, slices, len(splits.test), wanted, workers)
    todo = planning.jobs(plan, slices)
    for line in announced(plan, len(splits.train), len(splits.test), slices, len(todo)):
        say(line)
    say(f"this takes about {clock(runs.cost(plan, paces, slices, len(splits.test), workers))} on an idle machine")
    if dry:
        return []
    runs.run(out, plan, todo, workers, say, device)
    about = provenance.about(
        started, "torch", device_name=device, scale=plan.scale, preset=plan.preset, seeds=plan.seeds,
        data=f"{'synthetic hearts' if data == 'phantom' else 'real subjects'}: {len(splits.train)} to learn from, "
        f"{len(splits.test)} to test on",
    )  # fmt: skip
    found = report.cells(out, plan, slices)
    return report.write(out, found, "What pre-training is worth", about, notes(plan))


def _settled(
    path: Path, plan: Plan, paces: dict[str, float], slices: dict[int, float], tests: int, budget_s: float, workers: int
) -> Plan:
    """The plan with its updates, as it was settled when the study began."""
    if path.is_file():
        told = json.loads(path.read_text("utf-8"))
        return replace(plan, updates=told["updates"], pretrain_updates=told["pretrain_updates"])
    settled = runs.within(plan, paces, slices, tests, budget_s, workers)
    write_text(path, json.dumps(asdict(settled), indent=1) + "\n")
    return settled


def announced(plan: Plan, train: int, test: int, slices: dict[int, float], trainings: int) -> list[str]:
    """What is about to happen."""
    methods = [init for init in plan.inits if init != SCRATCH]
    lines = [f"{train} subjects to learn from, {test} to test on; scale {plan.scale}, preset {plan.preset}"]
    if methods:
        counts = ", ".join(f"{TITLES[m]} {plan.pretrain_updates[m]}" for m in methods)
        lines.append(f"pre-training on all {train}, {plan.seeds} seeds each, updates: {counts}")
    counts = ", ".join(f"{count} ({slices[count]:.0f} slices)" for count in plan.labels)
    lines.append(f"{trainings} trainings with labels of up to {plan.updates} updates, labelled subjects: {counts}")
    return lines


def notes(plan: Plan) -> list[str]:
    """What the reader of the table must know."""
    lines = [
        "Differences are of the same test subjects; intervals draw subjects and trainings again, p is a permutation "
        "test of subjects adjusted by Holm for the starts compared at each number of labels. Labelled subjects of a "
        "seed are nested, so points along a line are not independent.",
    ]
    if plan.pretrain_updates and not plan.size.updates:
        counts = ", ".join(f"{TITLES[m]} {n} of {planning.pretrain_batch(plan.size, m)} slices"
                           for m, n in plan.pretrain_updates.items() if m in METHODS)  # fmt: skip
        lines.append(f"\nEach method of pre-training had the same computing time. Its updates: {counts}.")
    return lines
