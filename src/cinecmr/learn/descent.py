"""Stochastic gradient descent with momentum, and its learning rates: polynomial, cosine, with or without warm-up.

A `Descent` stands in a recipe where `Optimiser` (AdamW) stands otherwise; `fit` asks it for optimiser and rate.

Source: specification of the self-supervised study's code, sections 4 and 5; fixtures/ssp/intensity_schedules, dino.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from cinecmr.learn.recipe import Optimiser

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Descent(Optimiser):
    """SGD.

    Attributes:
        rate, decay, clip, average: see `Optimiser`; decay here is plain L2, as SGD has it.
        momentum, nesterov: of the steps.
        curve: "polynomial" to 0, "cosine" to `last_rate`, or "constant".
        power: of the polynomial.
        step: updates for which a rate holds; an epoch's, where the rate goes by epochs.
        warmup: updates of a straight rise from 0 to the peak, which the last of them reaches.
    """

    rate: float = 0.01
    decay: float = 3e-5
    warmup: int = 0
    clip: float = 1e9  # that is, none
    average: float = 0.0
    momentum: float = 0.99
    nesterov: bool = True
    curve: Literal["polynomial", "cosine", "constant"] = "polynomial"
    power: float = 0.9
    step: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.curve not in ("polynomial", "cosine", "constant"):
            raise ValueError(f"no curve {self.curve!r}: there are polynomial, cosine, constant")
        if not 0 < self.momentum < 1 or self.step < 1:
            raise ValueError(f"momentum is between 0 and 1 and step 1 or more, got {self.momentum} and {self.step}")

    def rate_at(self, update: int, updates: int) -> float:
        """Learning rate of an update, counted from 0, of so many.

        >>> [round(Descent().rate_at(epoch, 1000), 6) for epoch in (0, 1, 999)]
        [0.01, 0.009991, 2e-05]
        """
        if update < self.warmup:
            return self.rate * update / max(1, self.warmup - 1)
        place = (update - self.warmup) // self.step
        share = place / max(1.0, (updates - self.warmup) / self.step)
        if self.curve == "polynomial":
            return float(self.rate * (1 - share) ** self.power)
        if self.curve == "cosine":
            return self.last_rate + 0.5 * (self.rate - self.last_rate) * (1 + math.cos(math.pi * share))
        return self.rate

    def optimiser(self, network: nn.Module, given: list[dict[str, Any]] | None = None) -> torch.optim.SGD:
        """SGD over the groups given, or over every parameter that learns; vectors spared from decay where asked."""
        learning = [p for p in network.parameters() if p.requires_grad]
        groups = given or [
            {"params": [p for p in learning if p.ndim > 1 or not self.spare_vectors], "weight_decay": self.decay},
            {"params": [p for p in learning if p.ndim < 2 and self.spare_vectors], "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        return torch.optim.SGD(
            groups, lr=self.rate, momentum=self.momentum, nesterov=self.nesterov, weight_decay=self.decay
        )
