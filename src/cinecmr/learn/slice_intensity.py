"""What may happen to the brightness of a slice: noise, blur, contrast, gamma, a lower resolution.

A whole batch at once, torch, on any device; everything random is drawn from the numpy generator given.

Source: specification of the self-supervised study's code, sections 2.2, 2.3 and 12; fixtures/ssp/intensity_schedules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from cinecmr.learn.slices import Slice

Range = tuple[float, float]


@dataclass(frozen=True)
class SliceIntensity:
    """How strongly slices are changed; every change has its own chance, in the order in which it is applied.

    Attributes:
        noise, noise_chance: largest standard deviation added.
        blur, blur_chance: width of the Gaussian, pixels, drawn for each axis.
        factor, factor_chance: multiplies. factor_adds: multiply by 1 + factor instead, as the published code did.
        shift, shift_chance: largest value added.
        contrast, contrast_chance: multiplies the distance to the sample's mean; its range of values stays.
        coarse, coarse_chance: share of the pixels that is left before they are enlarged again.
        inverted_chance: gamma of the negative. keep_statistics: mean and deviation are put back after each gamma.
        gamma, gamma_chance: exponent between the sample's smallest and largest value.
        solarise_chance: values above 0 are taken from the cine's largest.
    """

    noise: float = 0.2
    noise_chance: float = 0.2
    blur: Range = (0.5, 1.5)
    blur_chance: float = 0.2
    factor: Range = (0.6, 1.5)
    factor_chance: float = 1.0
    factor_adds: bool = False
    shift: float = 0.4
    shift_chance: float = 1.0
    contrast: Range = (0.75, 1.25)
    contrast_chance: float = 0.0
    coarse: Range = (0.5, 1.0)
    coarse_chance: float = 0.0
    inverted_chance: float = 0.0
    keep_statistics: bool = False
    gamma: Range = (0.7, 1.5)
    gamma_chance: float = 1.0
    solarise_chance: float = 0.0

    def off(self) -> SliceIntensity:
        """No change at all."""
        nothing = {name: 0.0 for name in self.__dataclass_fields__ if name.endswith("_chance")}
        return replace(self, **nothing)  # type: ignore[arg-type]

    def __call__(self, images: Tensor, rng: np.random.Generator, highest: Tensor | None = None) -> Tensor:
        """Changed copies.

        Args:
            images: (n, 1, x, y), standardised.
            rng: of everything random.
            highest: (n,) largest value of each cine, standardised; for solarisation.
        """
        n = len(images)

        def where(chance: float) -> Tensor:
            return torch.from_numpy(rng.random(n) < chance).to(images.device)

        def drawn(low: float, high: float) -> Tensor:
            return torch.from_numpy(rng.uniform(low, high, (n, 1, 1, 1)).astype(np.float32)).to(images.device)

        chosen, width = where(self.noise_chance), drawn(0, self.noise)
        if chosen.any():
            grain = torch.from_numpy(rng.standard_normal(images.shape, np.float32)).to(images.device)
            images = _only(chosen, images + width * grain, images)
        chosen, widths = where(self.blur_chance), rng.uniform(*self.blur, (n, 2))
        if chosen.any():
            images = images.clone()
            images[chosen] = blurred(images[chosen], widths[chosen.cpu().numpy()])
        factor = drawn(*self.factor) + (1 if self.factor_adds else 0)
        images = _only(where(self.factor_chance), images * factor, images)
        images = _only(where(self.shift_chance), images + drawn(-self.shift, self.shift), images)
        chosen, factor = where(self.contrast_chance), drawn(*self.contrast)
        if chosen.any():
            images = _only(chosen, contrasted(images, factor), images)
        chosen, shares = where(self.coarse_chance), rng.uniform(*self.coarse, n)
        for number in chosen.nonzero()[:, 0].tolist():
            images = images.clone() if number == 0 else images
            images[number] = coarsened(images[number : number + 1], shares[number])[0]
        for chance, inverted in ((self.inverted_chance, True), (self.gamma_chance, False)):
            chosen, power = where(chance), drawn(*self.gamma)
            if chosen.any():
                images = _only(chosen, bent(images, power, inverted, self.keep_statistics), images)
        chosen = where(self.solarise_chance)
        if chosen.any() and highest is not None:
            top = highest.to(images.device)[:, None, None, None]
            images = _only(chosen, solarised(images, top), images)
        return images


def _only(chosen: Tensor, changed: Tensor, images: Tensor) -> Tensor:
    return torch.where(chosen[:, None, None, None], changed, images)


def standardised(images: Tensor, slices: Sequence[Slice]) -> tuple[Tensor, Tensor]:
    """Subtract each cine's mean, divide by its deviation.

    Returns:
        (n, 1, x, y) images, and (n,) the largest value of each cine on the same scale.
    """
    told = np.array([(s.intensities.mean, max(s.intensities.deviation, 1e-6), s.intensities.highest) for s in slices])
    mean, deviation, highest = torch.from_numpy(told.T.astype(np.float32)).to(images.device)
    scaled = (images - mean[:, None, None, None]) / deviation[:, None, None, None]
    return scaled, (highest - mean) / deviation


def bent(images: Tensor, power: Tensor, inverted: bool = False, keep_statistics: bool = False) -> Tensor:
    """Gamma between each sample's smallest and largest value; of the negative where `inverted`."""
    images = -images if inverted else images
    mean, deviation = images.mean((1, 2, 3), True), images.std((1, 2, 3), keepdim=True)
    low, high = images.amin((1, 2, 3), True), images.amax((1, 2, 3), True)
    changed = ((images - low) / (high - low + 1e-7)) ** power * (high - low) + low
    if keep_statistics:
        now, spread = changed.mean((1, 2, 3), True), changed.std((1, 2, 3), keepdim=True)
        changed = (changed - now) / spread.clamp_min(1e-7) * deviation + mean
    return -changed if inverted else changed


def contrasted(images: Tensor, factor: Tensor) -> Tensor:
    """Farther from, or nearer to, each sample's mean, within its own range."""
    mean = images.mean((1, 2, 3), True)
    low, high = images.amin((1, 2, 3), True), images.amax((1, 2, 3), True)
    return torch.minimum(torch.maximum((images - mean) * factor + mean, low), high)


def coarsened(image: Tensor, share: float) -> Tensor:
    """As if it had been acquired with fewer pixels: fewer by nearest neighbour, then enlarged smoothly."""
    size = [max(1, round(float(n * share))) for n in image.shape[2:]]
    few = functional.interpolate(image, size, mode="nearest-exact")
    return functional.interpolate(few, image.shape[2:], mode="bicubic", align_corners=False)


def solarised(images: Tensor, highest: Tensor) -> Tensor:
    """Values above 0 (the cine's mean) taken from the cine's largest."""
    return torch.where(images > 0, highest - images, images)


def blurred(images: Tensor, widths: np.ndarray) -> Tensor:
    """Gaussian blur, each sample with its own widths.

    Args:
        images: (n, 1, x, y).
        widths: (n, 2) standard deviations along x and y, pixels.

    A pixel's weight is the Gaussian's integral over it, up to four deviations; beyond the image there are zeros.
    """
    for axis in (0, 1):
        kernels, tail = _kernels(widths[:, axis])
        shape = (len(images), 1, -1, 1) if axis == 0 else (len(images), 1, 1, -1)
        padding = (tail, 0) if axis == 0 else (0, tail)
        weights = kernels.to(images.device).reshape(shape)
        images = functional.conv2d(images.transpose(0, 1), weights, padding=padding, groups=len(images)).transpose(0, 1)
    return images


def _kernels(widths: np.ndarray) -> tuple[Tensor, int]:
    """(n, 2 tail + 1) weights, and the tail that the widest needs."""
    width = torch.from_numpy(np.asarray(widths, np.float32))[:, None]
    tails = (width * 4).clamp_min(0.5).add(0.5).int()
    tail = int(tails.max())
    x = torch.arange(-tail, tail + 1, dtype=torch.float32)[None]
    scale = 0.70710678 / width
    weights = 0.5 * (torch.erf(scale * (x + 0.5)) - torch.erf(scale * (x - 0.5)))
    return torch.where(x.abs() <= tails, weights.clamp_min(0), torch.zeros(())), tail
