"""Mitral hinge points and apex on long-axis frames: as heatmaps with sub-pixel peaks, or as coordinates."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from cinecmr.anatomy import Landmark, View
from cinecmr.errors import RefusedInput
from cinecmr.learn.objective import Loss
from cinecmr.learn.samples import LONG, Grid
from cinecmr.measure.hinges import POINTS
from cinecmr.measure.long_axis import published_gl_shortening, published_mapse
from cinecmr.study import Findings
from cinecmr.tasks._learner import Learner, Sample, ViewSettings, stack_of
from cinecmr.tasks.architecture import DENSE, ask, device_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from cinecmr.datasets import Case
    from cinecmr.learn.samples import Placing
    from cinecmr.study import Study

NAMES = ("valve1", "valve2", "apex")
PHASES = ("LV_ED", "LV_ES")
WING_WIDTH, WING_CURVE = 10.0, 2.0  # pixels
NEAR = 2  # pixels around the peak that its place is read from
_SLOPE, _FEWEST = 0.01, 6  # share of the height that counts as slope, and how many pixels of it a fit needs


@dataclass(frozen=True)
class LandmarkSettings(ViewSettings):
    """How points are told; the architecture decides: one value a voxel are heatmaps, else coordinates.

    Attributes:
        sigma: width of a heatmap's peak, pixels.
        sub_pixel: read peaks between pixels; off, whole pixels as in the published evaluation.
    """

    view: View = View.LAX_4C
    grid: Grid = LONG
    sigma: float = 3.0
    sub_pixel: bool = True

    def __post_init__(self) -> None:
        if self.view not in POINTS:
            raise ValueError(f"landmarks are learned on {' and '.join(v.name for v in POINTS)}, not {self.view.name}")
        if self.sigma <= 0:
            raise ValueError(f"sigma is a width in pixels, got {self.sigma}")

    @property
    def dense(self) -> bool:
        """Whether the network answers with heatmaps."""
        return self.architecture.kind in DENSE


@dataclass
class Landmarks(Learner):
    """Learn, find and score three points of a view."""

    settings: LandmarkSettings = field(default_factory=LandmarkSettings)

    @property
    def points(self) -> tuple[Landmark, Landmark, Landmark]:
        """First and second hinge point, and the apex."""
        return POINTS[self.settings.view]

    @property
    def channels(self) -> int:
        """One a sequence."""
        return len(self.settings.contrasts)

    @property
    def outputs(self) -> int:
        """A heatmap a point, or its x and y."""
        return len(NAMES) * (1 if self.settings.dense else 2)

    def prepare(self, case: Case) -> Iterator[Sample]:
        """ED and ES, or every frame where these are not known. Points outside the grid make no sample."""
        study, truth = case.load()
        if self.settings.key not in study.images or not set(self.points) <= truth.landmarks.keys():
            return
        where = self.place(study)
        for frame in self._frames(study, truth):
            at = self._pixels(truth, where, frame)
            if not np.isfinite(at).all() or (at < 0).any() or (at > np.array(self.settings.shape) - 1).any():
                continue
            yield Sample(self.volume(study, (frame,), where), at.astype(np.float32))

    def changed(self, sample: Sample, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Image and points moved alike; a move that takes a point out of the image is left out."""
        image, changes = self.flat(sample.image, rng), self.settings.changes
        if changes is None:
            return image, sample.target
        moved, points = changes.draw(rng), sample.target
        if moved is not None:
            there = moved.points(sample.target.astype(np.float64), self.settings.shape)
            inside = bool(((there >= 0) & (there <= np.array(self.settings.shape) - 1)).all())
            moved, points = (moved, there.astype(np.float32)) if inside else (None, sample.target)
        image, _ = replace(changes, move=None)(stack_of(image), rng)
        image = image if moved is None else moved.image(image)
        return image.reshape(-1, *self.settings.shape), points

    def _frames(self, study: Study, truth: Findings) -> list[int]:
        named = {truth.cycle[name] for name in ("LV_ED", "LV_ES") if name in truth.cycle}
        return sorted(named) or list(range(self.image(study).frames))

    def _pixels(self, truth: Findings, where: Placing, frame: int) -> NDArray[np.float64]:
        """(3, 2) points on the grid, in pixels."""
        points = np.stack([truth.landmarks[name][frame] for name in self.points])
        return where.to_grid(points)[:, :2]

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> Loss:
        """Heatmaps: soft Dice plus binary cross-entropy. Coordinates: wing loss of places and of relative places.

        Source: CineMA (Fu et al.), appendix C.4; specification of its code, section 8.
        """
        images, points = (part.to(device_of(network)) for part in batch)
        answer = ask(network, self.settings.view.value, images).float()
        if self.settings.dense:
            dice, entropy = heatmap_loss(answer, heatmaps(points, self.settings.shape, self.settings.sigma))
            return Loss(dice + entropy, {"dice_loss": float(dice.detach()), "binary_entropy": float(entropy.detach())})
        found = answer.reshape(len(answer), -1, 2) * answer.new_tensor(self.settings.shape)
        place, relative = wing_loss(found, points), wing_loss(relative_places(found), relative_places(points))
        return Loss(place + relative, {"wing": float(place.detach()), "relative_wing": float(relative.detach())})

    def finish(self, answer: Tensor) -> Tensor:
        """Heatmaps between 0 and 1; coordinates as they are."""
        return answer.float().sigmoid() if self.settings.dense else answer

    def truth(self, case: Case) -> Findings:
        """The points of this view, and what is known of the beat; two frames alone are ED and ES."""
        _, truth = case.load()
        known = {name: truth.landmarks[name] for name in self.points if name in truth.landmarks}
        two = known and all(len(points) == len(PHASES) for points in known.values())
        cycle = dict(zip(PHASES, range(len(PHASES)), strict=True)) if two and not truth.cycle else truth.cycle
        return Findings(landmarks=known, cycle=cycle)

    def predict(self, network: nn.Module, study: Study, cycle: Mapping[str, int] | None = None) -> Findings:
        """Points (t, 3) in patient RAS, mm, of the frames in `cycle`, of all where it is None; NaN elsewhere."""
        where, image = self.place(study), self.image(study)
        points = np.full((len(NAMES), image.frames, 3), np.nan)
        for frame in sorted({*cycle.values()}) if cycle else range(image.frames):
            answer = self.answer(network, self.volume(study, (frame,), where))
            if self.settings.dense:
                at = np.stack([peak(heat[..., 0], self.settings.sub_pixel) for heat in answer])
            else:
                at = answer.reshape(-1, 2) * np.array(self.settings.shape)
            points[:, frame] = where.to_patient(np.column_stack([at, np.zeros(len(at))]))
        return Findings(landmarks=dict(zip(self.points, points, strict=True)))

    def score(self, found: Findings, truth: Findings, study: Study | None = None) -> dict[str, float]:  # noqa: ARG002
        """Mean over the frames of ED and ES, or all.

        Returns:
            `closeness` (minus the mean distance), `distance_valve1`, `_valve2`, `_apex`, `_mean`, mm; with ED and ES
            known `mapse_error` (mm) and `gl_shortening_error` (percentage points), and both values found and true.

        Raises:
            RefusedInput: the truth has no points (`nothing-to-score`).
        """
        if not set(self.points) <= truth.landmarks.keys():
            raise RefusedInput(
                "nothing-to-score", f"the truth of a case has no landmarks of {self.settings.view.name}; leave it out"
            )
        ours, true = (np.stack([f.landmarks[name] for name in self.points]) for f in (found, truth))
        frames = sorted({truth.cycle[n] for n in ("LV_ED", "LV_ES") if n in truth.cycle}) or list(range(true.shape[1]))
        far = np.linalg.norm(ours[:, frames] - true[:, frames], axis=2).mean(axis=1)
        told = {"closeness": -float(far.mean())}
        told |= {f"distance_{name}": float(value) for name, value in zip(NAMES, far, strict=True)}
        told["distance_mean"] = float(far.mean())
        if {"LV_ED", "LV_ES"} <= truth.cycle.keys():
            moments = self.settings.view, truth.cycle["LV_ED"], truth.cycle["LV_ES"]
            for name, measured in (("mapse", published_mapse), ("gl_shortening", published_gl_shortening)):
                a, b = measured(found.landmarks, *moments), measured(truth.landmarks, *moments)
                told |= {f"{name}_error": abs(a - b), f"{name}_found": a, f"{name}_true": b}
        return told


def heatmaps(points: Tensor, size: tuple[int, ...], sigma: float) -> Tensor:
    """(batch, points, 2) pixels to (batch, points, x, y) Gaussian hills of height 1."""
    x, y = (torch.arange(n, device=points.device, dtype=torch.float32) for n in size)
    far_x = (x - points[..., :1]) ** 2
    far_y = (y - points[..., 1:]) ** 2
    return torch.exp(-(far_x[..., :, None] + far_y[..., None, :]) / (2 * sigma**2))


def heatmap_loss(scores: Tensor, truth: Tensor, smooth: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Soft Dice of sigmoid shares (mean over samples and points) and binary cross-entropy; (batch, points, x, y)."""
    shares = scores.sigmoid()
    overlap, total = (shares * truth).sum((2, 3)), (shares + truth).sum((2, 3))
    dice = 1 - ((2 * overlap + smooth) / (total + smooth)).mean()
    return dice, functional.binary_cross_entropy_with_logits(scores, truth)


def wing_loss(found: Tensor, truth: Tensor, width: float = WING_WIDTH, curve: float = WING_CURVE) -> Tensor:
    """Logarithmic near 0, linear beyond `width`; mean over everything. Source: Feng et al. 2018 (CVPR), equation 5."""
    error = (found - truth).abs()
    near = width * torch.log1p(error / curve)
    shift = width - width * float(np.log1p(width / curve))
    return torch.where(error < width, near, error - shift).mean()


def relative_places(points: Tensor) -> Tensor:
    """(batch, 3, 2): every point less the middle of the two others."""
    return points - (points.sum(1, keepdim=True) - points) / 2


def peak(heat: NDArray[np.float32], sub_pixel: bool = True) -> NDArray[np.float64]:
    """Where a heatmap is highest, pixels.

    Args:
        heat: (x, y), not negative.
        sub_pixel: fit a round Gaussian to the logarithm of the values around the highest, weighted by their squares;
            exact where the map is one.

    Source: the fit of Guo, IEEE Signal Processing Magazine 28(5):134 (2011).
    """
    top = np.array(np.unravel_index(int(np.argmax(heat)), heat.shape))
    if not sub_pixel or heat[tuple(top)] <= 0:
        return top.astype(np.float64)
    low = np.clip(top - NEAR, 0, None)
    part = np.asarray(heat[low[0] : top[0] + NEAR + 1, low[1] : top[1] + NEAR + 1], np.float64)
    x, y = (axis.ravel() + low[n] - top[n] for n, axis in enumerate(np.indices(part.shape)))
    values = np.maximum(part.ravel(), 1e-12)
    if (values > _SLOPE * values.max()).sum() < _FEWEST:  # a spike has no slope to read a place from
        return top.astype(np.float64)
    design = np.column_stack([np.ones_like(x), x, y, x**2 + y**2]).astype(np.float64)
    _, slope_x, slope_y, bend = np.linalg.lstsq(design * values[:, None], np.log(values) * values, rcond=None)[0]
    if bend >= 0:
        return top.astype(np.float64)
    shift = -np.array([slope_x, slope_y]) / (2 * bend)
    return np.asarray(top + shift if (np.abs(shift) <= 1).all() else top, np.float64)
