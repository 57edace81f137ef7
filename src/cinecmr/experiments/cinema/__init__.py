"""The first paper's tables: what its models are called here, and the trainings that tables share.

A table is one file of this room. `bench` says what the names mean, at each of four scales.

Source: CineMA (Fu et al.), sections 2.2 to 2.4 and appendix D.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from cinecmr.anatomy import View
from cinecmr.errors import RefusedInput
from cinecmr.experiments.table import Row, Training

if TYPE_CHECKING:
    from cinecmr.experiments.table import Table

UNET, RESNET = "UNet", "ResNet"  # convolutional baselines: for voxels, for numbers
RAND, CINEMA = "CineMA, random start", "CineMA"
DENSE_MODELS, NUMBER_MODELS = (UNET, RAND, CINEMA), (RESNET, RAND, CINEMA)
TITLES = {
    "acdc": "ACDC", "mnms": "M&Ms", "mnms2": "M&Ms2", "kaggle": "Kaggle", "rescan": "Rescan", "emidec": "EMIDEC",
    "myops": "MyoPS2020", "landmark": "Landmark",
}  # fmt: skip
GIVEN = (*TITLES, "pretrain")  # data that a user may have; the last are visits to pre-train on
SEGMENTED = (("acdc", View.SAX), ("mnms", View.SAX), ("mnms2", View.SAX), ("mnms2", View.LAX_4C))
WORDS = {View.SAX: "SAX", View.LAX_2C: "LAX 2C", View.LAX_4C: "LAX 4C"}
_NOT_TABLES = {"bench", "scales", "cohorts"}


def titled(data: str, view: View) -> str:
    """As the paper's tables call it.

    >>> titled("mnms2", View.LAX_4C)
    'M&Ms2 (LAX 4C)'
    """
    return f"{TITLES[data]} ({WORDS[view]})"


def segmentation_rows() -> tuple[Row, ...]:
    """Three models on each of four images: the trainings that D.4, D.5 and D.6 share."""
    return tuple(
        Row((titled(data, view), model), Training("segmentation", data, model, view))
        for data, view in SEGMENTED
        for model in DENSE_MODELS
    )


def names() -> tuple[str, ...]:
    """The tables, by the names of their files."""
    found = sorted(path.stem for path in Path(__file__).parent.glob("*.py"))
    return tuple(name for name in found if not name.startswith("_") and name not in _NOT_TABLES)


def table(name: str) -> Table:
    """One table.

    Raises:
        RefusedInput: there is none of that name (`no-such-table`).
    """
    if name not in names():
        raise RefusedInput("no-such-table", f"no table {name!r}: there are {', '.join(names())}")
    found: Table = import_module(f"cinecmr.experiments.cinema.{name}").TABLE
    return found
