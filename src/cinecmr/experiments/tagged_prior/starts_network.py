"""Which start is worth having for the network: error and Dice against steps. Our own question, not in the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cinecmr.experiments.tagged_prior import starts
from cinecmr.experiments.tagged_prior.cohorts import TEST_2
from cinecmr.experiments.tagged_prior.rows import NOTES, PRINTED, TRUE, fit, table
from cinecmr.experiments.tagged_prior.starts import NETWORK, Start

if TYPE_CHECKING:
    from cinecmr.experiments.table import Table
    from cinecmr.experiments.tagged_prior.scales import Scale

TITLE = "Starts of the published network: none, averaged, better"
PRIORS = (starts.APART, starts.MEAN, starts.ROBUST, starts.META)


def made(scale: Scale) -> Table:
    """At a scale; differences are those of the prior in two rounds."""
    size = scale.sizes[-1]
    each = [Start(NETWORK, starts.XAVIER), Start(NETWORK, starts.SIREN), *(Start(NETWORK, one, size) for one in PRIORS)]
    rows = [fit(TEST_2, start, steps, str(steps)) for steps in scale.steps for start in each]
    columns = (PRINTED[0], *TRUE[:3])
    return table("starts_network", TITLE, rows, heads=("Steps", "Start"), columns=columns, curve=True, notes=NOTES)
