"""Table 3: how many subjects a prior needs, UK Biobank test set 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cinecmr.experiments.tagged_prior import starts
from cinecmr.experiments.tagged_prior.cohorts import TEST_2
from cinecmr.experiments.tagged_prior.rows import COLUMNS, NOTES, fit, printed, table
from cinecmr.experiments.tagged_prior.starts import NETWORK, SOUND, Start

if TYPE_CHECKING:
    from cinecmr.experiments.table import Table
    from cinecmr.experiments.tagged_prior.scales import Scale

TITLE = "Tagged prior, table 3: size of the prior, UK Biobank test set 2"
BASELINE = {(TEST_2, "Baseline"): (0.732, 1.969, 0.544, 0.148)}
PRINTED = {50: (0.763, 1.678, 0.466, 0.169), 200: (0.762, 1.684, 0.467, 0.169), 450: (0.763, 1.677, 0.465, 0.169),
           890: (0.762, 1.686, 0.466, 0.169)}  # fmt: skip


def made(scale: Scale) -> Table:
    """At a scale; a prior of a size that the paper has stands beside it."""
    network = [Start(NETWORK, starts.XAVIER), *(Start(NETWORK, starts.MEAN, size) for size in scale.sizes)]
    own = [Start(SOUND, starts.REST), *(Start(SOUND, starts.ROBUST, size) for size in scale.sizes)]
    rows = [fit(TEST_2, start, scale.network.steps) for start in network]
    rows += [fit(TEST_2, start, scale.whole) for start in own]
    known = printed(rows, BASELINE, len(COLUMNS))
    none = (None,) * (len(COLUMNS) - 4)
    known |= {row.labels: (*PRINTED[row.start.subjects], *none) for row in rows
              if row.start.method == NETWORK and row.start.subjects in PRINTED}  # fmt: skip
    told = ", ".join(f"N={size}: {dice:.3f}" for size, (dice, *_) in PRINTED.items())
    return table("t3", TITLE, rows, published=known, notes=(*NOTES, f"Dice of the paper's own priors: {told}."))
