"""Rows and columns that the fourth paper's tables share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cinecmr.experiments.table import Column, Row, Table, Training
from cinecmr.experiments.tagged_prior import starts
from cinecmr.experiments.tagged_prior.cohorts import TITLES
from cinecmr.experiments.tagged_prior.starts import NETWORK, SOUND, Start

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cinecmr.experiments.tagged_prior.scales import Scale

SOURCE = "the tagged-informed motion prior (Alvarez-Florez et al.)"
BASELINE = Start(NETWORK, starts.XAVIER)
METHODS = {NETWORK: "Network, as published", SOUND: "Ours"}
PRINTED = (
    Column("dice", "Dice", higher_is_better=True, decimals=3, limit=0.5),
    Column("hd95", "HD95 (mm)"),
    Column("asd", "ASD (mm)", decimals=3),
    Column("jacobian", "Muscle, mean |det J - 1|", decimals=3),
)
TRUE = (
    Column("es_epe_mm", "Error at ES (mm)"),
    Column("es_in_plane_mm", "In plane (mm)"),
    Column("GCS_error", "GCS error (points)"),
    Column("folded", "Folding (%)", factor=100, decimals=3),
)
COLUMNS = PRINTED + TRUE
AT_REST = (
    Column("inside_mm", "Length in muscle (mm)"),
    Column("outside_mm", "Length elsewhere (mm)"),
    Column("direction", "Cosine with true motion", higher_is_better=True),
    Column("es_epe_mm", "Error at ES (mm)"),
)
NOTES = (
    "Subjects are synthetic, and labels the phantom's own: no figure here is of patients.",
    "Dice, HD95 and ASD: warped labels of end-systole and of the frames halfway to it and back, against end-diastole, "
    "mean over LV, MYO and RV. The paper names no frames and no unit of distance.",
    "Printed figures are of the network with Xavier weights (Baseline) and the mean of tagged networks (Prior).",
    "Errors are against the phantom's true motion, at end-systole, over the wall by volume. Ours sees the short axis "
    "alone here, as the network does; it follows the left ventricle, and the right one is no more than carried on.",
)  # fmt: skip


@dataclass(frozen=True)
class Fit(Row):
    """One line: fits of a cohort from one start, after so many steps.

    Attributes:
        start: what they begin from. steps: how long they go on.
    """

    start: Start = BASELINE
    steps: int = 0


def fit(cohort: str, start: Start, steps: int, *labels: str) -> Fit:
    """A row, with further labels before the start's title."""
    given = labels or (TITLES[cohort], METHODS[start.method])
    return Fit((*given, start.title), Training("motion", cohort, start.title), start=start, steps=steps)


def both_ways(cohort: str, scale: Scale) -> tuple[Fit, ...]:
    """Without and with a prior, of the network and of ours, at full length."""
    most, steps = scale.sizes[-1], scale.network.steps
    network = [Start(NETWORK, starts.XAVIER), Start(NETWORK, starts.SIREN), Start(NETWORK, starts.MEAN, most)]
    own = [Start(SOUND, starts.REST), Start(SOUND, starts.ROBUST, most)]
    return (*(fit(cohort, start, steps) for start in network), *(fit(cohort, start, scale.whole) for start in own))


def printed(
    rows: Sequence[Row], figures: Mapping[tuple[str, str], tuple[float, ...]], columns: int
) -> dict[tuple[str, ...], tuple[float | None, ...]]:
    """Published figures by (cohort, "Baseline" or "Prior") for the rows of the network that mean the same.

    A prior's size is not compared: the paper finds none that matters.
    """
    told: dict[tuple[str, ...], tuple[float | None, ...]] = {}
    for row in rows:
        assert isinstance(row, Fit)  # noqa: S101 - for the type checker
        kind = {starts.XAVIER: "Baseline", starts.MEAN: "Prior"}.get(row.start.kind, "")
        known = figures.get((row.training.data, kind))
        if known and row.start.method == NETWORK:
            told[row.labels] = (*known, *(None,) * (columns - len(known)))
    return told


def table(name: str, title: str, rows: Sequence[Fit], **more: object) -> Table:
    """One of the paper's."""
    given = {"heads": ("Cohort", "Method", "Start"), "columns": COLUMNS, "notes": NOTES} | more
    return Table(name=f"tagged_prior_{name}", title=title, rows=tuple(rows), seeds=(0,), source=SOURCE, **given)  # type: ignore[arg-type]
