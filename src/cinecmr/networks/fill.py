"""Weights by a rule instead of a file, so that two implementations can be compared without shipping weights."""

from __future__ import annotations

from math import prod, sqrt
from typing import TYPE_CHECKING, Literal
from zlib import crc32

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

Rule = Literal["A", "B"]


def drawn(tag: str, shape: Sequence[int]) -> NDArray[np.float32]:
    """Uniform numbers in 0 to 1 that depend on a tag and a shape alone: an input image for comparisons.

    >>> drawn("sax", (2,)).shape
    (2,)
    """
    return _generator(f"input:{tag}").random(tuple(shape)).astype(np.float32)


def fill(network: nn.Module, rule: Rule) -> None:
    """Overwrite every weight with a number that depends on its name, its shape and the rule alone.

    Tables of positions stay as the constructor computed them.

    Args:
        network: changed in place.
        rule: "A", small weights (standard deviation 0.02), or "B", weights that keep the variance from layer to layer.

    Raises:
        ValueError: another rule.
    """
    if rule not in ("A", "B"):
        raise ValueError(f"no rule {rule!r} to fill weights by: there are A and B")
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("num_batches_tracked"):
                tensor.zero_()
            elif not name.endswith("pos_embed"):
                normal = _generator(name).standard_normal(tuple(tensor.shape))
                filled = _small(name, normal) if rule == "A" else _keeping_variance(name, normal)
                tensor.copy_(torch.from_numpy(filled.astype(np.float32)))


def _small(name: str, normal: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 + np.abs(normal * 0.02) if name.endswith("running_var") else normal * 0.02


def _keeping_variance(name: str, normal: NDArray[np.float64]) -> NDArray[np.float64]:
    if name.endswith("running_var"):
        return 1 + 0.1 * np.abs(normal)
    if name.endswith("running_mean"):
        return 0.02 * normal
    if normal.ndim >= 2:
        return normal / sqrt(prod(normal.shape[1:]))
    return 1 + 0.1 * normal if name.endswith(".weight") else 0.02 * normal


def _generator(text: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(crc32(text.encode("utf-8"))))
