"""CineMA table D.11: ejection fraction, body mass index and age straight from pictures.

Source: CineMA (Fu et al.), appendix D.4, table D.11.
"""

from cinecmr.anatomy import View
from cinecmr.experiments.cinema import CINEMA as PRE
from cinecmr.experiments.cinema import NUMBER_MODELS, RESNET, SEGMENTED, titled
from cinecmr.experiments.cinema import RAND as NEW
from cinecmr.experiments.table import Column, Row, Table, Training

ASKED = (*(("LVEF", data, view) for data, view in SEGMENTED), ("BMI", "acdc", View.SAX), ("age", "mnms", View.SAX))
A, M, M2, L4 = (("LVEF", titled(data, view)) for data, view in SEGMENTED)
B, G = ("BMI", titled("acdc", View.SAX)), ("age", titled("mnms", View.SAX))


def row(target: str, data: str, view: View, model: str) -> Row:
    """One model on one question."""
    return Row((target, titled(data, view), model), Training("regression", data, model, view, target=target))


TABLE = Table(
    name="d11",
    title="Table D.11: numbers straight from pictures, mean absolute error",
    heads=("Target", "Data", "Model"),
    rows=tuple(row(*asked, model) for asked in ASKED for model in NUMBER_MODELS),
    columns=(Column("abs_error", "Error (points, kg/m2, years)"),),
    published={
        (*A, RESNET): (5.58,),
        (*A, NEW): (11.01,),
        (*A, PRE): (5.07,),
        (*M, RESNET): (6.94,),
        (*M, NEW): (7.33,),
        (*M, PRE): (5.41,),
        (*M2, RESNET): (8.19,),
        (*M2, NEW): (7.13,),
        (*M2, PRE): (5.15,),
        (*L4, RESNET): (7.42,),
        (*L4, NEW): (7.60,),
        (*L4, PRE): (6.70,),
        (*B, RESNET): (4.36,),
        (*B, NEW): (4.17,),
        (*B, PRE): (3.09,),
        (*G, RESNET): (12.38,),
        (*G, NEW): (12.51,),
        (*G, PRE): (8.68,),
    },
    notes=(
        "The paper's EF is very likely a fraction of sums of label codes, whose spread is smaller: its errors are not "
        "comparable with those of a true ejection fraction. `Regression` has that target as legacy_weighted_ef.",
    ),
)
