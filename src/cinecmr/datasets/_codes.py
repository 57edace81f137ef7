"""Label codes of a data set to `Structure`, and back. Nowhere else are codes of others turned into ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

RV_MYO_LV = {0: Structure.BACKGROUND, 1: Structure.RV, 2: Structure.MYO, 3: Structure.LV}  # ACDC
LV_MYO_RV = {0: Structure.BACKGROUND, 1: Structure.LV, 2: Structure.MYO, 3: Structure.RV}  # M&Ms, M&Ms-2, Rescan
WHOLE = 1e-3  # a code stored as a scaled float is off by less

# What readers draw where their labels have no word for a structure.
DRAWN_AS = {
    Structure.RV: Structure.BACKGROUND,
    Structure.LA: Structure.BACKGROUND,
    Structure.RA: Structure.BACKGROUND,
    Structure.RV_WALL: Structure.BACKGROUND,
    Structure.UNSEEN: Structure.BACKGROUND,
    Structure.NO_REFLOW: Structure.SCAR,
    Structure.SCAR: Structure.MYO,
    Structure.OEDEMA: Structure.MYO,
}


def to_structure(stored: NDArray[Any], codes: Mapping[int, Structure], path: Path) -> NDArray[np.uint8]:
    """Stored codes as `Structure` codes.

    Raises:
        RefusedInput: other codes, or no whole numbers (`unknown-labels`).
    """
    whole = np.rint(stored)
    there = np.unique(whole)
    odd = [f"{value:g}" for value in there if value not in codes]
    if odd or np.abs(whole - stored).max(initial=0) > WHOLE:
        told = ", ".join(f"{code} {structure.name}" for code, structure in codes.items())
        what = ", ".join(odd[:5]) or "fractions"
        raise RefusedInput("unknown-labels", f"{path} holds the codes {what}; there should be {told}")
    out = np.zeros(stored.shape, np.uint8)
    for value in there:
        out[whole == value] = codes[int(value)]
    return out


def from_structure(labels: NDArray[np.uint8], codes: Mapping[int, Structure]) -> NDArray[np.uint16]:
    """`Structure` codes as stored codes; structures without a code become what a reader would have drawn.

    Raises:
        ValueError: a structure has neither code nor substitute.
    """
    stored = {structure: code for code, structure in codes.items()}
    out = np.zeros(labels.shape, np.uint16)
    for value in np.unique(labels):
        structure = Structure(int(value))
        while structure not in stored:
            if structure not in DRAWN_AS:
                raise ValueError(f"labels hold {structure.name}, which this layout cannot store")
            structure = DRAWN_AS[structure]
        out[labels == value] = stored[structure]
    return out
