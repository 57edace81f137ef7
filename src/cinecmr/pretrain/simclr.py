"""SimCLR on slices: two changed copies of a slice belong together, and with no other.

Source: Chen et al. 2020; de Mooij et al., supplement A; specification of its code, section 5.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from cinecmr.learn.descent import Descent
from cinecmr.learn.slice_geometry import Geometry
from cinecmr.learn.slice_intensity import SliceIntensity
from cinecmr.pretrain._contrast import Contrast, Copies, siblings
from cinecmr.pretrain.backbone import Backbone

if TYPE_CHECKING:
    from torch import Tensor

EPOCHS, BATCH = 100, 224


@dataclass(frozen=True)
class SimCLRSettings:
    """What is learned.

    Attributes:
        backbone: see there. head: width of the head's three layers.
        geometry, intensity: of the copies. temperature: by which cosines are divided.
    """

    backbone: Backbone = field(default_factory=Backbone)
    geometry: Geometry = field(default_factory=Geometry)
    intensity: SliceIntensity = field(default_factory=SliceIntensity)
    temperature: float = 0.1
    head: int = 512

    def __post_init__(self) -> None:
        self.backbone.check(self.geometry.pixels)
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")

    def as_json(self) -> dict[str, object]:
        """For a `Recipe`."""
        return {"method": "simclr", **asdict(self)}


PRESETS = {
    "published": SimCLRSettings(),
    "official": SimCLRSettings(
        geometry=Geometry(centring="labels", exact_centre=False), intensity=SliceIntensity(factor_adds=True)
    ),
    "sound": SimCLRSettings(),
}


def descent(preset: str = "sound", updates_per_epoch: int = 1) -> Descent:
    """The published SGD: cosine to 0 by epochs; `sound` clips the gradient at norm 1 and warms up for ten epochs."""
    published = Descent(rate=0.1, decay=1e-4, momentum=0.9, nesterov=False, curve="cosine", step=updates_per_epoch)
    return replace(published, clip=1.0, warmup=10 * updates_per_epoch, step=1) if preset == "sound" else published


class SimCLR(Contrast):
    """The objective: siblings belong together."""

    name = "SimCLR"
    settings: SimCLRSettings

    def positives(self, batch: Copies) -> Tensor:
        """The other copy of the same slice."""
        return siblings(len(batch.images), batch.images.device)
