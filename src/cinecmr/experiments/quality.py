"""Do the checks catch gross failures, and how often do they disturb for nothing?

Expert label maps of real hearts are what must pass: each flag on them is a false alarm. Then gross faults are put into
them, those of a failing network among them, and what no check notices is counted as missed.

The limits of the checks were set on the same readings. What new people would see is told by leaving each person out in
turn: limits are set by the same rule on the others, and that person's maps held against them.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cinecmr.anatomy import Structure
from cinecmr.datasets import label_maps
from cinecmr.evaluate.intervals import clopper_pearson
from cinecmr.experiments import provenance
from cinecmr.experiments.phantom_realism import real_pictures
from cinecmr.io.files import write_text
from cinecmr.measure import checks, coherence, right_heart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.study import Flag

    Labels = NDArray[np.uint8]

WIDER, NARROWER = 6, 4  # pixels, about 8 and 6 mm
NONE = "none"
FIXED = ("open_share", "second_piece", "beside")
LEFT = ("open_share", "second_piece", "jump", "cut")  # of `coherence.Limits`
RIGHT = {"beside": "beside", "abrupt": "abrupt", "fall": "fall", "right_jump": "jump", "goes_on": "goes_on"}
SIGNS = (*FIXED, "jump", "cut", "dark", "abrupt", "fall", "right_jump", "goes_on")
FEWEST = 20  # people that limits can be set on
SHARE, QUANTILE = 0.05, 0.9  # of maps that may break a limit; of readings, see `set_limits`
Limits = dict[str, "NDArray[np.float64]"]  # by phase, of every sign


@dataclass(frozen=True)
class Seen:
    """One map and what the checks say of it.

    Attributes:
        subject, phase, fault: which; `NONE` for the map as the expert drew it.
        flags: codes.
        withheld: codes of flags that withhold a ventricle.
        signs: how far it is from a heart's shape, the larger the worse: the worst slice of every sign in `SIGNS`.
    """

    subject: str
    phase: str
    fault: str
    flags: tuple[str, ...]
    withheld: tuple[str, ...]
    signs: tuple[float, ...] = ()


def run(real: Path, out: Path, *, progress: Callable[[float], None] | None = None) -> Iterator[str]:
    """Look at every map, whole and with every fault; lines for the terminal.

    Args:
        real: images and labels in ACDC's layout.
        out: gets quality.json and quality.md.
        progress: told the share done.

    Raises:
        RefusedInput: no label maps, or one without its image.
    """
    started = time.perf_counter()
    cases = label_maps.cases(real)
    seen: list[Seen] = []
    for number, case in enumerate(cases, 1):
        for phase, _, picture, labels in real_pictures(case):
            affine = label_maps.read_labels(case.labels[phase])[1]
            seen += look(case.subject, phase, labels, picture, affine)
        if progress:
            progress(number / len(cases))
    about = provenance.about(started, subjects=len(cases), maps=sum(one.fault == NONE for one in seen))
    content = {"about": about, "signs": SIGNS, "faults": table(seen), "maps": [asdict(one) for one in seen]}
    write_text(out / "quality.json", provenance.as_json(content))
    page = markdown(about, seen)
    write_text(out / "quality.md", "\n".join(page) + "\n")
    yield from page


def look(
    subject: str, phase: str, labels: Labels, picture: NDArray[np.float32], affine: NDArray[np.float64]
) -> Iterator[Seen]:
    """What the checks say of a map as it is and with every fault that can be put into it."""
    changes: dict[str, Callable[[Labels], Labels]] = {NONE: lambda whole: whole, **FAULTS}
    for fault, change in changes.items():
        changed = change(labels)
        if fault == NONE or not np.array_equal(changed, labels):
            flags = said(changed, picture, affine, phase)
            codes = tuple(dict.fromkeys(flag.code for flag in flags))
            withheld = tuple(f.code for f in flags if checks.refused([f]))
            yield Seen(subject, phase, fault, codes, withheld, measured(changed, picture, affine))


def said(labels: Labels, picture: NDArray[np.float32], affine: NDArray[np.float64], phase: str) -> list[Flag]:
    """The checks that `analyze` makes of one frame; a slice of another breath-hold is no failure of the labels."""
    return [
        *coherence.coherence_flags(labels, affine, phase),
        *coherence.dark_flags(labels, picture, phase),
        *right_heart.right_flags(labels, picture, phase),
    ]


def measured(labels: Labels, picture: NDArray[np.float32], affine: NDArray[np.float64]) -> tuple[float, ...]:
    """The worst of every sign in `SIGNS`."""
    left, right = coherence.signs(labels, affine), right_heart.right_signs(labels, picture).worst()
    worst = {name: float(np.nan_to_num(getattr(left, name)).max(initial=0.0)) for name in LEFT}
    worst |= {name: right[of][0] for name, of in RIGHT.items()}
    worst["dark"] = float(np.nan_to_num(1 - coherence.brighter(labels, picture)))
    return tuple(round(worst[name], 5) for name in SIGNS)


# The limits: as shipped, by the rule they were set by, and what they catch


def shipped() -> Limits:
    """Limits of every sign that the checks have."""
    told = {}
    for phase, left in coherence.LIMITS.items():
        right = right_heart.LIMITS[phase]
        limits = {name: getattr(left, name) for name in LEFT}
        limits |= {name: getattr(right, of) for name, of in RIGHT.items()}
        limits["dark"] = 1 - coherence.BRIGHTER[phase]
        told[phase] = np.array([limits[name] for name in SIGNS])
    return told


def set_limits(readings: list[Seen]) -> Limits:
    """Limits that at most one in twenty of some expert readings breaks.

    Each lies as many times the distance from the median to the 90th percentile above that median; one number for all
    signs is found, not one for each, so that a few dozen readings suffice. Those in `FIXED` keep theirs.
    """
    fixed = shipped()
    values = {phase: np.array([one.signs for one in readings if one.phase == phase]) for phase in fixed}
    middle = {phase: np.median(of, axis=0) for phase, of in values.items()}
    reach = {phase: np.quantile(of, QUANTILE, axis=0) - middle[phase] for phase, of in values.items()}
    free = slice(len(FIXED), None)
    worst = []
    for phase, of in values.items():
        times = ((of - middle[phase])[:, free] / reach[phase][free]).max(axis=1)
        broken = (of > fixed[phase])[:, : len(FIXED)].any(axis=1)
        worst += list(np.where(broken, np.inf, times))
    times = sorted(worst, reverse=True)[int(SHARE * len(worst))]
    limits = {phase: middle[phase] + times * reach[phase] for phase in values}
    return {phase: np.r_[fixed[phase][: len(FIXED)], of[free]] for phase, of in limits.items()}


def breaks(one: Seen, limits: Limits) -> bool:
    """Whether a map lies beyond any limit."""
    return bool((np.array(one.signs) > limits[one.phase] + 1e-5).any())


def left_out(seen: list[Seen]) -> dict[str, int]:
    """Maps that are flagged by limits set without their person: of those without a fault, and of those with one."""
    counts = {"alarms": 0, "maps": 0, "caught": 0, "faults": 0}
    for person in {one.subject for one in seen}:
        limits = set_limits([one for one in seen if one.subject != person and one.fault == NONE])
        for one in seen:
            if one.subject == person:
                of, flagged = ("maps", "alarms") if one.fault == NONE else ("faults", "caught")
                counts[of] += 1
                counts[flagged] += breaks(one, limits)
    return counts


# Faults: a map in, a map out; the same map where the fault cannot be put into it


def _slices(labels: Labels, structure: Structure) -> NDArray[np.intp]:
    """Slices that hold it, from the base."""
    heart = (labels > 0).sum(axis=(0, 1))
    held = np.flatnonzero(heart)
    half = len(held) // 2
    turned = heart[held[:half]].sum() < heart[held[-half:]].sum() if half else False
    there = np.flatnonzero((labels == structure).any(axis=(0, 1)))
    return there[::-1] if turned else there


def _in_middle(structure: Structure, change: Callable[[Labels], Labels]) -> Callable[[Labels], Labels]:
    """Change the middle of the slices that hold a structure."""

    def fault(labels: Labels) -> Labels:
        result, held = labels.copy(), _slices(labels, structure)
        if held.size:
            result[..., held[held.size // 2]] = change(result[..., held[held.size // 2]].copy())
        return result

    return fault


def _from(structure: Structure, share: float, codes: tuple[Structure, ...]) -> Callable[[Labels], Labels]:
    """Take structures away from a share of the slices on, towards the apex; towards the base where it is negative."""

    def fault(labels: Labels) -> Labels:
        result, held = labels.copy(), _slices(labels, structure)
        first = round(abs(share) * held.size)
        for z in held[first:] if share > 0 else held[:first]:
            result[..., z][np.isin(result[..., z], codes)] = Structure.BACKGROUND
        return result

    return fault


def _half_wall(plane: Labels) -> Labels:
    middle = int(np.argwhere(plane == Structure.LV)[:, 0].mean())
    plane[:middle][plane[:middle] == Structure.MYO] = Structure.BACKGROUND
    return plane


def _blob(plane: Labels) -> Labels:
    """A second piece of cavity in a wall of its own, in a corner, a third as wide as the first."""
    size = max(4, round(np.sqrt((plane == Structure.LV).sum()) / 2))
    plane[2 : size + 8, 2 : size + 8] = Structure.MYO
    plane[5 : size + 5, 5 : size + 5] = Structure.LV
    return plane


def _grown(structure: Structure, pixels: int, over: tuple[Structure, ...]) -> Callable[[Labels], Labels]:
    def change(plane: Labels) -> Labels:
        where = ndimage.binary_dilation(plane == structure, iterations=pixels) & np.isin(plane, over)
        plane[where] = structure
        return plane

    return change


def _shrunk(structure: Structure, pixels: int, to: Structure) -> Callable[[Labels], Labels]:
    def change(plane: Labels) -> Labels:
        whole = plane == structure
        plane[whole & ~ndimage.binary_erosion(whole, iterations=pixels)] = to
        return plane

    return change


def _end_gone(plane: Labels) -> Labels:
    """The right ventricle ends at a straight line across it: a third of its pixels, at one end, are lost."""
    places = np.argwhere(plane == Structure.RV)
    if len(places) > 2:
        around = places - places.mean(axis=0)
        axis = np.linalg.svd(around, full_matrices=False)[2][0]
        along = around @ (axis * (np.sign(axis[1]) or 1))
        x, y = places[along > np.quantile(along, 2 / 3)].T
        plane[x, y] = Structure.BACKGROUND
    return plane


def _every(change: Callable[[Labels], Labels]) -> Callable[[Labels], Labels]:
    return lambda labels: np.stack([change(labels[..., z].copy()) for z in range(labels.shape[2])], axis=-1)


def _exchanged(labels: Labels) -> Labels:
    return np.choose(labels, [0, 3, 2, 1]).astype(np.uint8)


_LEFT = (Structure.MYO, Structure.LV)
_ALL = (Structure.BACKGROUND, Structure.RV, Structure.MYO)
FAULTS: dict[str, Callable[[Labels], Labels]] = {
    "a slice lost": _in_middle(Structure.LV, np.zeros_like),
    "ventricles exchanged in a slice": _in_middle(Structure.LV, _exchanged),
    "half the wall gone in a slice": _in_middle(Structure.LV, _half_wall),
    "LV too wide in a slice": _in_middle(Structure.LV, _grown(Structure.LV, WIDER, _ALL)),
    "LV too narrow in a slice": _in_middle(Structure.LV, _shrunk(Structure.LV, NARROWER, Structure.MYO)),
    "LV elsewhere too": _in_middle(Structure.LV, _blob),
    "RV lost in a slice": _in_middle(Structure.RV, _shrunk(Structure.RV, 99, Structure.BACKGROUND)),
    "RV cut at half height": _from(Structure.RV, 0.5, (Structure.RV,)),
    "a third of the RV gone in every slice": _every(_end_gone),
    "RV too wide in a slice": _in_middle(Structure.RV, _grown(Structure.RV, WIDER, (Structure.BACKGROUND,))),
    "LV cut at half height": _from(Structure.LV, 0.5, _LEFT),
    "ventricles exchanged": _exchanged,
    "labels beside the heart": lambda labels: np.roll(labels, labels.shape[0] // 4, axis=0),
    "labels mirrored": lambda labels: labels[::-1],
    "labels of base and apex exchanged": lambda labels: labels[..., ::-1],
}


def table(seen: list[Seen]) -> dict[str, Mapping[str, float]]:
    """Maps, those flagged and those withheld, of every fault; of `NONE` the false alarms."""
    return {
        fault: {
            "maps": sum(one.fault == fault for one in seen),
            "flagged": sum(one.fault == fault and bool(one.flags) for one in seen),
            "withheld": sum(one.fault == fault and bool(one.withheld) for one in seen),
        }
        for fault in (NONE, *FAULTS)
    }


def markdown(about: dict[str, str], seen: list[Seen]) -> list[str]:
    """The page."""
    rows = table(seen)
    whole, faulty = rows[NONE], [rows[fault] for fault in FAULTS]
    caught, tried = int(sum(row["flagged"] for row in faulty)), int(sum(row["maps"] for row in faulty))
    alarms = [one for one in seen if one.fault == NONE and one.flags]
    people = sorted({one.subject for one in alarms})
    return [
        "# Gross failures put into expert label maps, and the checks",
        "",
        *provenance.as_lines(about),
        f"Caught: {_share(caught, tried)} of the maps with a fault. False alarms: "
        f"{_share(int(whole['flagged']), int(whole['maps']))} of the maps as experts drew them, in {len(people)} of "
        f"{len({one.subject for one in seen})} people; withheld: {int(whole['withheld'])}. Intervals are exact, 95 %.",
        "",
        *_new_people(seen),
        "| fault | maps | flagged | numbers withheld |",
        "|---|---|---|---|",
        *(f"| {fault} | {row['maps']:.0f} | {row['flagged']:.0f} | {row['withheld']:.0f} |"
          for fault, row in rows.items() if fault != NONE),
        "",
        "False alarms: " + ("; ".join(f"{one.subject} {one.phase} {', '.join(one.flags)}" for one in alarms) or "none"),
        "",
        "Missed: " + ("; ".join(f"{one.subject} {one.phase} {one.fault}" for one in seen
                                if one.fault != NONE and not one.flags) or "none"),
    ]  # fmt: skip


def _new_people(seen: list[Seen]) -> list[str]:
    if len({one.subject for one in seen}) < FEWEST:
        return []
    counts = left_out(seen)
    return [
        "The limits were set on these readings. Set by the same rule without the person whose maps are looked at, each "
        f"in turn: caught {_share(counts['caught'], counts['faults'])}, false alarms "
        f"{_share(counts['alarms'], counts['maps'])}.",
        "",
    ]


def _share(count: int, of: int) -> str:
    return f"{count} of {of}, {clopper_pearson(count, of).scaled(100).text(1)} %"
