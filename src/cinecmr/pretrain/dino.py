"""DINO on slices: a student learns from small crops to answer as a slowly following teacher does to large ones.

Source: Caron et al. 2021; de Mooij et al., section 2.4; specification of its code, sections 2.3, 5 and 9 (rows 6, 7).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from cinecmr.errors import RefusedInput
from cinecmr.learn.descent import Descent
from cinecmr.learn.objective import Loss
from cinecmr.learn.slice_geometry import Geometry
from cinecmr.learn.slice_intensity import SliceIntensity
from cinecmr.pretrain._dino_network import DinoNetwork, distilled
from cinecmr.pretrain.backbone import Backbone, chosen, crops
from cinecmr.pretrain.collapse import CollapseWatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cinecmr.learn.slices import Slice

EPOCHS, BATCH = 100, 64
_SMALL, _MIDDLE, _LARGE = (1.4 * math.sqrt(area) for area in (0.05, 0.14, 1.0))
_OFTEN = SliceIntensity(
    noise_chance=0.15, blur_chance=0.1, factor_chance=0.2, shift_chance=0.15, gamma_chance=0.15
)  # of all crops but for the blur and solarisation of the two large ones
_FIRST = replace(_OFTEN, blur=(0.1, 2.0), blur_chance=1.0)
_SECOND = replace(_OFTEN, solarise_chance=0.2)


@dataclass(frozen=True)
class DINOSettings:
    """What is learned.

    Attributes:
        backbone: see there.
        large, small: geometry of the two large crops and of the `crops` small ones.
        first, second, rest: brightness of the two large crops and of the small ones.
        crops: small crops of each slice.
        hidden, bottleneck, answers: widths of the head.
        temperature: of the student. teacher_from, teacher_to, teacher_epochs: of the teacher, rising over epochs.
        follow: how much of itself the teacher keeps at first; it rises to all over the run, half a cosine.
        centre: how much of the centre is kept from one update to the next.
        frozen_epochs: first ones, in which the head's last layer does not learn.
        copied: the teacher starts as a copy of the student, as the original does; otherwise as another draw.
        epoch, updates: updates of an epoch, and of the whole run.
    """

    backbone: Backbone = field(default_factory=Backbone)
    large: Geometry = field(default_factory=lambda: Geometry(scale=(_MIDDLE, _LARGE)))
    small: Geometry = field(default_factory=lambda: Geometry(pixels=128, shift=160.0, scale=(_SMALL, _MIDDLE)))
    first: SliceIntensity = _FIRST
    second: SliceIntensity = _SECOND
    rest: SliceIntensity = _OFTEN
    crops: int = 6
    hidden: int = 2048
    bottleneck: int = 256
    answers: int = 8192
    temperature: float = 0.1
    teacher_from: float = 0.02
    teacher_to: float = 0.04
    teacher_epochs: int = 30
    follow: float = 0.996
    centre: float = 0.9
    frozen_epochs: int = 1
    copied: bool = True
    epoch: int = 1415
    updates: int = 141_500

    def __post_init__(self) -> None:
        self.backbone.check(self.large.pixels, "a large crop")
        self.backbone.check(self.small.pixels, "a small crop")
        if self.crops < 0 or self.epoch < 1 or self.updates < 1:
            raise ValueError(f"crops must be 0 or more, epoch and updates 1 or more, got {self}")

    def as_json(self) -> dict[str, object]:
        """For a `Recipe`."""
        return {"method": "dino", **asdict(self)}

    def teacher_temperature(self, update: int) -> float:
        """By which the teacher's answers are divided: linear over the first epochs, then constant."""
        epoch = update // self.epoch
        share = min(1.0, epoch / max(1, self.teacher_epochs - 1))
        return self.teacher_from + (self.teacher_to - self.teacher_from) * share

    def kept(self, update: int) -> float:
        """How much of itself the teacher keeps after an update."""
        return 1 - (1 - self.follow) * 0.5 * (1 + math.cos(math.pi * update / self.updates))


def _official(geometry: Geometry) -> Geometry:
    return replace(geometry, centring="labels", exact_centre=False)


def _adding(intensity: SliceIntensity) -> SliceIntensity:
    return replace(intensity, factor_adds=True)


_PUBLISHED = DINOSettings()
PRESETS = {
    "published": _PUBLISHED,
    "official": replace(
        _PUBLISHED,
        large=_official(_PUBLISHED.large),
        small=_official(_PUBLISHED.small),
        first=_adding(_FIRST),
        second=_adding(_SECOND),
        rest=_adding(_OFTEN),
        copied=False,
    ),
    "sound": DINOSettings(),
}


def descent(preset: str = "sound", updates_per_epoch: int = 1) -> Descent:
    """The published SGD: ten epochs of warm-up, cosine to 1e-6 by updates, vectors spared from decay.

    `sound` clips the gradient at norm 3, as the original does.
    """
    return Descent(
        rate=0.0075, decay=1e-4, warmup=10 * updates_per_epoch, clip=3.0 if preset == "sound" else 1e9,
        last_rate=1e-6, spare_vectors=True, momentum=0.9, nesterov=False, curve="cosine",
    )  # fmt: skip


class Crops(NamedTuple):
    """A batch, crop after crop: the first crop of every slice, then the second.

    Attributes:
        large: (2n, 1, x, y). small: (crops * n, 1, x, y).
    """

    large: Tensor
    small: Tensor


class DINO:
    """The objective."""

    name = "DINO"

    def __init__(
        self, slices: Sequence[Slice], settings: DINOSettings | None = None, held: Sequence[Slice] = ()
    ) -> None:
        if not slices:
            raise RefusedInput("no-slices", "there is no slice to learn from; check the data and the split")
        self.slices, self.settings, self.held = slices, settings or PRESETS["sound"], held
        self.watch = CollapseWatch(self.name)

    def network(self) -> DinoNetwork:
        """Student and teacher."""
        own = self.settings
        sizes = (own.backbone.width, own.hidden, own.bottleneck, own.answers)
        return DinoNetwork(own.backbone, own.large.pixels, sizes, own.copied)

    def batch(self, rng: np.random.Generator, size: int) -> Crops:
        """Large and small crops of `size` slices.

        Raises:
            ValueError: fewer than two slices, for which the norms over a batch have no meaning.
        """
        if size < 2:
            raise ValueError(f"DINO compares slices of a batch, and a batch of {size} has no others; give 2 or more")
        own, slices = self.settings, chosen(rng, self.slices, size)
        large = [crops(slices, own.large, brightness, rng) for brightness in (own.first, own.second)]
        small = [crops(slices, own.small, own.rest, rng) for _ in range(own.crops)]
        return Crops(torch.cat(large), torch.cat(small) if small else torch.zeros(0, 1, 1, 1))

    def loss(self, network: DinoNetwork, batch: Crops) -> Loss:
        """The student's answers to every crop against the teacher's to the large ones; the centre follows."""
        own, update = self.settings, int(network.update)
        frozen = network.training and update < own.frozen_epochs * own.epoch
        groups = [group for group in batch if len(group)]
        student = torch.cat([network(group, frozen) for group in groups])
        teacher = network.taught(batch.large)
        total = distilled(
            student, teacher, network.center, len(student) // (len(batch.large) // 2), own.temperature,
            own.teacher_temperature(update),
        )  # fmt: skip
        if network.training:
            network.recentre(teacher, own.centre)
        return Loss(total, self.watch(teacher[: len(teacher) // 2].detach()))

    def after_step(self, network: DinoNetwork, update: int) -> None:
        """The teacher follows the student."""
        network.follow(self.settings.kept(update))
        network.update.fill_(update + 1)

    def check(self, network: DinoNetwork) -> dict[str, float]:
        """Share of held-out slices whose two large crops are each other's nearest; none without held-out slices."""
        if len(self.held) < 2:
            return {}
        rng, own, slices = np.random.default_rng(0), self.settings, self.held[:64]
        device = next(network.parameters()).device
        one, other = (
            nn.functional.normalize(network.taught(crops(slices, own.large, brightness, rng).to(device)), dim=1)
            for brightness in (own.first, own.second)
        )
        nearest = (one @ other.T).argmax(1)
        return {"nearest_is_pair": float((nearest == torch.arange(len(slices), device=device)).float().mean())}
