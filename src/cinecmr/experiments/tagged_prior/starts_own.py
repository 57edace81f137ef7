"""Which start is worth having for our default: error and Dice against its Gauss-Newton steps. Our own question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cinecmr.experiments.tagged_prior import starts
from cinecmr.experiments.tagged_prior.cohorts import TEST_2
from cinecmr.experiments.tagged_prior.rows import NOTES, PRINTED, TRUE, fit, table
from cinecmr.experiments.tagged_prior.starts import SOUND, Start

if TYPE_CHECKING:
    from cinecmr.experiments.table import Table
    from cinecmr.experiments.tagged_prior.scales import Scale

TITLE = "Starts of our own registration: none, averaged, better"
PRIORS = (starts.MEAN, starts.FLAT, starts.META, starts.ROBUST)


def made(scale: Scale) -> Table:
    """At a scale; differences are those of the robust mean that follows the ejected share."""
    each = [Start(SOUND, starts.REST), *(Start(SOUND, one, scale.sizes[-1]) for one in PRIORS)]
    rows = [fit(TEST_2, start, steps, str(steps)) for steps in scale.short for start in each]
    columns = (PRINTED[0], *TRUE[:3])
    return table("starts_own", TITLE, rows, heads=("Steps", "Start"), columns=columns, curve=True, notes=NOTES)
