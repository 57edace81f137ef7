"""How alike two samples of pictures are, and how far tissue changes its volume: the losses of the published recipe.

Source: tagged-informed INR motion prior; specification, section 2. The determinant is taken on the myocardium alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

CLIP = (0.1, 10.0)  # of determinants in the penalty


def correlation(first: Tensor, second: Tensor) -> Tensor:
    """Normalised cross-correlation over all values: 1 for pictures that differ in brightness and contrast alone.

    Args:
        first: (n,).
        second: (n,).

    Returns:
        Mean product of the centred values over the product of their unbiased deviations, as published.
    """
    a, b = first - first.mean(), second - second.mean()
    return (a * b).mean() / (_deviation(a) * _deviation(b))


def local_correlation(first: Tensor, second: Tensor, window: int = 9) -> Tensor:
    """Mean squared correlation in windows of two images (x, y): blind to slow changes of brightness.

    Args:
        first: (x, y).
        second: (x, y).
        window: pixels a side, odd.
    """
    pair = torch.stack([first, second, first * first, second * second, first * second])[:, None]
    kernel = torch.full((1, 1, window, window), 1 / window**2, dtype=first.dtype, device=first.device)
    a, b, aa, bb, ab = torch.nn.functional.conv2d(pair, kernel)[:, 0]
    spread = (aa - a * a).clamp_min(0) * (bb - b * b).clamp_min(0)
    mean: Tensor = ((ab - a * b) ** 2 / (spread + 1e-8)).mean()
    return mean


def _deviation(centred: Tensor) -> Tensor:
    return torch.sqrt((centred**2).sum() / (len(centred) - 1) + 1e-12)


def volume_penalty(gradients: Tensor) -> Tensor:
    """Mean of d - 1 + 1 / d - 1, d the determinant of F within `CLIP`: 0 where tissue keeps its volume.

    Args:
        gradients: (n, 3, 3) of the displacement.
    """
    f = gradients + torch.eye(3, dtype=gradients.dtype, device=gradients.device)
    rows = f.unbind(-2)
    d = (rows[0] * torch.linalg.cross(rows[1], rows[2])).sum(-1).clamp(*CLIP)
    mean: Tensor = (d - 1 + 1 / d - 1).mean()
    return mean
