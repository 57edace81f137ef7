"""How a network of slices labels a cine: every slice on the network's grid, its scores back on the slice's own pixels.

Source: specification of the self-supervised study's code, section 7; mirroring and largest parts as nnU-Net does.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from cinecmr.anatomy import Structure
from cinecmr.learn.slice_geometry import back, matrices, sample, shifted, windows
from cinecmr.learn.slice_intensity import standardised
from cinecmr.learn.slices import base_to_apex, by_frame, occupied, respaced, slices_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from cinecmr.learn.slice_geometry import Geometry, Moves
    from cinecmr.learn.slices import Slice
    from cinecmr.study import Image

TOGETHER = 32  # slices that pass the network at once


class Ensemble(nn.Module):
    """Several networks as one, whose shares of each class are the mean of theirs."""

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """(batch, 1, x, y) to (batch, classes, x, y): logarithms of the mean shares."""
        shares = torch.stack([network(images)[0].softmax(1) for network in self.networks]).mean(0)
        return (shares.clamp_min(1e-7).log(),)  # of 0 there is no logarithm, and interpolation would spread it


def labels_of_slices(
    network: nn.Module,
    image: Image,
    geometry: Geometry,
    own_frame: bool = False,
    frames: Iterable[int] | None = None,
    *,
    mirrored: bool = False,
    one_part: bool = False,
    spline: bool = False,
    sliding: bool = False,
) -> NDArray[np.uint8]:
    """Label a short-axis cine.

    Args:
        network: gives scores of 0 background, 1 RV, 2 MYO, 3 LV, full resolution first.
        image: the cine.
        geometry: the network's grid, without any change.
        own_frame: standardise each frame by itself instead of the whole cine.
        frames: to label; None for all.
        mirrored: average the shares of four mirrored copies.
        one_part: keep the largest part of each structure in each frame.
        spline: slices are brought to the network's spacing by cubic splines first.
        sliding: where a slice is larger than the network's field, the field visits all of it; else there is
            background outside.

    Returns:
        (x, y, z, t) `Structure` codes on the image's own grid; `UNSEEN` in other frames and missing slices.
    """
    chosen = list(range(image.frames) if frames is None else frames)
    labels = np.full(image.data.shape, Structure.UNSEEN, np.uint8)
    window, order = occupied(image.data), base_to_apex(image)
    slices = slices_of("", image, frames=chosen)
    slices = by_frame(slices) if own_frame else slices
    network.eval()
    with torch.inference_mode():
        shown = respaced(slices, geometry.spacing_mm) if spline else slices
        found = (_visited if sliding and _too_large(slices, geometry) else _codes)(
            network, slices, shown, geometry, mirrored
        )
    for number, codes in enumerate(found):
        z, t = order[number % len(order)], chosen[number // len(order)]
        labels[:, :, z, t] = Structure.BACKGROUND
        labels[window[0], window[1], z, t] = codes
    if one_part:
        for t in chosen:
            keep_largest(labels[..., t])
    return labels


def _codes(
    network: nn.Module, slices: Sequence[Slice], shown: Sequence[Slice], geometry: Geometry, mirrored: bool
) -> list[NDArray[np.uint8]]:
    """Codes of slices, each in the middle of the field; `shown` are the same as the network shall see them."""
    found = []
    for first in range(0, len(slices), TOGETHER):
        group, seen = (some[first : first + TOGETHER] for some in (slices, shown))
        scores = _answers(network, seen, shifted(np.zeros((len(seen), 2))), geometry, mirrored)
        found += [_inside(read, one, geometry) for read, one in zip(back(scores, group, geometry), group, strict=True)]
    return found


def _too_large(slices: Sequence[Slice], geometry: Geometry) -> bool:
    return any(len(windows(one, geometry).turn) > 1 for one in slices[:1])


def _visited(
    network: nn.Module, slices: Sequence[Slice], shown: Sequence[Slice], geometry: Geometry, mirrored: bool
) -> list[NDArray[np.uint8]]:
    """Codes of slices that are larger than the field, which visits all of each; its middle counts more than its edge.

    Source: nnU-Net, Gaussian weights of an eighth of the field.
    """
    away = (torch.arange(geometry.pixels) - (geometry.pixels - 1) / 2) / (geometry.pixels / 8)
    bell = torch.exp(-(away**2) / 2)
    weights, found = bell[:, None] * bell[None], []
    for one, seen in zip(slices, shown, strict=True):
        moves = windows(one, geometry)
        count = len(moves.turn)
        scores = _answers(network, [seen] * count, moves, geometry, mirrored)
        read = back(scores * weights.to(scores.device), [one] * count, geometry, moves, "zeros")
        found.append(torch.stack(read).sum(0).argmax(0).cpu().numpy().astype(np.uint8))
    return found


def _answers(network: nn.Module, slices: Sequence[Slice], moves: Moves, geometry: Geometry, mirrored: bool) -> Tensor:
    device = str(next(network.parameters()).device)
    images = sample([s.pixels for s in slices], matrices(slices, moves, geometry), geometry.pixels, device=device)
    return _scores(network, standardised(images, slices)[0], mirrored)


def _scores(network: nn.Module, images: Tensor, mirrored: bool) -> Tensor:
    if not mirrored:
        scores: Tensor = network(images)[0]
        return scores
    answers = []
    for axes in (
        [axis for axis, turned in zip((2, 3), turns, strict=True) if turned] for turns in product((0, 1), (0, 1))
    ):
        answers.append(network(images.flip(axes))[0].softmax(1).flip(axes))
    return torch.stack(answers).mean(0)


def _inside(scores: Tensor, one: Slice, geometry: Geometry) -> NDArray[np.uint8]:
    """Codes of one slice; background beyond the field that the network saw, where its edge is merely repeated."""
    best, codes = scores[0], torch.zeros(scores.shape[1:], dtype=torch.uint8, device=scores.device)
    for code in range(1, len(scores)):  # several times faster than an argmax over the first axis
        codes[scores[code] > best] = code
        best = torch.maximum(best, scores[code])
    drawn = codes.cpu().numpy()
    half = geometry.pixels * geometry.spacing_mm / 2
    for axis, (size, step) in enumerate(zip(one.pixels.shape, one.spacing, strict=True)):
        away = np.abs(np.arange(size) - (size - 1) / 2) * step > half
        drawn[(away, slice(None)) if axis == 0 else (slice(None), away)] = 0
    return np.asarray(drawn, np.uint8)


def keep_largest(labels: NDArray[np.uint8]) -> None:
    """Leave only the largest connected part of RV, MYO and LV, in place; (x, y, z)."""
    for structure in (Structure.RV, Structure.MYO, Structure.LV):
        parts, count = ndimage.label(labels == structure)
        if count > 1:
            sizes = np.bincount(parts.ravel())[1:]
            labels[(parts > 0) & (parts != 1 + int(sizes.argmax()))] = Structure.BACKGROUND
