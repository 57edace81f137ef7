"""When a volume may be believed: flags, and refusals that withhold it.

A number that cannot be believed is left out and its reason stands in the flags; it is never printed silently.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from cinecmr.anatomy import Structure
from cinecmr.errors import RefusedInput
from cinecmr.measure.volumes import CAVITIES, areas, extent
from cinecmr.study import Flag, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from cinecmr.measure.volumes import Chamber
    from cinecmr.study import Facts

MIN_SLICES = 5  # that hold the cavity at ED
MIN_SLICES_KNOWN_GAP = 4  # where the gap between slabs is known and the stack passes both ends of the ventricle
CUT_SHARE = 0.4  # of the largest slice: an outermost slice with more than this was cut, not tapering
PLAUSIBLE_EF = (5.0, 90.0)  # %
PLAUSIBLE_EDV = (2.0, 900.0)  # ml, newborn to the largest dilated ventricle
# Of the larger stroke volume, and ml: both must be passed to be worth a note. None of 12 healthy readings (ACDC) lies
# beyond a quarter, but 26 of all 60 do, ill hearts leaking and basal slices differing; beyond 0.6 lie three of the 60.
SV_DIFFERENCE = (0.25, 15.0)
SV_SELDOM = 0.6
# Dice: of slices of which less is to be expected nine in ten are under 0.7, and of those under it seven in ten are
# told (200 small synthetic studies, of which nine in ten have such a slice: a note, to look there first).
UNSURE = 0.6
MASS_DIFFERENCE = 0.2  # between ED and ES; the muscle does not change its mass


def something_found(labels: NDArray[np.uint8]) -> None:
    """Stop where there is nothing to measure.

    Raises:
        RefusedInput: no frame holds LV blood pool.
    """
    if not (labels == Structure.LV).any():
        raise RefusedInput(
            "nothing-found",
            "no left ventricle was found in any short-axis slice; look at the images with `cinecmr inspect`, and check "
            "that the short-axis cine was chosen (--sax names one)",
        )


def slice_flags(
    name: str, labels: NDArray[np.uint8], frame: int, spacing_mm: float, thickness_mm: float | None
) -> list[Flag]:
    """Does the stack hold enough of a ventricle at ED to sum its slices?

    Args:
        name: "LV" or "RV".
        labels: (x, y, z, t) `Structure` codes, `UNSEEN` where nobody looked.
        frame: the ventricle's ED frame.
        spacing_mm: from slice centre to slice centre.
        thickness_mm: of the excited slab, where known.

    Returns:
        Refusals and flags: `too-few-slices`, `missing-neighbours`, `missing-slice`,
        `stack-does-not-cover-heart`.
    """
    there = extent(areas(labels, CAVITIES[name]), frame)
    flags = _cut_flags(name, there)
    gap_known = thickness_mm is not None and spacing_mm > thickness_mm + 1
    needed = MIN_SLICES_KNOWN_GAP if gap_known and not flags else MIN_SLICES
    held, gaps = len(there["held"]), there["bridged"]
    if held + len(gaps) < needed:
        flags.append(
            Flag(
                "too-few-slices",
                Severity.REFUSE,
                f"only {held} slices hold the {name} at ED ({needed} are needed): its volumes are withheld",
            )
        )
    if any(b - a == 1 for a, b in pairwise(gaps)):
        flags.append(
            Flag(
                "missing-neighbours",
                Severity.REFUSE,
                f"two neighbouring slices of the {name} are missing: volumes withheld",
            )
        )
    elif gaps:
        where = ", ".join(str(z) for z in gaps)
        flags.append(
            Flag(
                "missing-slice",
                Severity.FLAG,
                f"slice {where} of the {name} is missing; its area was taken as the mean of its neighbours",
            )
        )
    return flags


def _cut_flags(name: str, there: Mapping[str, NDArray[np.float64]]) -> list[Flag]:
    area, largest = there["area"], float(there["area"].max(initial=0.0))
    ends = [z for z in (int(there["first"]), int(there["last"])) if largest and area[z] > CUT_SHARE * largest]
    if not ends:
        return []
    where = " and ".join(f"slice {z}" for z in sorted(set(ends)))
    if len(set(ends)) == 2 or there["first"] == there["last"]:
        message = f"the {name} runs out of the stack at both ends ({where}): its volumes are withheld"
        return [Flag("stack-does-not-cover-heart", Severity.REFUSE, message)]
    share = 100 * area[ends[0]] / area.sum()
    message = (
        f"the {name} is still wide in the outermost {where} at ED: the stack may end inside the ventricle; one more "
        f"slice as wide would add {share:.0f} % to the volume"
    )
    return [Flag("stack-does-not-cover-heart", Severity.FLAG, message)]


def chamber_flags(one: Chamber) -> list[Flag]:
    """Values no living heart has; each is a reason to withhold the ventricle."""
    low, high = PLAUSIBLE_EDV
    flags = []
    if not low <= one.edv <= high:
        flags.append(_implausible(f"{one.name}EDV of {one.edv:.1f} ml is outside {low:g} to {high:g} ml"))
    if one.ef is not None and not PLAUSIBLE_EF[0] <= one.ef <= PLAUSIBLE_EF[1]:
        flags.append(
            _implausible(f"{one.name}EF of {one.ef:.0f} % is outside {PLAUSIBLE_EF[0]:g} to {PLAUSIBLE_EF[1]:g} %")
        )
    return flags


def mass_flags(one: Chamber) -> list[Flag]:
    """LV mass: refused where there is none, noted where ED and ES disagree."""
    if one.mass_ed is None:
        return []
    if one.mass_ed <= 0:
        return [_implausible("no myocardium at ED: the mass is withheld")]
    if one.mass_es is not None and abs(one.mass_es - one.mass_ed) > MASS_DIFFERENCE * one.mass_ed:
        message = f"LV mass is {one.mass_ed:.0f} g at ED and {one.mass_es:.0f} g at ES; look at both"
        return [Flag("mass-differs", Severity.NOTE, message)]
    return []


def _implausible(what: str) -> Flag:
    return Flag("implausible", Severity.REFUSE, f"{what}: withheld, look at the contours")


def pair_flags(chambers: Mapping[str, Chamber]) -> list[Flag]:
    """Both ventricles pump the same blood: say so where the stroke volumes disagree."""
    values = [chambers[name].sv for name in ("LV", "RV") if name in chambers]
    if len(values) < 2 or values[0] is None or values[1] is None:
        return []
    share, least = SV_DIFFERENCE
    difference, larger = values[0] - values[1], max(values[0], values[1])
    if abs(difference) <= max(least, share * larger):
        return []
    message = (
        f"LVSV {values[0]:.0f} ml and RVSV {values[1]:.0f} ml differ by {difference:+.0f} ml: a shunt, a leak, "
        "or wrong contours, most often in the most basal slices"
    )
    severity = Severity.FLAG if abs(difference) > SV_SELDOM * larger else Severity.NOTE
    return [Flag("stroke-volumes-differ", severity, message)]


def unsure_flags(expected: NDArray[np.float64], cycle: Mapping[str, int]) -> list[Flag]:
    """`unsure-slices`: where the model's own labels are most likely wrong; most often at base and apex.

    Args:
        expected: (z, t) Dice to be expected of each slice, 0 to 1; NaN without a heart.
        cycle: frames under "LV_ED" and "LV_ES".
    """
    told = []
    for phase in ("ED", "ES"):
        frame = cycle.get(f"LV_{phase}")
        where = [] if frame is None else [str(z) for z, one in enumerate(expected[:, frame]) if one < UNSURE]
        if where:
            told.append(f"slice {', '.join(where)} at {phase}")
    if not told:
        return []
    message = (
        f"the model is not sure of its labels in {' and '.join(told)}: a Dice under {UNSURE:g} is to be expected; look "
        "at these contours first"
    )
    return [Flag("unsure-slices", Severity.NOTE, message)]


def knowledge_flags(facts: Facts, rr_ms: float | None) -> list[Flag]:
    """What could not be computed because nobody said it."""
    flags = []
    absent = [word for word, value in (("height", facts.height_m), ("weight", facts.weight_kg)) if value is None]
    if absent:
        how = " ".join(f"--{word}" for word in absent)
        message = f"{' and '.join(absent)} unknown: nothing is indexed to body surface (give {how})"
        flags.append(Flag("no-indexing", Severity.NOTE, message))
    if not rr_ms:
        message = "R-R interval unknown: no heart rate and no cardiac output (give --rr-ms)"
        flags.append(Flag("no-heart-rate", Severity.NOTE, message))
    return flags


def refused(flags: Iterable[Flag]) -> bool:
    """Whether any of them withholds a number."""
    return any(flag.severity is Severity.REFUSE for flag in flags)
