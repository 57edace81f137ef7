"""CineMA's U-Net baseline in two and three dimensions, in which both blocks of a level and its way down are skips.

Parameter names are those of the published weights. Nothing is halved along z: slices are centimetres apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from cinecmr.networks._blocks import ConvNormAct, ConvResBlock, conv, dimensions, patch_conv, unpatch_conv
from cinecmr.networks._shapes import check_image
from cinecmr.networks.vit import economically


@dataclass(frozen=True)
class UNetConfig:
    """Size of a `UNet`.

    Attributes:
        dims: 2 for (x, y), 3 for (x, y, z).
        channels_in, classes: image channels and label codes, background included (or heat maps).
        widths: channels of each level, finest first; every level halves x and y.
        dropout: share of features dropped inside each residual block while training.
        dead_conv: keep the decoder's first convolution, which published weights hold and nothing uses. Its
            parameters never get a gradient, so leave it out of a network that you train yourself.
        checkpointing: compute blocks again in the backward pass instead of keeping their features: less memory, more
            time.
    """

    dims: int = 3
    channels_in: int = 1
    classes: int = 4
    widths: tuple[int, ...] = (32, 64, 128, 256, 512)
    dropout: float = 0.1
    dead_conv: bool = False
    checkpointing: bool = False

    def __post_init__(self) -> None:
        dimensions(self.dims)
        if len(self.widths) < 2:
            raise ValueError(f"a U-Net needs two levels or more, got widths {self.widths}")

    @property
    def halving(self) -> tuple[int, ...]:
        """How many voxels of each axis become one from level to level."""
        return (2, 2, 1)[: self.dims]

    def _two_blocks(self, width: int) -> nn.ModuleList:
        return nn.ModuleList(ConvResBlock(self.dims, width, width, "instance", self.dropout) for _ in range(2))

    def _in_conv(self, channels_in: int) -> ConvNormAct:
        return ConvNormAct(conv(self.dims, channels_in, self.widths[0], 3), "instance")


class _Level(nn.Module):
    """Two residual blocks and the way to the next level; `way` names it, "down" or "up"."""

    def __init__(self, config: UNetConfig, width: int, way: str, after: int | None) -> None:
        super().__init__()
        self.conv = config._two_blocks(width)
        make = patch_conv if way == "down" else unpatch_conv
        self.way: str | None = None if after is None else way
        if after is not None:
            self.add_module(way, make(width, after, config.halving))

    def leave(self, features: Tensor) -> Tensor:
        """To the size and channels of the next level."""
        assert self.way is not None  # noqa: S101 - the last level is never left
        out: Tensor = self.get_submodule(self.way)(features)
        return out


class _Half(nn.Module):
    """The way down or the way up: a first convolution and the levels."""

    def __init__(self, config: UNetConfig, way: str) -> None:
        super().__init__()
        widths = config.widths if way == "down" else config.widths[::-1]
        if way == "down":
            self.in_conv = config._in_conv(config.channels_in)
        elif config.dead_conv:
            self.in_conv = config._in_conv(widths[0])
        levels = [_Level(config, a, way, b) for a, b in pairwise(widths)]
        self.blocks = nn.ModuleList([*levels, _Level(config, widths[-1], way, None)])


def _padded_like(features: Tensor, model: Tensor) -> Tensor:
    """Zeros added at the far end of each axis until the sizes agree: odd sizes lose a voxel on the way down."""
    missing = [m - f for f, m in zip(features.shape[2:], model.shape[2:], strict=True)]
    if not any(missing):
        return features
    return nn.functional.pad(features, [n for m in reversed(missing) for n in (0, m)])


class UNet(nn.Module):
    """Label scores, or heat maps, for every voxel."""

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or UNetConfig()
        self.encoder = _Half(self.config, "down")
        self.decoder = _Half(self.config, "up")
        self.out_conv = conv(self.config.dims, self.config.widths[0], self.config.classes, 1)

    @property
    def smallest(self) -> tuple[int, ...]:
        """Fewest voxels along each axis: the deepest level keeps one, two along x, over which it can take a norm."""
        deepest = 2 ** (len(self.config.widths) - 1)
        return (2 * deepest, deepest, 1)[: self.config.dims]

    def _down(self, image: Tensor) -> list[Tensor]:
        """Everything the decoder will ask for, in the order in which it was made."""
        features = self.encoder.in_conv(image)
        made = [features]
        for level in self.encoder.blocks:
            assert isinstance(level, _Level)  # noqa: S101 - for the type checker
            for block in level.conv:
                features = economically(block, self.config.checkpointing, features)
                made.append(features)
            if level.way:
                features = level.leave(features)
                made.append(features)
        return made

    def forward(self, image: Tensor) -> Tensor:
        """Scores before softmax.

        Args:
            image: (batch, channels, x, y[, z]); sizes need not be even, only at least `smallest`.

        Returns:
            (batch, classes, x, y[, z]).

        Raises:
            ValueError: another number of axes or channels, or an axis that is too short for the levels.
        """
        check_image(image, self.config.channels_in, (1,) * self.config.dims, smallest=self.smallest)
        made = self._down(image)
        features = made.pop()
        for level in self.decoder.blocks:
            assert isinstance(level, _Level)  # noqa: S101 - for the type checker
            for block in level.conv:
                features = economically(block, self.config.checkpointing, features) + made.pop()
            if level.way:
                skip = made.pop()
                features = _padded_like(level.leave(features), skip) + skip
        scores: Tensor = self.out_conv(features)
        return scores
