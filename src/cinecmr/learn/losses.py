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


def info_nce(similarity: Tensor, positives: Tensor) -> Tensor:
    """Contrast of the pairs that belong together with all pairs of a row.

    Of every row, the mean over its positives of the log share that each has among all columns; minus the mean over the
    rows. A row without a positive is left out.

    Args:
        similarity: (rows, columns), already divided by the temperature; -inf for pairs that do not count at all, such
            as a sample with itself.
        positives: (rows, columns) bool, True where a pair belongs together.

    Returns:
        Scalar.

    Raises:
        ValueError: shapes differ, or there is no positive pair at all, as in a batch of one.

    Source: Chen et al. 2020 (SimCLR), equation 1, with one positive a row; Khosla et al. 2020, equation 2, with more.

    >>> pairs = torch.tensor([[True, False, False], [True, True, False]])
    >>> round(float(info_nce(torch.zeros(2, 3), pairs).exp()), 4)  # each of three is as likely
    3.0
    """
    if similarity.shape != positives.shape:
        raise ValueError(f"similarity {tuple(similarity.shape)} and positives {tuple(positives.shape)} differ in shape")
    counts = positives.sum(1)
    if not bool((counts > 0).any()):
        raise ValueError("no pair belongs together, so there is nothing to contrast; give a larger batch")
    shares = similarity.log_softmax(1)
    told = torch.where(positives, shares, torch.zeros_like(shares)).sum(1)
    kept = counts > 0
    return -(told[kept] / counts[kept]).mean()
