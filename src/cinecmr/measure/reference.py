"""Normal ranges that may honestly stand beside a measurement, or none.

A range is shown only where it is of healthy people, was checked against the paper's own abstract, is a range of
single persons (not of a mean), and fits the person's sex and age and the papillary convention of the labels:
the mean LVEF of healthy adults is 58 % or 71 % by convention and cohort, so a near miss is no match.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cinecmr.study import Facts

ADULT_Y = 18.0
SD_OF_95_PERCENT = 1.96


@dataclass(frozen=True)
class Reference:
    """One normal range with its source.

    Attributes:
        name: of the measurement, such as "LVEF".
        low, high: limits in `unit`; 95 % of healthy people of this sex and age lie between.
        unit: as in the measurement.
        population: sex, age span, number of people and convention, in words.
        citation: authors and year.
        doi: of the paper.
    """

    name: str
    low: float
    high: float
    unit: str
    population: str
    citation: str
    doi: str


def find(name: str, facts: Facts, papillary: str = "papillary_in_volume") -> Reference | None:
    """The normal range of a measurement for this person.

    Args:
        name: of the measurement, such as "LVEF" or "LVMi".
        facts: sex and age must both be known.
        papillary: convention of the labels, as the table writes it.

    Returns:
        None where no row fits; that is the usual answer.
    """
    return choose(table(), name, facts, papillary)


def choose(rows: Iterable[Mapping[str, str]], name: str, facts: Facts, papillary: str) -> Reference | None:
    """`find` on any table with the columns of normal_ranges.csv."""
    if facts.sex is None or facts.age_y is None:
        return None
    for row in rows:
        if (
            row["parameter"] == name
            and row["verification"] == "primary_abstract"
            and row["doi"]
            and row["papillary_convention"] == papillary
            and row["sex"] in (facts.sex.value, "both")
            and _spans(row["age"], facts.age_y)
            and (limits := _limits(row)) is not None
        ):
            return Reference(name, *limits, row["unit"], _population(row), row["source"], row["doi"])
    return None


@cache
def table() -> tuple[dict[str, str], ...]:
    """The rows of normal_ranges.csv, as text."""
    text = (files("cinecmr.measure") / "normal_ranges.csv").read_text("utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def _spans(span: str, age_y: float) -> bool:
    """Whether an age falls in "45-74" (whole years, both included) or "adult"; patient groups span nobody."""
    if span == "adult":
        return age_y >= ADULT_Y
    low, dash, high = span.partition("-")
    return bool(dash) and low.isdigit() and high.isdigit() and int(low) <= int(age_y) <= int(high)


def _limits(row: Mapping[str, str]) -> tuple[float, float] | None:
    if row["limit_type"] == "mean_sd" and row["mean"] and row["sd"]:
        mean, spread = float(row["mean"]), SD_OF_95_PERCENT * float(row["sd"])
        return mean - spread, mean + spread
    if row["limit_type"] == "95pct_reference" and row["lower"] and row["upper"]:
        return float(row["lower"]), float(row["upper"])
    return None


def _population(row: Mapping[str, str]) -> str:
    sex = {"F": "women", "M": "men"}.get(row["sex"], "adults of both sexes")
    age = "adults" if row["age"] == "adult" else f"{row['age']} years"
    kind = "mean ± 1.96 SD" if row["limit_type"] == "mean_sd" else "95 % range"
    return f"{row['n']} healthy {sex}, {age}, {row['papillary_convention'].replace('_', ' ')}, {kind}"
