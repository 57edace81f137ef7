"""How sure a measured number is: 90 % intervals learned from studies whose truth is known (split conformal).

The errors of a model on synthetic studies it never saw tell how far the truth lies from what it measures: as a share of
the volume for volumes and mass, in points for ejection fractions. Their outer twentieths on either side are the limits;
on studies of the same kind they hold the truth in at least 90 % whatever the errors look like (Vovk et al. 2005; Lei et
al. 2018). Real studies are not of the same kind: there the promise is not proven, and the report says so.

The same studies tell how right the labels of a slice are where the network is so sure of them: it expects more than is
true, and what it says is put right by them.

The limits lie as JSON beside the weights, and are used only with the weights they were learned from.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from cinecmr.errors import RefusedInput
from cinecmr.evaluate.intervals import clopper_pearson
from cinecmr.io.files import write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.evaluate.intervals import Interval
    from cinecmr.study import Measurement

LEVEL = 0.9
FOLDS = 10
PARTS = 10  # of the slices, from the least to the most sure
FEWEST_SLICES = 100
LEARNED = ("LVEDV", "LVESV", "LVSV", "LVEF", "LVM", "RVEDV", "RVESV", "RVSV", "RVEF")
FOLLOW = {  # numbers that are a multiple of another, which they share the relative interval of
    "LVEDVi": "LVEDV", "LVESVi": "LVESV", "LVSVi": "LVSV", "LVMi": "LVM", "RVEDVi": "RVEDV", "RVESVi": "RVESV",
    "RVSVi": "RVSV", "CO": "LVSV", "CI": "LVSV",
}  # fmt: skip
Pairs = list[tuple[float, float]]  # found, true


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Coverage(_Strict):
    """How often the truth lay in the interval, on studies that did not make it."""

    held: int
    studies: int

    @property
    def interval(self) -> Interval:
        """Of the share, exact, 95 %."""
        return clopper_pearson(self.held, self.studies)

    def text(self) -> str:
        """Such as "182 of 200, 91.0 % (86.2 to 94.6)"."""
        return f"{self.held} of {self.studies}, {self.interval.scaled(100).text(1)} %"


class Limits(_Strict):
    """Of one measurement: what is added to the number found, as a share of it or in its unit.

    Attributes:
        low, high: limits of true minus found.
        relative: whether they are shares of the number found.
        studies: that they were learned from.
        coverage: on studies that did not make them; null where none were given.
    """

    low: FiniteFloat
    high: FiniteFloat
    relative: bool
    studies: int
    coverage: Coverage | None = None

    def around(self, value: float, *, share: bool = False) -> tuple[float, float]:
        """The interval of a number found; a `share` (EF) ends at 0 and 100, every interval holds its own number."""
        scale = value if self.relative else 1.0
        low, high = min(value, value + self.low * scale), max(value, value + self.high * scale)
        return (max(0.0, low), min(100.0, high)) if share else (max(0.0, low), high)


class SliceDice(_Strict):
    """How right slices are of which the network is so sure: corners of a line, both rising.

    Attributes:
        expected: Dice of all structures together that the network's shares promise.
        true: what it is.
        slices: that they were learned from.
    """

    expected: list[FiniteFloat]
    true: list[FiniteFloat]
    slices: int

    def __call__(self, expected: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is to be expected of slices whose shares promise so much; NaN stays NaN."""
        return np.asarray(np.interp(expected, self.expected, self.true))


class Sureness(_Strict):
    """The limits of every measurement of one model.

    Attributes:
        model, sha256: of the weights.
        level: share of studies whose truth the intervals hold.
        data: what they were learned from, in words.
        limits: by measurement.
        slices: of slices; null where nothing is known of them.
    """

    model: str
    sha256: str
    level: FiniteFloat = Field(gt=0, lt=1)
    data: str
    limits: dict[str, Limits]
    slices: SliceDice | None = None

    def put(self, measurements: Mapping[str, Measurement]) -> dict[str, Measurement]:
        """The measurements with their intervals; those that nothing is known of stay as they are."""
        told = dict(measurements)
        for name, one in measurements.items():
            if name in self.limits:
                told[name] = replace(one, interval=self.limits[name].around(one.value, share=one.unit == "%"))
        for name, of in FOLLOW.items():
            if name in told and of in told and told[of].interval is not None and told[of].value > 0:
                low, high = told[of].interval or (0.0, 0.0)
                factor = told[name].value / told[of].value
                told[name] = replace(told[name], interval=(low * factor, high * factor))
        return told

    def seeds(self) -> set[int]:
        """Of the synthetic hearts it was learned from."""
        ranges = re.findall(r"seeds (\d+) to (\d+)", self.data)
        return {seed for first, last in ranges for seed in range(int(first), int(last) + 1)}

    def words(self) -> str:
        """For the report: where the intervals come from, and where they are not proven."""
        most = max((one.studies for one in self.limits.values()), default=0)
        return (
            f"{100 * self.level:.0f} %, from the errors of {self.model} in {most} synthetic studies ({self.data}); "
            "not proven on real ones"
        )


def learn(pairs: Mapping[str, Pairs], model: str, sha256: str, data: str, level: float = LEVEL) -> Sureness:
    """Limits from numbers found and true.

    Args:
        pairs: by measurement, one a study in which it was given; studies the model did not learn from.
        model: name of the weights.
        sha256: of the weights.
        data: what the studies are, in words.
        level: share of studies whose truth the intervals shall hold.

    Returns:
        Limits of the measurements of which enough pairs are there; their coverage is that of `FOLDS` parts, each held
        out in turn.

    Raises:
        RefusedInput: not one has enough (`too-few-to-learn`).
    """
    fewest = _fewest(level)
    known = {name: some for name, some in pairs.items() if name in LEARNED and len(some) >= fewest}
    if not known:
        most = max((len(some) for some in pairs.values()), default=0)
        raise RefusedInput(
            "too-few-to-learn", f"{most} studies were measured, {fewest} are needed for {100 * level:.0f} % intervals"
        )
    limits = {}
    for name, some in known.items():
        made = _limits(name, some, level)
        limits[name] = made.model_copy(update={"coverage": _held_out(name, some, level)})
    return Sureness(model=model, sha256=sha256, level=level, data=data, limits=limits)


def learn_slices(pairs: Sequence[tuple[float, float]]) -> SliceDice | None:
    """From the Dice expected and true of many slices, the means of tenths of them; None where there are too few."""
    if len(pairs) < FEWEST_SLICES:
        return None
    parts = np.array_split(np.array(sorted(pairs)), PARTS)
    expected, true = np.array([part.mean(axis=0) for part in parts]).T
    return SliceDice(
        expected=[round(float(value), 4) for value in expected],
        true=[round(float(value), 4) for value in np.maximum.accumulate(true)],
        slices=len(pairs),
    )


def cover(of: Sureness, pairs: Mapping[str, Pairs]) -> Sureness:
    """The same limits with their coverage on other studies."""
    return of.model_copy(
        update={
            "limits": {
                name: one.model_copy(update={"coverage": _count(name, one, pairs[name])}) if pairs.get(name) else one
                for name, one in of.limits.items()
            }
        }
    )


def _fewest(level: float) -> int:
    """Errors that are needed so that one of them and the next study may lie beyond each limit.

    >>> _fewest(0.9)
    19
    """
    return math.ceil(2 / (1 - level) - 1e-9) - 1


def _relative(name: str) -> bool:
    return not name.endswith("EF")


def _errors(name: str, pairs: Iterable[tuple[float, float]]) -> list[float]:
    scale: Callable[[float], float] = (lambda found: max(found, 1e-9)) if _relative(name) else (lambda _: 1.0)
    return sorted((true - found) / scale(found) for found, true in pairs)


def _limits(name: str, pairs: Sequence[tuple[float, float]], level: float) -> Limits:
    """The errors that leave out half of what the level leaves on either side, the next study counted among them."""
    errors, tail = _errors(name, pairs), (1 - level) / 2
    n = len(errors)
    outside = math.floor(tail * (n + 1) + 1e-9)  # so many of n + 1 may lie beyond each limit
    return Limits(low=errors[outside - 1], high=errors[n - outside], relative=_relative(name), studies=n)


def _held_out(name: str, pairs: Pairs, level: float) -> Coverage | None:
    fewest = _fewest(level)
    held = 0
    for part in range(FOLDS):
        rest = [pair for number, pair in enumerate(pairs) if number % FOLDS != part]
        if len(rest) < fewest:
            return None
        held += _count(name, _limits(name, rest, level), pairs[part::FOLDS]).held
    return Coverage(held=held, studies=len(pairs))


def _count(name: str, limits: Limits, pairs: Iterable[tuple[float, float]]) -> Coverage:
    inside = [low <= true <= high for found, true in pairs
              for low, high in (limits.around(found, share=not _relative(name)),)]  # fmt: skip
    return Coverage(held=sum(inside), studies=len(inside))


def read_pairs(evaluation: Path) -> tuple[dict[str, Pairs], str, str]:
    """Numbers found and true of an evaluation.json of `cinecmr evaluate phantom`.

    Returns:
        Pairs by measurement, who found them (such as "sax-unet@3f2a9c10"), and what the studies are, in words.

    Raises:
        RefusedInput: it is none (`no-evaluation`).
    """
    try:
        content = json.loads(evaluation.read_text("utf-8"))
        about, studies = content["about"], content["studies"]
        pairs: dict[str, Pairs] = {name: [] for name in LEARNED}
        for study in studies:
            for name in LEARNED:
                if name in study["found"] and name in study["truth"]:
                    pairs[name].append((float(study["found"][name]), float(study["truth"][name])))
        first = int(about["seed"])
        return pairs, str(about["model"]), f"seeds {first} to {first + len(studies) - 1}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RefusedInput(
            "no-evaluation", f"{evaluation} is no evaluation.json of `cinecmr evaluate phantom` ({error})"
        ) from error


def read_slices(evaluations: Iterable[Path]) -> list[tuple[float, float]]:
    """Dice expected and true of every slice in evaluations of small studies; others tell none."""
    content = [json.loads(file.read_text("utf-8")) for file in evaluations]
    return [(float(a), float(b)) for one in content for study in one["studies"] for a, b in study.get("slices", ())]


def calibrate(evaluations: Sequence[Path], check: Sequence[Path], name: str, sha256: str, to: Path) -> list[str]:
    """Learn the intervals of a model from evaluations, count their coverage on others, and keep them.

    Args:
        evaluations: evaluation.json files of studies the model did not learn from.
        check: the same of other studies; without any, coverage is counted by holding parts of the first out.
        name: of the model.
        sha256: of its weights; an evaluation of other weights is refused.
        to: where the limits are written.

    Returns:
        A table for the terminal.

    Raises:
        RefusedInput: other weights (`other-weights`), no evaluation, too few studies, or one heart in both.
    """
    learned, data, seeds = gather(evaluations, name, sha256)
    found = learn(learned, name, sha256, data)
    found = found.model_copy(update={"slices": learn_slices(read_slices(evaluations))})
    told = "held out of the same studies in tenths"
    if check:
        others, told, more = gather(check, name, sha256)
        if seeds & more:
            raise RefusedInput("same-subjects", f"seed {min(seeds & more)} is in both: coverage needs other hearts")
        found = cover(found, others)
    write_text(to, found.model_dump_json(indent=1) + "\n")
    return [f"90 % intervals of {name}, {data}; coverage: {told}", "", *_table(found), *_of_slices(found, check)]


def gather(files: Sequence[Path], name: str, sha256: str) -> tuple[dict[str, Pairs], str, set[int]]:
    """Numbers found and true of several evaluations, what the studies are, and their seeds.

    Raises:
        RefusedInput: of other weights (`other-weights`), or one heart in two of them (`same-subjects`).
    """
    pairs: dict[str, Pairs] = {}
    words, seeds = list[str](), set[int]()
    for file in files:
        some, who, data = read_pairs(file)
        if who != f"{name}@{sha256[:8]}":
            raise RefusedInput(
                "other-weights", f"{file} is of {who}, not of {name}@{sha256[:8]}: measure again with it"
            )
        for key, values in some.items():
            pairs.setdefault(key, []).extend(values)
        words.append(data)
        first, last = (int(word) for word in data.removeprefix("seeds ").split(" to "))
        if seeds & set(range(first, last + 1)):
            raise RefusedInput("same-subjects", f"{file} holds hearts of another file given: each counts once")
        seeds |= set(range(first, last + 1))
    return pairs, ", ".join(words), seeds


def _table(found: Sureness) -> list[str]:
    lines = [f"{'':<8}{'limits of true minus found':>30}{'learned from':>14}  coverage (exact 95 % interval)"]
    for name, one in found.limits.items():
        factor, unit = (100, "%") if one.relative else (1, "points")
        limits = f"{factor * one.low:+.1f} to {factor * one.high:+.1f} {unit}"
        lines.append(f"{name:<8}{limits:>30}{one.studies:>14}  {one.coverage.text() if one.coverage else '-'}")
    return lines


def _of_slices(found: Sureness, check: Sequence[Path]) -> list[str]:
    """How far what is expected of slices lies from the truth on other hearts, as promised and put right."""
    pairs = np.array(read_slices(check)).reshape(-1, 2)
    if found.slices is None or not len(pairs):
        return []
    before, after = (float((of - pairs[:, 1]).mean()) for of in (pairs[:, 0], found.slices(pairs[:, 0])))
    return ["", f"Dice expected of {len(pairs)} other slices less the true one: {before:+.3f}, put right {after:+.3f}"]


def load(path: Path, sha256: str) -> Sureness | None:
    """The limits kept at a path, where they are those of these weights; None where there are none.

    Raises:
        RefusedInput: the file is damaged (`damaged-intervals`).
    """
    if not path.is_file():
        return None
    try:
        found = Sureness.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise RefusedInput("damaged-intervals", f"{path} is no file of intervals: calibrate again ({error})") from error
    return found if found.sha256 == sha256 else None
