"""Positional contrastive learning: slices at the same height of the heart belong together, whoever's they are.

Source: Zeng et al. 2021; de Mooij et al., section 2.4; specification of its code, sections 5 and 9 (rows 8 and 9).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import torch

from cinecmr.pretrain._contrast import OFFICIAL, Contrast, ContrastSettings, Copies, contrast_descent, siblings

if TYPE_CHECKING:
    from torch import Tensor

    from cinecmr.learn.descent import Descent

EPOCHS, BATCH = 100, 64
_ROUNDING = 1e-6


@dataclass(frozen=True)
class PCLSettings(ContrastSettings):
    """What is learned; see `ContrastSettings`.

    Attributes:
        threshold: how far apart heights may be, as shares of the stack.
        height: "count", slice number over number of slices, as the code has it: the last slice is never at 1;
            "ends", from 0 for the first slice to 1 for the last.
        neighbours: whether slices next to each other in a stack always belong together, however few it has; otherwise
            heights must be nearer than the threshold, and stacks of nine slices or fewer have no such pairs.
    """

    threshold: float = 0.1
    height: Literal["count", "ends"] = "ends"
    neighbours: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be in (0, 1], got {self.threshold}")

    def as_json(self) -> dict[str, object]:
        """For a `Recipe`."""
        return {"method": "pcl", **asdict(self)}


PRESETS = {
    "published": PCLSettings(neighbours=False),
    "official": PCLSettings(**OFFICIAL, height="count", neighbours=False),
    "sound": PCLSettings(),
}


def descent(preset: str = "sound", updates_per_epoch: int = 1) -> Descent:
    """The published SGD, see `contrast_descent`."""
    return contrast_descent(1e-5, preset, updates_per_epoch)


def heights(number: Tensor, of: Tensor, height: Literal["count", "ends"]) -> tuple[Tensor, Tensor]:
    """Where slices lie in their stacks, and how far it is to the next, both as shares; (n,) each.

    The height of the only slice of a stack is not known: it is NaN, so such a slice belongs with its own copy alone.
    """
    last = of - 1 if height == "ends" else of
    alone = torch.full(of.shape, torch.nan, device=of.device)
    known = of > 1
    span = last.clamp_min(1).float()
    return torch.where(known, number / span, alone), torch.where(known, 1 / span, alone)


class PCL(Contrast):
    """The objective: slices at nearly the same height belong together."""

    name = "PCL"
    settings: PCLSettings

    def positives(self, batch: Copies) -> Tensor:
        """Pairs whose heights differ by less than the threshold, and the two copies of each slice."""
        own = self.settings
        height, step = heights(batch.number, batch.of, own.height)
        apart = (height[:, None] - height[None]).abs()
        if own.neighbours:
            near = apart <= torch.minimum(step[:, None], step[None]).clamp_min(own.threshold) + _ROUNDING
        else:
            near = apart < own.threshold
        return (near | siblings(len(height), height.device)).fill_diagonal_(False)
