"""Whom a table learns from and is tested on: a data set that is given, or synthetic hearts that pose as it.

Synthetic hearts are written once in the data set's own layout and read by its adapter, so everything but the pictures
is as with the real data.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Contrast, Disease
from cinecmr.datasets import Case, dataset
from cinecmr.errors import RefusedInput
from cinecmr.experiments.cinema import TITLES
from cinecmr.experiments.ssp.subjects import cases_of
from cinecmr.io.files import write_text
from cinecmr.learn.recipe import hash_of
from cinecmr.learn.splits import by_shares, nested, person_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from cinecmr.experiments.cinema.scales import Scale
    from cinecmr.study import Findings, Study

TRAIN, VAL, TEST = "train", "val", "test"
PRETRAIN = "pretrain"  # the name under which visits without labels are given
WRITTEN = "written.json"
VERSION = 2  # of how synthetic hearts pose: what was written by another is left alone
FIRST_SEED = 700_000
FEW_TESTED, FEW_SEED = 20, 0
RETEST = "test_retest_100"
_LABELLED_TEST = {"myops"}  # whose test part has no public labels
_CINE = (Disease.NORMAL, Disease.DCM, Disease.HCM, Disease.ABNORMAL_RV)
_LATE = {"emidec": (Disease.INFARCT, Disease.NORMAL, Disease.INFARCT), "myops": (Disease.INFARCT,)}


@dataclass(frozen=True)
class Cohort:
    """One data set.

    Attributes:
        name: of the data set. real: whether it was given.
        told: what it is, for the table and the run's name; no path.
        parts: cases by "train", "val" and "test".
    """

    name: str
    real: bool
    told: str
    parts: dict[str, list[Case]]

    @property
    def everyone(self) -> list[Case]:
        """All cases."""
        return [case for part in (TRAIN, VAL, TEST) for case in self.parts[part]]


def cohort(name: str, given: Path | None, scale: Scale, folder: Path, say: Callable[[str], None]) -> Cohort:
    """The cases of a data set.

    Args:
        name: of the data set.
        given: its folder; None lets synthetic hearts pose as it.
        scale: how many of them.
        folder: where they are kept.
        say: told before they are made.

    Raises:
        RefusedInput: the folder is laid out otherwise, or holds too few subjects.
    """
    if given is not None:
        pairs = name == "acdc" and any(given.glob("*/*_ED_gt.nii*"))
        cases = cases_of(str(given)) if pairs else list(dataset(name).cases(given))
        return Cohort(name, True, f"{TITLES[name]}, {len({*map(person_of, cases)})} subjects", parted(cases, name))
    place, subjects = _posing(name, scale, folder, say)
    cases = list(dataset(name).cases(place))
    if 0 < scale.matrix <= _SMALL:  # reading them again and again takes longer than learning from them
        cases = [replace(case, load=cache(case.load)) for case in cases]
    return Cohort(name, False, f"{subjects} synthetic hearts in place of {TITLES[name]}", parted(cases, name))


def parted(cases: Sequence[Case], name: str) -> dict[str, list[Case]]:
    """Training, validation and test: as the data set has them, people drawn where it has not.

    Raises:
        RefusedInput: there are too few people for three parts (`too-few-subjects`).
    """
    found: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        found[TEST if case.split == RETEST else case.split].append(case)
    if not found[TRAIN] and found[TEST]:
        return {TRAIN: [], VAL: [], TEST: found[TEST]}
    train = found[TRAIN] or found["all"]
    if not found[TEST] or name in _LABELLED_TEST:
        drawn = by_shares(train, {TRAIN: 0.6, VAL: 0.2, TEST: 0.2})
        return {part: drawn.of(train, part) for part in (TRAIN, VAL, TEST)}
    if not found[VAL]:
        drawn = by_shares(train, {TRAIN: 0.9, VAL: 0.1})
        return {TRAIN: drawn.of(train, TRAIN), VAL: drawn.of(train, VAL), TEST: found[TEST]}
    return {TRAIN: train, VAL: found[VAL], TEST: found[TEST]}


def few(everyone: Sequence[Case], labelled: int, seed: int) -> tuple[list[Case], list[Case]]:
    """So many labelled subjects, and those tested on: the same for every number and seed, balanced by disease.

    Args:
        everyone: all cases of a data set.
        labelled: how many people are learned from, at most all that are left.
        seed: of the drawn lists, which are nested.

    Raises:
        RefusedInput: three people or fewer.
    """
    people = len({person_of(case) for case in everyone})
    tested = min(FEW_TESTED, people // 3)
    if not tested:
        raise RefusedInput("too-few-subjects", f"{people} people cannot be learned from and tested on; give more data")
    held = set(nested(everyone, (tested,), FEW_SEED)[tested])
    rest = [case for case in everyone if person_of(case) not in held]
    count = min(labelled, people - tested)
    kept = set(nested(rest, (count,), seed)[count])
    return [c for c in rest if person_of(c) in kept], [c for c in everyone if person_of(c) in held]


def shared(cases: Sequence[Case], share: float, seed: int) -> list[Case]:
    """A share of the people, drawn by the seed; all when it is 1."""
    people = sorted({person_of(case) for case in cases})
    order = np.random.default_rng((seed, len(people))).permutation(len(people))
    kept = {people[n] for n in order[: max(1, int(share * len(people)))]}
    return [case for case in cases if share == 1 or person_of(case) in kept]


def unlabelled(given: Path | None, scale: Scale) -> tuple[str, list[Case]]:
    """Visits to pre-train on, and what they are."""
    if given is not None:
        cases = cases_of(str(given))
        return f"{len(cases)} visits given for pre-training", cases
    first, count = FIRST_SEED + 200_000, scale.pretrain_subjects
    made = [
        Case(f"synthetic{first + n}", partial(_heart, first + n, None, scale.frames, scale.matrix, 0, False))
        for n in range(count)
    ]
    return f"{count} synthetic hearts", made


def _posing(name: str, scale: Scale, folder: Path, say: Callable[[str], None]) -> tuple[Path, int]:
    """A folder of synthetic hearts in the layout of a data set, written unless it is there."""
    late = name in _LATE
    count = max(4, scale.subjects // 2) if late else scale.subjects
    if name == "rescan":  # all are tested, twice, and none is learned from
        count = max(2, scale.subjects // 5)
    first = FIRST_SEED + (0 if scale.name == "smoke" else 1000 * sorted(TITLES).index(name))
    settings = {"name": name, "subjects": count, "first": first, "frames": scale.frames, "matrix": scale.matrix,
                "version": VERSION}  # fmt: skip
    place = folder / f"{name}-{hash_of(settings)}"
    if not (place / WRITTEN).is_file():
        say(f"making {count} synthetic hearts in place of {TITLES[name]}")
        dataset(name).write(place, _hearts(name, count, first, scale))
        write_text(place / WRITTEN, json.dumps(settings))
    return place, count


def _hearts(name: str, count: int, first: int, scale: Scale) -> Iterator[Case]:
    layout, late = dataset(name), name in _LATE
    diseases = _LATE.get(name) or (_CINE if scale.name == "smoke" else tuple(layout.GROUPS.values()) or _CINE)
    for number in range(count):
        seed, disease, share = first + number, diseases[number % len(diseases)], (number + 0.5) / count
        split = next(part for part, last in ((TRAIN, 0.6), (VAL, 0.8), (TEST, 1.0)) if share < last)
        if RETEST in layout.SPLITS:
            split = RETEST
        elif split not in layout.SPLITS:
            split = TRAIN
        for visit in range(2 if split == RETEST else 1):
            load = partial(_heart, seed, disease, scale.frames, scale.matrix, visit, late)
            called = f"synthetic{seed}" + (f"-{visit + 1}" if split == RETEST else "")
            yield Case(called, load, split, disease=disease, person=f"synthetic{seed}")


def _heart(
    seed: int, disease: Disease | None, frames: int, matrix: int, visit: int, late: bool
) -> tuple[Study, Findings]:
    """A synthetic visit with all cine views, or of the short axis in three contrasts; machines take turns.

    Small ones are kept: several data sets are posed by the same hearts then.
    """
    return (_kept if matrix and matrix <= _SMALL else _made)(seed, disease, frames, matrix, visit, late)


_SMALL = 64  # pixels


def _made(
    seed: int, disease: Disease | None, frames: int, matrix: int, visit: int, late: bool
) -> tuple[Study, Findings]:
    from cinecmr.phantom.scanner import PRESETS
    from cinecmr.phantom.study import synthetic_study

    return synthetic_study(
        seed,
        disease,
        frames=frames,
        long_axis=not late,
        rescan=visit,
        scanner=list(PRESETS.values())[seed % len(PRESETS)],
        matrix=(matrix, matrix) if matrix else None,
        contrasts=(Contrast.CINE, Contrast.LGE, Contrast.T2) if late else (Contrast.CINE,),
    )


_kept = cache(_made)
