"""Masked image modelling: draw the hidden squares of a slice.

The whole network learns, its decoder too. (Masked autoencoding of all views together is in `mae`.)

Source: de Mooij et al., section 2.4; specification of its code, section 5; fixtures/ssp/mim.
"""

from __future__ import annotations

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
from cinecmr.pretrain.backbone import Backbone, chosen, crops

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cinecmr.learn.slices import Slice

EPOCHS, BATCH = 100, 128


@dataclass(frozen=True)
class MIMSettings:
    """What is learned.

    Attributes:
        backbone: see there.
        geometry, intensity: of the copies that are drawn again, noise and blur included.
        patch: pixels a side of a hidden square. share: of the squares that is hidden.
        value: what stands in a hidden square; 0 is the cine's mean.
    """

    backbone: Backbone = field(default_factory=Backbone)
    geometry: Geometry = field(default_factory=Geometry)
    intensity: SliceIntensity = field(default_factory=SliceIntensity)
    patch: int = 32
    share: float = 0.75
    value: float = 0.0

    def __post_init__(self) -> None:
        self.backbone.check(self.geometry.pixels)
        if self.patch < 1 or self.geometry.pixels % self.patch:
            raise ValueError(
                f"squares of {self.patch} pixels do not tile {self.geometry.pixels} pixels; give one that divides it"
            )
        if not 0 < self.share < 1:
            raise ValueError(f"share of hidden squares is between 0 and 1, got {self.share}")

    def as_json(self) -> dict[str, object]:
        """For a `Recipe`."""
        return {"method": "mim", **asdict(self)}


PRESETS = {
    "published": MIMSettings(),
    "official": MIMSettings(
        geometry=Geometry(centring="labels", exact_centre=False), intensity=SliceIntensity(factor_adds=True)
    ),
    "sound": MIMSettings(),
}


def descent(preset: str = "sound", updates_per_epoch: int = 1) -> Descent:
    """The published SGD: momentum 0.99, cosine to 0 by epochs; `sound` clips the gradient at norm 1."""
    published = Descent(rate=0.01, decay=3e-5, curve="cosine", step=updates_per_epoch)
    return replace(published, clip=1.0) if preset == "sound" else published


class Hidden(NamedTuple):
    """A batch.

    Attributes:
        images: (n, 1, x, y). hidden: (n, 1, x, y) bool, True where a pixel is hidden.
    """

    images: Tensor
    hidden: Tensor


def hide(draws: Tensor, share: float) -> Tensor:
    """Squares to hide: those of the smallest draws.

    Args:
        draws: (n, squares) uniform.
        share: of them that is hidden, rounded to whole squares.

    Returns:
        (n, squares) bool, the same number of True in every row.
    """
    count = round(share * draws.shape[1])
    hidden = torch.zeros(draws.shape, dtype=torch.bool, device=draws.device)
    return hidden.scatter_(1, draws.argsort(1)[:, :count], True)


def squares(hidden: Tensor, pixels: int, patch: int) -> Tensor:
    """(n, squares) as pixels, (n, 1, pixels, pixels)."""
    side = pixels // patch
    grid = hidden.reshape(-1, 1, side, side)
    return grid.repeat_interleave(patch, 2).repeat_interleave(patch, 3)


def hidden_error(drawn: Tensor, images: Tensor, hidden: Tensor) -> Tensor:
    """Mean squared error of the hidden pixels."""
    return ((drawn.float() - images.float()).square() * hidden).sum() / hidden.sum()


class MIM:
    """The objective."""

    name = "MIM"

    def __init__(
        self, slices: Sequence[Slice], settings: MIMSettings | None = None, held: Sequence[Slice] = ()
    ) -> None:
        if not slices:
            raise RefusedInput("no-slices", "there is no slice to learn from; check the data and the split")
        self.slices, self.settings, self.held = slices, settings or PRESETS["sound"], held

    def network(self) -> nn.Module:
        """A fresh network that draws images."""
        return self.settings.backbone.painter(self.settings.geometry.pixels)

    def batch(self, rng: np.random.Generator, size: int) -> Hidden:
        """One changed copy each of `size` slices, and what is hidden of it."""
        return self.hidden(rng, chosen(rng, self.slices, size))

    def hidden(self, rng: np.random.Generator, slices: Sequence[Slice]) -> Hidden:
        """Changed copies of the slices given."""
        own = self.settings
        images = crops(slices, own.geometry, own.intensity, rng)
        draws = torch.from_numpy(rng.random((len(slices), (own.geometry.pixels // own.patch) ** 2)))
        return Hidden(images, squares(hide(draws, own.share), own.geometry.pixels, own.patch))

    def loss(self, network: nn.Module, batch: Hidden) -> Loss:
        """Squared error of what was hidden."""
        shown = torch.where(batch.hidden, self.settings.value, batch.images)
        return Loss(hidden_error(network(shown)[0], batch.images, batch.hidden), {})

    def check(self, network: nn.Module) -> dict[str, float]:
        """Share of the variance of held-out hidden pixels that is drawn; none without held-out slices."""
        if not self.held:
            return {}
        batch = self.hidden(np.random.default_rng(0), self.held[:64])
        device = next(network.parameters()).device
        batch = Hidden(batch.images.to(device), batch.hidden.to(device))
        error = self.loss(network, batch).total.detach()
        return {"variance_drawn": float(1 - error / batch.images[batch.hidden].var())}
