"""CineMA table D.5: ejection fractions from the labels of table D.4's models.

Source: CineMA (Fu et al.), appendix D.1, table D.5.
"""

from cinecmr.experiments.cinema import CINEMA as PRE
from cinecmr.experiments.cinema import RAND as NEW
from cinecmr.experiments.cinema import SEGMENTED, UNET, segmentation_rows, titled
from cinecmr.experiments.table import Column, Table

(A, M, M2, L4) = (titled(data, view) for data, view in SEGMENTED)

TABLE = Table(
    name="d05",
    title="Table D.5: ejection fractions from segmentation, mean absolute error",
    heads=("Data", "Model"),
    rows=segmentation_rows(),
    columns=(
        Column("lvef_error", "LVEF error (points)", limit=15.0),
        Column("rvef_error", "RVEF error (points)", limit=20.0),
    ),
    published={
        (A, UNET): (2.50, 5.48),
        (A, NEW): (2.99, 4.54),
        (A, PRE): (2.26, 4.08),
        (M, UNET): (4.89, 6.38),
        (M, NEW): (4.71, 7.11),
        (M, PRE): (4.20, 6.19),
        (M2, UNET): (3.50, 6.97),
        (M2, NEW): (4.24, 8.70),
        (M2, PRE): (3.53, 6.20),
        (L4, UNET): (3.21, 6.09),
        (L4, NEW): (3.17, 6.61),
        (L4, PRE): (3.07, 5.59),
    },
    notes=("Of the long-axis view the fraction is one of areas, which the paper calls EF too.",),
)
