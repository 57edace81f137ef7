"""A U-Net for stacks of slices: two-dimensional in plane, and at depth each slice looks at its neighbours.

Slices of a stack are centimetres apart, so three-dimensional kernels at full resolution would mix unlike tissue; at
the coarse levels a slice needs its neighbours to know whether it lies above the base or below the apex.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class StackUNetConfig:
    """Size of a `StackUNet`.

    Attributes:
        channels_in, classes: image channels and label codes, background included.
        widths: channels of each level, finest first; every level halves the pixels.
        mixing_from: first level (0 = finest) at which slices see their neighbours.
    """

    channels_in: int = 1
    classes: int = 4
    widths: tuple[int, ...] = (12, 24, 48, 96, 128)
    mixing_from: int = 2

    def __post_init__(self) -> None:
        if len(self.widths) < 2:
            raise ValueError(f"a U-Net needs two levels or more, got widths {self.widths}")


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.InstanceNorm2d(channels_out, affine=True),
        nn.LeakyReLU(0.01, inplace=True),
        nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
        nn.InstanceNorm2d(channels_out, affine=True),
        nn.LeakyReLU(0.01, inplace=True),
    )


class NeighbourMix(nn.Module):
    """Adds to each slice a learned mixture of itself and the slices on either side (zero beyond the ends)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3 * channels, channels, 1)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, slices: int) -> Tensor:
        """(batch * slices, channels, x, y) in and out."""
        stack = features.reshape(-1, slices, *features.shape[1:])
        nothing = torch.zeros_like(stack[:, :1])
        before = torch.cat([nothing, stack[:, :-1]], 1).flatten(0, 1)
        after = torch.cat([stack[:, 1:], nothing], 1).flatten(0, 1)
        mixed: Tensor = self.mix(torch.cat([before, features, after], 1))
        return features + mixed


class StackUNet(nn.Module):
    """Label scores for every pixel of every slice of a stack."""

    def __init__(self, config: StackUNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or StackUNetConfig()
        widths = self.config.widths
        self.down = nn.ModuleList(
            _block(a, b) for a, b in zip((self.config.channels_in, *widths), widths, strict=False)
        )
        self.mix = nn.ModuleDict({str(i): NeighbourMix(widths[i]) for i in range(self.config.mixing_from, len(widths))})
        self.up = nn.ModuleList(_block(a + b, a) for a, b in pairwise(widths))
        self.head = nn.Conv2d(widths[0], self.config.classes, 1)

    @property
    def multiple(self) -> int:
        """In-plane sizes must be multiples of this many pixels."""
        return int(2 ** (len(self.config.widths) - 1))

    def forward(self, stack: Tensor) -> Tensor:
        """Scores before softmax.

        Args:
            stack: (batch, channels, slices, x, y), intensities of mean 0 and standard deviation 1; x and y
                multiples of `multiple`.

        Returns:
            (batch, classes, slices, x, y).

        Raises:
            ValueError: x or y does not fit the levels.
        """
        slices, x, y = stack.shape[2:]
        if x % self.multiple or y % self.multiple:
            raise ValueError(f"in-plane size must be a multiple of {self.multiple} pixels, got {x} x {y}")
        features = stack.transpose(1, 2).flatten(0, 1)
        skipped = []
        for level, block in enumerate(self.down):
            features = block(features if level == 0 else nn.functional.max_pool2d(features, 2))
            if str(level) in self.mix:
                features = self.mix[str(level)](features, slices)
            skipped.append(features)
        for level in range(len(self.up) - 1, -1, -1):
            larger = nn.functional.interpolate(features, scale_factor=2, mode="nearest")
            features = self.up[level](torch.cat([skipped[level], larger], 1))
        scores: Tensor = self.head(features)
        return scores.reshape(-1, slices, *scores.shape[1:]).transpose(1, 2)
