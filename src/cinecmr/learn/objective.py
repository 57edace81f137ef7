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
    """A task with labels, or a pre-training method without.

    An objective may have more than these four, and `fit` then uses it:

    - `size`, `sample(number, rng)` and `collate(samples)`: samples by number, for recipes that go by epochs;
    - `parameter_groups(network, optimiser)`: AdamW's groups, each with `params`, `weight_decay` and `lr_scale`;
    - `after_step(network, update)`: called after each update, before the weights are averaged;
    - `begin(network, tensors)`: gives a fresh network the weights of another run.
    """

    def network(self) -> nn.Module:
        """A fresh network, its weights drawn from torch's current seed."""
        ...

    def batch(self, rng: np.random.Generator, size: int) -> Any:
        """`size` samples in the objective's own form, drawn and augmented with `rng` alone."""
        ...

    def loss(self, network: nn.Module, batch: Any) -> Loss:
        """Mean loss of the samples of one batch, which lies on the network's device."""
        ...

    def check(self, network: nn.Module) -> dict[str, float]:
        """Scores on held-out samples; higher is better for the first."""
        ...
