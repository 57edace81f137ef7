"""CineMA table D.6: ejection fractions on data sets that no model learned from.

Source: CineMA (Fu et al.), appendix D.1, table D.6.
"""

from cinecmr.experiments.cinema import CINEMA as PRE
from cinecmr.experiments.cinema import DENSE_MODELS, TITLES, UNET
from cinecmr.experiments.cinema import RAND as NEW
from cinecmr.experiments.table import CV, Column, Row, Table, Training

LEARNED = ("acdc", "mnms", "mnms2")
K, R = TITLES["kaggle"], TITLES["rescan"]
A, M, M2 = (TITLES[data] for data in LEARNED)

TABLE = Table(
    name="d06",
    title="Table D.6: LVEF without further training, on other data",
    heads=("Learned from", "Tested on", "Model"),
    rows=tuple(
        Row((TITLES[data], TITLES[test], model), Training("segmentation", data, model), test)
        for data in LEARNED
        for test in ("kaggle", "rescan")
        for model in DENSE_MODELS
    ),
    columns=(
        Column("lvef_error", "LVEF error (points)", limit=15.0),
        Column("lvef_found", "LVEF CV between visits (%)", statistic=CV),
    ),
    published={
        (A, K, UNET): (6.24, None),
        (A, K, NEW): (6.03, None),
        (A, K, PRE): (5.21, None),
        (A, R, UNET): (9.49, 19.01),
        (A, R, NEW): (7.36, 11.38),
        (A, R, PRE): (7.98, 10.70),
        (M, K, UNET): (5.08, None),
        (M, K, NEW): (5.98, None),
        (M, K, PRE): (3.87, None),
        (M, R, UNET): (3.90, 7.65),
        (M, R, NEW): (4.18, 7.82),
        (M, R, PRE): (4.08, 7.84),
        (M2, K, UNET): (4.18, None),
        (M2, K, NEW): (5.42, None),
        (M2, K, PRE): (3.77, None),
        (M2, R, UNET): (4.86, 9.39),
        (M2, R, NEW): (4.92, 11.27),
        (M2, R, PRE): (4.05, 6.82),
    },
    notes=("ED and ES are the frames with the largest and smallest cavity of all frames, as in the paper.",),
)
