"""Short-axis segmentation learned from stacks: the objective that `learn.fit` trains.

How a trained network reads a study is in `tasks.reading`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from cinecmr.learn.augment import Intensity, turn
from cinecmr.learn.losses import dice_and_cross_entropy, hard_dice
from cinecmr.learn.objective import Loss
from cinecmr.networks.stack_unet import StackUNet, StackUNetConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn


@dataclass(frozen=True)
class SegmentationSettings:
    """What is learned and from which view of the data.

    Attributes:
        network: size of the U-Net.
        slices: fewest and most slices of a training sample; one count a batch.
        intensity: see `learn.augment`.
        held_out: stacks kept for checking, the last of the pool.
    """

    network: StackUNetConfig = field(default_factory=StackUNetConfig)
    slices: tuple[int, int] = (4, 8)
    intensity: Intensity = field(default_factory=Intensity)
    held_out: int = 48

    def as_json(self) -> dict[str, object]:
        """For a `Recipe`."""
        return {"task": "sax-segmentation", **asdict(self)}


def standardised(stack: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean 0 and standard deviation 1 over a whole stack, as the network eats it."""
    stack = np.asarray(stack, np.float32)
    return np.asarray((stack - stack.mean()) / max(float(stack.std()), 1e-6), np.float32)


@dataclass
class StackSegmentation:
    """Learn labels of stacks.

    Attributes:
        images, labels: (stacks, slices, x, y) uint8.
        settings: see there.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    settings: SegmentationSettings = field(default_factory=SegmentationSettings)

    def __post_init__(self) -> None:
        if self.images.shape != self.labels.shape:
            raise ValueError(f"images and labels must have one shape, got {self.images.shape} and {self.labels.shape}")
        if len(self.images) <= self.settings.held_out:
            raise ValueError(
                f"{len(self.images)} stacks leave none to learn from beside {self.settings.held_out} held out"
            )

    def network(self) -> nn.Module:
        """A fresh U-Net."""
        return StackUNet(self.settings.network)

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
        """(size, 1, slices, x, y) float images and (size, slices, x, y) labels."""
        count = int(rng.integers(self.settings.slices[0], self.settings.slices[1] + 1))
        pairs = [self._sample(rng, count) for _ in range(size)]
        images, labels = (np.stack(column) for column in zip(*pairs, strict=True))
        return torch.from_numpy(images)[:, None], torch.from_numpy(labels)

    def _sample(self, rng: np.random.Generator, count: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        number = int(rng.integers(len(self.images) - self.settings.held_out))
        start = int(rng.integers(self.images.shape[1] - count + 1))
        window = slice(start, start + count)
        image, labels = turn(
            self.images[number, window].astype(np.float32) / np.float32(255), self.labels[number, window], rng
        )
        return standardised(self.settings.intensity(image, rng)), labels

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> Loss:
        """Soft Dice plus cross-entropy."""
        images, labels = batch
        dice, entropy = dice_and_cross_entropy(network(images), labels)
        return Loss(dice + entropy, {"dice_loss": float(dice.detach()), "cross_entropy": float(entropy.detach())})

    def check(self, network: nn.Module) -> dict[str, float]:
        """Dice of RV, MYO and LV over the held-out stacks."""
        found, truth = [], []
        for image, labels in zip(
            self.images[-self.settings.held_out :], self.labels[-self.settings.held_out :], strict=True
        ):
            stack = standardised(image.astype(np.float32) / 255)
            found.append(network(torch.from_numpy(stack)[None, None])[0].argmax(0))
            truth.append(torch.from_numpy(labels))
        scores = hard_dice(torch.stack(found), torch.stack(truth), self.settings.network.classes)
        return dict(zip(("dice_rv", "dice_myo", "dice_lv"), scores, strict=True))
