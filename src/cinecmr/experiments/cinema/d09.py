"""CineMA table D.9: which disease, and whether any.

Source: CineMA (Fu et al.), appendix D.3, table D.9. Its last rows say M&Ms (LAX 4C), which has no such view: they are
of M&Ms2.
"""

from cinecmr.anatomy import View
from cinecmr.experiments.cinema import CINEMA as PRE
from cinecmr.experiments.cinema import NUMBER_MODELS, RESNET, SEGMENTED, titled
from cinecmr.experiments.cinema import RAND as NEW
from cinecmr.experiments.table import AUC, F1_MACRO, MCC, Column, Row, Table, Training

(A, M, M2, L4) = (titled(data, view) for data, view in SEGMENTED)


def row(data: str, view: View, model: str) -> Row:
    """One model on one image."""
    return Row((titled(data, view), model), Training("classification", data, model, view, target="disease"))


TABLE = Table(
    name="d09",
    title="Table D.9: classification and detection of disease",
    heads=("Data", "Model"),
    rows=tuple(row(data, view, model) for data, view in SEGMENTED for model in NUMBER_MODELS),
    columns=(
        Column("class", "ROC AUC, one against one (%)", 100, AUC, higher_is_better=True),
        Column("correct", "F1 micro = accuracy (%)", 100, higher_is_better=True),
        Column("called_well", "Specificity (%)", 100, higher_is_better=True),
        Column("called_ill", "Sensitivity (%)", 100, higher_is_better=True),
        Column("class", "F1 macro (%)", 100, F1_MACRO, higher_is_better=True),
        Column("class", "MCC (%)", 100, MCC, higher_is_better=True),
    ),
    published={
        (A, RESNET): (81.05, 52.22, 44.59, 82.81, None, None),
        (A, NEW): (63.08, 25.13, 0.00, 99.16, None, None),
        (A, PRE): (97.98, 85.36, 83.03, 94.87, None, None),
        (M, RESNET): (62.36, 43.28, 27.40, 85.43, None, None),
        (M, NEW): (58.33, 34.61, 5.92, 93.96, None, None),
        (M, PRE): (75.29, 59.71, 66.20, 84.05, None, None),
        (M2, RESNET): (68.65, 40.35, 22.66, 92.29, None, None),
        (M2, NEW): (62.18, 29.98, 29.12, 77.13, None, None),
        (M2, PRE): (77.25, 54.15, 30.96, 91.69, None, None),
        (L4, RESNET): (72.37, 40.86, 40.35, 78.31, None, None),
        (L4, NEW): (64.35, 33.17, 32.16, 74.65, None, None),
        (L4, PRE): (80.41, 53.37, 31.73, 92.02, None, None),
    },
    notes=("The paper's F1 is micro: the same as accuracy. Subjects of a class that was not learned are left out.",),
)
