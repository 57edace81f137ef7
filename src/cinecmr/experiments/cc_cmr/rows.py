"""The rows of the tables: what the paper compares, and the controls that tell what the alignment is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cinecmr.errors import RefusedInput
from cinecmr.tasks.screening import Interaction
from cinecmr.tasks.screening_data import CH4, CINES, SAX

Published = dict[str, tuple[float, float, float]]  # figure: estimate and the interval that was printed


@dataclass(frozen=True)
class Row:
    """One way of training, asked about every subject.

    Attributes:
        name: for files. title: for readers.
        alone: the one sequence whose own head answers; "" for the fusion of both cines.
        joint: phase 2; None goes from phase 1 straight to the fusion.
        shuffled: late enhancement is dealt out anew among the training subjects.
        unlinked: late enhancement with scar that was drawn without looking at the motion; of the phantom alone.
        shared_head: one head for all sequences in phase 2.
        encoder: see `ScreeningConfig`.
        asks: what the row is for.
        published: the paper's own figures, of another cohort.
    """

    name: str
    title: str
    asks: str
    alone: str = ""
    joint: Interaction | None = None
    shuffled: bool = False
    unlinked: bool = False
    shared_head: bool = False
    encoder: Literal["video_swin", "cinema"] = "video_swin"
    published: Published | None = None


def _figures(*pairs: tuple[float, float, float]) -> Published:
    return dict(zip(("accuracy", "f1", "sensitivity", "specificity", "auc"), pairs, strict=True))


FUSION = Row(
    "fusion",
    "4CH + SAX",
    "both cines, no interaction (the paper's state of the art)",
    published=_figures(
        (0.900, 0.829, 0.957),
        (0.907, 0.830, 0.968),
        (0.919, 0.881, 0.971),
        (0.879, 0.856, 0.969),
        (0.955, 0.906, 0.992),
    ),
)
CC_CMR = Row(
    "cc-cmr",
    "4CH + SAX, FIM with U-A (CC-CMR)",
    "the method",
    joint=Interaction(),
    published=_figures(
        (0.943, 0.886, 0.986),
        (0.946, 0.882, 0.987),
        (0.946, 0.942, 0.971),
        (0.939, 0.934, 0.974),
        (0.957, 0.899, 0.998),
    ),
)
TABLE_2 = (
    Row(
        "ch4",
        "4CH",
        "one cine",
        alone=CH4,
        published=_figures(
            (0.829, 0.743, 0.914),
            (0.842, 0.747, 0.920),
            (0.865, 0.811, 0.929),
            (0.788, 0.796, 0.859),
            (0.937, 0.871, 0.979),
        ),
    ),
    Row(
        "sax",
        "SAX",
        "one cine",
        alone=SAX,
        published=_figures(
            (0.800, 0.700, 0.886),
            (0.806, 0.690, 0.893),
            (0.784, 0.813, 0.841),
            (0.818, 0.786, 0.876),
            (0.909, 0.823, 0.972),
        ),
    ),
    FUSION,
    Row(
        "fim-equal",
        "4CH + SAX, FIM without U-A",
        "all weights 1",
        joint=Interaction(balance="equal"),
        published=_figures(
            (0.929, 0.871, 0.986),
            (0.932, 0.862, 0.983),
            (0.919, 0.949, 0.967),
            (0.939, 0.936, 0.973),
            (0.955, 0.896, 0.995),
        ),
    ),
    CC_CMR,
)
CONTROLS = (
    Row(
        "as-long",
        "4CH + SAX, trained as long",
        "is it the further epochs?",
        joint=Interaction(CINES, (), balance="equal"),
    ),
    Row(
        "cines-aligned",
        "alignment of the two cines alone",
        "is it alignment, without contrast?",
        joint=Interaction(CINES),
    ),
    Row(
        "shuffled",
        "LGE of other patients",
        "is it the further terms of the loss, whatever LGE shows?",
        joint=Interaction(),
        shuffled=True,
    ),
    # With a head for each sequence and nothing aligned, LGE could not reach the cines at all: so the head is shared.
    Row(
        "auxiliary",
        "LGE as one more input of a shared classifier",
        "is a classifier enough, without alignment?",
        joint=Interaction(pairs=(), balance="equal"),
        shared_head=True,
    ),
    Row(
        "by-patient", "alignment patient by patient", "does averaging by class help?", joint=Interaction(form="sample")
    ),
    Row(
        "unlinked",
        "LGE whose scar has nothing to do with motion",
        "does it matter that scar can be seen to move?",
        joint=Interaction(),
        unlinked=True,
    ),
)
CINEMA = Row(
    "cinema",
    "4CH + SAX, CineMA's encoder, FIM with U-A",
    "another encoder",
    joint=Interaction(),
    encoder="cinema",
)
# At temperature 1 five classes can be pulled apart by 0.85 of a loss that starts at 1.61: the pull is weak.
SHARP = Row(
    "sharp",
    "4CH + SAX, FIM with U-A, temperature 0.2",
    "a stronger pull between classes",
    joint=Interaction(temperature=0.2),
)
ROWS = {row.name: row for row in (*TABLE_2, *CONTROLS, CINEMA, SHARP)}


def for_use(name: str) -> Row:
    """A row whose network can be kept: both cines, and no control that is made to learn less.

    Raises:
        RefusedInput: there is none of that name (`no-such-row`).
    """
    there = [row.name for row in ROWS.values() if not (row.alone or row.shuffled or row.unlinked)]
    if name not in there:
        raise RefusedInput("no-such-row", f"no way of training called {name!r}: there are {', '.join(there)}")
    return ROWS[name]
