"""Residual networks in two and three dimensions: CineMA's baselines for classification and regression.

The three-dimensional one is the two-dimensional with every kernel and stride extended to z. Names of parameters are
those of torchvision, which the published weights follow.

Source: He et al., "Deep residual learning for image recognition" (2016), with the stride on the 3 x 3 convolution.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cinecmr.networks._shapes import check_image

DEPTHS = {18: (False, (2, 2, 2, 2)), 34: (False, (3, 4, 6, 3)), 50: (True, (3, 4, 6, 3)), 101: (True, (3, 4, 23, 3))}
_CONVS = {2: nn.Conv2d, 3: nn.Conv3d}
_NORMS = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


@dataclass(frozen=True)
class ResNetConfig:
    """Size of a `ResNet`.

    Attributes:
        dims: 2 for (x, y), 3 for (x, y, z).
        channels_in, values_out: image channels, and numbers to answer with (classes, or regressed values).
        depth: 18, 34 (plain blocks), 50 or 101 (bottlenecks).
        widths: channels inside the blocks of the four layers; bottlenecks give out four times as many.
    """

    dims: int = 3
    channels_in: int = 1
    values_out: int = 1
    depth: int = 50
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)

    def __post_init__(self) -> None:
        if self.dims not in _CONVS:
            raise ValueError(f"images have 2 (x, y) or 3 (x, y, z) spatial axes, not {self.dims}")
        if self.depth not in DEPTHS:
            raise ValueError(f"no residual network of depth {self.depth}: there are {', '.join(map(str, DEPTHS))}")


def _conv(dims: int, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Module:
    return _CONVS[dims](channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False)


class _Residual(nn.Module, ABC):
    """Convolutions with batch norm and ReLU, added to the input; subclasses name the convolutions."""

    def __init__(self, dims: int, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.downsample: nn.Sequential | None = None
        if stride != 1 or channels_in != channels_out:
            change = _conv(dims, channels_in, channels_out, 1, stride)
            self.downsample = nn.Sequential(change, _NORMS[dims](channels_out))

    @abstractmethod
    def _branch(self, features: Tensor) -> Tensor:
        """The convolutions, before the input is added."""

    def forward(self, features: Tensor) -> Tensor:
        """(batch, channels, ...) in and out."""
        kept = features if self.downsample is None else self.downsample(features)
        return nn.functional.relu(self._branch(features) + kept)


class _Basic(_Residual):
    def __init__(self, dims: int, channels_in: int, width: int, stride: int) -> None:
        super().__init__(dims, channels_in, width, stride)
        self.conv1, self.bn1 = _conv(dims, channels_in, width, 3, stride), _NORMS[dims](width)
        self.conv2, self.bn2 = _conv(dims, width, width, 3), _NORMS[dims](width)

    def _branch(self, features: Tensor) -> Tensor:
        features = nn.functional.relu(self.bn1(self.conv1(features)))
        out: Tensor = self.bn2(self.conv2(features))
        return out


class _Bottleneck(_Residual):
    def __init__(self, dims: int, channels_in: int, width: int, stride: int) -> None:
        super().__init__(dims, channels_in, 4 * width, stride)
        self.conv1, self.bn1 = _conv(dims, channels_in, width, 1), _NORMS[dims](width)
        self.conv2, self.bn2 = _conv(dims, width, width, 3, stride), _NORMS[dims](width)
        self.conv3, self.bn3 = _conv(dims, width, 4 * width, 1), _NORMS[dims](4 * width)

    def _branch(self, features: Tensor) -> Tensor:
        features = nn.functional.relu(self.bn1(self.conv1(features)))
        features = nn.functional.relu(self.bn2(self.conv2(features)))
        out: Tensor = self.bn3(self.conv3(features))
        return out


class ResNet(nn.Module):
    """A few numbers from an image of any size."""

    def __init__(self, config: ResNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or ResNetConfig()
        dims, widths = self.config.dims, self.config.widths
        bottleneck, counts = DEPTHS[self.config.depth]
        expansion = 4 if bottleneck else 1
        block = _Bottleneck if bottleneck else _Basic
        self.conv1 = _conv(dims, self.config.channels_in, widths[0], 7, 2)
        self.bn1 = _NORMS[dims](widths[0])
        self.maxpool = (nn.MaxPool2d if dims == 2 else nn.MaxPool3d)(3, stride=2, padding=1)
        channels = widths[0]
        for number, (width, count) in enumerate(zip(widths, counts, strict=True)):
            blocks = []
            for position in range(count):
                blocks.append(block(dims, channels, width, stride=2 if number and not position else 1))
                channels = expansion * width
            self.add_module(f"layer{number + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, self.config.values_out)
        self._start()

    def _start(self) -> None:
        """Convolutions start by He's rule for ReLU."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, image: Tensor) -> Tensor:
        """The last feature map, (batch, channels, ...), each axis 1/32 of the image's, rounded up.

        Raises:
            ValueError: another number of axes or channels; or, in training, one sample so small that the last map
                is a single voxel, over which batch norm has nothing to average.
        """
        check_image(image, self.config.channels_in, (1,) * self.config.dims)
        if self.training and image.shape[0] == 1 and max(image.shape[2:]) <= 32:
            raise ValueError(
                f"training on one image of {' x '.join(map(str, image.shape[2:]))} voxels leaves batch norm a single "
                "value: give two samples or more, or an axis of more than 32 voxels"
            )
        out: Tensor = self.maxpool(nn.functional.relu(self.bn1(self.conv1(image))))
        for number in range(1, 5):
            out = self.get_submodule(f"layer{number}")(out)
        return out

    def forward(self, image: Tensor) -> Tensor:
        """(batch, channels, x, y[, z]) to (batch, values_out): class scores before softmax, or regressed values.

        Raises:
            ValueError: as `features`.
        """
        found: Tensor = self.fc(torch.flatten(self.features(image), 2).mean(2))
        return found
