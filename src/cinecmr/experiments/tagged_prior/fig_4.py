"""Figure 4: the field before any training, with and without the prior."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cinecmr.experiments.tagged_prior import starts
from cinecmr.experiments.tagged_prior.cohorts import DCM, ICM, TEST_1
from cinecmr.experiments.tagged_prior.rows import AT_REST, NOTES, fit, table
from cinecmr.experiments.tagged_prior.starts import NETWORK, Start

if TYPE_CHECKING:
    from cinecmr.experiments.table import Table
    from cinecmr.experiments.tagged_prior.scales import Scale

TITLE = "Tagged prior, figure 4: the field before training"


def made(scale: Scale) -> Table:
    """At a scale."""
    each = (Start(NETWORK, starts.XAVIER), Start(NETWORK, starts.MEAN, scale.sizes[-1]))
    rows = [fit(cohort, start, 0) for cohort in (TEST_1, DCM, ICM) for start in each]
    return table("fig_4", TITLE, rows, columns=AT_REST, notes=NOTES[:1])
