"""What the loop in `fit` needs to know of a task or a pre-training method, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn


@dataclass(frozen=True)
class Loss:
    """Total to descend, and its parts for the log."""

    total: Tensor
    parts: dict[str, float]


class Objective(Protocol):
    """A task with labels, or a pre-training method without."""

    def network(self) -> nn.Module:
        """A fresh network, its weights drawn from torch's current seed."""
        ...

    def batch(self, rng: np.random.Generator, size: int) -> Any:
        """`size` samples in the objective's own form, drawn and augmented with `rng` alone."""
        ...

    def loss(self, network: nn.Module, batch: Any) -> Loss:
        """Loss of one batch."""
        ...

    def check(self, network: nn.Module) -> dict[str, float]:
        """Scores on held-out samples; higher is better for the first."""
        ...
