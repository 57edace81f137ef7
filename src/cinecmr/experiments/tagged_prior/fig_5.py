"""Figure 5: averages of networks from different seeds collapse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cinecmr.experiments.tagged_prior import starts
from cinecmr.experiments.tagged_prior.cohorts import TEST_1
from cinecmr.experiments.tagged_prior.rows import AT_REST, NOTES, fit, table
from cinecmr.experiments.tagged_prior.starts import NETWORK, Start

if TYPE_CHECKING:
    from cinecmr.experiments.table import Table
    from cinecmr.experiments.tagged_prior.scales import Scale

TITLE = "Tagged prior, figure 5: one start for all subjects, or one for each"


def made(scale: Scale) -> Table:
    """At a scale."""
    size = scale.sizes[-1]
    each = (Start(NETWORK, starts.XAVIER), Start(NETWORK, starts.APART, size), Start(NETWORK, starts.MEAN, size))
    notes = (*NOTES[:1], "The paper: the average of networks that began from different seeds hardly moves anything.")
    return table("fig_5", TITLE, [fit(TEST_1, start, 0) for start in each], columns=AT_REST, notes=notes)
