"""CineMA table D.12: mitral hinge points and apex.

Source: CineMA (Fu et al.), appendix D.5, table D.12.
"""

from cinecmr.anatomy import View
from cinecmr.experiments.cinema import CINEMA as PRE
from cinecmr.experiments.cinema import DENSE_MODELS, NUMBER_MODELS, RESNET, UNET, WORDS
from cinecmr.experiments.cinema import RAND as NEW
from cinecmr.experiments.table import Column, Row, Table, Training

HEAT, PLACE = "Heatmap", "Coordinates"
TWO, FOUR = WORDS[View.LAX_2C], WORDS[View.LAX_4C]


def row(dense: bool, view: View, model: str) -> Row:
    """One model, one way of telling points, one view."""
    labels = (HEAT if dense else PLACE, WORDS[view], model)
    return Row(labels, Training("landmarks", "landmark", model, view, dense=dense))


TABLE = Table(
    name="d12",
    title="Table D.12: landmarks",
    heads=("Method", "View", "Model"),
    rows=tuple(
        row(dense, view, model)
        for dense in (True, False)
        for view in (View.LAX_2C, View.LAX_4C)
        for model in (DENSE_MODELS if dense else NUMBER_MODELS)
    ),
    columns=(
        Column("distance_valve1", "Valve 1 (mm)", limit=10.0),
        Column("distance_valve2", "Valve 2 (mm)", limit=10.0),
        Column("distance_apex", "Apex (mm)", limit=10.0),
        Column("distance_mean", "Mean (mm)", limit=10.0),
        Column("mapse_error", "MAPSE error (mm)"),
        Column("gl_shortening_error", "GL shortening error (points)"),
    ),
    published={
        (HEAT, TWO, UNET): (0.85, 0.90, 0.93, 0.89, 0.56, 1.22),
        (HEAT, TWO, NEW): (0.93, 1.00, 1.10, 1.01, 0.67, 1.37),
        (HEAT, TWO, PRE): (0.83, 0.89, 0.99, 0.90, 0.61, 1.24),
        (HEAT, FOUR, UNET): (0.98, 1.25, 1.07, 1.10, 0.69, 1.35),
        (HEAT, FOUR, NEW): (1.13, 1.31, 1.26, 1.23, 0.77, 1.55),
        (HEAT, FOUR, PRE): (0.99, 1.24, 1.06, 1.10, 0.71, 1.32),
        (PLACE, TWO, RESNET): (1.88, 1.88, 1.87, 1.88, 0.87, 1.66),
        (PLACE, TWO, NEW): (7.96, 7.90, 8.37, 8.07, 4.49, 6.41),
        (PLACE, TWO, PRE): (1.06, 1.13, 1.09, 1.09, 0.66, 1.24),
        (PLACE, FOUR, RESNET): (1.99, 4.18, 4.60, 3.59, 1.01, 1.50),
        (PLACE, FOUR, NEW): (5.61, 5.48, 5.78, 5.62, 1.97, 3.22),
        (PLACE, FOUR, PRE): (1.18, 1.39, 1.14, 1.24, 0.75, 1.30),
    },
    notes=(
        "Ours are read between pixels, the paper's at whole pixels of 1 mm.",
        "GL shortening is what the paper calls GLS.",
    ),
)
