"""The loss of a network with an output at every level of its decoder.

Source: specification of the self-supervised study's code, section 4; fixtures/ssp/segmentation_loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

SMOOTH = 1e-5


def halving(outputs: int, coarsest: bool = True) -> tuple[float, ...]:
    """Weights of the outputs, full resolution first: each half of the one before, together 1.

    Args:
        outputs: how many.
        coarsest: whether the last one counts; nnU-Net leaves it out. A single output always counts.

    >>> halving(2)
    (0.6666666666666666, 0.3333333333333333)
    >>> halving(3, coarsest=False)
    (0.6666666666666666, 0.3333333333333333, 0.0)
    """
    raw = [0.5**level for level in range(outputs)]
    if not coarsest and outputs > 1:
        raw[-1] = 0.0
    return tuple(weight / sum(raw) for weight in raw)


def shrunk(labels: Tensor, size: Sequence[int]) -> Tensor:
    """(batch, x, y) codes at another size, each pixel that of its middle."""
    return functional.interpolate(labels[:, None].float(), list(size), mode="nearest-exact")[:, 0].long()


def soft_dice(scores: Tensor, labels: Tensor, over_batch: bool = False) -> Tensor:
    """Soft Dice loss, mean over the classes but background.

    Args:
        scores: (batch, classes, x, y), before softmax.
        labels: (batch, x, y) codes.
        over_batch: of the batch as one; else of each sample, where a class that it lacks costs nearly 1.
    """
    shares = scores.softmax(1)
    truth = functional.one_hot(labels, scores.shape[1]).movedim(-1, 1).to(shares.dtype)
    axes = (0, 2, 3) if over_batch else (2, 3)
    both, sizes = (shares * truth).sum(axes), (shares + truth).sum(axes)
    return 1 - ((2 * both + SMOOTH) / (sizes + SMOOTH))[..., 1:].mean()


def deep_loss(
    outputs: Sequence[Tensor], labels: Tensor, weights: Sequence[float], over_batch: bool = False
) -> tuple[Tensor, Tensor]:
    """Cross-entropy and soft Dice loss, each the weighted sum over the outputs.

    Args:
        outputs: (batch, classes, x / 2^i, y / 2^i) each.
        labels: (batch, x, y) codes.
        weights: one for each output.
        over_batch: see `soft_dice`.
    """
    pairs = [(w, s, shrunk(labels, s.shape[2:])) for w, s in zip(weights, outputs, strict=True) if w > 0]
    entropy = sum(w * functional.cross_entropy(s.float(), small) for w, s, small in pairs)
    overlap = sum(w * soft_dice(s.float(), small, over_batch) for w, s, small in pairs)
    return entropy, overlap  # type: ignore[return-value]
