"""What SimCLR and PCL share: two changed copies of each slice, an encoder with a head, and a contrast of all pairs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cinecmr.errors import RefusedInput
from cinecmr.learn.descent import Descent
from cinecmr.learn.losses import info_nce
from cinecmr.learn.objective import Loss
from cinecmr.learn.slice_geometry import Geometry
from cinecmr.learn.slice_intensity import SliceIntensity
from cinecmr.pretrain.backbone import Backbone, chosen, crops, pooled
from cinecmr.pretrain.collapse import CollapseWatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cinecmr.learn.slices import Slice


@dataclass(frozen=True)
class ContrastSettings:
    """What both methods' settings have.

    Attributes:
        backbone: see there. head: width of the head's three layers.
        geometry, intensity: of the copies. temperature: by which cosines are divided.
    """

    backbone: Backbone = field(default_factory=Backbone)
    geometry: Geometry = field(default_factory=Geometry)
    intensity: SliceIntensity = field(default_factory=SliceIntensity)
    temperature: float = 0.1
    head: int = 512

    def __post_init__(self) -> None:
        self.backbone.check(self.geometry.pixels)
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")


# What the published code does otherwise than the paper: crops around labels, and a factor that is one too large.
OFFICIAL: dict[str, Any] = {
    "geometry": Geometry(centring="labels", exact_centre=False),
    "intensity": SliceIntensity(factor_adds=True),
}


def contrast_descent(decay: float, preset: str, updates_per_epoch: int) -> Descent:
    """The published SGD: cosine to 0 by epochs; `sound` clips the gradient at norm 1 and warms up for ten epochs."""
    published = Descent(rate=0.1, decay=decay, momentum=0.9, nesterov=False, curve="cosine", step=updates_per_epoch)
    return replace(published, clip=1.0, warmup=10 * updates_per_epoch, step=1) if preset == "sound" else published


class Copies(NamedTuple):
    """A batch: rows 2i and 2i + 1 are copies of one slice.

    Attributes:
        images: (2n, 1, x, y). number, of: (2n,) place of the slice in its stack, and slices of that stack.
    """

    images: Tensor
    number: Tensor
    of: Tensor


class _Head(nn.Module):
    def __init__(self, width: int, head: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(width, head), nn.ReLU(), nn.Linear(head, head), nn.ReLU(), nn.Linear(head, head)
        )

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = self.mlp(features)
        return found


class ContrastiveNetwork(nn.Module):
    """Encoder, mean over the deepest features, and a head of three linear layers; published names."""

    def __init__(self, backbone: Backbone, pixels: int, head: int) -> None:
        super().__init__()
        self.encoder = backbone.encoder(pixels)
        self.mlp = _Head(backbone.width, head)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 1, x, y) to (batch, head)."""
        found: Tensor = self.mlp(pooled(self.encoder, images))
        return found


def similarity(features: Tensor, temperature: float) -> Tensor:
    """Cosine of every pair of rows over the temperature; -inf of a row with itself."""
    directions = functional.normalize(features.float(), dim=1)
    return (directions @ directions.T / temperature).fill_diagonal_(-torch.inf)


def siblings(rows: int, device: torch.device | str = "cpu") -> Tensor:
    """(rows, rows) True between the two copies of each slice."""
    number = torch.arange(rows, device=device)
    return (number[:, None] ^ 1) == number[None]


class Contrast(ABC):
    """The objective but for its pairs."""

    name = "contrast"

    def __init__(self, slices: Sequence[Slice], settings: ContrastSettings, held: Sequence[Slice] = ()) -> None:
        if not slices:
            raise RefusedInput("no-slices", "there is no slice to learn from; check the data and the split")
        self.slices, self.held, self.settings = slices, held, settings
        self.watch = CollapseWatch(self.name)

    def network(self) -> ContrastiveNetwork:
        """A fresh encoder with its head."""
        return ContrastiveNetwork(self.settings.backbone, self.settings.geometry.pixels, self.settings.head)

    def batch(self, rng: np.random.Generator, size: int) -> Copies:
        """Two copies each of `size` slices.

        Raises:
            ValueError: fewer than two slices, which leaves nothing to tell apart.
        """
        return self.copies(rng, chosen(rng, self.slices, size))

    def copies(self, rng: np.random.Generator, slices: Sequence[Slice]) -> Copies:
        """Two copies each of the slices given."""
        if len(slices) < 2:
            raise ValueError(
                f"{self.name} tells slices of a batch apart, and a batch of {len(slices)} has no others; give 2 or more"
            )
        twice = [one for one in slices for _ in range(2)]
        images = crops(twice, self.settings.geometry, self.settings.intensity, rng)
        return Copies(images, torch.tensor([s.number for s in twice]), torch.tensor([s.of for s in twice]))

    @abstractmethod
    def positives(self, batch: Copies) -> Tensor:
        """(2n, 2n) True for pairs that belong together, never a row with itself."""

    def loss(self, network: nn.Module, batch: Copies) -> Loss:
        """Contrast of all pairs."""
        features = network(batch.images)
        total = info_nce(similarity(features, self.settings.temperature), self.positives(batch))
        return Loss(total, self.watch(features[::2].detach()))

    def check(self, network: nn.Module) -> dict[str, float]:
        """Share of held-out copies whose nearest neighbour is a pair of theirs; none without held-out slices."""
        if len(self.held) < 2:
            return {}
        batch = self.copies(np.random.default_rng(0), self.held[:64])
        device = next(network.parameters()).device
        near = similarity(network(batch.images.to(device)), 1.0).argmax(1, keepdim=True).cpu()
        return {"nearest_is_pair": float(self.positives(batch).gather(1, near).float().mean())}
