"""The seven-level 2D U-Net of the study of self-supervised pre-training, with an output at every decoder level.

It is the plain U-Net that nnU-Net builds, with batch norm. Parameter names are those of the published weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from cinecmr.networks._shapes import check_image


@dataclass(frozen=True)
class SSPUNetConfig:
    """Size of an `SSPUNet`.

    Attributes:
        channels_in, classes: image channels and label codes, background included.
        widths: channels of each level, finest first; every level halves the pixels.
        outputs: how many decoder levels have an output, counted from full resolution; None for all of them (deep
            supervision).
    """

    channels_in: int = 1
    classes: int = 4
    widths: tuple[int, ...] = (32, 64, 128, 256, 512, 512, 512)
    outputs: int | None = None

    def __post_init__(self) -> None:
        levels = len(self.widths) - 1
        if levels < 1:
            raise ValueError(f"a U-Net needs two levels or more, got widths {self.widths}")
        if self.outputs is not None and not 1 <= self.outputs <= levels:
            raise ValueError(
                f"outputs is from 1 to {levels} (the decoder's levels) or None for all, got {self.outputs}"
            )


class _Level(nn.Module):
    """Twice a convolution of 3 x 3, batch norm and leaky ReLU; the first may halve the pixels."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels_out)

    def forward(self, features: Tensor) -> Tensor:
        for conv, bn in ((self.conv1, self.bn1), (self.conv2, self.bn2)):
            features = nn.functional.leaky_relu(bn(conv(features)), 0.01)
        return features


class SSPEncoder(nn.Module):
    """The way down; the part that contrastive pre-training learns."""

    def __init__(self, channels_in: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.channels_in = channels_in
        self.multiple: int = 2 ** (len(widths) - 1)
        self.enc_blocks = nn.ModuleList(
            _Level(a, b, stride=1 if level == 0 else 2) for level, (a, b) in enumerate(pairwise((channels_in, *widths)))
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features of every level, finest first.

        Args:
            image: (batch, channels, x, y), x and y multiples of `multiple`.

        Raises:
            ValueError: another number of channels, or a size that does not halve at every level; in training, one
                image whose deepest features are one pixel: batch norm has nothing to take a mean of.
        """
        check_image(image, self.channels_in, (self.multiple, self.multiple))
        if self.training and image.shape[0] * image.shape[2] * image.shape[3] == self.multiple**2:
            raise ValueError(
                f"one image of {self.multiple} x {self.multiple} pixels leaves batch norm a single number to learn "
                "from; give a batch of 2 or more, or larger images"
            )
        features = []
        for block in self.enc_blocks:
            image = block(image)
            features.append(image)
        return features


class _Decoder(nn.Module):
    def __init__(self, config: SSPUNetConfig) -> None:
        super().__init__()
        upwards = config.widths[::-1]
        self.upconvs = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in pairwise(upwards))
        self.dec_blocks = nn.ModuleList(_Level(2 * b, b) for b in upwards[1:])
        self.silent = len(upwards) - 1 - (config.outputs or len(upwards) - 1)  # coarsest levels without an output
        self.output_convs = nn.ModuleList(nn.Conv2d(b, config.classes, 1) for b in upwards[1 + self.silent :])

    def forward(self, features: list[Tensor]) -> tuple[Tensor, ...]:
        x, outputs = features[-1], []
        for level, (up, block) in enumerate(zip(self.upconvs, self.dec_blocks, strict=True)):
            x = block(torch.cat([up(x), features[-2 - level]], 1))
            if level >= self.silent:
                outputs.append(self.output_convs[level - self.silent](x))
        return tuple(outputs[::-1])


class SSPUNet(nn.Module):
    """Label scores for every pixel of a slice, at several resolutions."""

    def __init__(self, config: SSPUNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or SSPUNetConfig()
        self.encoder = SSPEncoder(self.config.channels_in, self.config.widths)
        self.decoder = _Decoder(self.config)

    @property
    def multiple(self) -> int:
        """Both sizes must be multiples of this many pixels."""
        return self.encoder.multiple

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Scores before softmax, full resolution first, each next one half the size.

        Args:
            image: (batch, channels, x, y), x and y multiples of `multiple`.

        Returns:
            One (batch, classes, x / 2^i, y / 2^i) for each output i.

        Raises:
            ValueError: another number of channels, or a size that does not halve at every level.
        """
        scores: tuple[Tensor, ...] = self.decoder(self.encoder(image))
        return scores
