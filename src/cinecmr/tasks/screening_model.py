"""A trained screening: weights and card in a folder, and what they say of a study.

What it says is triage for research, with the operating point at which it was measured; never a diagnosis.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from cinecmr.anatomy import Disease
from cinecmr.errors import RefusedInput
from cinecmr.evaluate.intervals import clopper_pearson
from cinecmr.io.files import write_atomically, write_text
from cinecmr.networks.video_swin import VideoSwinConfig
from cinecmr.study import Findings, Measurement
from cinecmr.tasks.screening_data import Window, prepare
from cinecmr.tasks.screening_network import ScreeningConfig, ScreeningNetwork, VitShape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cinecmr.study import Study

CARD, WEIGHTS = "screening.json", "screening.safetensors"
LIMITS = [
    "Research use only, not for diagnosis: a triage whose every call needs a reader.",
    "Probabilities and predictive values hold for the mixture it was tested on, not for a screened population.",
    "Not tested on other centres, children, devices or congenital disease unless its evidence says so.",
]


class OperatingPoint(BaseModel):
    """The threshold, and what it did on subjects that were neither trained on nor used to choose it.

    Attributes:
        threshold: probability from which a study is called. chosen: how, and on how many.
        tp, fn, tn, fp: of the tested subjects.
    """

    model_config = ConfigDict(extra="forbid")

    threshold: float
    chosen: str
    tp: int
    fn: int
    tn: int
    fp: int


class ScreeningCard(BaseModel):
    """What a user must know of a screening. Written by the command that trains, never by hand.

    Attributes:
        name, summary: for people. sha256: of the weights. parameters: their number.
        classes: names by number, controls first. diseases: what each class stands for, where there is such a word.
        network: settings to build it. temperature: that probabilities were scaled with, on inner subjects.
        point: of two classes. scores: evidence in figures. data: what they were measured on.
        trained_on, limits, made, licence: in words.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    summary: str
    sha256: str
    parameters: int
    classes: list[str]
    diseases: list[str | None]
    network: dict[str, Any]
    temperature: float
    point: OperatingPoint | None
    scores: dict[str, float]
    data: str
    trained_on: list[str]
    limits: list[str]
    made: dict[str, str]
    licence: str = "Apache-2.0"


@dataclass(frozen=True)
class Answer:
    """What a model says of one study.

    Attributes:
        found: probability of each disease that classes stand for, of illness as the measurement `screening`, flags.
        shares: probability by the name of each class.
    """

    found: Findings
    shares: dict[str, float]


@dataclass(frozen=True)
class ScreeningModel:
    """A network with its card, ready to be asked."""

    card: ScreeningCard
    network: ScreeningNetwork

    @property
    def source(self) -> str:
        """Name and first digits of the checksum, for `Measurement.source`."""
        return f"{self.card.name}@{self.card.sha256[:8]}"

    def ask(self, study: Study, known: Findings | None = None) -> Answer:
        """Read a study from its four-chamber and short-axis cine; nothing else is looked at.

        Args:
            study: as read.
            known: see `screening_data.prepare`; models are trained without.

        Raises:
            RefusedInput: a cine is missing or shows no beat.
        """
        prepared = prepare(study, self.network.config.window, known, needed=self.network.config.fused)
        clips = {name: torch.from_numpy(prepared.clips[name])[None] for name in self.network.config.fused}
        with torch.inference_mode():
            scores = self.network.eval()(clips)[0].double() / self.card.temperature
        shares: NDArray[np.float64] = scores.softmax(0).numpy()
        diagnosis = {
            Disease(disease): float(share) for disease, share in zip(self.card.diseases, shares, strict=True) if disease
        }
        method = "four-chamber and short-axis cine; research triage, not a diagnosis"
        ill = Measurement(100 * float(1 - shares[0]), "%", method, self.source)
        found = Findings(diagnosis=diagnosis, measurements={"screening": ill}, flags=prepared.flags)
        return Answer(found, dict(zip(self.card.classes, map(float, shares), strict=True)))


def lines(model: ScreeningModel, answer: Answer) -> list[str]:
    """What a person is told of one study."""
    card, point = model.card, model.card.point
    told = [f"  {name}: {100 * share:.0f} %" for name, share in answer.shares.items()]
    if point is not None:
        share = 1 - next(iter(answer.shares.values()))
        side = "at or above" if share >= point.threshold else "below"
        told.append(f"  {side} the threshold of {100 * point.threshold:.0f} % ({point.chosen})")
        caught, spared = clopper_pearson(point.tp, point.tp + point.fn), clopper_pearson(point.tn, point.tn + point.fp)
        told.append(f"  there, on {card.data}: sensitivity {caught.text(2)}, specificity {spared.text(2)}")
    told += [f"  {flag.severity.value}: {flag.message}  [{flag.code}]" for flag in answer.found.flags]
    return [*told, f"  {model.source}; research triage, not a diagnosis"]


def save(folder: Path, network: ScreeningNetwork, **card: Any) -> Path:
    """Write weights, then their card; returns the card's path.

    Args:
        folder: for both.
        network: encoders that are not fused stay behind.
        card: the fields of `ScreeningCard` that do not follow from the weights.
    """
    from safetensors.torch import save_file

    kept = ScreeningNetwork(network.config, network.config.fused)
    own = network.state_dict()
    tensors = {name: own[name].detach().cpu().contiguous() for name in kept.state_dict()}
    write_atomically(folder / WEIGHTS, lambda path: save_file(tensors, path))
    made = ScreeningCard(
        sha256=checksum(folder / WEIGHTS),
        parameters=sum(tensor.numel() for tensor in tensors.values()),
        network=asdict(network.config),
        limits=LIMITS,
        **card,
    )
    write_text(folder / CARD, made.model_dump_json(indent=1) + "\n")
    return folder / CARD


def load(folder: Path | str) -> ScreeningModel:
    """A model from its folder, checked against its card.

    Raises:
        RefusedInput: there is none (`no-such-model`, `no-weights`), or it is not the one of its card
            (`weights-changed`, `bad-card`).
    """
    folder = Path(folder)
    if not (folder / CARD).is_file():
        raise RefusedInput(
            "no-such-model",
            f"{folder} holds no screening model ({CARD}); `cinecmr finetune screening DATA --out {folder}` makes one, "
            "none is shipped",
        )
    try:
        card = ScreeningCard.model_validate_json((folder / CARD).read_text("utf-8"))
        config = config_from(card.network)
    except (ValidationError, ValueError, TypeError, KeyError) as error:
        raise RefusedInput("bad-card", f"{folder / CARD} is no card of a screening: {str(error)[:120]}") from None
    if not (folder / WEIGHTS).is_file():
        raise RefusedInput("no-weights", f"the weights {folder / WEIGHTS} are not beside their card")
    if checksum(folder / WEIGHTS) != card.sha256:
        raise RefusedInput("weights-changed", f"{folder / WEIGHTS} is not the file its card speaks of; train it again")
    from safetensors.torch import load_file

    network = ScreeningNetwork(config, config.fused)
    network.load_state_dict(load_file(folder / WEIGHTS))
    return ScreeningModel(card, network.eval())


def config_from(told: dict[str, Any]) -> ScreeningConfig:
    """A `ScreeningConfig` from its JSON."""

    def tuples(values: dict[str, Any]) -> dict[str, Any]:
        return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}

    flat = tuples(told)
    parts = {"window": Window, "swin": VideoSwinConfig, "vit": VitShape}
    built = {name: kind(**tuples(told[name])) for name, kind in parts.items()}
    return ScreeningConfig(**{**flat, **built})


def checksum(path: Path) -> str:
    """SHA-256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
