"""Table 1: Dice of every initialisation for every number of labelled subjects."""

from cinecmr.experiments.ssp.plan import INITS, TITLES
from cinecmr.experiments.ssp.published import TRAINED
from cinecmr.experiments.ssp.tables import Line, StudyTable

_COUNTS = (296, 50, 25, 15, 10)
_PRINTED = {
    296: ((0.89, 0.001), (0.89, 0.002), (0.89, 0.003), (0.89, 0.001), (0.89, 0.001)),
    50: ((0.87, 0.007), (0.87, 0.011), (0.88, 0.005), (0.87, 0.006), (0.88, 0.006)),
    25: ((0.86, 0.003), (0.86, 0.014), (0.85, 0.014), (0.84, 0.002), (0.87, 0.007)),
    15: ((0.84, 0.007), (0.83, 0.024), (0.85, 0.009), (0.79, 0.009), (0.86, 0.015)),
    10: ((0.82, 0.009), (0.80, 0.024), (0.84, 0.009), (0.74, 0.022), (0.86, 0.007)),
}

TABLE = StudyTable(
    name="ssp_t1",
    title="Table 1: Dice by labelled subjects and pre-training",
    heads=("Labelled (of 296)", "Start"),
    lines=tuple(Line((str(n), TITLES[init]), init, n / TRAINED) for n in _COUNTS for init in INITS),
    columns=("all",),
    published={(str(n), TITLES[init]): (cell,) for n in _COUNTS for init, cell in zip(INITS, _PRINTED[n], strict=True)},
)
