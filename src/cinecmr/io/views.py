"""Which planes are the short-axis stack, and which long-axis plane is which, by how they lie in the patient.

The short axis is the largest stack of parallel planes that cut the heart across its long axis, whose direction in the
chest varies little from person to person. Long-axis planes contain that axis and are told apart by the angle at which
they cut the wall. Descriptions break ties only: protocols are copied, renamed and translated.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import View
from cinecmr.io.planes import PARALLEL_DEG, SAME_SLICE_MM, Lattice, heights, lattice, mean_normal, parallel, tilt_deg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cinecmr.io.planes import Run

# Base to apex in the chest: left, forward, down. Measured on two real studies (13 degrees apart).
APEX = np.array([-0.65, 0.55, -0.50]) / np.linalg.norm([-0.65, 0.55, -0.50])
USUAL_DEG, UNUSUAL_DEG = (
    35.0,
    50.0,
)  # a short axis within the first is usual; beyond the second lie body planes and RVOT
BODY_PLANE_DEG = 15.0
BETWEEN = "lies between two slices of the stack"
TILTED_DEG, TILTED_TOO_MUCH_DEG = (
    15.0,
    40.0,
)  # a slice may be used up to the first; beyond the second it is another view
NEAR_MM = 25.0  # in plane, from the line through the centres of a stack
MIN_SLICES = 3  # two parallel planes are a repeated long axis as often as a short axis

# Where each plane cuts the wall seen from the apex: degrees from the lateral wall towards the anterior wall, of 180.
CUTS = {View.LAX_4C: 30.0, View.LAX_2C: 90.0, View.LAX_3C: 150.0}
CUT_TOLERANCE_DEG = 30.0
ALONG_DEG = 20.0  # a long-axis plane departs from the axis by less
THROUGH_MM = 30.0  # and passes it within this
_NAMED = {
    View.LAX_4C: r"(?<![a-z0-9])(4|four)[ _-]?(ch|c|cv|cav|chamber|kammer)|(?<![a-z])hla(?![a-z])",
    View.LAX_2C: r"(?<![a-z0-9])(2|two)[ _-]?(ch|c|cv|cav|chamber|kammer)|(?<![a-z])vla(?![a-z])",
    View.LAX_3C: r"(?<![a-z0-9])(3|three)[ _-]?(ch|c|cv|cav|chamber|kammer)|(?<![a-z])lvot(?![a-z])",
}


@dataclass(frozen=True)
class Stack:
    """Slices of one short-axis stack, base first.

    Attributes:
        runs: one for each acquired slice, by rising slice number.
        grid: their slice numbers, and those that are missing.
        normal: (3,) unit vector from base to apex, RAS.
        left_out: runs of the same planes that are not used, and why.
        unusual: whether the stack lies as few short axes do.
    """

    runs: tuple[Run, ...]
    grid: Lattice
    normal: NDArray[np.float64]
    left_out: tuple[tuple[Run, str], ...]
    unusual: bool = False


def find_short_axis(runs: Sequence[Run], *, named: bool = False) -> Stack | None:
    """The best short-axis stack, or None.

    Args:
        runs: cine planes.
        named: the user named them: any direction is taken, and two slices suffice.
    """
    stacks = [(_score(stack, named=named), stack) for stack in map(_stack, parallel(runs))]
    fit = [(score, stack) for score, stack in stacks if score > 0]
    if fit:
        return _with_tilted(max(fit, key=lambda pair: pair[0])[1], runs)
    odd = [stack for _, stack in stacks if len(stack.runs) >= 5 and not _body_plane(stack.normal)]
    if len(odd) != 1:
        return None
    return Stack(odd[0].runs, odd[0].grid, odd[0].normal, odd[0].left_out, unusual=True)


def _with_tilted(stack: Stack, runs: Sequence[Run]) -> Stack:
    """The stack with slices of its protocol that were planned askew.

    One tilted by up to `TILTED_DEG` is taken where it fills a hole or lengthens the stack by one; one tilted further
    only where it fills a hole, so that what is not there is refused for the right reason.
    """
    known = {id(run) for run in stack.runs} | {id(run) for run, _ in stack.left_out}
    for run in runs:
        tilt = tilt_deg(run.normal, stack.normal)
        if id(run) in known or not PARALLEL_DEG <= tilt <= TILTED_TOO_MUCH_DEG:
            continue
        place = _place_in(stack, run)
        ends = (-1, stack.grid.slices) if tilt <= TILTED_DEG else ()
        if place is not None and (place in stack.grid.missing or place in ends):
            stack = _inserted(stack, run, place)
    return stack


def _place_in(stack: Stack, run: Run) -> int | None:
    """The slice number a plane of the stack's protocol would have; None where it is none of it."""
    like = stack.runs[0].first
    if run.first.description != like.description or all(run.grid != other.grid for other in stack.runs):
        return None
    number = (float(run.centre @ stack.normal) - stack.grid.start) / stack.grid.step
    away = run.centre - np.mean([other.centre for other in stack.runs], axis=0)
    in_plane = float(np.linalg.norm(away - (away @ stack.normal) * stack.normal))
    return round(number) if abs(number - round(number)) < 0.25 and in_plane < NEAR_MM else None


def _inserted(stack: Stack, run: Run, place: int) -> Stack:
    pairs = sorted([*zip(stack.grid.index, stack.runs, strict=True), (place, run)], key=lambda pair: pair[0])
    first = pairs[0][0]
    index = tuple(k - first for k, _ in pairs)
    missing = tuple(sorted(set(range(index[-1] + 1)) - set(index)))
    grid = Lattice(stack.grid.start + first * stack.grid.step, stack.grid.step, index, missing)
    return replace(stack, runs=tuple(one for _, one in pairs), grid=grid)


def _score(stack: Stack, *, named: bool) -> float:
    """Number of slices, weighed by how usual the direction is; 0 where it cannot be a short axis."""
    slices = len(stack.runs)
    if named:
        return float(slices) if slices >= 2 else 0.0
    angle = tilt_deg(stack.normal, APEX)
    if slices < MIN_SLICES or angle > UNUSUAL_DEG:
        return 0.0
    return slices * min(1.0, (60.0 - angle) / (60.0 - USUAL_DEG))


def _body_plane(normal: NDArray[np.float64]) -> bool:
    return any(tilt_deg(normal, axis) < BODY_PLANE_DEG for axis in np.eye(3))


def _stack(runs: Sequence[Run]) -> Stack:
    """Parallel planes as one stack: repeats resolved, planes between two slices left out."""
    normal = mean_normal(runs)
    normal = normal if normal @ APEX > 0 else -normal
    # A stack that was repeated a little beside the first is worth more alone than threaded into the other.
    ways = [list(runs), *_acquired_together(runs, normal)]
    tried = [_resolve(way, normal) for way in ways]
    kept, grid, left = max(tried, key=lambda one: _even(one[1]))
    told = dict.fromkeys(id(run) for run in kept) | dict.fromkeys(id(run) for run, _ in left)
    beside = [(run, "part of a repeated stack") for run in runs if id(run) not in told]
    between = [(run, BETWEEN) for run, k in zip(kept, grid.index, strict=True) if k < 0]
    on = sorted((k, number) for number, k in enumerate(grid.index) if k >= 0)
    index = tuple(k for k, _ in on)
    return Stack(
        tuple(kept[number] for _, number in on),
        Lattice(grid.start, grid.step, index, grid.missing),
        normal,
        (*left, *beside, *between),
    )


def _acquired_together(runs: Sequence[Run], normal: NDArray[np.float64]) -> list[list[Run]]:
    """Parts of parallel planes that may be a stack of their own: one series, or one walk along the normal in time."""
    by_series: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_series[run.first.series].append(run)
    walks: list[list[Run]] = []
    last = 0.0
    for run in sorted(runs, key=lambda run: (run.acquired, run.first.series_number or 0)):
        height = float(run.centre @ normal)
        direction = (
            0.0 if not walks or len(walks[-1]) < 2 else float((walks[-1][1].centre - walks[-1][0].centre) @ normal)
        )
        if not walks or (height - last) * direction < 0:
            walks.append([])
        walks[-1].append(run)
        last = height
    return [part for part in (*by_series.values(), *walks) if MIN_SLICES <= len(part) < len(runs)]


def _even(grid: Lattice) -> float:
    on = sum(k >= 0 for k in grid.index)
    return on - 0.5 * len(grid.missing) - 0.75 * (len(grid.index) - on)


def _resolve(runs: list[Run], normal: NDArray[np.float64]) -> tuple[list[Run], Lattice, list[tuple[Run, str]]]:
    """One run at each height, the even spacing they have, and what was left out."""
    slots = _slots(runs, normal)
    kept, left = _one_stack(slots)
    return kept, lattice(heights(kept, normal)), left


def _slots(runs: Sequence[Run], normal: NDArray[np.float64]) -> list[list[Run]]:
    """Runs by height, first acquired first within each."""
    where = heights(runs, normal)
    slots: list[list[Run]] = []
    last = -np.inf
    for number in np.argsort(where, kind="stable"):
        if where[number] - last < SAME_SLICE_MM:
            slots[-1].append(runs[number])
        else:
            slots.append([runs[number]])
            last = where[number]
    return [sorted(slot, key=lambda run: (run.acquired, run.first.series)) for slot in slots]


def _one_stack(slots: list[list[Run]]) -> tuple[list[Run], list[tuple[Run, str]]]:
    """One run a slot: of a stack that was repeated whole, one whole stack; of single repeats, the later one."""
    left: list[tuple[Run, str]] = []
    repeated = sum(len(slot) > 1 for slot in slots)
    if repeated >= max(3, len(slots) / 2):
        whole = _whole_stacks(slots)
        best = max(whole, key=lambda own: (len(own), min(run.frames for run in own), max(run.acquired for run in own)))
        used = {id(run) for run in best}
        left += [(run, "part of a repeated stack; one whole stack is used") for s in slots for run in s
                 if id(run) not in used and any(id(other) in used for other in s)]  # fmt: skip
        gone = {id(run) for run, _ in left}
        slots = [[run for run in slot if id(run) not in gone] for slot in slots]
    kept = []
    for slot in slots:
        best_run = max(slot, key=lambda run: (run.frames, run.acquired, run.first.series))
        kept.append(best_run)
        for run in slot:
            if run is not best_run:
                why = "it has fewer frames" if run.frames < best_run.frames else "the later one is used"
                left.append((run, f"repeat of the slice of series {best_run.first.series_number}: {why}"))
    return kept, left


def _whole_stacks(slots: list[list[Run]]) -> list[list[Run]]:
    """The stacks that were acquired one after the other: by series where a series is a stack, else by turn."""
    by_series: dict[str, list[Run]] = defaultdict(list)
    for slot in slots:
        for run in slot:
            by_series[run.first.series].append(run)
    stacks = [own for own in by_series.values() if len(own) >= MIN_SLICES]
    if stacks:
        return stacks
    return [[slot[turn] for slot in slots if len(slot) > turn] for turn in range(max(map(len, slots)))]


def name_long_axes(
    runs: Sequence[Run], normal: NDArray[np.float64], middle: NDArray[np.float64]
) -> tuple[dict[View, Run], list[tuple[Run, str]]]:
    """Tell long-axis planes apart.

    Args:
        runs: cine planes outside the short-axis stack.
        normal: (3,) from base to apex, RAS.
        middle: (3,) middle of the short-axis stack, RAS mm: the heart is near.

    Returns:
        The best plane for each view; and every other run with the reason why it is not used.
    """
    along = [run for run in runs if 90.0 - tilt_deg(run.normal, normal) < ALONG_DEG]
    axis = _axis_point(along, normal, middle)
    costs = []
    for run in along:
        for view in CUTS:
            cost = _cost(run, view, normal, axis)
            if cost is not None:
                costs.append((round(cost, 2), -run.acquired, run.first.series, view.value, run, view))
    chosen: dict[View, Run] = {}
    for *_, run, view in sorted(costs, key=lambda c: c[:4]):
        if view not in chosen and all(run is not other for other in chosen.values()):
            chosen[view] = run
    used = [id(run) for run in chosen.values()]
    return chosen, [(run, _why_not(run, along, chosen, normal, axis)) for run in runs if id(run) not in used]


def _why_not(
    run: Run, along: Sequence[Run], chosen: dict[View, Run], normal: NDArray[np.float64], axis: NDArray[np.float64]
) -> str:
    if all(run is not other for other in along):
        return "lies neither in the short-axis stack nor along the long axis"
    near = [(cost, view) for view in chosen if (cost := _cost(run, view, normal, axis)) is not None]
    if not near:
        return "along the long axis, but none of the 2-, 3- and 4-chamber planes"
    view = min(near, key=lambda pair: pair[0])[1]
    return f"{view.title} by its place, but series {chosen[view].first.series_number} lies better"


def cut_deg(run: Run, normal: NDArray[np.float64]) -> float:
    """Where a plane cuts the wall: degrees from lateral towards anterior, seen from the apex, 0 to 180."""
    up, right = _clock_face(normal)
    line = np.cross(run.normal, normal)
    return float(np.degrees(np.arctan2(line @ up, line @ right)) % 180.0)


def _clock_face(normal: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Up (towards the head) and right (lateral) in the short-axis plane seen from the apex."""
    up = np.array([0.0, 0.0, 1.0]) - normal[2] * normal
    up /= np.linalg.norm(up)
    return up, np.cross(up, normal)


def _axis_point(runs: Sequence[Run], normal: NDArray[np.float64], middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3,) a point on the axis that most planes share: long-axis views meet in it, RV views do not."""
    best: tuple[int, float, NDArray[np.float64]] = (0, 0.0, middle)
    for a, b in combinations(runs, 2):
        if tilt_deg(a.normal, b.normal) < 25.0:
            continue
        rows = np.stack([a.normal, b.normal, normal])
        point = np.asarray(
            np.linalg.solve(rows, [a.normal @ a.centre, b.normal @ b.centre, normal @ middle]), np.float64
        )
        away = float(np.linalg.norm(point - middle))
        if away < 100.0:
            shared = sum(abs(float((point - run.centre) @ run.normal)) < 12.0 for run in runs)
            best = max(best, (shared, -away, point), key=lambda found: found[:2])
    return best[2]


def _cost(run: Run, view: View, normal: NDArray[np.float64], axis: NDArray[np.float64]) -> float | None:
    """How badly a plane fits a view; None where it cannot be that view."""
    turn = abs((cut_deg(run, normal) - CUTS[view] + 90.0) % 180.0 - 90.0)
    away = abs(float((axis - run.centre) @ run.normal))
    if turn > CUT_TOLERANCE_DEG or away > THROUGH_MM:
        return None
    lean = 90.0 - tilt_deg(run.normal, normal)
    return (turn / 30.0) ** 2 + (lean / 20.0) ** 2 + (away / 20.0) ** 2 - (0.3 if is_named(run, view) else 0.0)


def is_named(run: Run, view: View) -> bool:
    """Whether the description says so."""
    return re.search(_NAMED[view], run.first.description.lower()) is not None
