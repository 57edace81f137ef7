"""CineMA table D.4: segmentation of ventricles and myocardium.

Source: CineMA (Fu et al.), appendix D.1, table D.4.
"""

from cinecmr.experiments.cinema import CINEMA as PRE
from cinecmr.experiments.cinema import RAND as NEW
from cinecmr.experiments.cinema import SEGMENTED, UNET, segmentation_rows, titled
from cinecmr.experiments.table import Column, Table

PARTS = ("rv", "myo", "lv", "mean")
(A, M, M2, L4) = (titled(data, view) for data, view in SEGMENTED)

TABLE = Table(
    name="d04",
    title="Table D.4: segmentation of ventricles and myocardium",
    heads=("Data", "Model"),
    rows=segmentation_rows(),
    columns=(
        *(Column(f"dice_{part}", f"Dice {part.upper()} (%)", 100, higher_is_better=True, limit=0.5) for part in PARTS),
        *(Column(f"hd95_{part}", f"HD95 {part.upper()} (mm)") for part in PARTS),
        *(Column(f"volume_{part}", f"Volume error {part.upper()} (ml)") for part in PARTS),
    ),
    published={
        (A, UNET): (89.33, 86.71, 92.58, 89.54, 5.41, 3.93, 3.86, 4.40, 11.29, 7.98, 5.73, 8.33),
        (A, NEW): (90.14, 86.51, 91.98, 89.54, 5.41, 4.64, 4.92, 5.01, 8.89, 8.13, 6.16, 7.72),
        (A, PRE): (91.06, 87.93, 93.56, 90.85, 4.29, 3.02, 3.04, 3.45, 9.30, 7.53, 5.07, 7.30),
        (M, UNET): (86.14, 82.09, 89.66, 85.96, 6.75, 6.06, 6.31, 6.37, 10.47, 13.71, 9.42, 11.20),
        (M, NEW): (84.65, 81.12, 89.23, 85.00, 10.26, 6.25, 6.80, 7.77, 12.60, 12.92, 8.71, 11.41),
        (M, PRE): (87.80, 83.35, 90.70, 87.28, 5.81, 5.15, 5.00, 5.32, 9.29, 11.57, 8.54, 9.80),
        (M2, UNET): (88.26, 83.56, 92.25, 88.02, 8.63, 6.49, 6.37, 7.16, 12.75, 8.15, 8.10, 9.67),
        (M2, NEW): (84.99, 81.91, 91.02, 85.97, 14.08, 7.44, 7.39, 9.69, 17.47, 8.66, 9.00, 11.71),
        (M2, PRE): (89.72, 84.80, 93.12, 89.21, 7.17, 5.31, 5.27, 5.91, 12.62, 7.33, 7.39, 9.12),
        (L4, UNET): (90.48, 86.69, 94.64, 90.60, 5.96, 4.37, 4.28, 4.87, None, None, None, None),
        (L4, NEW): (89.83, 86.81, 94.72, 90.45, 6.75, 4.52, 4.26, 5.17, None, None, None, None),
        (L4, PRE): (91.09, 87.64, 95.59, 91.44, 5.22, 3.61, 3.39, 4.07, None, None, None, None),
    },
    notes=(
        "Distances are on the images' own grids; the paper's are on grids of 1 x 1 x 10 mm.",
        "A structure that was missed has no distance: it leaves the mean and counts as a failure.",
        "Of the long-axis view, volumes are areas times the thickness of the slice: not printed, not comparable.",
    ),
)
