"""Whether a network still tells slices apart, or answers every one of them alike."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


class CollapseWarning(UserWarning):
    """Pre-training has stopped to distinguish slices; what it leaves is worth no more than weights drawn at random."""


def effective_rank(features: Tensor) -> float:
    """In how many directions features vary: the exponent of the entropy of their singular values, mean taken off.

    Args:
        features: (samples, width).

    Returns:
        1 where all lie on a line, up to the smaller of samples - 1 and width; 0 where all are equal.

    Source: Roy & Vetterli 2007.

    >>> round(effective_rank(torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]])), 4)
    2.0
    """
    values = torch.linalg.svdvals((features - features.mean(0)).float())
    if float(values.sum()) < 1e-12:
        return 0.0
    shares = values / values.sum()
    return float(torch.exp(-(shares * shares.clamp_min(1e-12).log()).sum()))


def spread(features: Tensor) -> float:
    """How far directions of features differ: 0 where all point one way, 1 where they point everywhere alike.

    Args:
        features: (samples, width); their lengths do not matter.

    >>> round(spread(torch.tensor([[1.0, 0], [-2, 0], [0, 1], [0, -1]])), 4)
    1.0
    """
    directions = functional.normalize(features.float(), dim=1)
    return float((1 - directions.mean(0).square().sum()).clamp_min(0).sqrt())


@dataclass
class CollapseWatch:
    """Looks at the features of every update, and warns once.

    Attributes:
        rank, spread: below either, an update counts as collapsed.
        patience: so many of them in a row are a collapse. grace: first updates, of which none counts.
        what: whose features, for the warning.
    """

    what: str
    rank: float = 1.5
    spread: float = 0.05
    patience: int = 20
    grace: int = 50

    def __post_init__(self) -> None:
        self._seen = self._collapsed = 0
        self._warned = False

    def __call__(self, features: Tensor) -> dict[str, float]:
        """Effective rank and spread, for the log; (samples, width)."""
        with torch.no_grad():
            told = {"effective_rank": effective_rank(features), "feature_spread": spread(features)}
        self._seen += 1
        flat = told["effective_rank"] < self.rank or told["feature_spread"] < self.spread
        self._collapsed = self._collapsed + 1 if flat and self._seen > self.grace else 0
        if self._collapsed >= self.patience and not self._warned:
            self._warned = True
            warnings.warn(
                f"{self.what} gives nearly the same answer for every slice (its features vary in "
                f"{told['effective_rank']:.1f} directions, spread {told['feature_spread']:.3f} of 1): it has collapsed "
                "and will not help a task. Lower the learning rate, enlarge the batch, or take another method.",
                CollapseWarning,
                stacklevel=2,
            )
        return told
