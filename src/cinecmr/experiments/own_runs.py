"""Runs of one's own side by side: the same people, whom none of them learned from, and what the difference is worth.

What `cinecmr evaluate runs RUN ... --data DATA` does. The last run is compared with the others, patient by patient.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file

from cinecmr.errors import RefusedInput
from cinecmr.evaluate.agreement import agreement
from cinecmr.experiments import provenance
from cinecmr.experiments.run import score, told
from cinecmr.experiments.table import Column, Row, Table, Training
from cinecmr.io.files import write_text
from cinecmr.learn.recipe import Weights
from cinecmr.learn.splits import Splits, person_of
from cinecmr.learn.start import WEIGHTS
from cinecmr.tasks.classification import class_of
from cinecmr.tasks.taught import settings_of
from cinecmr.tasks.teaching import SPLITS, TASKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from cinecmr.datasets import Case
    from cinecmr.experiments.scoring import Scored

BY = ("disease", "sex", "vendor")
EVERYONE = "all"
_GROSS, _FAR = 0.5, 15.0  # Dice below, or percentage points beyond which a case is a failure
_COLUMNS = (
    ("dice_", "Dice {} (%)", 100.0, True, _GROSS),
    ("hd95_", "HD95 {} (mm)", 1.0, False, None),
    ("lvef_error", "LVEF error (points)", 1.0, False, _FAR),
    ("rvef_error", "RVEF error (points)", 1.0, False, _FAR),
    ("correct", "Correct (%)", 100.0, True, None),
    ("abs_error", "Absolute error", 1.0, False, None),
    ("distance_", "Distance {} (mm)", 1.0, False, None),
    ("mapse_error", "MAPSE error (mm)", 1.0, False, None),
    ("gl_shortening_error", "Shortening error (points)", 1.0, False, None),
)
_PAIRS = {"lvef": "LVEF (points)", "rvef": "RVEF (points)", "": "Number", "mapse": "MAPSE (mm)"}


@dataclass(frozen=True)
class Own:
    """One fine-tuned run.

    Attributes:
        name: of its folder. task: the learner that reads and scores. kind: one of `teaching.TASKS`.
        sha256: of the weights. learned: people, hashed, that it learned from or was chosen by.
        weights: their file.
    """

    name: str
    task: Any
    kind: str
    sha256: str
    learned: frozenset[str]
    weights: Path

    @classmethod
    def of(cls, folder: Path) -> Own:
        """A run from its folder.

        Raises:
            RefusedInput: no recipe or no weights (`no-run`), or a run of another kind or version (`foreign-weights`).
        """
        recipe, weights, splits = folder / "recipe.json", folder / WEIGHTS, folder.parent / SPLITS
        for path in (recipe, weights, splits):
            if not path.is_file():
                raise RefusedInput(
                    "no-run", f"{path} is missing; give the folder of a finished run of `cinecmr finetune`"
                )
        parts = Splits.read(splits).parts
        try:
            told = json.loads(recipe.read_text("utf-8"))["objective"]
            kind = next(name for name, (_, settings, _) in TASKS.items() if settings.__name__ == told["task"])
            task = TASKS[kind][0](settings_of(TASKS[kind][1](), told))
        except (ValueError, KeyError, TypeError, StopIteration) as error:
            raise RefusedInput("foreign-weights", f"{recipe} tells of no run of `cinecmr finetune`: {error}") from error
        learned = frozenset(person for part in ("train", "val") for person in parts.get(part, ()))
        return cls(folder.name, task, kind, Weights.of(weights).sha256, learned, weights)


@dataclass(frozen=True)
class _Size:
    """What a table asks of a scale."""

    name: str
    seeds: int = 1
    resamples: int = 2000
    draws: int = 100


def run(
    runs: Sequence[Path],
    cases: Iterable[Case],
    out: Path,
    *,
    by: Sequence[str] = (),
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> Path:
    """Score runs on the people none of them learned from.

    Args:
        runs: folders of finished runs of one task.
        cases: of the data they learned from, or of other data.
        out: gets runs-TASK.md, .csv and .json, and scores.json with every case of every run.
        by: also tell by "disease", "sex", "vendor".
        device: where networks run.
        say: told one line at a time.

    Returns:
        The page.

    Raises:
        RefusedInput: runs of different tasks (`not-alike`), nobody is left to test on (`nothing-to-score`), or no such
            way to group (`no-such-setting`).
    """
    started = time.perf_counter()
    own = [Own.of(folder) for folder in runs]
    _alike(own, by)
    tested = _strangers(own, cases, say)
    scored = {one.name: _scores(one, tested, device, say) for one in own}
    groups = {EVERYONE: list(range(len(tested)))} | _groups(tested, by)
    table = _table(own, groups, scored)
    rows = {row.labels: [[scored[row.labels[1]][n] for n in groups[row.labels[0]]]] for row in table.rows}
    about = provenance.about(
        started, "torch", device_name=device, tested=f"{len(tested)} visits of people no run learned from",
        **{f"run {one.name}": f"weights SHA-256 {one.sha256[:12]}" for one in own},
    )  # fmt: skip
    page = told(table, rows, _Size(own[0].kind), about, out)
    write_text(out / "scores.json", provenance.as_json({
        name: {one.case: one.scores for one in found} for name, found in scored.items()
    }))  # fmt: skip
    write_text(page, page.read_text("utf-8") + "\n".join(_agreements(scored)))
    return page


def _alike(own: Sequence[Own], by: Sequence[str]) -> None:
    if len({(one.kind, one.task.settings.key) for one in own}) != 1 or len({one.name for one in own}) < len(own):
        raise RefusedInput("not-alike", "runs are compared that answer the same of the same view, each given once")
    if wrong := [word for word in by if word not in BY]:
        raise RefusedInput("no-such-setting", f"--by knows {', '.join(BY)}, not {', '.join(wrong)}")


def _strangers(own: Sequence[Own], cases: Iterable[Case], say: Callable[[str], None]) -> list[Case]:
    """The visits of people whom no run learned from or was chosen by."""
    known = frozenset().union(*(one.learned for one in own))
    given = list(cases)
    found = [case for case in given if person_of(case) not in known]
    if len(found) < len(given):
        say(f"{len(given) - len(found)} of {len(given)} visits are of people whom a run learned from: left out")
    if not found:
        raise RefusedInput(
            "nothing-to-score", "the runs learned from everybody in these data; give others, or keep some people apart"
        )
    return found


def _scores(own: Own, cases: Sequence[Case], device: str, say: Callable[[str], None]) -> list[Scored]:
    network = own.task.network()
    network.load_state_dict(load_file(own.weights))
    network = network.to(device).eval()
    return [score(own.task, network, case, say) for case in cases]


def _groups(cases: Sequence[Case], by: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for target in by:
        for number, case in enumerate(cases):
            found.setdefault(f"{target} {class_of(target, case) or 'unknown'}", []).append(number)
    return found


def _table(own: Sequence[Own], groups: dict[str, list[int]], scored: dict[str, list[Scored]]) -> Table:
    rows = tuple(Row((group, one.name), Training(one.kind, "", one.name)) for group in groups for one in own)
    names = dict.fromkeys(name for found in scored.values() for case in found for name in case.scores)
    return Table(
        "runs", f"{own[0].kind.capitalize()}: own runs on people they did not learn from", ("People", "Run"), rows,
        columns_of(names), source="none",
        notes=("Intervals are over patients and of these weights: another training would differ too.",
               "A run that was chosen among several by these very people is flattered."),
    )  # fmt: skip


def columns_of(names: Iterable[str]) -> tuple[Column, ...]:
    """The columns of scores, by name; those that are answers or truths have none.

    Raises:
        RefusedInput: no name is that of a score (`nothing-to-score`).
    """
    given = list(names)
    found = [
        Column(name, title.format(name.removeprefix(start).upper()), factor, higher_is_better=higher, limit=limit)
        for start, title, factor, higher, limit in _COLUMNS
        for name in given
        if (name.startswith(start) if start.endswith("_") else name == start)
    ]
    if not found:
        raise RefusedInput("nothing-to-score", "no visit has what this task is compared with; check the labels")
    return tuple(found)


def _agreements(scored: dict[str, list[Scored]]) -> list[str]:
    """Bias and limits of agreement of every number that was both found and known."""
    lines: list[Any] = []
    for start, title in _PAIRS.items():
        ends = (f"{start}_found", f"{start}_true") if start else ("found", "true")
        for name, cases in scored.items():
            both = [[case.scores[end] for end in ends] for case in cases if set(ends) <= case.scores.keys()]
            if both:
                of = agreement(*zip(*both, strict=True))
                low, high = of.limits
                lines.append(f"| {title} | {name} | {of.n} | {of.bias:+.2f} | {low:.2f} to {high:.2f} |")
    head = ["", "## Agreement", "", "Found minus true: bias, and limits that hold 95 % of the differences.", "",
            "| | Run | Visits | Bias | Limits |", "|---|---|---:|---:|---:|"]  # fmt: skip
    return [*head, *lines, ""] if lines else []
