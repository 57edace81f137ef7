"""The weights that serve the stages, each with a card that says what it learned from and where it fails.

Weights lie as safetensors beside their card, in the package or, once imported (`analyze.importing`), in a folder of
the user; a checksum that differs from the card's is refused.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from cinecmr.analyze.sureness import Sureness
    from cinecmr.anatomy import Landmark
    from cinecmr.networks.inference import Way
    from cinecmr.study import Image
    from cinecmr.tasks.long_axis_reading import LongAxisReader
    from cinecmr.tasks.published_answers import PublishedAnswerer
    from cinecmr.tasks.published_reading import PublishedReader
    from cinecmr.tasks.reading import Reader
    from cinecmr.tasks.taught import TaughtReader

FOLDER = "CINECMR_MODELS"  # environment variable: the folder of imported models


class Score(BaseModel):
    """One line of evidence: where, what, how much."""

    model_config = ConfigDict(extra="forbid")

    data: str
    kind: str  # "synthetic" or "real"
    figures: dict[str, float]
    note: str = ""


class Card(BaseModel):
    """What a user must know of a set of weights. Written by the command that trains or imports, never by hand.

    Attributes:
        name, summary: for lists. task: what it answers. codes: label codes and their meaning.
        sha256: of the weights file. parameters: their number.
        network, reading: settings to build and to ask the network.
        recipe: of the training run, whole. trained_on: every source of images, named.
        scores: evidence. limits: where it fails or was not tried.
        made: commit, device, seconds, library versions.
        family: "stack", a network of `networks.stack_unet` for short-axis stacks; "long-axis", the same network for
            single planes, of labels and landmarks (`tasks.long_axis`); "published", one of `networks.kinds`;
            "taught", of a run of `cinecmr finetune segmentation`.
        kind: of a published network, where it is one of those listed.
        source: where imported weights come from, with the checksum of the file they came in.
        warnings: what must be said whenever the weights are loaded.
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
    family: Literal["stack", "long-axis", "published", "taught"] = "stack"
    kind: str = ""
    source: str = ""
    warnings: list[str] = []


def _shelf() -> Path:
    return Path(str(resources.files("cinecmr"))) / "weights"


def folder_of_models(given: Path | None = None) -> Path:
    """The folder of imported models: the one given, else of $CINECMR_MODELS, else the user's folder for data."""
    if given is not None or os.environ.get(FOLDER):
        return Path(given if given is not None else os.environ[FOLDER]).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "cinecmr" / "models"


def _places(folder: Path | None) -> dict[str, Path]:
    """Path of every card by name; a shipped model wins over an imported one of its name."""
    shelves = (folder_of_models(folder), _shelf())
    return {path.stem: path for shelf in shelves for path in sorted(shelf.glob("*.json"))}


def names(folder: Path | None = None) -> list[str]:
    """Names of the weights in the package and of those imported into a folder (see `folder_of_models`)."""
    return sorted(_places(folder))


def card(name: str, folder: Path | None = None) -> Card:
    """The card of a model.

    Raises:
        RefusedInput: there is none of that name.
    """
    return Card.model_validate_json(_place(name, folder).read_text("utf-8"))


def _place(name: str, folder: Path | None) -> Path:
    places = _places(folder)
    if name not in places:
        raise RefusedInput("no-such-model", f"no model {name!r}: there are {', '.join(sorted(places)) or 'none'}")
    return places[name]


def checksum(path: Path) -> str:
    """SHA-256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sureness_path(weights: Path) -> Path:
    """Where the intervals of some weights are kept, see `analyze.sureness`."""
    return weights.parent / "intervals" / f"{weights.stem}.json"


def weights_path(name: str, folder: Path | None = None) -> Path:
    """The weights file of a model.

    Raises:
        RefusedInput: there is no such model.
    """
    return _place(name, folder).with_suffix(".safetensors")


def _again(of: Card) -> str:
    return "import them again" if of.source else "install the package again"


class Model:
    """Weights with their card, ready to be asked. The network is built at the first question.

    Args:
        of: the card.
        weights: the safetensors file.
        device: where the network runs.
        precision: "fp32", "bf16" or "auto", see `networks.inference.Way`.
        compiled: whether torch compiles the network at the first question.

    Raises:
        RefusedInput: the file is absent, or is not the one the card speaks of.
    """

    def __init__(
        self, of: Card, weights: Path, device: str = "cpu", precision: str = "fp32", compiled: bool = False
    ) -> None:
        self.card, self.device, self._weights = of, device, weights
        self._way: dict[str, Any] = {"precision": precision, "compiled": compiled}
        if not weights.exists():
            raise RefusedInput("no-weights", f"the weights of {of.name} are not at {weights.name}; {_again(of)}")
        found = checksum(weights)
        if found != of.sha256:
            raise RefusedInput(
                "weights-changed",
                f"{weights.name} has SHA-256 {found[:12]}..., its card says {of.sha256[:12]}...; {_again(of)}",
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
    def sureness(self) -> Sureness | None:
        """How far the truth may lie from its numbers, where that was calibrated for these very weights."""
        from cinecmr.analyze import sureness

        return sureness.load(sureness_path(self._weights), self.sha256)

    @property
    def way(self) -> Way:
        """Precision and compilation."""
        from cinecmr.networks.inference import Way

        return Way(**self._way)

    @cached_property
    def network(self) -> nn.Module:
        """The network with its weights, whatever it answers."""
        from safetensors.torch import load_file

        from cinecmr.networks.stack_unet import StackUNet, StackUNetConfig

        weights = {k: v.float() if v.is_floating_point() else v for k, v in load_file(self._weights).items()}
        if self.card.family in ("stack", "long-axis"):
            network: nn.Module = StackUNet(StackUNetConfig(**_frozen(self.card.network)))
            network.load_state_dict(weights)
            return network
        from cinecmr.analyze import importing

        if self.card.family == "taught":
            return importing.taught_network(self.card.network, weights)
        return importing.empty_network(self.card.network, weights)

    @cached_property
    def reader(self) -> Reader | LongAxisReader | PublishedReader | TaughtReader:
        """The network and the way it is asked for labels.

        Raises:
            RefusedInput: the model answers something else.
        """
        from cinecmr.networks.inference import Ready, Way

        way = self.way
        if self.card.family == "stack":
            from cinecmr.tasks.reading import Reader, ReadingSettings

            network = self.network if way == Way() else Ready(self.network, self.device, way)
            return Reader(network, ReadingSettings(**_frozen(self.card.reading)), self.device)
        if self.card.family == "long-axis":
            from cinecmr.tasks.long_axis_reading import LongAxisReader, LongAxisReadingSettings

            network = self.network if way == Way() else Ready(self.network, self.device, way)
            return LongAxisReader(network, LongAxisReadingSettings(**_frozen(self.card.reading)), self.device)
        if not self.card.codes:
            raise RefusedInput(
                "no-labels", f"{self.name} draws no labels of a cine: {self.card.task} `cinecmr models` lists others"
            )
        if self.card.family == "taught":
            from cinecmr.tasks.taught import TaughtReader, task_of

            return TaughtReader(self.network, task_of(self.card.network), self.device, way)
        from cinecmr.tasks.published_reading import PublishedReader, PublishedReadingSettings

        settings = PublishedReadingSettings(**_frozen(self.card.reading))
        return PublishedReader(self.network, settings, self.device, way)

    @cached_property
    def answerer(self) -> PublishedAnswerer:
        """The network and the way it is asked for classes, a number or landmarks.

        Raises:
            RefusedInput: the model answers something else, or its card does not say what its answers mean.
        """
        from cinecmr.tasks.published_answers import PublishedAnswerer, PublishedAnswerSettings

        reading = self.card.reading
        if "answers" not in reading:
            other = "`cinecmr analyze` and `cinecmr segment` use it" if self.card.codes else "there is nothing to ask"
            raise RefusedInput("no-answer", f"{self.name} tells no class, number or landmark: {self.card.task} {other}")
        return PublishedAnswerer(
            self.network, PublishedAnswerSettings(**_frozen(reading)), self.source, self.device, self.way
        )

    def segment(self, image: Image, progress: Callable[[float], None] | None = None) -> NDArray[np.uint8]:
        """(x, y, z, t) `Structure` codes on the image's own grid.

        Raises:
            RefusedInput: the model draws no labels, or labels of one plane where the image is a stack.
        """
        return self.segment_surely(image, progress)[0]

    def segment_surely(
        self, image: Image, progress: Callable[[float], None] | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64] | None]:
        """As `segment`, and how sure the model is of each slice: (z, t) expected Dice; None where it cannot tell."""
        reader = self.reader
        self.check_view(image)
        read = getattr(reader, "read", None)
        found: tuple[NDArray[np.uint8], NDArray[np.float64] | None] = (
            (reader.labels(image, progress), None) if read is None else read(image, progress)
        )
        return found

    def read(
        self, image: Image, progress: Callable[[float], None] | None = None
    ) -> tuple[NDArray[np.uint8], dict[Landmark, NDArray[np.float64]]]:
        """Labels and landmarks of one long-axis plane, see `tasks.long_axis_reading`.

        Raises:
            RefusedInput: the model does not read the long axis (`other-view`), or the image is a stack.
        """
        from cinecmr.tasks.long_axis_reading import LongAxisReader

        reader = self.reader
        if not isinstance(reader, LongAxisReader):
            raise RefusedInput("other-view", f"{self.name} does not read 2C, 3C and 4C views; name another model")
        self.check_view(image)
        return reader.read(image, progress)

    def check_view(self, image: Image) -> None:
        """Refuse a stack to a model of one plane."""
        long = self.card.family == "long-axis"
        which = "2C, 3C or 4C" if long else self.card.reading.get("view")
        plane = long or len(self.card.reading.get("patch", (0, 0, 0))) == 2
        if plane and image.slices != 1:
            raise RefusedInput(
                "other-view",
                f"{self.name} reads one plane ({which}), the image has {image.slices} slices; "
                "give that view to `cinecmr segment`, or choose a short-axis model",
            )


def _frozen(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as they stand in JSON, lists as tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}


class Ensemble:
    """Several models of one data set and view, such as the published seeds, whose class shares are averaged.

    Args:
        members: imported published models that read alike.

    Raises:
        RefusedInput: they are not, or read differently.
    """

    def __init__(self, members: list[Model]) -> None:
        first = members[0]
        for member in members:
            alike = (member.card.codes, member.card.reading) == (first.card.codes, first.card.reading)
            if member.card.family != "published" or not member.card.codes or not alike:
                raise RefusedInput(
                    "not-alike",
                    f"{first.name} and {member.name} cannot be averaged: only published models with the same labels, "
                    "view and spacing can",
                )
        self._members = members
        self.name = "+".join(member.name for member in members)
        self.source = "+".join(member.source for member in members)
        self.sha256 = hashlib.sha256("".join(member.sha256 for member in members).encode()).hexdigest()

    @cached_property
    def reader(self) -> PublishedReader:
        """All networks and the one way they are asked."""
        from cinecmr.tasks.published_reading import PublishedReader, PublishedReadingSettings

        first = self._members[0]
        settings = PublishedReadingSettings(**_frozen(first.card.reading))
        return PublishedReader([member.network for member in self._members], settings, first.device, first.way)

    def segment(self, image: Image, progress: Callable[[float], None] | None = None) -> NDArray[np.uint8]:
        """(x, y, z, t) `Structure` codes on the image's own grid; see `Model.segment`."""
        self._members[0].check_view(image)
        return self.reader.labels(image, progress)


def load(
    name: str = "sax-unet",
    device: str = "cpu",
    folder: Path | None = None,
    precision: str = "fp32",
    compiled: bool = False,
) -> Model:
    """A model of the package or of the folder of imported ones, its checksum checked; what its card warns of is said.

    Args:
        name: as in the list.
        device: where the network runs.
        folder: of imported models, see `folder_of_models`.
        precision: see `Model`.
        compiled: see `Model`.

    Raises:
        RefusedInput: no such model, or its file differs from its card.
    """
    model = Model(card(name, folder), weights_path(name, folder), device, precision, compiled)
    for warning in model.card.warnings:
        warnings.warn(f"{name}: {warning}", UserWarning, stacklevel=2)
    return model
