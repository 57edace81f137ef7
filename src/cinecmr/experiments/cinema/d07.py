"""CineMA table D.7: infarct and no-reflow on late enhancement.

Source: CineMA (Fu et al.), appendix D.2, table D.7.
"""

from cinecmr.anatomy import Contrast, Structure
from cinecmr.experiments.cinema import CINEMA as PRE
from cinecmr.experiments.cinema import DENSE_MODELS, TITLES, UNET
from cinecmr.experiments.cinema import RAND as NEW
from cinecmr.experiments.table import Column, Row, Table, Training

E = TITLES["emidec"]
STRUCTURES = (Structure.LV, Structure.MYO, Structure.SCAR, Structure.NO_REFLOW)
DICE = {"dice_lv": "cavity", "dice_wall": "MYO", "dice_infarct": "MI", "dice_no_reflow": "NR"}
FAR = {"hd95_lv": "cavity", "hd95_wall": "MYO"}

TABLE = Table(
    name="d07",
    title="Table D.7: segmentation on EMIDEC",
    heads=("Data", "Model"),
    rows=tuple(
        Row((E, model), Training("segmentation", "emidec", model, contrasts=(Contrast.LGE,), structures=STRUCTURES))
        for model in DENSE_MODELS
    ),
    columns=(
        *(Column(key, f"Dice {word} (%)", 100, higher_is_better=True) for key, word in DICE.items()),
        Column("dice_all", "Dice mean (%)", 100, higher_is_better=True, parts=tuple(DICE)),
        *(Column(key, f"HD95 {word} (mm)") for key, word in FAR.items()),
    ),
    published={
        (E, UNET): (92.83, 81.94, 36.55, 68.16, 69.87, 2.94, 3.41),
        (E, NEW): (75.69, 51.41, 7.45, 54.52, 47.27, 10.08, 11.90),
        (E, PRE): (92.76, 82.48, 38.36, 70.99, 71.15, 2.90, 3.42),
    },
    notes=(
        "MYO is all muscle, healthy or not; MI is infarct with no-reflow. Absent from both counts as 1.",
        "The paper states no split; these are the parts of the data set's adapter.",
    ),
)
