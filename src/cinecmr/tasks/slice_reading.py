"""How a network of slices labels a cine: every slice on the network's grid, its scores back on the slice's own pixels.

Source: specification of the self-supervised study's code, section 7; mirroring and largest parts as nnU-Net does.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from cinecmr.anatomy import Structure
from cinecmr.learn.slice_geometry import back, matrices, sample
from cinecmr.learn.slice_intensity import standardised
from cinecmr.learn.slices import base_to_apex, by_frame, occupied, slices_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from cinecmr.learn.slice_geometry import Geometry
    from cinecmr.learn.slices import Slice
    from cinecmr.study import Image

TOGETHER = 32  # slices that pass the network at once


def labels_of_slices(
    network: nn.Module,
    image: Image,
    geometry: Geometry,
    own_frame: bool = False,
    frames: Iterable[int] | None = None,
    *,
    mirrored: bool = False,
    one_part: bool = False,
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

    Returns:
        (x, y, z, t) `Structure` codes on the image's own grid; `UNSEEN` in other frames and missing slices. Outside
        the network's field there is background.
    """
    chosen = list(range(image.frames) if frames is None else frames)
    labels = np.full(image.data.shape, Structure.UNSEEN, np.uint8)
    window, order = occupied(image.data), base_to_apex(image)
    slices = slices_of("", image, frames=chosen)
    slices = by_frame(slices) if own_frame else slices
    found = _codes(network, slices, geometry, mirrored)
    for number, codes in enumerate(found):
        z, t = order[number % len(order)], chosen[number // len(order)]
        labels[:, :, z, t] = Structure.BACKGROUND
        labels[window[0], window[1], z, t] = codes
    if one_part:
        for t in chosen:
            keep_largest(labels[..., t])
    return labels


@torch.inference_mode()
def _codes(network: nn.Module, slices: Sequence[Slice], geometry: Geometry, mirrored: bool) -> list[NDArray[np.uint8]]:
    device = str(next(network.parameters()).device)
    network.eval()
    found = []
    for first in range(0, len(slices), TOGETHER):
        group = slices[first : first + TOGETHER]
        matrix = matrices(group, geometry.draw(np.random.default_rng(0), len(group)), geometry)
        images = sample([s.pixels for s in group], matrix, geometry.pixels, device=device)
        scores = _scores(network, standardised(images, group)[0], mirrored)
        found += [_inside(read, one, geometry) for read, one in zip(back(scores, group, geometry), group, strict=True)]
    return found


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
