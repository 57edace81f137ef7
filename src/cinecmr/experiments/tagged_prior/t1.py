"""Table 1: registration of UK Biobank test set 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cinecmr.experiments.tagged_prior.cohorts import TEST_1
from cinecmr.experiments.tagged_prior.rows import COLUMNS, both_ways, printed, table

if TYPE_CHECKING:
    from cinecmr.experiments.table import Table
    from cinecmr.experiments.tagged_prior.scales import Scale

TITLE = "Tagged prior, table 1: registration, UK Biobank test set 1"
PRINTED = {(TEST_1, "Baseline"): (0.733, 1.933, 0.536, 0.151), (TEST_1, "Prior"): (0.763, 1.642, 0.461, 0.170)}


def made(scale: Scale) -> Table:
    """At a scale."""
    rows = both_ways(TEST_1, scale)
    return table("t1", TITLE, rows, published=printed(rows, PRINTED, len(COLUMNS)))
