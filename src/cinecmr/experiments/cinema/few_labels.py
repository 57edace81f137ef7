"""Do synthetic hearts save real labels? A pre-training on the phantom against none, with 5 to 40 labelled subjects.

Not in a paper: our own claim. Every model gets as many updates, keeps its last weights, has no validation set, and is
tested on the same 20 subjects. The lists of labelled subjects are nested and balanced by disease, and the same for
all models of a seed.
"""

from cinecmr.experiments.cinema import DENSE_MODELS, TITLES
from cinecmr.experiments.table import Column, Row, Table, Training

LABELLED = (5, 10, 20, 40)
TESTED = 20


def row(labelled: int, model: str) -> Row:
    """One model, learned from so many subjects."""
    return Row((TITLES["acdc"], str(labelled), model), Training("segmentation", "acdc", model, labelled=labelled))


TABLE = Table(
    name="few_labels",
    title="Few labels: pre-trained on synthetic hearts, or not",
    heads=("Data", "Labelled", "Model"),
    rows=tuple(row(labelled, model) for labelled in LABELLED for model in DENSE_MODELS),
    columns=(
        Column("dice_mean", "Dice mean (%)", 100, higher_is_better=True, limit=0.5),
        Column("dice_rv", "Dice RV (%)", 100, higher_is_better=True, limit=0.5),
        Column("dice_myo", "Dice MYO (%)", 100, higher_is_better=True, limit=0.5),
        Column("dice_lv", "Dice LV (%)", 100, higher_is_better=True, limit=0.5),
        Column("lvef_error", "LVEF error (points)", limit=15.0),
        Column("rvef_error", "RVEF error (points)", limit=20.0),
    ),
    source="none",
    curve=True,
    notes=(
        "One pre-training, as many fine-tunings as seeds: intervals are of these weights and over patients.",
        "CineMA starts from the masked autoencoder pre-trained here, on what the list of data names.",
        "A scale that is not `full` speaks of its own small networks and few updates; longer runs may say otherwise.",
        "Copies of ACDC that do not record the true voxel spacing allow Dice and fractions, no mm and ml.",
    ),
)
