"""Label maps with the published networks: short-axis stacks as volumes, long-axis views as planes.

Cine (RV, myocardium, LV), late enhancement (scar, no-reflow), and several sequences together. The shipped short-axis
model is another one: `tasks.segmentation`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from cinecmr.anatomy import Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.evaluate.overlap import dice, hd95
from cinecmr.geometry import voxel_volume_ml
from cinecmr.learn.objective import Loss
from cinecmr.study import Findings, Measurement
from cinecmr.tasks._learner import Learner, Sample, ViewSettings, stack_of
from cinecmr.tasks.architecture import ask, device_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from cinecmr.datasets import Case
    from cinecmr.study import Study

IGNORED = -1  # target of voxels where nobody looked
_MUSCLE = (Structure.SCAR, Structure.NO_REFLOW, Structure.OEDEMA)
CAVITIES = {"LV": Structure.LV, "RV": Structure.RV}


@dataclass(frozen=True)
class VolumeSegmentationSettings(ViewSettings):
    """What is labelled.

    Attributes:
        structures: of the network's classes 1, 2, ...; class 0 is everything else.
        smooth: of the soft Dice.
        merged: further Dice scores, each of several structures taken as one.
    """

    structures: tuple[Structure, ...] = (Structure.RV, Structure.MYO, Structure.LV)
    smooth: float = 1e-5
    merged: tuple[tuple[str, tuple[Structure, ...]], ...] = ()

    def __post_init__(self) -> None:
        if not self.structures or Structure.UNSEEN in self.structures or len({*self.structures}) < len(self.structures):
            raise ValueError(f"structures must be one or more, each once, got {self.structures}")


@dataclass
class VolumeSegmentation(Learner):
    """Learn, find and score labels."""

    settings: VolumeSegmentationSettings = field(default_factory=VolumeSegmentationSettings)

    @property
    def channels(self) -> int:
        """One a sequence: ED and ES are samples by themselves."""
        return len(self.settings.contrasts)

    @property
    def outputs(self) -> int:
        """The structures and the rest."""
        return 1 + len(self.settings.structures)

    def prepare(self, case: Case) -> Iterator[Sample]:
        """One sample a labelled frame: ED and ES where these are known and labelled, else all."""
        study, truth = case.load()
        labels = truth.labels.get(self.settings.key)
        if labels is None or not self.readable(study):
            return
        where = self.place(study)
        for frame in labelled_frames(labels, truth.cycle):
            codes = where.labels(labels[..., frame])
            targets = np.where(codes == Structure.UNSEEN, codes, self._classes(codes)).astype(np.uint8)
            yield Sample(self.volume(study, (frame,), where), targets)

    def changed(self, sample: Sample, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Image and labels through one window, changed alike."""
        both = self.flat(np.concatenate([sample.image, sample.target[None].astype(np.float32)]), rng)
        image, codes = both[:-1], both[-1].astype(np.uint8)
        if self.settings.changes is not None:
            image, moved = self.settings.changes(stack_of(image), rng, stack_of(codes[None])[0])
            image, codes = image.reshape(-1, *self.settings.shape), np.asarray(moved, np.uint8).reshape(codes.shape)
        return image, np.where(codes == Structure.UNSEEN, np.int64(IGNORED), codes.astype(np.int64))

    def _classes(self, labels: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Structure codes to the network's classes; diseased muscle is muscle to those who do not tell it apart."""
        table = np.zeros(256, np.int16)
        for number, structure in enumerate(self.settings.structures, 1):
            table[structure] = number
        for structure in _MUSCLE:
            if structure not in self.settings.structures:
                table[structure] = table[Structure.MYO]
        return table[labels]

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> Loss:
        """Soft Dice (no background, mean over samples and classes) plus cross-entropy; unseen voxels do not count.

        Source: CineMA (Fu et al.), appendix C.4; specification of its code, section 8.
        """
        images, targets = (part.to(device_of(network)) for part in batch)
        scores = ask(network, self.settings.view.value, images).float()
        overlap = soft_dice_loss(scores, targets, self.settings.smooth)
        entropy = functional.cross_entropy(scores, targets, ignore_index=IGNORED)
        return Loss(overlap + entropy, {"dice_loss": float(overlap.detach()), "cross_entropy": float(entropy.detach())})

    def finish(self, answer: Tensor) -> Tensor:
        """Shares of classes."""
        return answer.float().softmax(1)

    def truth(self, case: Case) -> Findings:
        """Labels of the case in the network's structures, and what is known of its beat."""
        _, truth = case.load()
        codes = np.array([Structure.BACKGROUND, *self.settings.structures], np.uint8)
        labels = {}
        if (drawn := truth.labels.get(self.settings.key)) is not None:
            labels[self.settings.key] = np.where(drawn == Structure.UNSEEN, drawn, codes[self._classes(drawn)])
        return Findings(labels=labels, cycle=truth.cycle, measurements=truth.measurements)

    def predict(self, network: nn.Module, study: Study, cycle: Mapping[str, int] | None = None) -> Findings:
        """Labels of the frames in `cycle`, of all where it is None; unseen elsewhere.

        Volumes and ejection fractions come from the frames labelled, largest and smallest cavity. Of a long-axis
        plane the same share of areas is `LV_area_change`.
        """
        where, image = self.place(study), self.image(study)
        frames = sorted({*cycle.values()}) if cycle else range(image.frames)
        labels = np.full(image.data.shape, Structure.UNSEEN, np.uint8)
        codes = np.full(256, Structure.UNSEEN, np.uint8)
        codes[: self.outputs] = [Structure.BACKGROUND, *self.settings.structures]
        for frame in frames:
            shares = self.answer(network, self.volume(study, (frame,), where))
            labels[..., frame] = codes[where.back_scores(shares)]
        found = self._volumes(labels, image.affine, list(frames))
        return Findings(labels={self.settings.key: labels}, measurements=found)

    def moments(self, truth: Findings) -> Mapping[str, int] | None:
        """ED and ES where the truth has labels of them; else all frames are to be read."""
        return {k: v for k, v in truth.cycle.items() if k.startswith("LV")} or None if truth.labels else None

    def _volumes(
        self, labels: NDArray[np.uint8], affine: NDArray[np.float64], frames: Sequence[int]
    ) -> dict[str, Measurement]:
        found: dict[str, Measurement] = {}
        for name, structure in CAVITIES.items():
            if structure not in self.settings.structures or len(frames) < 2:
                continue
            counts = (labels[..., frames] == structure).sum(axis=(0, 1, 2)) * voxel_volume_ml(affine)
            full, empty = float(counts.max()), float(counts.min())
            share = _percent(full, empty)
            if self.settings.view is View.SAX:
                told = {"EDV": (full, "ml"), "ESV": (empty, "ml"), "EF": (share, "%")}
            else:
                told = {"_area_change": (share, "%")}
            method = "voxels of the largest and the smallest frame"
            found |= {
                f"{name}{what}": Measurement(value, unit, method, "labels") for what, (value, unit) in told.items()
            }
        return found

    def score(self, found: Findings, truth: Findings, study: Study | None = None) -> dict[str, float]:
        """Mean over the frames that are labelled in the truth.

        Returns:
            `dice_*` 0 to 1, by structure and their mean (`dice_mean`, the first); with a study `hd95_*` (mm, infinite
            where a structure was missed) and `volume_*` (absolute error, ml); `lvef_error`, `rvef_error` (percentage
            points) with the ejection fractions themselves.

        Raises:
            RefusedInput: there is nothing to compare (`nothing-to-score`).
        """
        rows = [*self._frames(found, truth, study)]
        told = {name: float(np.mean([row[name] for row in rows])) for name in (rows[0] if rows else ())}
        told |= self._ejection(found, truth)
        if not told:
            raise RefusedInput(
                "nothing-to-score",
                "the truth of a case has neither labels nor an ejection fraction that this task could be compared "
                "with; leave the case out",
            )
        return told

    def _frames(self, found: Findings, truth: Findings, study: Study | None) -> Iterator[dict[str, float]]:
        key = self.settings.key
        if key not in truth.labels or key not in found.labels:
            return
        true, ours = truth.labels[key], found.labels[key]
        for frame in labelled_frames(true, truth.cycle):
            yield self._compare(ours[..., frame], true[..., frame], study)

    def _compare(self, ours: NDArray[np.uint8], true: NDArray[np.uint8], study: Study | None) -> dict[str, float]:
        names = [structure.name.lower() for structure in self.settings.structures]
        scores = [dice(ours, true, structure) for structure in self.settings.structures]
        told = {"dice_mean": float(np.mean(scores))}
        told |= {f"dice_{name}": score for name, score in zip(names, scores, strict=True)}
        for name, parts in self.settings.merged:
            told |= self._merged(name, ours, true, parts, study)
        if study is not None:
            image = study[self.settings.key]
            far = [hd95(ours, true, structure, image.spacing.tolist()) for structure in self.settings.structures]
            told |= {f"hd95_{name}": value for name, value in zip(names, far, strict=True)}
            told["hd95_mean"] = float(np.mean(far))
            ml, seen = voxel_volume_ml(image.affine), true != Structure.UNSEEN
            for name, structure in zip(names, self.settings.structures, strict=True):
                more = int(((ours == structure) & seen).sum()) - int((true == structure).sum())
                told[f"volume_{name}"] = ml * abs(more)
            told["volume_mean"] = float(np.mean([told[f"volume_{name}"] for name in names]))
        return told

    def _merged(
        self,
        name: str,
        ours: NDArray[np.uint8],
        true: NDArray[np.uint8],
        parts: tuple[Structure, ...],
        study: Study | None,
    ) -> dict[str, float]:
        """Dice and distance of several structures as one, called by the first of them."""
        both = [np.where(np.isin(codes, parts), np.uint8(parts[0]), codes) for codes in (ours, true)]
        told = {f"dice_{name}": dice(both[0], both[1], parts[0])}
        if study is not None:
            told[f"hd95_{name}"] = hd95(both[0], both[1], parts[0], study[self.settings.key].spacing.tolist())
        return told

    def _ejection(self, found: Findings, truth: Findings) -> dict[str, float]:
        """Ejection fractions of both, %, from labels where there are any, else as measured."""
        told: dict[str, float] = {}
        for name, structure in CAVITIES.items():
            if structure not in self.settings.structures:
                continue
            true, ours = self._fraction(truth, truth, name, structure), self._fraction(found, truth, name, structure)
            if true is not None and ours is not None:
                lower = f"{name.lower()}ef"
                told |= {f"{lower}_error": abs(ours - true), f"{lower}_found": ours, f"{lower}_true": true}
        return told

    def _fraction(self, findings: Findings, truth: Findings, name: str, structure: Structure) -> float | None:
        labels, key = findings.labels.get(self.settings.key), self.settings.key
        if key in truth.labels and labels is not None and {"LV_ED", "LV_ES"} <= truth.cycle.keys():
            full, empty = (int((labels[..., truth.cycle[f"LV_{p}"]] == structure).sum()) for p in ("ED", "ES"))
            return _percent(full, empty)
        return measured_fraction(findings, name)


def measured_fraction(findings: Findings, name: str) -> float | None:
    """Ejection fraction of a ventricle as measured, or from its measured volumes, %; None where neither is known.

    Args:
        findings: what is known.
        name: "LV" or "RV".
    """
    known = findings.measurements
    if f"{name}EF" in known:
        return known[f"{name}EF"].value
    if {f"{name}EDV", f"{name}ESV"} <= known.keys():
        return _percent(known[f"{name}EDV"].value, known[f"{name}ESV"].value)
    return None


def _percent(full: float, empty: float) -> float:
    """Ejection fraction, 0 to 100 %; 0 where nothing was found at ED, so that a miss is an error and not a gap."""
    return min(100.0, max(0.0, 100 * (full - empty) / full)) if full else 0.0


def labelled_frames(labels: NDArray[np.uint8], cycle: Mapping[str, int]) -> list[int]:
    """Frames somebody labelled: ED and ES of the left ventricle where these are known and labelled, else all.

    Args:
        labels: (x, y, z, t) `Structure` codes, `UNSEEN` where nobody looked.
        cycle: may hold "LV_ED" and "LV_ES".
    """
    drawn = [t for t in range(labels.shape[3]) if (labels[..., t] != Structure.UNSEEN).any()]
    named = sorted({cycle[name] for name in ("LV_ED", "LV_ES") if name in cycle})
    return named if named and set(named) <= set(drawn) else drawn


def soft_dice_loss(scores: Tensor, targets: Tensor, smooth: float = 1e-5) -> Tensor:
    """Soft Dice of softmax shares, mean over samples and all classes but the first.

    Args:
        scores: (batch, classes, ...), before softmax.
        targets: (batch, ...), classes; `IGNORED` where nobody looked.
        smooth: added to both sides of the ratio.

    Source: MONAI's `DiceLoss` as CineMA calls it.
    """
    seen = (targets != IGNORED).unsqueeze(1)
    truth = functional.one_hot(targets.clamp(min=0), scores.shape[1]).movedim(-1, 1).to(scores.dtype) * seen
    shares = scores.softmax(1) * seen
    axes = tuple(range(2, scores.ndim))
    overlap, total = (shares * truth).sum(axes), (shares + truth).sum(axes)
    return 1 - torch.mean(((2 * overlap + smooth) / (total + smooth))[:, 1:])
