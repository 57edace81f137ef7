"""Figure 3: size of the prior against steps, UK Biobank test set 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cinecmr.experiments.tagged_prior import starts
from cinecmr.experiments.tagged_prior.cohorts import TEST_2
from cinecmr.experiments.tagged_prior.rows import NOTES, PRINTED, TRUE, fit, table
from cinecmr.experiments.tagged_prior.starts import NETWORK, Start

if TYPE_CHECKING:
    from cinecmr.experiments.table import Table
    from cinecmr.experiments.tagged_prior.scales import Scale

TITLE = "Tagged prior, figure 3: size of the prior and number of steps"


def made(scale: Scale) -> Table:
    """At a scale."""
    each = [Start(NETWORK, starts.XAVIER), *(Start(NETWORK, starts.MEAN, size) for size in scale.sizes)]
    rows = [fit(TEST_2, start, steps, str(steps)) for steps in scale.steps for start in each]
    notes = (*NOTES, "The paper plots Dice: all its priors lie on one line, which reaches after about 500 steps what "
             "the baseline has after 1000.")  # fmt: skip
    return table("fig_3", TITLE, rows, heads=("Steps", "Start"), columns=(PRINTED[0], TRUE[0]), curve=True, notes=notes)
