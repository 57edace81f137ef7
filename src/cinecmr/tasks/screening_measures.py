"""Before screening: one encoder learns to read volumes, ejection fractions and mass from clips of any sequence.

The published encoders have seen a quarter of a million films before they see a heart. Where no such weights are at
hand, an encoder can look at other synthetic hearts, whose measures are known exactly: it hears nothing of illness and
nothing of scar. Every sequence then begins with a copy of it, as the published ones do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from cinecmr.learn.objective import Loss
from cinecmr.tasks.screening_data import SEQUENCES
from cinecmr.tasks.screening_network import ScreeningConfig, SwinEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.tasks.screening_samples import Augment, Samples

_ASKED = 16  # clips that go through the encoder at once when nothing is learned


class MeasuringNetwork(nn.Module):
    """A Video Swin encoder with a linear head for every measure."""

    def __init__(self, config: ScreeningConfig, measures: int) -> None:
        super().__init__()
        self.encoder = SwinEncoder(config.swin)
        self.head = nn.Linear(config.swin.features, measures)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, clips: Tensor) -> Tensor:
        """(batch, slices, moments, x, y) to (batch, measures), in standard deviations from the mean."""
        found: Tensor = self.head(self.encoder(clips))
        return found


@dataclass
class MeasurePhase:
    """Learn measures from clips; each batch is of one sequence, drawn anew.

    Attributes:
        samples: to learn from; classes are not looked at. inner: of other subjects, for `check`.
        measures, inner_measures: (n, k) true values of both, in any unit.
        config, augment: as screening has them.
    """

    samples: Samples
    inner: Samples
    measures: NDArray[np.float64]
    inner_measures: NDArray[np.float64]
    config: ScreeningConfig
    augment: Augment

    def __post_init__(self) -> None:
        if self.config.encoder != "video_swin":
            raise ValueError(f"the encoder that learns measures is video_swin, got {self.config.encoder}")
        spread = self.measures.std(0)
        if not (np.isfinite(self.measures).all() and (spread > 0).all()):
            raise ValueError("measures are finite numbers that differ between subjects")
        self._targets = ((self.measures - self.measures.mean(0)) / spread).astype(np.float32)

    @property
    def size(self) -> int:
        """Draws of an epoch: every clip of every subject."""
        return len(SEQUENCES) * len(self.samples)

    def network(self) -> nn.Module:
        """A fresh encoder and head."""
        return MeasuringNetwork(self.config, self.measures.shape[1])

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
        """(size, slices, moments, x, y) of one sequence and (size, k) standardised measures."""
        sequence = SEQUENCES[int(rng.integers(len(SEQUENCES)))]
        have = np.flatnonzero(self.samples.there[sequence])
        rows = rng.choice(have, size, replace=size > len(have))
        clips = self.augment(self.samples.clip(sequence, rows), sequence, rng)
        return clips, torch.from_numpy(self._targets[rows])

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> Loss:
        """Mean squared error in standard deviations: 1 for who says the mean."""
        clips, targets = batch
        return Loss(nn.functional.mse_loss(network(clips).float(), targets), {})

    def check(self, network: nn.Module) -> dict[str, float]:
        """Mean correlation with the truth over the measures, for each sequence of the inner subjects."""
        told = {}
        for sequence in SEQUENCES:
            have = np.flatnonzero(self.inner.there[sequence])
            device = next(network.parameters()).device
            parts = [
                network(self.inner.clip(sequence, have[i : i + _ASKED]).to(device)).cpu()
                for i in range(0, len(have), _ASKED)
            ]
            said, truth = torch.cat(parts).double().numpy(), self.inner_measures[have]
            told[f"correlation_{sequence}"] = float(
                np.mean([_correlation(*pair) for pair in zip(said.T, truth.T, strict=True)])
            )
        return told


def _correlation(said: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Pearson's; 0 where either stands still."""
    if not (said.std() > 0 and truth.std() > 0):
        return 0.0
    return float(np.corrcoef(said, truth)[0, 1])
