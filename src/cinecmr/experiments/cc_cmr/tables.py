"""What the commands run: a table by its name, from the cohort to the page."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cinecmr.errors import RefusedInput
from cinecmr.experiments import provenance
from cinecmr.experiments.cc_cmr import figures, report, scales, statistics, study
from cinecmr.experiments.cc_cmr.rows import CC_CMR, CONTROLS, FUSION, ROWS, SHARP, TABLE_2
from cinecmr.io.files import write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cinecmr.experiments.cc_cmr.rows import Row
    from cinecmr.experiments.cc_cmr.study import Asked


@dataclass(frozen=True)
class Plan:
    """One table.

    Attributes:
        title: its heading. rows: in order. asked: see `study.run`.
    """

    title: str
    rows: tuple[Row, ...]
    asked: Asked = "screening"


PLANS = {
    "t1": Plan("CC-CMR table 1: the method against both cines without interaction", (FUSION, CC_CMR)),
    "t2": Plan("CC-CMR table 2: sequences and parts of the method, and what it is worth", (*TABLE_2, *CONTROLS)),
    "subtypes": Plan("Five groups of cardiomyopathy", (FUSION, CC_CMR, SHARP), "subtypes"),
}


def plan_of(name: str, rows: Sequence[str] = ()) -> Plan:
    """A table, perhaps with other rows.

    Raises:
        RefusedInput: there is no such table or row.
    """
    if name not in PLANS:
        raise RefusedInput("no-such-table", f"no table {name!r} of screening: there are {', '.join(PLANS)}")
    unknown = [row for row in rows if row not in ROWS]
    if unknown:
        raise RefusedInput("no-such-row", f"no row {unknown[0]!r}: there are {', '.join(ROWS)}")
    plan = PLANS[name]
    return Plan(plan.title, tuple(ROWS[row] for row in rows), plan.asked) if rows else plan


def run(
    out: Path,
    name: str,
    scale: str,
    *,
    rows: Sequence[str] = (),
    subjects: int | None = None,
    seeds: int | None = None,
    workers: int = 1,
    device: str = "cpu",
    page: Path | None = None,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Make a table: print its cost, train what is missing, write NAME.md and NAME.json.

    Args:
        out: folder; runs of all tables of a scale share it.
        name: "t1", "t2" or "subtypes".
        scale: "smoke", "laptop", "gpu" or "full".
        rows: other rows than the table's own.
        subjects: of the cohort; the scale's when None.
        seeds: trainings of each fold; the scale's when None.
        workers: processes, of one thread each.
        device: where networks run.
        page: a page of the documentation that gets the figures between its marks.
        say: told what is done.

    Returns:
        The table's lines.

    Raises:
        RefusedInput: no such table, row or scale, or too few subjects for the folds.
    """
    started = time.perf_counter()
    plan, chosen = plan_of(name, rows), scales.chosen(scale, subjects, seeds)
    done = study.run(out, chosen, plan.rows, asked=plan.asked, workers=workers, device=device, say=say)
    about = provenance.about(
        started,
        "torch",
        device_name=device,
        scale=chosen.name,
        data=f"{len(done.classes)} synthetic subjects from seed {chosen.cohort.first_seed}, cohort {chosen.cohort.key}",
        seeds=", ".join(map(str, chosen.seeds)),
        folds=chosen.folds,
        work=chosen.cost(plan.rows, 0.5 if plan.asked == "subtypes" else 1.0),
    )
    head = [f"## {plan.title}", "", *provenance.as_lines(about)]
    data: dict[str, object] = {}
    if plan.asked == "subtypes":
        lines = [*head, *report.subtype_lines(done)]
    else:
        lines, data = _screening(done, head, plan.rows)
        drawn = figures.draw(out, f"{name}-{chosen.name}", done)
        lines += ["", *(f"![{path.stem}]({path.name})" for path in drawn)]
    write_text(out / f"{name}-{chosen.name}.md", "\n".join(lines) + "\n")
    write_text(out / f"{name}-{chosen.name}.json", provenance.as_json({"about": about, **data}))
    if page is not None:
        provenance.into_page(page, [line for line in lines if not line.startswith("![")])
    return lines


def _screening(done: study.Study, head: list[str], rows: Sequence[Row]) -> tuple[list[str], dict[str, object]]:
    found = {name: statistics.row_figures(done, said) for name, said in done.said.items()}
    lines = [*head, *report.screening_lines(done, found)]
    if CC_CMR.name not in found:
        return [*lines, *report.published_lines(rows)], report.as_data(found, {})
    others = [name for name in found if name != CC_CMR.name]
    compared = statistics.compare(done, CC_CMR.name, others)
    told = report.verdict(done, CC_CMR.name, compared)
    lines += [told, "", *report.comparison_lines(done, CC_CMR.name, compared)]
    lines += report.further_lines(done, CC_CMR.name, found[CC_CMR.name])
    lines += [*report.feature_lines(done), *report.published_lines(rows)]
    return lines, {"verdict": told, **report.as_data(found, compared)}
