"""Changes of a stack that change no label's meaning: what scanners, coils and reconstruction may do to it.

(slices, x, y) intensities from 0 to 1 in and out, numpy, everything drawn from the generator given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Intensity:
    """How strongly stacks are changed.

    Attributes:
        gamma: spread of the logarithm of the exponent. shade: strength of smooth shading.
        noise: largest standard deviation added. blur: largest width, pixels.
        chance: of each change.
    """

    gamma: float = 0.45
    shade: float = 0.5
    noise: float = 0.09
    blur: float = 1.2
    chance: float = 0.5

    def __call__(self, stack: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """A changed copy, 0 to 1."""
        stack = np.asarray(stack, np.float32)
        if rng.random() < self.chance:
            stack = _gamma(stack, float(np.exp(rng.normal(0, self.gamma))), bool(rng.random() < 0.3))
        if rng.random() < self.chance:
            stack = stack * _shading(stack.shape[1:], self.shade, rng)
        if rng.random() < 0.6 * self.chance:
            stack = stack * np.exp(rng.normal(0, 0.12, (len(stack), 1, 1))).astype(np.float32)
        if rng.random() < 0.6 * self.chance:
            stack = _soften(stack, rng.uniform(0.2, self.blur), bool(rng.random() < 0.3))
        if rng.random() < self.chance:
            stack = stack + rng.uniform(0, self.noise) * rng.standard_normal(stack.shape, dtype=np.float32)
        if rng.random() < 0.6 * self.chance:
            stack = stack / rng.uniform(0.55, 1.0)  # bright tissue saturates, as in clipped files
        return np.clip(stack, 0, 1)


def _gamma(stack: NDArray[np.float32], power: float, inverted: bool) -> NDArray[np.float32]:
    clipped = np.clip(stack, 0, 1)
    return 1 - (1 - clipped) ** power if inverted else clipped**power


def _shading(shape: tuple[int, ...], strength: float, rng: np.random.Generator) -> NDArray[np.float32]:
    u, v = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in shape), indexing="ij")
    a = rng.normal(0, strength, 5).astype(np.float32)
    slope: NDArray[np.float32] = np.exp(a[0] * u + a[1] * v + 0.5 * (a[2] * u * v + a[3] * u**2 + a[4] * v**2))
    return np.asarray(slope / slope.mean(), np.float32)


def _soften(stack: NDArray[np.float32], width: float, sharpen: bool) -> NDArray[np.float32]:
    soft = ndimage.gaussian_filter(stack, (0, width, width))
    return np.asarray(2 * stack - soft if sharpen else soft, np.float32)


def turn(
    images: NDArray[np.float32],
    labels: NDArray[np.uint8],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The same stack from another side: mirrored, turned by quarter turns, slices in the other order."""
    quarter, mirror, reverse = int(rng.integers(4)), rng.random() < 0.5, rng.random() < 0.5

    def move(array: NDArray[np.float32]) -> NDArray[np.float32]:
        array = np.rot90(array, quarter, axes=(1, 2))
        array = array[:, ::-1] if mirror else array
        return np.ascontiguousarray(array[::-1] if reverse else array)

    return move(images), move(labels)  # type: ignore[arg-type,return-value]
