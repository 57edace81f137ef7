"""Losses that any task may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


def dice_loss(scores: Tensor, labels: Tensor, smooth: float = 1.0) -> Tensor:
    """Soft Dice over the whole batch, mean over the classes but background.

    Args:
        scores: (batch, classes, ...), before softmax.
        labels: (batch, ...), class codes.
        smooth: added to both sides of the ratio, so that a class absent from both costs nothing.

    Returns:
        Scalar, 0 (equal) to 1.
    """
    shares = scores.softmax(1)
    truth = functional.one_hot(labels.long(), scores.shape[1]).movedim(-1, 1).to(shares.dtype)
    axes = (0, *range(2, scores.ndim))
    overlap, total = (shares * truth).sum(axes), (shares + truth).sum(axes)
    return 1 - ((2 * overlap + smooth) / (total + smooth))[1:].mean()


def dice_and_cross_entropy(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Soft Dice loss and cross-entropy, both scalars; see `dice_loss` for the shapes."""
    return dice_loss(scores, labels), functional.cross_entropy(scores, labels.long())


def hard_dice(found: Tensor, truth: Tensor, classes: int) -> list[float]:
    """Dice of each class but background over everything given; 1 for a class absent from both."""
    result = []
    for code in range(1, classes):
        a, b = found == code, truth == code
        total = int(a.sum() + b.sum())
        result.append(1.0 if total == 0 else 2.0 * int(torch.logical_and(a, b).sum()) / total)
    return result
