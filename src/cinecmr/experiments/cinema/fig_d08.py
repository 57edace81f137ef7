"""CineMA figures 2b and D.8: how much is left when fewer subjects are labelled.

Source: CineMA (Fu et al.), section 3.3 and figures 2b and D.8; its text states a few of the plotted numbers.
"""

from cinecmr.anatomy import View
from cinecmr.experiments.cinema import DENSE_MODELS, titled
from cinecmr.experiments.table import Column, Row, Table, Training

SHARES = (0.1, 0.2, 0.5, 1.0)


def row(share: float, model: str) -> Row:
    """One model, learned from a share of the training subjects."""
    labels = (titled("acdc", View.SAX), f"{100 * share:.0f} %", model)
    return Row(labels, Training("segmentation", "acdc", model, share=share))


TABLE = Table(
    name="fig_d08",
    title="Figure D.8: segmentation with fewer labelled subjects",
    heads=("Data", "Labelled", "Model"),
    rows=tuple(row(share, model) for share in SHARES for model in DENSE_MODELS),
    columns=(
        Column("dice_mean", "Dice mean (%)", 100, higher_is_better=True, limit=0.5),
        Column("hd95_mean", "HD95 mean (mm)"),
        Column("lvef_error", "LVEF error (points)", limit=15.0),
        Column("rvef_error", "RVEF error (points)", limit=20.0),
    ),
    curve=True,
    notes=(
        "The subjects learned from differ from seed to seed, as in the paper.",
        "The paper plots these figures; its text gives, with half of the subjects, over all data sets: Dice 88.26 %, "
        "HD95 5.78 mm, LVEF error 3.72 and RVEF error 5.72 points for CineMA.",
    ),
)
