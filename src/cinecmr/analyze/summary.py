"""Findings in a few lines for the terminal; the page for reading is made in `analyze.report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cinecmr.analyze import words
from cinecmr.measure import reference
from cinecmr.study import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cinecmr.study import Findings, Flag, Study

SHOWN = ("LVEDV", "LVESV", "LVSV", "LVEF", "LVM", "LVWT", "RVEDV", "RVESV", "RVSV", "RVEF", "MAPSE", "TAPSE", "GLS",
         "LAVmax", "SVdiff", "HR", "CO")  # fmt: skip
SIGN = {Severity.NOTE: "note", Severity.FLAG: "FLAG", Severity.REFUSE: "WITHHELD"}


def lines(study: Study, found: Findings, truth: Findings | None = None) -> list[str]:
    """What the terminal shows after an analysis: status, numbers, conventions, flags.

    Args:
        study: what was read.
        found: what was measured.
        truth: the phantom's findings; adds a column of true values.

    Returns:
        Lines without line ends.
    """
    rows = [_row(name, study, found, truth) for name in SHOWN]
    table = [row for row in rows if row]
    return [status(found.flags), *_images(study), "", *table, *_conventions(study, found), *flag_lines(found.flags)]


def status(flags: Iterable[Flag]) -> str:
    """One line: done, or done with so many flags; notes do not count.

    >>> status([])
    'DONE'
    """
    severities = [flag.severity for flag in flags]
    said = []
    for severity, word in ((Severity.FLAG, "FLAG"), (Severity.REFUSE, "REFUSAL")):
        count = severities.count(severity)
        if count:
            said.append(f"{count} {word}{'S' if count > 1 else ''}")
    return f"DONE WITH {' AND '.join(said)}" if said else "DONE"


def needs_a_look(flags: Iterable[Flag]) -> bool:
    """Whether any flag is more than a note: the command then ends with exit code 4."""
    return any(flag.severity is not Severity.NOTE for flag in flags)


def flag_lines(flags: Iterable[Flag]) -> list[str]:
    """One line a flag, the gravest first."""
    order = (Severity.REFUSE, Severity.FLAG, Severity.NOTE)
    ordered = sorted(flags, key=lambda flag: order.index(flag.severity))
    return [f"  {SIGN[flag.severity]:<8}  {flag.code}: {flag.message}" for flag in ordered]


def _images(study: Study) -> list[str]:
    made = []
    for (view, contrast), image in study.images.items():
        x, y, z, t = image.data.shape
        size = f"{z} slices x {t} frames" if z > 1 else f"{t} frames"
        steps = " x ".join(f"{step:.4g}" for step in image.spacing[: 3 if z > 1 else 2])
        made.append(f"  {view.title}, {contrast.value}: {size}, {x} x {y} pixels, {steps} mm")
    return made


def _row(name: str, study: Study, found: Findings, truth: Findings | None) -> str:
    measured = found.measurements.get(name)
    true = truth.measurements.get(name) if truth else None
    known = measured or true
    if known is None:
        return ""
    unit = words.unit(known.unit)
    cells = [f"  {name:<8}", f"{words.number(measured.value, measured.unit) if measured else '-':>6} {unit:<6}"]
    if true is not None:
        against = f"{measured.value - true.value:+6.1f}" if measured else "     -"
        cells.append(f"true {true.value:6.1f}  difference {against}")
    indexed = found.measurements.get(f"{name}i")
    if indexed is not None:
        cells.append(f"{indexed.value:6.1f} {words.unit(indexed.unit)}")
    cells += [_range(key, study, found) for key in (name, f"{name}i") if key in found.measurements]
    return "  ".join(cell for cell in cells if cell).rstrip()


def _range(name: str, study: Study, found: Findings) -> str:
    known = reference.find(name, study.facts)
    if known is None:
        return ""
    value = found.measurements[name].value
    place = "below" if value < known.low else "above" if value > known.high else "within"
    return f"{place} {known.low:.0f} to {known.high:.0f} {words.unit(known.unit)} ({known.citation})"


def _conventions(study: Study, found: Findings) -> list[str]:
    measured = found.measurements.get("LVEDV") or found.measurements.get("RVEDV")
    made = [""]
    if measured is not None:
        made.append(f"  how: {measured.method.partition('; ')[2]}; {measured.source}")
    if "BSA" in found.measurements:
        made.append(f"  indexed to {found.measurements['BSA'].value:.2f} m² (Mosteller)")
    if not any(reference.find(name, study.facts) for name in found.measurements):
        made.append("  no normal range is shown: none matches sex, age and papillary convention")
    return made
