"""What the tasks of the published networks share: from cases to samples, from samples to batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cinecmr.anatomy import Contrast, View
from cinecmr.errors import RefusedInput
from cinecmr.learn.recipe import plain
from cinecmr.learn.samples import Grid, heart_centre, place, starts
from cinecmr.study import Findings, Flag, Severity
from cinecmr.tasks.architecture import Architecture, ask, device_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from cinecmr.datasets import Case
    from cinecmr.learn.objective import Loss
    from cinecmr.learn.samples import Placing
    from cinecmr.learn.warp import Changes
    from cinecmr.study import Image, Study


@dataclass(frozen=True)
class ViewSettings:
    """What a network reads, and which network.

    Attributes:
        view, contrasts: the image; several contrasts on one grid are channels.
        grid: voxels and spacing of the network; one slice along z reads slices by themselves.
        architecture: see there.
        changes: what happens to samples while training; None for nothing.
    """

    view: View = View.SAX
    contrasts: tuple[Contrast, ...] = (Contrast.CINE,)
    grid: Grid = field(default_factory=Grid)
    architecture: Architecture = field(default_factory=Architecture)
    changes: Changes | None = None

    @property
    def key(self) -> tuple[View, Contrast]:
        """The image whose grid answers lie on: that of the first contrast."""
        return self.view, self.contrasts[0]

    def as_json(self) -> dict[str, object]:
        """For a `Recipe`."""
        return {"task": type(self).__name__, **plain(self)}

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels of the network's image: x, y of a plane, x, y, z of a stack."""
        return self.grid.size if self.grid.size[2] > 1 else self.grid.size[:2]


@dataclass(frozen=True)
class Sample:
    """What a network learns from.

    Attributes:
        image: (channels, x, y, z), 0 to 1; z may be deeper than the network.
        target: what should be answered, in the task's own form.
    """

    image: NDArray[np.float32]
    target: Any


@dataclass
class Learner(ABC):
    """A task: an `Objective` of `learn.fit`, which also reads studies and scores what it found.

    Attributes:
        settings: see there.
        cases: to learn from; needed by `batch` only.
        held_out: of other people, for `check`.
    """

    settings: ViewSettings
    cases: Sequence[Case] = ()
    held_out: Sequence[Case] = ()

    @property
    @abstractmethod
    def channels(self) -> int:
        """Channels of the image."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Classes, heatmaps or numbers of the answer."""

    @abstractmethod
    def prepare(self, case: Case) -> Iterator[Sample]:
        """Samples of one case; none where it holds nothing that can be learned here."""

    @abstractmethod
    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> Loss:
        """Loss of one batch."""

    @abstractmethod
    def truth(self, case: Case) -> Findings:
        """What is true of a case, as far as this task is asked."""

    @abstractmethod
    def predict(self, network: nn.Module, study: Study, cycle: Mapping[str, int] | None = None) -> Findings:
        """What the network finds, on the study's own grid.

        Args:
            network: in evaluation mode.
            study: with the image of `settings`.
            cycle: "LV_ED" and "LV_ES" where they are known; each task says what it does without.

        Raises:
            RefusedInput: the image is not there (`no-such-image`).
        """

    @abstractmethod
    def score(self, found: Findings, truth: Findings, study: Study | None = None) -> dict[str, float]:
        """How well they agree; figures in mm and ml only where the study, and so the spacing, is given."""

    def network(self) -> nn.Module:
        """A fresh network."""
        chosen = self.settings
        return chosen.architecture.build(chosen.view.value, chosen.shape, self.channels, self.outputs)

    @cached_property
    def samples(self) -> list[Sample]:
        """Everything to learn from, kept in memory.

        Raises:
            RefusedInput: no case holds anything to learn from (`nothing-to-learn`).
        """
        found = [sample for case in self.cases for sample in self.prepare(case)]
        if not found:
            view, contrast = self.settings.key
            raise RefusedInput(
                "nothing-to-learn",
                f"none of {len(self.cases)} cases has what {type(self).__name__} learns from (image of {view.name} "
                f"{contrast.name} and its truth); check the data set with `cinecmr datasets check`",
            )
        return found

    @property
    def size(self) -> int:
        """Number of samples, which is an epoch."""
        return len(self.samples)

    def sample(self, number: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """One sample by its number, changed as `rng` draws."""
        return self.changed(self.samples[number], rng)

    def collate(self, drawn: Sequence[tuple[NDArray[np.float32], NDArray[Any]]]) -> tuple[Tensor, Tensor]:
        """Images (samples, channels, x, y[, z]) and their targets."""
        images, targets = (np.stack(column) for column in zip(*drawn, strict=True))
        return torch.from_numpy(images), torch.from_numpy(targets)

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
        """`size` different samples, as long as there are so many, drawn with `rng` alone."""
        order = rng.permutation(self.size)
        return self.collate([self.sample(int(order[n % self.size]), rng) for n in range(size)])

    def changed(self, sample: Sample, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """A copy of the network's own depth, image and target, as the network shall see it this time."""
        image = self.flat(sample.image, rng)
        if self.settings.changes is not None:
            image, _ = self.settings.changes(stack_of(image), rng)
            image = image.reshape(-1, *self.settings.shape)
        return image, np.asarray(sample.target)

    def flat(self, volume: NDArray[Any], rng: np.random.Generator | None = None) -> NDArray[Any]:
        """(..., x, y, z) to the network's axes: without z for a plane; a drawn window of a stack that is too deep."""
        deep = self.settings.grid.size[2]
        if deep == 1:
            return np.ascontiguousarray(volume[..., 0])
        start = 0 if rng is None else int(rng.integers(volume.shape[-1] - deep + 1))
        return np.ascontiguousarray(volume[..., start : start + deep])

    def check(self, network: nn.Module) -> dict[str, float]:
        """Mean scores of the held-out cases; the first is the better the higher."""
        rows = [self.examine(network, case) for case in self.held_out]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: _mean([row[name] for row in rows if name in row]) for name in names}

    def examine(self, network: nn.Module, case: Case) -> dict[str, float]:
        """Scores of one case, read as its truth allows; see `score`."""
        study, _ = case.load()
        truth = self.truth(case)
        return self.score(self.predict(network, study, self.moments(truth)), truth, study)

    def moments(self, truth: Findings) -> Mapping[str, int] | None:
        """The frames a network is told of: those the truth knows."""
        return truth.cycle or None

    def place(self, study: Study) -> Placing:
        """Where the grid lies on the study's image: as deep as the image where that has more slices.

        Raises:
            RefusedInput: the image is not there.
        """
        image, grid = self.image(study), self.settings.grid
        step = (grid.spacing[2] or image.spacing[2]) / image.spacing[2]
        deep = max(grid.size[2], round(image.slices / step))
        grid = replace(grid, size=(grid.size[0], grid.size[1], deep))
        return place(image, grid, heart_centre(study) if study.views else None)

    def readable(self, study: Study) -> bool:
        """Whether the study has every image this task reads."""
        return all((self.settings.view, contrast) in study for contrast in self.settings.contrasts)

    def image(self, study: Study) -> Image:
        """The image whose grid answers lie on."""
        for contrast in self.settings.contrasts:
            if (self.settings.view, contrast) not in study:
                what = f"{self.settings.view.name} {contrast.name}"
                raise RefusedInput(
                    "no-such-image",
                    f"the study {study.subject} has no {what}; this model reads nothing else",
                )
        return study[self.settings.key]

    def volume(self, study: Study, frames: Sequence[int], where: Placing) -> NDArray[np.float32]:
        """(channels, x, y, z) of some frames together, 0 to 1; each frame has the channels of all contrasts."""
        found = []
        for frame in frames:
            for contrast in self.settings.contrasts:
                data = study[self.settings.view, contrast].data
                found.append(where.image(data[..., min(frame, data.shape[3] - 1)]))
        return np.stack(found)

    @torch.inference_mode()
    def answer(self, network: nn.Module, volume: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw answer for one volume: of the whole stack, overlapping windows along z averaged.

        Args:
            network: in evaluation mode.
            volume: (channels, x, y, z).

        Returns:
            Shares (outputs, x, y, z) after `finish` where the network answers for voxels, (outputs,) else.
        """
        device, view, deep = device_of(network), self.settings.view.value, self.settings.grid.size[2]
        if deep == 1:
            planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(volume, 3, 0))).to(device)
            told = torch.cat([self.finish(ask(network, view, plane[None])) for plane in planes])
            return np.asarray((told.movedim(0, -1) if told.ndim > 2 else told.mean(0)).float().cpu().numpy())
        stack = torch.from_numpy(volume)[None].to(device)
        begun = starts(volume.shape[3], deep)
        parts = [self.finish(ask(network, view, stack[..., z : z + deep]))[0] for z in begun]
        if parts[0].ndim == 1:
            return np.asarray(torch.stack(parts).mean(0).float().cpu().numpy())
        total = torch.zeros(*parts[0].shape[:-1], volume.shape[3])
        count = torch.zeros(volume.shape[3])
        for z, part in zip(begun, parts, strict=True):
            total[..., z : z + deep] += part.float().cpu()
            count[z : z + deep] += 1
        return np.asarray((total / count).numpy())

    def finish(self, answer: Tensor) -> Tensor:
        """From raw answers to what may be averaged, such as shares of classes."""
        return answer


def phases(image: Image, cycle: Mapping[str, int] | None) -> tuple[int, int, list[Flag]]:
    """End-diastolic and end-systolic frame of an image.

    Args:
        image: any view.
        cycle: "LV_ED" and "LV_ES" where they are known.

    Returns:
        The frames, and a flag where they had to be guessed: the first frame, and the one that differs most from it in
        the middle third of the image, as the heart does at end-systole.
    """
    if cycle and {"LV_ED", "LV_ES"} <= cycle.keys():
        return cycle["LV_ED"], cycle["LV_ES"], []
    if image.frames <= 2:
        return 0, image.frames - 1, []
    x, y = image.data.shape[0] // 3, image.data.shape[1] // 3
    middle = np.asarray(image.data[x : image.data.shape[0] - x, y : image.data.shape[1] - y], np.float32)
    es = int(np.abs(middle - middle[..., :1]).mean(axis=(0, 1, 2)).argmax())
    told = f"the frames of ED and ES are not known: frames 0 and {es} were taken, which differ most around the heart"
    return 0, es, [Flag("phases-guessed", Severity.FLAG, told)]


def stack_of(image: NDArray[Any]) -> NDArray[Any]:
    """(channels, x, y[, z]) with z."""
    return image if image.ndim == 4 else image[..., None]


def _mean(values: list[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")
