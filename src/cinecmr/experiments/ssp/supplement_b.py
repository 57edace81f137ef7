"""Supplement B: Dice of each structure with all labels."""

from cinecmr.experiments.ssp.plan import INITS, TITLES
from cinecmr.experiments.ssp.tables import Line, StudyTable

_SPREAD = {
    "scratch": (0.047, 0.055, 0.062),
    "simclr": (0.047, 0.048, 0.064),
    "pcl": (0.048, 0.052, 0.061),
    "dino": (0.048, 0.052, 0.068),
    "mim": (0.048, 0.053, 0.068),
}

TABLE = StudyTable(
    name="ssp_supplement_b",
    title="Supplement B: Dice of each structure with all labels",
    heads=("Start",),
    lines=tuple(Line((TITLES[init],), init) for init in INITS),
    columns=("LV", "MYO", "RV"),
    published={(TITLES[init],): tuple(zip((0.93, 0.85, 0.90), _SPREAD[init], strict=True)) for init in INITS},
    over_subjects=True,
)
