"""Labels of single short-axis slices: the two-dimensional U-Net with deep supervision that pre-training starts.

Presets: `published` is what the paper says, `official` what its code does, `sound` the default with known faults
mended, `nnunet` what nnU-Net does that the paper's baseline leaves out.

Source: de Mooij et al., section 2.2 and supplement A; specification of its code, sections 4, 6, 7, 9 and 12.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.evaluate.overlap import dice
from cinecmr.learn.descent import Descent
from cinecmr.learn.losses import hard_dice
from cinecmr.learn.objective import Loss
from cinecmr.learn.slice_geometry import Geometry, matrices, sample
from cinecmr.learn.slice_intensity import SliceIntensity, standardised
from cinecmr.learn.slices import Slice, by_frame, respaced
from cinecmr.networks.ssp_unet import SSPUNet, SSPUNetConfig
from cinecmr.study import Findings
from cinecmr.tasks.deep_supervision import deep_loss, halving
from cinecmr.tasks.slice_reading import labels_of_slices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor

    from cinecmr.study import Study

NAMES = {Structure.RV: "dice_rv", Structure.MYO: "dice_myo", Structure.LV: "dice_lv"}
SAX = (View.SAX, Contrast.CINE)

# What nnU-Net's own two-dimensional set-up does to a picture: many small changes, each of them rare.
NNUNET_INTENSITY = SliceIntensity(
    noise=0.3, noise_chance=0.1, blur=(0.5, 1.0), blur_chance=0.2, factor=(0.75, 1.25), factor_chance=0.15,
    shift_chance=0.0, contrast_chance=0.15, coarse_chance=0.25, inverted_chance=0.1, keep_statistics=True,
    gamma_chance=0.3,
)  # fmt: skip


@dataclass(frozen=True)
class SliceSettings:
    """What is learned and how.

    Attributes:
        network: size of the U-Net.
        geometry, intensity: see there. augment: off, slices are shown as they are, in the middle of their field.
        statistics: intensities are standardised by those of the whole "cine" or of one "frame".
        dice_over: soft Dice of each "sample", or of the "batch" as one: a class that one slice lacks costs nothing.
        entropy_weight, dice_weight: of the two losses.
        coarsest: whether the coarsest output counts.
        foreground: share of each batch that is drawn from slices with a heart.
        he: draw weights as He et al., biases 0; else torch's defaults. instance_norm: instead of batch norm.
        mirrored: average the answers to the four mirrored copies. one_part: keep the largest part of each structure.
        spline: slices are brought to the grid's spacing by cubic splines, once, before anything else.
        sliding: label slices larger than the field by a field that visits all of it.
        from_teacher: start from the teacher's encoder where pre-training had one, else from the student's.
    """

    network: SSPUNetConfig = field(default_factory=SSPUNetConfig)
    geometry: Geometry = field(default_factory=Geometry)
    intensity: SliceIntensity = field(default_factory=SliceIntensity)
    augment: bool = True
    statistics: Literal["cine", "frame"] = "cine"
    dice_over: Literal["sample", "batch"] = "sample"
    entropy_weight: float = 0.5
    dice_weight: float = 0.5
    coarsest: bool = True
    foreground: float = 0.0
    he: bool = False
    instance_norm: bool = False
    mirrored: bool = False
    one_part: bool = False
    spline: bool = False
    sliding: bool = False
    from_teacher: bool = False

    def __post_init__(self) -> None:
        multiple = 2 ** (len(self.network.widths) - 1)
        if self.geometry.pixels % multiple:
            below = self.geometry.pixels // multiple * multiple
            fits = f"{below} or {below + multiple}" if below else f"{multiple}"
            raise ValueError(
                f"{self.geometry.pixels} pixels do not halve at every level of a U-Net of "
                f"{len(self.network.widths)} levels; give a multiple of {multiple}, such as {fits}"
            )
        if not 0 <= self.foreground <= 1:
            raise ValueError(f"foreground is a share of the batch, got {self.foreground}")

    def as_json(self) -> dict[str, object]:
        """For a `Recipe`."""
        return {"task": "slice-segmentation", **asdict(self)}


_SOUND = SliceSettings(dice_over="batch", coarsest=False, from_teacher=True)
PRESETS = {
    "published": SliceSettings(),
    "official": SliceSettings(
        geometry=Geometry(centring="labels", exact_centre=False), intensity=SliceIntensity(factor_adds=True)
    ),
    "sound": _SOUND,
    "nnunet": replace(
        _SOUND,
        geometry=Geometry(turn_chance=0.2, scale_chance=0.2),
        intensity=NNUNET_INTENSITY,
        statistics="frame",
        entropy_weight=1.0,
        dice_weight=1.0,
        foreground=1 / 3,
        he=True,
        mirrored=True,
        one_part=True,
        spline=True,
        sliding=True,
    ),
}
RATE, FINE_TUNED_RATE, EPOCHS, BATCH = 0.01, 0.005, 1000, 32
NNUNET_UPDATES, NNUNET_CLIP = 250_000, 12.0


def descent(preset: str = "sound", fine_tuning: bool = False, updates_per_epoch: int = 1) -> Descent:
    """The published SGD: momentum 0.99, polynomial rate; half the rate after pre-training, clipped as nnU-Net does."""
    return Descent(
        rate=FINE_TUNED_RATE if fine_tuning else RATE,
        step=updates_per_epoch,
        clip=NNUNET_CLIP if preset in ("sound", "nnunet") else 1e9,
    )


def updates_of(slices: int, epochs: int = EPOCHS, batch: int = BATCH) -> int:
    """Updates of the published fixed-epoch protocol, which drops the last, smaller batch of an epoch.

    >>> [updates_of(n) for n in (6738, 1151, 231)]
    [210000, 35000, 7000]
    """
    return epochs * max(1, slices // batch)


@dataclass
class SliceSegmentation:
    """Learn labels of slices.

    Attributes:
        slices: to learn from, all with labels. held: to check with, all with labels; may be empty.
        settings: see there.
    """

    slices: Sequence[Slice]
    held: Sequence[Slice] = ()
    settings: SliceSettings = field(default_factory=lambda: PRESETS["sound"])

    def __post_init__(self) -> None:
        if not self.slices:
            raise RefusedInput("no-slices", "there is no slice to learn from; check the data and the split")
        unlabelled = next((s.subject for s in (*self.slices, *self.held) if s.labels is None), None)
        if unlabelled is not None:
            raise RefusedInput(
                "no-labels", f"slices of {unlabelled} have no labels; leave that subject out, or draw it"
            )
        if self.settings.statistics == "frame":
            self.slices, self.held = by_frame(self.slices), by_frame(self.held)
        if self.settings.spline:
            mm = self.settings.geometry.spacing_mm
            self.slices, self.held = respaced(self.slices, mm), respaced(self.held, mm)
        seen = {code for s in self.slices if s.labels is not None for code in np.unique(s.labels).tolist()}
        if seen <= {0}:
            raise RefusedInput("no-heart", "no slice to learn from shows RV, MYO or LV; check the labels' codes")
        self._hearts = [i for i, s in enumerate(self.slices) if s.labels is not None and s.labels.any()]

    def network(self) -> nn.Module:
        """A fresh U-Net."""
        network = SSPUNet(self.settings.network)
        if self.settings.instance_norm:
            _with_instance_norm(network)
        if self.settings.he:
            _he(network)
        return network

    def begin(self, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        """Start from what pre-training left: every weight of the same name and shape but the output convolutions.

        Raises:
            ValueError: nothing fits.
        """
        prefix = "teacher." if self.settings.from_teacher and any(n.startswith("teacher.") for n in tensors) else ""
        own = network.state_dict()
        fitting = {
            name: tensors[prefix + name]
            for name in own
            if "output" not in name and prefix + name in tensors and tensors[prefix + name].shape == own[name].shape
        }
        if not fitting:
            raise ValueError("no weight has the name and shape of one of this U-Net; give weights of the same widths")
        network.load_state_dict({**own, **fitting})

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
        """(size, 1, x, y) images and (size, x, y) codes."""
        forced = round(size * self.settings.foreground)
        numbers = [*_drawn(rng, self._hearts, forced), *_drawn(rng, range(len(self.slices)), size - forced)]
        return self.made([self.slices[n] for n in numbers], rng if self.settings.augment else None)

    def made(self, slices: Sequence[Slice], rng: np.random.Generator | None) -> tuple[Tensor, Tensor]:
        """Images and codes on the network's grid, changed by what `rng` draws; None for no change."""
        geometry = self.settings.geometry if rng is not None else self.settings.geometry.still()
        moves = geometry.draw(rng or np.random.default_rng(0), len(slices))
        matrix = matrices(slices, moves, geometry)
        images = sample([s.pixels for s in slices], matrix, geometry.pixels)
        codes = sample([_codes(s) for s in slices], matrix, geometry.pixels, "nearest")[:, 0].long()
        images, highest = standardised(images, slices)
        if rng is not None:
            images = self.settings.intensity(images, rng, highest)
        return images, codes

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> Loss:
        """Cross-entropy and soft Dice of every output, the finer the heavier."""
        images, codes = batch
        scores = network(images)
        own = self.settings
        entropy, overlap = deep_loss(scores, codes, halving(len(scores), own.coarsest), own.dice_over == "batch")
        total = own.entropy_weight * entropy + own.dice_weight * overlap
        return Loss(total, {"cross_entropy": float(entropy.detach()), "dice_loss": float(overlap.detach())})

    def check(self, network: nn.Module) -> dict[str, float]:
        """Dice of RV, MYO and LV over the held-out slices on the network's grid; none without such slices."""
        if not self.held:
            return {}
        device = next(network.parameters()).device
        found, truth = [], []
        for first in range(0, len(self.held), 32):
            images, codes = self.made(self.held[first : first + 32], None)
            found.append(network(images.to(device))[0].argmax(1).cpu())
            truth.append(codes)
        scores = hard_dice(torch.cat(found), torch.cat(truth), self.settings.network.classes)
        return {"dice": float(np.mean(scores)), **dict(zip(NAMES.values(), scores, strict=True))}

    def predict(self, network: nn.Module, study: Study, frames: Iterable[int] | None = None) -> Findings:
        """Label the short-axis cine.

        Args:
            network: trained.
            study: with a short-axis cine.
            frames: to label; None for all.

        Returns:
            Labels on the cine's own grid; `UNSEEN` in other frames and in slices that were never acquired.
        """
        own = self.settings
        labels = labels_of_slices(network, study[SAX], own.geometry.still(), own.statistics == "frame", frames,
                                  mirrored=own.mirrored, one_part=own.one_part, spline=own.spline,
                                  sliding=own.sliding)  # fmt: skip
        return Findings(labels={SAX: labels})

    @staticmethod
    def score(found: Findings, truth: Findings) -> dict[str, float]:
        """Dice of each structure and their mean: over frames with labels, each of them in three dimensions."""
        codes, drawn = found.labels[SAX], truth.labels[SAX]
        frames = [t for t in range(drawn.shape[3]) if np.isin(drawn[..., t], tuple(NAMES)).any()]
        scores = {
            name: float(np.mean([dice(codes[..., t], drawn[..., t], structure) for t in frames]))
            for structure, name in NAMES.items()
        }
        return {"dice": float(np.mean(list(scores.values()))), **scores}


def _codes(one: Slice) -> np.ndarray:
    """A slice's labels; `SliceSegmentation` has refused slices without."""
    return one.labels if one.labels is not None else np.zeros(one.pixels.shape, np.uint8)


def _drawn(rng: np.random.Generator, numbers: Sequence[int], count: int) -> list[int]:
    """Some of the numbers, none twice as long as there are enough."""
    chosen = rng.choice(len(numbers), count, replace=count > len(numbers))
    return [numbers[n] for n in chosen]


def _he(network: nn.Module) -> None:
    """He-normal convolutions for leaky ReLU, biases 0."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(layer.weight, a=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _with_instance_norm(network: nn.Module) -> None:
    """Put instance norms in the place of batch norms."""
    for module in list(network.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, nn.BatchNorm2d):
                setattr(module, name, nn.InstanceNorm2d(layer.num_features, affine=True))
