"""CineMA table D.8: scar and oedema from three sequences together.

Source: CineMA (Fu et al.), appendix D.2, table D.8.
"""

from cinecmr.anatomy import Contrast, Structure
from cinecmr.experiments.cinema import CINEMA as PRE
from cinecmr.experiments.cinema import DENSE_MODELS, TITLES, UNET
from cinecmr.experiments.cinema import RAND as NEW
from cinecmr.experiments.table import Column, Row, Table, Training

S = TITLES["myops"]
SEQUENCES = (Contrast.LGE, Contrast.CINE, Contrast.T2)
STRUCTURES = (Structure.RV, Structure.LV, Structure.MYO, Structure.OEDEMA, Structure.SCAR)
DICE = {"dice_scar": "scar", "dice_oedema_or_scar": "oedema and scar"}

TABLE = Table(
    name="d08",
    title="Table D.8: segmentation on MyoPS2020",
    heads=("Data", "Model"),
    rows=tuple(
        Row((S, model), Training("segmentation", "myops", model, contrasts=SEQUENCES, structures=STRUCTURES))
        for model in DENSE_MODELS
    ),
    columns=tuple(Column(key, f"Dice {word} (%)", 100, higher_is_better=True) for key, word in DICE.items()),
    published={(S, UNET): (55.24, 58.74), (S, NEW): (52.45, 59.82), (S, PRE): (52.98, 60.35)},
    notes=(
        "Labels of the test part are not public: a fifth of the labelled subjects is held back instead.",
        "Small blobs are not removed, as the paper does after the network.",
    ),
)
