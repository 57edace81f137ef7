"""SimCLR on slices: two changed copies of a slice belong together, and with no other.

Source: Chen et al. 2020; de Mooij et al., supplement A; specification of its code, section 5.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cinecmr.pretrain._contrast import OFFICIAL, Contrast, ContrastSettings, Copies, contrast_descent, siblings

if TYPE_CHECKING:
    from torch import Tensor

    from cinecmr.learn.descent import Descent

EPOCHS, BATCH = 100, 224


@dataclass(frozen=True)
class SimCLRSettings(ContrastSettings):
    """What is learned; see `ContrastSettings`."""

    def as_json(self) -> dict[str, object]:
        """For a `Recipe`."""
        return {"method": "simclr", **asdict(self)}


PRESETS = {
    "published": SimCLRSettings(),
    "official": SimCLRSettings(**OFFICIAL),
    "sound": SimCLRSettings(),
}


def descent(preset: str = "sound", updates_per_epoch: int = 1) -> Descent:
    """The published SGD, see `contrast_descent`."""
    return contrast_descent(1e-4, preset, updates_per_epoch)


class SimCLR(Contrast):
    """The objective: siblings belong together."""

    name = "SimCLR"
    settings: SimCLRSettings

    def positives(self, batch: Copies) -> Tensor:
        """The other copy of the same slice."""
        return siblings(len(batch.images), batch.images.device)
