"""What other hearts teach about the next one: the mean of many fitted motions, told by the ejection fraction.

The functions of `shell` mean the same in every heart, so tables of coefficients can be averaged as they stand, in
units of the heart's own size. `clipped_mean` is the average of the tagged-informed prior (quantiles clipped element by
element across subjects); `robust_mean` and the regression on the ejection fraction are ours.

Source: tagged-informed INR motion prior, section "prior"; specification, sections 3 and 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.errors import RefusedInput
from cinecmr.motion.tensors import read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.motion.shell import Shell

    Array = NDArray[np.float64]

KIND = "cinecmr motion prior"
_ROUNDS = 20


def clipped_mean(stack: Array, quantiles: tuple[float, float] = (0.01, 0.99)) -> Array:
    """Mean over the first axis after each element is clipped to its own quantiles across subjects.

    >>> clipped_mean(np.array([[0.0], [1.0], [2.0], [97.0]]), (0.0, 0.5))
    array([1.])
    """
    low, high = np.quantile(stack, quantiles, axis=0)
    return np.asarray(np.clip(stack, low, high).mean(axis=0))


def robust_mean(stack: Array) -> Array:
    """Mean over the first axis in which whole subjects far from the others weigh less (geometric median, smoothed)."""
    middle = np.median(stack, axis=0)
    flat = stack.reshape(len(stack), -1)
    for _ in range(_ROUNDS):
        away = np.linalg.norm(flat - middle.ravel(), axis=1)
        weights = 1 / np.maximum(away, max(0.5 * float(np.median(away)), 1e-12))
        middle = np.tensordot(weights / weights.sum(), stack, axes=1)
    return np.asarray(middle)


def ejected_share(labels: NDArray[np.uint8]) -> float:
    """Share of the cavity's voxels that goes between its largest and smallest labelled frame; NaN for one frame."""
    size = (labels == Structure.LV).sum(axis=(0, 1, 2)).astype(np.float64)
    size = size[size > 0]
    return float(1 - size.min() / size.max()) if len(size) > 1 else float("nan")


@dataclass(frozen=True)
class Prior:
    """A start for the next heart, and the motion towards which a fit is drawn where pictures are silent.

    Attributes:
        mean: (functions, waves, 3) coefficients at ejection fraction `ejected`, in units of the focus.
        by_ejected: their change with the ejected share.
        ejected: mean of the subjects.
        orders: of the functions it belongs to.
        subjects: how many it comes from. method: how they were averaged.
    """

    mean: Array
    by_ejected: Array
    ejected: float
    orders: tuple[int, int, int]
    subjects: int
    method: str

    def table(self, shell: Shell, count: int, labels: NDArray[np.uint8]) -> Array:
        """(functions, 2 count, 3) mm for a heart; higher waves than `count` are left out.

        Raises:
            RefusedInput: the heart's functions are others.
        """
        if shell.orders != self.orders:
            raise RefusedInput(
                "no-prior",
                f"the prior has functions of orders {self.orders}, the fit {shell.orders}: it was made by another "
                "version; make it again with `cinecmr motion-prior`",
            )
        ejected = ejected_share(labels)
        found = self.mean + self.by_ejected * (ejected - self.ejected if np.isfinite(ejected) else 0.0)
        out = np.zeros((len(found), 2 * count, 3))
        kept = min(2 * count, found.shape[1])
        out[:, :kept] = found[:, :kept]
        return out * shell.frame.focus

    def save(self, path: Path) -> None:
        """Write a safetensors file, whole or not at all."""
        tensors = {"mean": self.mean.astype(np.float32), "by_ejected": self.by_ejected.astype(np.float32)}
        facts = {name: getattr(self, name) for name in ("ejected", "orders", "subjects", "method")}
        write_tensors(path, KIND, tensors, facts)

    @classmethod
    def load(cls, path: Path) -> Prior:
        """Read what `save` wrote.

        Raises:
            ValueError: another kind of file.
        """
        held, facts = read_tensors(path, KIND)
        mean, slope = (held[name].astype(np.float64) for name in ("mean", "by_ejected"))
        around, along, through = facts["orders"]
        return cls(mean, slope, facts["ejected"], (around, along, through), facts["subjects"], facts["method"])


METHODS = {"mean": clipped_mean, "robust": robust_mean}


def population(
    tables: Sequence[Array],
    focuses: Sequence[float],
    ejected: Sequence[float],
    orders: tuple[int, int, int],
    method: str = "robust",
    ridge: float = 0.02,
) -> Prior:
    """A prior from fitted motions.

    Args:
        tables: (functions, waves, 3) mm of each subject.
        focuses: of their frames, mm.
        ejected: shares; see `ejected_share`.
        orders: of the functions.
        method: "mean" (clipped, as published) or "robust".
        ridge: added to the variance of the ejected shares; 0 regresses without restraint.

    Raises:
        ValueError: no subjects, or no such method.
    """
    if not tables:
        raise ValueError("a prior needs at least one subject")
    if method not in METHODS:
        raise ValueError(f"no method {method!r}: there are {', '.join(METHODS)}")
    stack = np.stack([table / focus for table, focus in zip(tables, focuses, strict=True)])
    shares = np.asarray(ejected, np.float64)
    middle = float(shares.mean())
    off = shares - middle
    slope = np.tensordot(off, stack, axes=1) / (float(off @ off) + ridge * len(off))
    straight = stack - off[:, None, None, None] * slope
    return Prior(METHODS[method](straight), np.asarray(slope), middle, orders, len(tables), method)
