"""Which network learns a task: CineMA's two transformers or its two convolutional baselines, at any width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cinecmr.networks.convunetr import ConvUNetR
from cinecmr.networks.convvit import ConvViT
from cinecmr.networks.multiview import MultiView, MultiViewConfig, ViewShape
from cinecmr.networks.resnet import ResNet, ResNetConfig
from cinecmr.networks.unet import UNet, UNetConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

DENSE, NUMBERS = ("convunetr", "unet"), ("convvit", "resnet")  # answers for every voxel; a few numbers


@dataclass(frozen=True)
class Architecture:
    """Size of a network; the defaults are the published ones.

    Attributes:
        kind: "convunetr" and "unet" answer for every voxel, "convvit" and "resnet" with a few numbers.
        width, depth, heads: of the transformers: channels of a token, blocks, heads.
        stem, stem_blocks: channels of the stages of their stem, and masked blocks in each.
        decoder: channels of ConvUNetR's decoder, finest first: one more than the stem has, and two.
        levels: channels of the U-Net's levels.
        layers, inplanes: depth of the residual network, and channels of its four layers.
        dropout, drop_path: shares dropped while training.
        image_norm: see `ConvUNetR`; the published networks have it on.

    Source: CineMA (Fu et al.), appendix C.2.
    """

    kind: str = "convunetr"
    width: int = 768
    depth: int = 12
    heads: int = 12
    stem: tuple[int, ...] = (64, 128)
    stem_blocks: int = 2
    decoder: tuple[int, ...] = (32, 64, 128, 256, 512)
    levels: tuple[int, ...] = (32, 64, 128, 256, 512)
    layers: int = 50
    inplanes: tuple[int, int, int, int] = (64, 128, 256, 512)
    dropout: float = 0.1
    drop_path: float = 0.1
    image_norm: bool = False

    def __post_init__(self) -> None:
        if self.kind not in DENSE + NUMBERS:
            raise ValueError(f"no network {self.kind!r}: there are {', '.join(DENSE + NUMBERS)}")

    def multiview(self, view: str, size: tuple[int, ...], channels: int) -> MultiViewConfig:
        """Settings of the transformers for one view."""
        shapes = {view: ViewShape(size, channels)}
        return MultiViewConfig(
            shapes, self.stem, self.stem_blocks, self.width, self.depth, self.heads, drop_path=self.drop_path
        )

    def build(self, view: str, size: tuple[int, ...], channels: int, outputs: int) -> nn.Module:
        """A fresh network, its weights drawn from torch's current seed.

        Args:
            view: name of the view, which the transformers' weights carry.
            size: voxels along x, y[, z].
            channels: of the image.
            outputs: classes with the background, heatmaps, or numbers.

        Raises:
            ValueError: sizes or widths that make no network.
        """
        if self.kind == "convunetr":
            config = self.multiview(view, size, channels)
            return ConvUNetR(config, outputs, self.decoder, self.dropout, self.image_norm)
        if self.kind == "convvit":
            return ConvViT(self.multiview(view, size, channels), outputs)
        if self.kind == "unet":
            return UNet(UNetConfig(len(size), channels, outputs, self.levels, self.dropout))
        return ResNet(ResNetConfig(len(size), channels, outputs, self.layers, self.inplanes))


def ask(network: nn.Module, view: str, image: Tensor) -> Tensor:
    """The answer to (batch, channels, x, y[, z]), whether the network speaks in views or in tensors."""
    answer: Any = network({view: image}) if isinstance(network, MultiView) else network(image)
    found: Tensor = answer[view] if isinstance(answer, dict) else answer
    return found


def device_of(network: nn.Module) -> torch.device:
    """Where a network's weights are."""
    return next(network.parameters()).device
