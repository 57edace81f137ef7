"""The published split of M&Ms and M&Ms-2: who was tested, who was learned from, and who was labelled.

Identifiers are `mm1-A0S9V9` and `mm2-281`, as the paper's code wrote them. Only who was tested is listed (a draw that
cannot be made again without the original table); everything else follows by rule.

Source: specification of the published code, sections 1.2 to 1.4; fixtures/ssp/splits.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from cinecmr.learn.slices import draw_subset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cinecmr.datasets import Case

LABELS = (10, 15, 25, 50)
TRAINED = 296
VENDORS = {"A": "siemens", "B": "philips", "C": "ge", "D": "canon"}
_OVERLAPPING = {"NOR", "HCM", "LV"}  # groups of M&Ms-2 whose subjects may be in M&Ms too
_LIST = Path(__file__).parent / "test_subjects.json"


def identifier(case: Case, dataset: str) -> str:
    """A case as the published lists call it; `dataset` is "mnms" or "mnms2"."""
    return f"mm1-{case.subject}" if dataset == "mnms" else f"mm2-{int(case.subject):03d}"


def without_overlap(cases: Iterable[Case]) -> list[Case]:
    """Of M&Ms-2, the subjects that cannot be in M&Ms."""
    return [case for case in cases if case.group.upper() not in _OVERLAPPING]


def test_subjects() -> tuple[str, ...]:
    """The 140 identifiers that were tested."""
    return tuple(json.loads(_LIST.read_text("utf-8"))["test"])


test_subjects.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


def development(identifiers: Iterable[str]) -> tuple[list[str], list[str]]:
    """Valid and training subjects among those that were not tested.

    Source: sort, shuffle with seed 0, the first fifth is valid.
    """
    tested = set(test_subjects())
    there = [name for name in identifiers if name not in tested]
    shuffled = draw_subset(there, len(there), 0)
    valid = round(0.2 * len(there))
    return shuffled[:valid], shuffled[valid:]


def vendor_letter(vendor: str) -> str:
    """A Siemens, B Philips, C GE, D Canon (Toshiba once); "" for others.

    >>> [vendor_letter(word) for word in ("SIEMENS", "GE MEDICAL SYSTEMS", "Toshiba", "D", "")]
    ['A', 'C', 'D', 'D', '']
    """
    word = vendor.strip().lower()
    if word.upper() in VENDORS:
        return word.upper()
    word = {"general": "ge", "toshiba": "canon"}.get(word.split(" ")[0], word)
    return next((letter for letter, name in VENDORS.items() if word.startswith(name)), "")


def is_published(identifiers: Sequence[str]) -> bool:
    """Whether these are exactly the subjects of the paper: all tested ones, and 370 more."""
    given = set(identifiers)
    return set(test_subjects()) <= given and len(given) == 510
