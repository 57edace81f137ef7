"""What changed between two runs over the same studies, such as of two versions of the package."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cinecmr.cohort import table
from cinecmr.cohort.one import PROVENANCE
from cinecmr.errors import RefusedInput
from cinecmr.evaluate.agreement import agreement
from cinecmr.evaluate.repeatability import repeatability

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MOVERS = 5  # told of each measure
FEWEST = 2  # pairs, for a spread


@dataclass(frozen=True)
class Change:
    """One measure in two runs.

    Attributes:
        measure: column. n: studies measured by both. only_before, only_after: measured by one of them alone.
        moved: studies whose number is another. bias: mean of after minus before. limits: of 95 % of the differences.
        icc: ICC(A,1) with its interval. movers: studies that changed most, with both numbers.
    """

    measure: str
    n: int
    only_before: int
    only_after: int
    moved: int
    bias: float
    limits: tuple[float, float]
    icc: tuple[float, float, float]
    movers: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True)
class Difference:
    """All that changed.

    Attributes:
        studies: in both. only_before, only_after: in one alone.
        outcomes: (state and cause before, after) that differ, and how many.
        provenance: entries that differ, such as the version, with the values of both.
        changes: by measure.
    """

    studies: int
    only_before: int
    only_after: int
    outcomes: tuple[tuple[str, str, int], ...]
    provenance: tuple[tuple[str, str, str], ...]
    changes: tuple[Change, ...]


def compare(before: Path, after: Path) -> Difference:
    """Compare two cohorts, study by study.

    Args:
        before: folder of a cohort.
        after: folder of another whose studies were named with the same key.

    Raises:
        RefusedInput: no study is in both (`other-cohort`).
    """
    first, second = ({row["study"]: row for row in table.rows(out)} for out in (before, after))
    both = sorted(first.keys() & second.keys())
    if not both:
        raise RefusedInput(
            "other-cohort",
            f"no study of {before} is in {after}; if they are the same studies, run the second with --private of "
            "the first, which holds the key of their names",
        )
    pairs = [(first[name], second[name]) for name in both]
    outcomes = Counter((_outcome(a), _outcome(b)) for a, b in pairs if _outcome(a) != _outcome(b))
    texts = set(table.TEXT) | set(table.LAST) | set(table.FIRST)
    measures = [name for name in table.columns([*first.values(), *second.values()]) if name not in texts]
    return Difference(
        len(both),
        len(first) - len(both),
        len(second) - len(both),
        tuple((a, b, count) for (a, b), count in outcomes.most_common()),
        tuple(_provenance(pairs)),
        tuple(change for name in measures if (change := _change(name, pairs)) is not None),
    )


def _outcome(row: Mapping[str, Any]) -> str:
    return f"{row['state']} {row['cause']}".strip()


def _provenance(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[tuple[str, str, str]]:
    found = []
    for name in PROVENANCE:
        if name in ("input_sha256", "phase_key"):
            changed = sum(a.get(name) != b.get(name) for a, b in pairs if name in a and name in b)
            found += [(name, "", f"other in {changed} studies")] if changed else []
            continue
        sides = [sorted({str(row[name]) for row in side if name in row}) for side in zip(*pairs, strict=True)]
        if sides[0] != sides[1]:
            found.append((name, ", ".join(sides[0][:3]), ", ".join(sides[1][:3])))
    return found


def _change(name: str, pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> Change | None:
    held = [(a["study"], float(a[name]), float(b[name])) for a, b in pairs if name in a and name in b]
    one_side = [sum(name in x and name not in y for x, y in side) for side in (pairs, [(b, a) for a, b in pairs])]
    if len(held) < FEWEST:
        return None
    old, new = [a for _, a, _ in held], [b for _, _, b in held]
    agreed, icc = agreement(new, old), repeatability(list(zip(old, new, strict=True))).icc
    movers = sorted((one for one in held if one[1] != one[2]), key=lambda one: (-abs(one[2] - one[1]), one[0]))
    return Change(
        name, len(held), one_side[0], one_side[1], len(movers), agreed.bias, agreed.limits,
        (icc.estimate, icc.low, icc.high), tuple(movers[:MOVERS]),
    )  # fmt: skip


def lines(found: Difference) -> list[str]:
    """What changed, for the terminal."""
    told = [f"{found.studies} studies in both, {found.only_before} only before, {found.only_after} only after"]
    told += [f"  {name}: {before or '-'} -> {after}" for name, before, after in found.provenance]
    told += [f"  {count} studies: {before} -> {after}" for before, after, count in found.outcomes]
    told.append(f"{'':24}{'n':>6} {'moved':>6} {'bias':>9} {'95 % of differences':>23}  ICC (95 %)")
    for one in found.changes:
        limits = f"{one.limits[0]:+.3g} to {one.limits[1]:+.3g}"
        icc = f"{one.icc[0]:.4f} ({one.icc[1]:.4f} to {one.icc[2]:.4f})"
        told.append(f"{one.measure:24}{one.n:>6} {one.moved:>6} {one.bias:>+9.3g} {limits:>23}  {icc}")
        if one.only_before or one.only_after:
            told.append(f"{'':24}measured only before {one.only_before}, only after {one.only_after}")
    told += ["", "moved most:"]
    for one in found.changes:
        told += [f"  {one.measure:22}{study}  {a:g} -> {b:g}" for study, a, b in one.movers[:1]]
    return told if any(one.movers for one in found.changes) else [*told[:-2], "no number moved"]
