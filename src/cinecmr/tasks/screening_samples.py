"""Samples of screening in memory: clips of many subjects, their classes, who is trained on and who is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cinecmr.errors import RefusedInput
from cinecmr.tasks.screening_data import CINES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

FEWEST_OF_A_CLASS = 2  # in a batch: with one, its direction is that of one patient


@dataclass(frozen=True, eq=False)
class Samples:
    """Clips of many subjects.

    Attributes:
        names: (n,) of the subjects.
        classes: (n,) class numbers.
        clips: by sequence, (n, slices, moments, x, y), standardised; rows of subjects who lack it hold zeros.
        there: by sequence, (n,) who has it.
    """

    names: tuple[str, ...]
    classes: NDArray[np.int64]
    clips: Mapping[str, NDArray[Any]]
    there: Mapping[str, NDArray[np.bool_]]

    def __post_init__(self) -> None:
        n = len(self.names)
        sizes = {len(self.classes), *(len(a) for a in self.clips.values()), *(len(a) for a in self.there.values())}
        if sizes != {n} or self.clips.keys() != self.there.keys():
            raise ValueError(f"names, classes, clips and who has them must agree: {n} names, lengths {sorted(sizes)}")

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: NDArray[np.intp]) -> Samples:
        """Some of the subjects, in the order given."""
        return Samples(
            tuple(self.names[int(row)] for row in rows),
            self.classes[rows],
            {name: clips[rows] for name, clips in self.clips.items()},
            {name: there[rows] for name, there in self.there.items()},
        )

    def clip(self, sequence: str, rows: Sequence[int] | NDArray[np.intp]) -> Tensor:
        """(rows, slices, moments, x, y) float32."""
        return torch.from_numpy(np.asarray(self.clips[sequence][np.asarray(rows)], np.float32))

    def with_shuffled(self, sequence: str, seed: int) -> Samples:
        """A control: one sequence is dealt out anew among those who have it, so that it says nothing of its subject."""
        rows = np.flatnonzero(self.there[sequence])
        clips = self.clips[sequence].copy()
        clips[rows] = clips[np.random.default_rng(seed).permutation(rows)]
        return replace(self, clips={**self.clips, sequence: clips})

    def refuse_thin(self, classes: int) -> None:
        """Nothing, where every class has members enough to learn from.

        Raises:
            RefusedInput: a class is missing or has one member.
        """
        counts = np.bincount(self.classes, minlength=classes)
        if counts.min() < FEWEST_OF_A_CLASS:
            few = int(counts.argmin())
            raise RefusedInput(
                "too-few-of-a-class",
                f"class {few} has {counts[few]} of {len(self)} training subjects, and screening learns from "
                f"{FEWEST_OF_A_CLASS} or more of each: give more subjects, fewer folds, or leave the class out",
            )


class Batch(NamedTuple):
    """What one step sees.

    Attributes:
        classes: (batch,).
        clips: by sequence, (those who have it, slices, moments, x, y).
        rows: by sequence, which of the batch have it.
    """

    classes: Tensor
    clips: dict[str, Tensor]
    rows: dict[str, Tensor]


def balanced_rows(classes: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Subjects of one batch: as many of every class as will go, the rest from any; nobody twice while others are left.

    Args:
        classes: (n,) of all.
        size: of the batch.
        rng: draws.

    Raises:
        ValueError: the batch is too small for two of each class.
    """
    there = np.unique(classes)
    each = size // len(there)
    if each < FEWEST_OF_A_CLASS:
        raise ValueError(
            f"a batch of {size} does not hold {FEWEST_OF_A_CLASS} of each of {len(there)} classes; "
            f"set batch to {FEWEST_OF_A_CLASS * len(there)} or more"
        )
    chosen = [_deal(np.flatnonzero(classes == one), each, rng) for one in there]
    chosen.append(_deal(np.arange(len(classes)), size - each * len(there), rng))
    return np.asarray(rng.permutation(np.concatenate(chosen)), np.intp)


def _deal(rows: NDArray[np.intp], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    rounds = -(-count // len(rows))
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)] or [rows[:0]])[:count]


@dataclass(frozen=True)
class Augment:
    """How clips are changed while training; each sequence by draws of its own. Never mirrored: hearts lie to the left.

    Attributes:
        turn_deg, scale, shift: largest rotation, change of size, and shift as a share of the window.
        offset: largest shift of the beat's start, as a share of its moments.
        gain, bias: standard deviations of a factor's logarithm and of what is added. noise: largest standard deviation.
    """

    turn_deg: float = 45.0
    scale: float = 0.05
    shift: float = 0.05
    offset: float = 0.12
    gain: float = 0.15
    bias: float = 0.1
    noise: float = 0.1

    def __call__(self, clips: Tensor, sequence: str, rng: np.random.Generator) -> Tensor:
        """(batch, slices, moments, x, y) in and out."""
        n = len(clips)
        if not n:
            return clips
        if sequence in CINES:
            most = int(self.offset * clips.shape[2])
            clips = torch.stack(
                [clip.roll(int(by), 1) for clip, by in zip(clips, rng.integers(-most, most + 1, n), strict=True)]
            )
        moved = functional.grid_sample(
            clips.flatten(1, 2), self._grid(clips, rng), padding_mode="border", align_corners=False
        ).reshape(clips.shape)
        gain = np.exp(rng.normal(0, self.gain, n)).astype(np.float32)
        bias = rng.normal(0, self.bias, n).astype(np.float32)
        spread = rng.uniform(0, self.noise, n).astype(np.float32)
        noise = rng.standard_normal(tuple(clips.shape), dtype=np.float32)
        column = (-1, 1, 1, 1, 1)
        return (
            moved * torch.from_numpy(gain).view(column)
            + torch.from_numpy(bias).view(column)
            + torch.from_numpy(noise) * torch.from_numpy(spread).view(column)
        )

    def _grid(self, clips: Tensor, rng: np.random.Generator) -> Tensor:
        n = len(clips)
        angle = np.deg2rad(rng.uniform(-self.turn_deg, self.turn_deg, n))
        size = 1 + rng.uniform(-self.scale, self.scale, n)
        shift = 2 * rng.uniform(-self.shift, self.shift, (n, 2))
        rows = np.stack([np.cos(angle), -np.sin(angle), shift[:, 0], np.sin(angle), np.cos(angle), shift[:, 1]], 1)
        rows[:, [0, 1, 3, 4]] *= size[:, None]
        theta = torch.from_numpy(rows.reshape(n, 2, 3).astype(np.float32))
        return functional.affine_grid(theta, [n, 1, clips.shape[3], clips.shape[4]], align_corners=False)


NO_AUGMENT = Augment(0, 0, 0, 0, 0, 0, 0)


def draw(samples: Samples, sequences: Sequence[str], size: int, rng: np.random.Generator, augment: Augment) -> Batch:
    """A batch of `samples`, classes balanced, each sequence augmented by draws of its own."""
    rows = balanced_rows(samples.classes, size, rng)
    clips, kept = {}, {}
    for sequence in sequences:
        have = np.flatnonzero(samples.there[sequence][rows])
        kept[sequence] = torch.from_numpy(have)
        clips[sequence] = augment(samples.clip(sequence, rows[have]), sequence, rng)
    return Batch(torch.from_numpy(samples.classes[rows]), clips, kept)


@dataclass(frozen=True, eq=False)
class Part:
    """Who does what in one turn of cross-validation: nobody has two parts.

    Attributes:
        train: rows that weights are learned from. inner: that thresholds and temperatures are set on.
        test: that are asked once, at the end.
    """

    train: NDArray[np.intp]
    inner: NDArray[np.intp]
    test: NDArray[np.intp]


def parts(classes: NDArray[np.int64], strata: Sequence[str], folds: int = 5, seed: int = 0) -> list[Part]:
    """Cross-validation by subject: every one is asked once, and once serves for thresholds.

    Args:
        classes: (n,).
        strata: (n,) what folds shall be alike in, such as disease and centre, within each class.
        folds: how many; one is asked, the next one sets thresholds, the others are learned from.
        seed: of the deal.

    Raises:
        RefusedInput: a class has fewer members than there are folds (`class-missing-from-fold`).
    """
    if folds < 3:
        raise ValueError(f"one fold to ask, one for thresholds and one or more to learn from make 3, got {folds}")
    for one, count in zip(*np.unique(classes, return_counts=True), strict=True):
        if count < folds:
            raise RefusedInput(
                "class-missing-from-fold",
                f"class {one} has {count} subjects, fewer than the {folds} folds, so it would be missing from a fold: "
                "give more subjects of it, or fewer folds",
            )
    rng = np.random.default_rng(seed)
    number = np.empty(len(classes), np.intp)
    for one in np.unique(classes):
        mine = np.flatnonzero(classes == one)
        # strata follow one another in the deal, so each is spread as evenly as it can be
        order = sorted(rng.permutation(mine).tolist(), key=lambda row: strata[row])
        number[order] = (np.arange(len(order)) + rng.integers(folds)) % folds
    turns = []
    for fold in range(folds):
        test, inner = number == fold, number == (fold + 1) % folds
        turns.append(Part(np.flatnonzero(~test & ~inner), np.flatnonzero(inner), np.flatnonzero(test)))
    return turns
