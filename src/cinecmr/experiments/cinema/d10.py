"""CineMA table D.10: whose scanner, and which sex.

Source: CineMA (Fu et al.), appendix D.3, table D.10; its rows on sex say M&Ms2, which states none: they are M&Ms.
"""

from cinecmr.anatomy import View
from cinecmr.experiments.cinema import CINEMA as PRE
from cinecmr.experiments.cinema import NUMBER_MODELS, RESNET, titled
from cinecmr.experiments.cinema import RAND as NEW
from cinecmr.experiments.table import AUC, F1_MACRO, Column, Row, Table, Training

ASKED = (("vendor", "mnms2", View.SAX), ("vendor", "mnms2", View.LAX_4C), ("sex", "mnms", View.SAX))
V, V4, S = (("Vendor", titled(*ASKED[0][1:])), ("Vendor", titled(*ASKED[1][1:])), ("Sex", titled(*ASKED[2][1:])))


def row(target: str, data: str, view: View, model: str) -> Row:
    """One model on one question."""
    training = Training("classification", data, model, view, target=target)
    return Row((target.capitalize(), titled(data, view), model), training)


TABLE = Table(
    name="d10",
    title="Table D.10: vendor and sex",
    heads=("Target", "Data", "Model"),
    rows=tuple(row(*asked, model) for asked in ASKED for model in NUMBER_MODELS),
    columns=(
        Column("class", "ROC AUC, one against one (%)", 100, AUC, higher_is_better=True),
        Column("correct", "F1 micro = accuracy (%)", 100, higher_is_better=True),
        Column("class", "F1 macro (%)", 100, F1_MACRO, higher_is_better=True),
    ),
    published={
        (*V, RESNET): (78.66, 74.97, None),
        (*V, NEW): (77.06, 79.62, None),
        (*V, PRE): (80.04, 82.92, None),
        (*V4, RESNET): (82.89, 81.32, None),
        (*V4, NEW): (80.06, 77.84, None),
        (*V4, PRE): (77.35, 81.27, None),
        (*S, RESNET): (86.17, 70.24, None),
        (*S, NEW): (71.08, 32.44, None),
        (*S, PRE): (96.90, 90.75, None),
    },
    notes=("The paper's F1 is micro; of two classes it is that of the second class.",),
)
