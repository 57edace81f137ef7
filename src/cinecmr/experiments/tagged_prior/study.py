"""A table of the fourth paper: what it needs is made, judged, and told beside the published figures."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from cinecmr.errors import RefusedInput
from cinecmr.experiments import provenance
from cinecmr.experiments.run import told
from cinecmr.experiments.tagged_prior import figures, scales
from cinecmr.experiments.tagged_prior import table as table_of
from cinecmr.experiments.tagged_prior.laboratory import Laboratory
from cinecmr.experiments.tagged_prior.rows import Fit
from cinecmr.experiments.tagged_prior.starts import NETWORK
from cinecmr.learn.progress import clock
from cinecmr.phantom.stacks import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cinecmr.experiments.scoring import Scored
    from cinecmr.experiments.table import Row, Table
    from cinecmr.experiments.tagged_prior.scales import Scale
    from cinecmr.experiments.tagged_prior.starts import Start

    Todo = dict[tuple[Start, str], tuple[int, ...]]

PRESETS = ("sound", "published", "official")


def reproduce(
    name: str,
    scale: str,
    out: Path,
    *,
    preset: str = "sound",
    device: str = "cpu",
    only_list: bool = False,
    subjects: int | None = None,
    results: Path | None = None,
    say: Callable[[str], None] = print,
) -> Path | None:
    """Make a table.

    Args:
        name: see `tagged_prior.names`.
        scale: see `scales.SCALES`.
        out: gets priors/ and fits/, which all tables share, and the table.
        preset: "official" leaves the penalty on volume out, as the published program's settings do; the others keep it.
        device: where networks run.
        only_list: stop after the list of what would be fitted.
        subjects: of each test cohort; the scale's when None.
        results: folder of the table; `out` when None.
        say: told one line at a time.

    Returns:
        The page; None where only the list was wanted.

    Raises:
        RefusedInput: no such table, scale or preset.
    """
    if preset not in PRESETS:
        raise RefusedInput("no-such-setting", f"no preset {preset!r}: there are {', '.join(PRESETS)}")
    started, size = time.perf_counter(), scales.chosen(scale)
    size = replace(size, tested=subjects) if subjects else size
    table = table_of(name, size)
    lab = Laboratory(size, out, preset == "official", device, say)
    wanted = todo(table, lab)
    missing = [(start, cohort, number) for (start, cohort), steps in wanted.items() for number in range(size.tested)
               if lab.kept(start, cohort, number, steps) is None]  # fmt: skip
    for start, cohort in wanted:
        left = sum(one[:2] == (start, cohort) for one in missing)
        say(f"{size.tested} fits, {left} to do: {cohort} from {start.title} ({start.method})")
    say(f"{len(missing)} fits to do, and the priors they begin from; this scale: {size.cost}")
    if only_list:
        return None
    _fit(lab, missing, wanted, say)
    scored = {row.labels: [_scored(row, lab)] for row in table.rows}
    about = provenance.about(started, "torch", device_name=device, table=table.name, preset=preset, **_facts(size))
    page = told(table, scored, size, about, results or out)
    figures.beside(name, table, lab, page)
    return page


def _scored(row: Row, lab: Laboratory) -> list[Scored]:
    assert isinstance(row, Fit)  # noqa: S101 - for the type checker
    found = [lab.kept(row.start, row.training.data, n, (row.steps,)) for n in range(lab.scale.tested)]
    return [one for one in found if one is not None]


def _facts(size: Scale) -> dict[str, str]:
    """What a table says of its size."""
    network = size.network
    return {
        "scale": size.name,
        "subjects": f"{size.tested} of each cohort; priors of {', '.join(map(str, size.sizes))}",
        "network": f"{'-'.join(map(str, network.widths))}, {network.points} points, rate {network.rate:g}, "
        f"{network.steps} steps",
        "images": f"{size.frames or 'all'} frames, matrix {size.matrix or 'of the scanner'}, phantom version {VERSION}",
    }


def todo(table: Table, lab: Laboratory) -> Todo:
    """Fits of a table: where they begin, on whom, and after how many steps they are looked at.

    A fit that goes on to more steps serves for fewer, so each is made as long as the scale ever asks, and looked at
    wherever it does.
    """
    found: Todo = {}
    for row in table.rows:
        assert isinstance(row, Fit)  # noqa: S101 - for the type checker
        every = lab.scale.steps if row.start.method == NETWORK else lab.scale.short
        before = found.get((row.start, row.training.data), ())
        found[row.start, row.training.data] = tuple(sorted({*before, 0, *(s for s in every if s <= row.steps)}))
    return found


def _fit(lab: Laboratory, missing: list[tuple[Start, str, int]], wanted: Todo, say: Callable[[str], None]) -> None:
    """One subject after the other, from all its starts, since making a subject takes longer than a short fit."""
    began = time.monotonic()
    for done, (start, cohort, number) in enumerate(sorted(missing, key=lambda one: (one[1], one[2]))):
        lab.fit(start, cohort, number, wanted[start, cohort])
        left = (time.monotonic() - began) / (done + 1) * (len(missing) - done - 1)
        say(f"{done + 1} of {len(missing)}  {cohort} {number} from {start.title}  about {clock(left)} left")
