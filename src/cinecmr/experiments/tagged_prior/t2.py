"""Table 2: registration of patients who are to get an ICD, by cardiomyopathy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cinecmr.experiments.tagged_prior.cohorts import DCM, HCM, ICM
from cinecmr.experiments.tagged_prior.rows import COLUMNS, both_ways, printed, table

if TYPE_CHECKING:
    from cinecmr.experiments.table import Table
    from cinecmr.experiments.tagged_prior.scales import Scale

TITLE = "Tagged prior, table 2: registration of another clinic's cardiomyopathies"
PRINTED = {
    (HCM, "Baseline"): (0.752, 2.329, 0.619, 0.124),
    (HCM, "Prior"): (0.777, 2.034, 0.548, 0.135),
    (DCM, "Baseline"): (0.781, 2.208, 0.617, 0.113),
    (DCM, "Prior"): (0.798, 2.042, 0.573, 0.120),
    (ICM, "Baseline"): (0.762, 2.011, 0.518, 0.121),
    (ICM, "Prior"): (0.772, 1.850, 0.494, 0.128),
}


def made(scale: Scale) -> Table:
    """At a scale."""
    rows = [row for cohort in (HCM, DCM, ICM) for row in both_ways(cohort, scale)]
    return table("t2", TITLE, rows, published=printed(rows, PRINTED, len(COLUMNS)))
