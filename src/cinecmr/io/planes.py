"""Frames grouped by the plane they show: a `Run` is one plane, as acquired once.

Geometry only: position, orientation, grid. A series says nothing but which frames were acquired together.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from cinecmr.io.headers import Header, Place

SAME_PLACE_MM = 0.5  # positions closer than this are one plane: headers round, patients do not lie that still
SAME_AXES = 0.01  # largest difference of unit vectors of one plane, about half a degree
SAME_SLICE_MM = 2.0  # heights closer than this are repeats of one slice
PARALLEL_DEG = 5.0  # slices of one stack may be tilted this much to each other


@dataclass(frozen=True)
class Run:
    """The frames of one plane from one series, in no order yet.

    Attributes:
        headers: at least one.
        place: where they lie.
    """

    headers: tuple[Header, ...]
    place: Place

    @property
    def first(self) -> Header:
        """Any of them: what they share stands in each."""
        return self.headers[0]

    @property
    def frames(self) -> int:
        """How many frames."""
        return len(self.headers)

    @cached_property
    def normal(self) -> NDArray[np.float64]:
        """(3,) unit normal, RAS; its sign follows the axes and means nothing."""
        return np.asarray(np.cross(self.place.axes[0], self.place.axes[1]))

    @cached_property
    def centre(self) -> NDArray[np.float64]:
        """(3,) middle of the picture, RAS mm."""
        steps = np.array(self.place.spacing) * (np.array(self.first.shape) - 1) / 2
        return np.asarray(self.place.position + steps @ self.place.axes)

    @cached_property
    def acquired(self) -> float:
        """Seconds after midnight when it began; where no clock is stated, the series number stands in."""
        clock = min(header.acquired for header in self.headers)
        return clock if clock > 0 else float(self.first.series_number or 0)

    @cached_property
    def rr_ms(self) -> float | None:
        """R-R interval stated in the headers, ms."""
        stated = [header.rr_ms for header in self.headers if header.rr_ms]
        return float(np.median(stated)) if stated else None

    @property
    def grid(self) -> tuple[int, int, float, float]:
        """Pixels and spacing along x and y, to compare grids with."""
        x, y = self.place.spacing
        return (*self.first.shape, round(x, 3), round(y, 3))


def group(headers: Iterable[Header]) -> list[Run]:
    """Split headers into runs; those that do not say where they lie are left out.

    Returns:
        Runs in an order that depends on positions and series only, not on files.
    """
    by_series: dict[tuple[object, ...], list[tuple[Header, Place]]] = defaultdict(list)
    for header in headers:
        if header.place is not None:
            x, y = header.place.spacing
            kind = (header.series, header.frame is None, header.shape, round(x, 3), round(y, 3))
            by_series[kind].append((header, header.place))
    runs = [run for members in by_series.values() for run in _planes(members)]
    return sorted(runs, key=lambda run: (*np.round(run.place.position, 2), run.acquired, run.first.series))


def _planes(members: Sequence[tuple[Header, Place]]) -> list[Run]:
    """Headers of one series and grid by plane; equal places are found by a dictionary, near ones by distance."""
    exact: dict[bytes, list[tuple[Header, Place]]] = defaultdict(list)
    for header, place in members:
        exact[np.round(np.concatenate([place.position, place.axes.ravel()]), 3).tobytes()].append((header, place))
    planes: list[tuple[Place, list[Header]]] = []
    for same in exact.values():
        place = same[0][1]
        home = next((found for where, found in planes if _same_plane(where, place)), None)
        if home is None:
            home = []
            planes.append((place, home))
        home.extend(header for header, _ in same)
    return [Run(one, place) for place, found in planes for one in _tries(found)]


def _tries(headers: list[Header]) -> list[tuple[Header, ...]]:
    """The breath-holds of one plane within a series: where every trigger time is there twice, it was acquired twice."""
    by_delay: dict[float | None, list[Header]] = defaultdict(list)
    for header in headers:
        by_delay[header.delay].append(header)
    counts = {len(same) for same in by_delay.values()}
    if None in by_delay or len(by_delay) < 2 or len(counts) > 1 or counts == {1}:
        return [tuple(headers)]
    order = ("AcquisitionTime", "ContentTime", "InstanceNumber")
    turns = [sorted(same, key=lambda h: [h.keys.get(key, 0.0) for key in order]) for same in by_delay.values()]
    return [tuple(turn) for turn in zip(*turns, strict=True)]


def _same_plane(a: Place, b: Place) -> bool:
    close = float(np.linalg.norm(a.position - b.position)) < SAME_PLACE_MM
    return close and float(np.abs(a.axes - b.axes).max()) < SAME_AXES


def parallel(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs with parallel planes, the largest group first."""
    groups: list[list[Run]] = []
    for run in sorted(runs, key=lambda r: tuple(np.round(r.place.position, 2))):
        home = next((g for g in groups if tilt_deg(run.normal, mean_normal(g)) < PARALLEL_DEG), None)
        if home is None:
            groups.append([run])
        else:
            home.append(run)
    return sorted(groups, key=len, reverse=True)


def tilt_deg(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Angle of two undirected unit vectors, degrees; exact for small angles, where arccos is not."""
    across = float(np.linalg.norm(np.cross(first, second)))
    return float(np.degrees(np.arctan2(across, abs(float(first @ second)))))


def mean_normal(runs: Sequence[Run]) -> NDArray[np.float64]:
    """(3,) unit normal that all share."""
    reference = runs[0].normal
    total = np.sum([run.normal if run.normal @ reference > 0 else -run.normal for run in runs], axis=0)
    return np.asarray(total / np.linalg.norm(total))


def heights(runs: Sequence[Run], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) positions of the picture centres along a normal, mm."""
    return np.array([float(run.centre @ normal) for run in runs])


@dataclass(frozen=True)
class Lattice:
    """Evenly spaced heights: slice k lies at `start + k * step`.

    Attributes:
        start: height of slice 0, mm.
        step: mm, positive.
        index: slice number of each run, -1 where it lies between two slices.
        missing: slice numbers that no run fills.
    """

    start: float
    step: float
    index: tuple[int, ...]
    missing: tuple[int, ...]

    @property
    def slices(self) -> int:
        """From the first to the last."""
        return max(self.index) + 1


def lattice(where: NDArray[np.float64], tolerance: float = 0.15) -> Lattice:
    """The even spacing that explains most heights with the fewest missing slices.

    Args:
        where: (n,) heights, mm, in any order, no two within 2 mm.
        tolerance: how far from its place a slice may lie, as a share of the step.
    """
    if len(where) == 1:
        return Lattice(float(where[0]), 1.0, (0,), ())
    ordered = np.sort(where)
    steps = sorted({round(float(d), 2) for d in np.diff(ordered) if d >= SAME_SLICE_MM})
    tries = [_fit(where, float(start), step, tolerance) for step in steps for start in ordered]

    def worth(found: Lattice) -> float:  # a step half as long explains all, but with a missing slice between any two
        return sum(i >= 0 for i in found.index) - 0.5 * len(found.missing)

    return max(tries, key=worth)


def _fit(where: NDArray[np.float64], start: float, step: float, tolerance: float) -> Lattice:
    for _ in range(2):  # the second time with the step and start that fit all slices found in the first
        k = np.rint((where - start) / step)
        on = np.abs((where - start) / step - k) <= tolerance
        if len(set(k[on])) > 1:
            step, start = (float(value) for value in np.polyfit(k[on], where[on], 1))
    k = np.rint((where - start) / step).astype(int)
    on = np.abs((where - start) / step - k) <= tolerance
    low, high = int(k[on].min()), int(k[on].max())
    index = tuple(int(i) - low if good else -1 for i, good in zip(k, on, strict=True))
    missing = tuple(sorted(set(range(high - low + 1)) - set(index)))
    return Lattice(start + low * step, step, index, missing)
