"""Which groups of a cohort differ from the rest, and which studies are the oddest.

Everything is counted in robust standard deviations (1.4826 times the median absolute deviation), so that the odd ones
do not hide themselves. Odd is a reason to look, not to leave out.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

MEASURES = ("LVEDV_ml", "LVESV_ml", "LVEF_percent", "LVM_g", "RVEDV_ml", "RVESV_ml", "RVEF_percent", "SVdiff_ml")
SD_OF_MAD = 1.4826
SD_OF_MEDIAN = 1.2533  # of the median, in standard deviations of the mean, for bell-shaped numbers
FEWEST = 5  # studies, for a group to be judged
UNLIKE = 4.0  # standard errors, beyond which a group is told to differ


@dataclass(frozen=True)
class Group:
    """One measure in one group.

    Attributes:
        by: "site" or "scanner". name: of the group. measure: column. n: studies.
        low, median, high: quartiles.
        errors: how many standard errors its median lies off that of all others; None where it cannot be judged.
    """

    by: str
    name: str
    measure: str
    n: int
    low: float
    median: float
    high: float
    errors: float | None

    @property
    def differs(self) -> bool:
        """Whether it is told to differ from the rest."""
        return self.errors is not None and abs(self.errors) > UNLIKE


@dataclass(frozen=True)
class Odd:
    """One study far from the others.

    Attributes:
        study: its name. score: of its oddest measure, robust standard deviations. why: measure to value and score.
    """

    study: str
    score: float
    why: dict[str, tuple[float, float]]


def scanner(row: Mapping[str, Any]) -> str:
    """Vendor, model and field strength of a row, as one name."""
    field = row.get("field_t")
    parts = [row.get("vendor"), row.get("model"), None if field is None else f"{field:g} T"]
    return " ".join(str(part) for part in parts if part) or "unknown"


GROUPINGS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "site": lambda row: str(row.get("site") or "unknown"),
    "scanner": scanner,
}


def groups(rows: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Every measure in every site and scanner.

    Args:
        rows: of `table.rows`.
    """
    found = []
    for by, name_of in GROUPINGS.items():
        for measure in MEASURES:
            values: dict[str, list[float]] = defaultdict(list)
            for row in rows:
                if measure in row:
                    values[name_of(row)].append(float(row[measure]))
            found += [_group(by, name, measure, values) for name in sorted(values)]
    return found


def _group(by: str, name: str, measure: str, values: Mapping[str, list[float]]) -> Group:
    mine = np.array(values[name])
    others = np.array([value for other, held in values.items() if other != name for value in held])
    low, median, high = (float(q) for q in np.percentile(mine, (25, 50, 75)))
    return Group(by, name, measure, len(mine), low, median, high, _errors(mine, others))


def _errors(mine: NDArray[np.float64], others: NDArray[np.float64]) -> float | None:
    """Difference of two medians in standard errors of that difference."""
    if min(len(mine), len(others)) < FEWEST:
        return None
    error = SD_OF_MEDIAN * np.hypot(_spread(mine) / len(mine) ** 0.5, _spread(others) / len(others) ** 0.5)
    return None if error == 0 else float((np.median(mine) - np.median(others)) / error)


def _spread(values: NDArray[np.float64]) -> float:
    return SD_OF_MAD * float(np.median(np.abs(values - np.median(values))))


def oddest(rows: Sequence[Mapping[str, Any]], count: int) -> list[Odd]:
    """The studies furthest from the others, the oddest first.

    Args:
        rows: of `table.rows`.
        count: at most so many.
    """
    scores: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for measure in MEASURES:
        there = [row for row in rows if measure in row]
        values = np.array([float(row[measure]) for row in there])
        spread = _spread(values) if len(values) >= FEWEST else 0.0
        if spread == 0:
            continue
        for row, value in zip(there, values, strict=True):
            scores[str(row["study"])][measure] = (float(value), float((value - np.median(values)) / spread))
    found = [Odd(study, max(abs(score) for _, score in why.values()), why) for study, why in scores.items()]
    return sorted(found, key=lambda odd: (-odd.score, odd.study))[:count]
