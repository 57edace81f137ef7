"""The weights that serve the stages, each with a card that says what it learned from and where it fails.

Weights lie in the package as safetensors beside their card; a checksum that differs from the card's is refused.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from cinecmr.study import Image
    from cinecmr.tasks.reading import Reader


class Score(BaseModel):
    """One line of evidence: where, what, how much."""

    model_config = ConfigDict(extra="forbid")

    data: str
    kind: str  # "synthetic" or "real"
    figures: dict[str, float]
    note: str = ""


class Card(BaseModel):
    """What a user must know of a set of weights. Written by the command that trains, never by hand.

    Attributes:
        name, summary: for lists. task: what it answers. codes: label codes and their meaning.
        sha256: of the weights file. parameters: their number.
        network, reading: settings to build and to ask the network.
        recipe: of the training run, whole. trained_on: every source of images, named.
        scores: evidence. limits: where it fails or was not tried.
        made: commit, device, seconds, library versions.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    summary: str
    task: str
    codes: dict[int, str]
    sha256: str
    parameters: int
    network: dict[str, Any]
    reading: dict[str, Any]
    recipe: dict[str, Any]
    trained_on: list[str]
    scores: list[Score]
    limits: list[str]
    made: dict[str, str]
    licence: str = "Apache-2.0"


def _shelf() -> Path:
    return Path(str(resources.files("cinecmr"))) / "weights"


def names() -> list[str]:
    """Names of the weights in the package."""
    return sorted(path.stem for path in _shelf().glob("*.json"))


def card(name: str) -> Card:
    """The card of a model.

    Raises:
        RefusedInput: there is none of that name.
    """
    if name not in names():
        raise RefusedInput("no-such-model", f"no model {name!r}: there are {', '.join(names()) or 'none'}")
    return Card.model_validate_json((_shelf() / f"{name}.json").read_text())


def checksum(path: Path) -> str:
    """SHA-256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Model:
    """Weights with their card, ready to be asked. The network is built at the first question.

    Args:
        of: the card. weights: the safetensors file. device: where the network runs.

    Raises:
        RefusedInput: the file is absent, or is not the one the card speaks of.
    """

    def __init__(self, of: Card, weights: Path, device: str = "cpu") -> None:
        self.card, self.device, self._weights = of, device, weights
        if not weights.exists():
            raise RefusedInput(
                "no-weights", f"the weights of {of.name} are not at {weights.name}; install the package again"
            )
        found = checksum(weights)
        if found != of.sha256:
            raise RefusedInput(
                "weights-changed",
                f"{weights.name} has SHA-256 {found[:12]}..., its card says {of.sha256[:12]}...; "
                "install the package again",
            )

    @property
    def name(self) -> str:
        """As in the list."""
        return self.card.name

    @property
    def sha256(self) -> str:
        """Of the weights."""
        return self.card.sha256

    @property
    def source(self) -> str:
        """Name and first digits of the checksum, for `Measurement.source`."""
        return f"{self.name}@{self.sha256[:8]}"

    @cached_property
    def reader(self) -> Reader:
        """The network and the way it is asked."""
        from safetensors.torch import load_file

        from cinecmr.networks.stack_unet import StackUNet, StackUNetConfig
        from cinecmr.tasks.reading import Reader, ReadingSettings

        config: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in self.card.network.items()}
        reading: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in self.card.reading.items()}
        network = StackUNet(StackUNetConfig(**config))
        network.load_state_dict({k: v.float() for k, v in load_file(self._weights).items()})
        return Reader(network, ReadingSettings(**reading), self.device)

    def segment(self, image: Image, progress: Callable[[float], None] | None = None) -> NDArray[np.uint8]:
        """(x, y, z, t) `Structure` codes on the image's own grid."""
        return self.reader.labels(image, progress)


def load(name: str = "sax-unet", device: str = "cpu") -> Model:
    """A model of the package, its checksum checked.

    Raises:
        RefusedInput: no such model, or its file differs from its card.
    """
    return Model(card(name), _shelf() / f"{name}.safetensors", device)
