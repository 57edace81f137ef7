"""What the methods teach: the encoder of the seven-level U-Net, or the transformer of CineMA; one vector a slice.

Weights are named so that a task finds its own among them: `encoder....` and `decoder....` as in the published U-Net,
`encoder.vit....` for the transformer, which `networks.pretrained.transformer_within` finds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from cinecmr.learn.slice_geometry import matrices, sample
from cinecmr.learn.slice_intensity import standardised
from cinecmr.networks.multiview import MultiView, MultiViewConfig, ViewShape
from cinecmr.networks.patches import patch_grid, unpatchify
from cinecmr.networks.ssp_unet import SSPEncoder, SSPUNet, SSPUNetConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from cinecmr.learn.slice_geometry import Geometry
    from cinecmr.learn.slice_intensity import SliceIntensity
    from cinecmr.learn.slices import Slice


@dataclass(frozen=True)
class TransformerSize:
    """CineMA's transformer on one slice; the defaults are the published widths.

    Attributes:
        view: by which a multi-view network will know the weights.
        stem_widths, width, depth, heads: see `MultiViewConfig`.
    """

    view: str = "lax_4c"
    stem_widths: tuple[int, ...] = (64, 128)
    width: int = 768
    depth: int = 12
    heads: int = 12


@dataclass(frozen=True)
class Backbone:
    """What is pre-trained.

    Attributes:
        kind: "unet" or "vit". unet, vit: its size.
    """

    kind: Literal["unet", "vit"] = "unet"
    unet: SSPUNetConfig = field(default_factory=SSPUNetConfig)
    vit: TransformerSize = field(default_factory=TransformerSize)

    def __post_init__(self) -> None:
        if self.kind not in ("unet", "vit"):
            raise ValueError(f"no backbone {self.kind!r}: there are unet, vit")

    @property
    def width(self) -> int:
        """Numbers that describe a slice."""
        return self.unet.widths[-1] if self.kind == "unet" else self.vit.width

    @property
    def multiple(self) -> int:
        """Sizes in plane must be multiples of so many pixels."""
        return 1 << (len(self.unet.widths) - 1 if self.kind == "unet" else 2 + len(self.vit.stem_widths))

    def check(self, pixels: int, what: str = "a crop") -> None:
        """Refuse a size that does not fit.

        Raises:
            ValueError: names the sizes around it that do.
        """
        if pixels < 1 or pixels % self.multiple:
            below = pixels // self.multiple * self.multiple
            fits = f"{below} or {below + self.multiple}" if below > 0 else f"{self.multiple}"
            raise ValueError(
                f"{what} has {pixels} pixels; for this network it must be a multiple of {self.multiple}: {fits} fit"
            )

    def encoder(self, pixels: int) -> nn.Module:
        """A fresh encoder; `pixels` is the size for which the transformer gets its positions."""
        return SSPEncoder(self.unet.channels_in, self.unet.widths) if self.kind == "unet" else _Vit(self.vit, pixels)

    def painter(self, pixels: int) -> nn.Module:
        """A fresh network that draws an image: (batch, 1, x, y) to a tuple that begins with the same shape."""
        if self.kind == "vit":
            return _VitPainter(self.vit, pixels)
        return SSPUNet(SSPUNetConfig(self.unet.channels_in, 1, self.unet.widths, 1))


class _Vit(nn.Module):
    """The transformer: the mean of its tokens."""

    def __init__(self, size: TransformerSize, pixels: int) -> None:
        super().__init__()
        self.view = size.view
        views = {size.view: ViewShape((pixels, pixels))}
        config = MultiViewConfig(views, size.stem_widths, width=size.width, depth=size.depth, heads=size.heads)
        self.vit = MultiView(config, fuse=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(batch, 1, x, y) to a list whose last is (batch, width, x / 16, y / 16)."""
        grid = patch_grid(tuple(image.shape[2:]), self.vit.patch(self.view))
        tokens = self.vit.encode({self.view: image}).tokens[self.view]
        return [tokens.transpose(1, 2).reshape(len(image), -1, *grid)]


class _VitPainter(nn.Module):
    """The transformer and one linear layer that draws each token's patch."""

    def __init__(self, size: TransformerSize, pixels: int) -> None:
        super().__init__()
        self.encoder = _Vit(size, pixels)
        self.patch = self.encoder.vit.patch(size.view)
        self.output = nn.Linear(size.width, self.patch[0] * self.patch[1])

    def forward(self, image: Tensor) -> tuple[Tensor]:
        features = self.encoder(image)[-1]
        drawn = self.output(features.flatten(2).transpose(1, 2))
        return (unpatchify(drawn, self.patch, tuple(features.shape[2:])),)


def pooled(encoder: nn.Module, image: Tensor) -> Tensor:
    """One vector a slice: the mean of the deepest features, (batch, width)."""
    found: Tensor = encoder(image)[-1].mean((2, 3))
    return found


def crops(slices: Sequence[Slice], geometry: Geometry, intensity: SliceIntensity, rng: np.random.Generator) -> Tensor:
    """Changed copies of slices on the network's grid, (n, 1, x, y), one each in the order given.

    A crop that reaches beyond its slice is as dark there as the cine's darkest pixel.
    """
    moves = geometry.draw(rng, len(slices))
    images = sample([s.pixels for s in slices], matrices(slices, moves, geometry), geometry.pixels)
    images, highest = standardised(images, slices)
    return intensity(images, rng, highest)


def chosen(rng: np.random.Generator, slices: Sequence[Slice], size: int) -> list[Slice]:
    """Slices of a batch, none twice as long as there are enough."""
    return [slices[int(n)] for n in rng.choice(len(slices), size, replace=size > len(slices))]
