"""SIREN: a function of points in space and time with sines for activations, and its exact gradient in space.

Source: Sitzmann et al., "Implicit neural representations with periodic activation functions" (2020); sizes and
start as in the tagged-informed motion prior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class SirenConfig:
    """Size of a `Siren`.

    Attributes:
        widths: numbers going in, of every hidden layer, and coming out; in are x, y, z (and t), out a displacement.
        omega: factor inside every sine; larger means finer detail.
    """

    widths: tuple[int, ...] = (4, 256, 256, 256, 3)
    omega: float = 45.0

    def __post_init__(self) -> None:
        if len(self.widths) < 3:
            raise ValueError(f"a SIREN needs widths of input, one hidden layer or more, and output, got {self.widths}")
        if not self.omega > 0:
            raise ValueError(f"omega must be above 0, got {self.omega}")


class Siren(nn.Module):
    """Values at points: sin(omega (W x + b)) layer after layer, the last one linear."""

    def __init__(self, config: SirenConfig | None = None) -> None:
        super().__init__()
        self.config = config or SirenConfig()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(self.config.widths))
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)  # noqa: S101 - for the type checker
            fan_in = layer.in_features
            bound = 1 / fan_in if number == 0 else math.sqrt(6 / fan_in) / self.config.omega
            nn.init.uniform_(layer.weight, -bound, bound)  # biases keep torch's own start

    def _check(self, points: Tensor) -> None:
        wanted = self.config.widths[0]
        if points.ndim < 1 or points.shape[-1] != wanted:
            raise ValueError(f"points need {wanted} coordinates on their last axis, got shape {tuple(points.shape)}")

    def forward(self, points: Tensor) -> Tensor:
        """(..., coordinates) in, (..., values) out; coordinates lie within about -1 to 1.

        Raises:
            ValueError: another number of coordinates.
        """
        self._check(points)
        for layer in self.layers[:-1]:
            points = torch.sin(self.config.omega * layer(points))
        values: Tensor = self.layers[-1](points)
        return values

    def with_gradient(self, points: Tensor, axes: int = 3) -> tuple[Tensor, Tensor]:
        """Values and their exact derivatives, both differentiable; one pass instead of a reverse pass a value.

        The chain rule is carried along: where h = sin(a), dh = cos(a) da, and da = omega W dx.

        Args:
            points: (..., coordinates).
            axes: how many of the first coordinates to derive by (time comes last and is left out).

        Returns:
            (..., values), and (..., values, axes): derivative of each value by each coordinate, in the units of
            the coordinates.

        Raises:
            ValueError: another number of coordinates, or more axes than there are coordinates.
        """
        self._check(points)
        if not 1 <= axes <= points.shape[-1]:
            raise ValueError(f"cannot derive by {axes} axes: points have {points.shape[-1]} coordinates")
        slope = torch.eye(points.shape[-1], dtype=points.dtype, device=points.device)[:axes]  # (..., axes, width)
        for layer in self.layers[:-1]:
            inner = self.config.omega * layer(points)
            slope = torch.cos(inner).unsqueeze(-2) * (self.config.omega * _without_bias(layer, slope))
            points = torch.sin(inner)
        return self.layers[-1](points), _without_bias(self.layers[-1], slope).transpose(-1, -2)


def _without_bias(layer: nn.Module, change: Tensor) -> Tensor:
    """How a linear layer passes on a change of its input."""
    assert isinstance(layer, nn.Linear)  # noqa: S101 - for the type checker
    return nn.functional.linear(change, layer.weight)
