"""Screening without contrast: three training phases, each an `Objective`, and what the result says of a study.

Phase 1 learns each sequence by itself, phase 2 all together with alignment, phase 3 the fusion of the two cines.
Late enhancement serves phase 2 alone; a study is read from its four-chamber and short-axis cine.

Source: CC-CMR (Yuan et al.); readings of what it leaves open are in docs/explanation/screening.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from cinecmr.learn.objective import Loss
from cinecmr.tasks.screening_data import LGE, SEQUENCES
from cinecmr.tasks.screening_losses import (
    Balance,
    UncertaintyWeights,
    focal_loss,
    label_alignment,
    sample_alignment,
)
from cinecmr.tasks.screening_network import ScreeningConfig, ScreeningNetwork
from cinecmr.tasks.screening_samples import Augment, Batch, Samples, draw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cinecmr.learn.recipe import Optimiser

_ASKED = 16  # clips that go through an encoder at once when nothing is learned


@dataclass(frozen=True)
class ScreeningSettings:
    """What is learned, apart from how long.

    Attributes:
        config: size of the network.
        augment: see there.
        gamma: of the focal loss.
        draws: of each subject in an epoch, each augmented anew.
        backbone_rate: learning rate of encoders against that of heads, fusion and sigmas; below 1 where encoders
            start from published weights.
        micro: clips of one sequence in memory at once while training; 0 for the whole batch. Gradients are the same.
    """

    config: ScreeningConfig = field(default_factory=ScreeningConfig)
    augment: Augment = field(default_factory=Augment)
    gamma: float = 2.0
    draws: int = 4
    backbone_rate: float = 0.1
    micro: int = 0

    def as_json(self) -> dict[str, Any]:
        """For a `Recipe`; what changes memory but not the result is left out."""
        told = asdict(self)
        del told["micro"]
        return told


@dataclass(frozen=True)
class Interaction:
    """What sequences have to do with one another in phase 2.

    Attributes:
        sequences: that learn. pairs: that are aligned; every pair of them when None.
        form: by class ("label") or by patient ("sample").
        balance: of the losses. floor: lowest sigma.
        temperature: of the alignment.
        guide: late enhancement leads: its features are aligned to, but not moved by alignment.
    """

    sequences: tuple[str, ...] = SEQUENCES
    pairs: tuple[tuple[str, str], ...] | None = None
    form: Literal["label", "sample"] = "label"
    balance: Balance = "uncertainty"
    floor: float = 0.1
    temperature: float = 1.0
    guide: bool = False

    def __post_init__(self) -> None:
        strangers = {name for pair in self.pairs or () for name in pair} - set(self.sequences)
        if strangers:
            raise ValueError(f"{', '.join(sorted(strangers))} cannot be aligned: it does not learn")
        if self.form not in ("label", "sample"):
            raise ValueError(f"no form {self.form!r} of alignment: there are label and sample")

    @property
    def aligned(self) -> tuple[tuple[str, str], ...]:
        """The pairs, in order."""
        return tuple(combinations(self.sequences, 2)) if self.pairs is None else self.pairs

    @property
    def losses(self) -> tuple[str, ...]:
        """Names of all losses: alignments first, as "fsa:ch4-sax", then classifications, as "cls:ch4"."""
        return (*(f"fsa:{a}-{b}" for a, b in self.aligned), *(f"cls:{name}" for name in self.sequences))


@dataclass
class _Phase:
    """What the first two phases share.

    Attributes:
        samples: to learn from. inner: of other subjects, for `check`.
        settings: see there. start: weights to begin with; the network's other weights are drawn.
    """

    samples: Samples
    inner: Samples
    settings: ScreeningSettings
    start: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.samples.refuse_thin(self.settings.config.classes)

    @property
    def size(self) -> int:
        """Draws of an epoch."""
        return self.settings.draws * len(self.samples)

    def parameter_groups(self, network: nn.Module, optimiser: Optimiser) -> list[dict[str, Any]]:
        """Encoders apart from the rest; no decay on vectors, bias tables and sigmas."""
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                spared = parameter.ndim < 2 or name.endswith("relative_position_bias_table")
                groups.setdefault(("encoders." in name, spared), []).append(parameter)
        return [
            {
                "params": parameters,
                "weight_decay": 0.0 if spared else optimiser.decay,
                "lr_scale": self.settings.backbone_rate if deep else 1.0,
            }
            for (deep, spared), parameters in sorted(groups.items(), key=lambda entry: entry[0])
        ]


@dataclass
class SequencePhase(_Phase):
    """Phase 1: one encoder with its head.

    Attributes:
        sequence: which.
    """

    sequence: str = "sax"

    def __post_init__(self) -> None:
        have = np.flatnonzero(self.samples.there[self.sequence])
        self.samples = self.samples.take(have)
        super().__post_init__()

    def network(self) -> nn.Module:
        """Encoder and head, started from `start` where that has weights for them."""
        return started(ScreeningNetwork(self.settings.config, (self.sequence,)), self.start)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """Subjects who have the sequence."""
        return draw(self.samples, (self.sequence,), size, rng, self.settings.augment)

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        """Focal loss."""
        assert isinstance(network, ScreeningNetwork)  # noqa: S101 - what `network` made
        features = network.features(self.sequence, batch.clips[self.sequence], self.settings.micro)
        total = focal_loss(network.scores(self.sequence, features), batch.classes, self.settings.gamma)
        return Loss(total, {})

    def check(self, network: nn.Module) -> dict[str, float]:
        """Share of rightly classed inner subjects, each class counting alike."""
        assert isinstance(network, ScreeningNetwork)  # noqa: S101
        return {f"accuracy_{self.sequence}": _accuracy(network, self.inner, self.sequence)}


class JointNetwork(nn.Module):
    """The network of screening and the weights of its losses."""

    def __init__(self, screening: ScreeningNetwork, interaction: Interaction) -> None:
        super().__init__()
        self.screening = screening
        self.balance = UncertaintyWeights(interaction.losses, interaction.floor, interaction.balance)


@dataclass
class JointPhase(_Phase):
    """Phase 2: the encoders together, each with its classification, aligned by pairs.

    Attributes:
        interaction: see there.
    """

    interaction: Interaction = field(default_factory=Interaction)

    def network(self) -> nn.Module:
        """All encoders and heads of the interaction, and its weights."""
        screening = ScreeningNetwork(self.settings.config, self.interaction.sequences)
        return JointNetwork(started(screening, self.start), self.interaction)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """Subjects with what they have of the sequences."""
        return draw(self.samples, self.interaction.sequences, size, rng, self.settings.augment)

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        """Classification and alignment, balanced; the parts are the losses and, as "weight ...", what they weigh."""
        assert isinstance(network, JointNetwork)  # noqa: S101
        features = {
            name: network.screening.features(name, batch.clips[name], self.settings.micro)
            for name in self.interaction.sequences
            if len(batch.rows[name])
        }
        losses: dict[str, Tensor | None] = {}
        for first, second in self.interaction.aligned:
            if first in features and second in features:
                losses[f"fsa:{first}-{second}"] = self._alignment(batch, features, first, second)
        for name, own in features.items():
            scores = network.screening.scores(name, own)
            losses[f"cls:{name}"] = focal_loss(_whole(scores), batch.classes[batch.rows[name]], self.settings.gamma)
        balanced = network.balance(losses)
        told = {name: float(loss.detach()) for name, loss in losses.items() if loss is not None}
        # a line of the log averages equal names: absent losses are told as 0 with a weight of 0
        parts = {name: told.get(name, 0.0) for name in self.interaction.losses}
        parts |= {f"weight {name}": balanced.weights.get(name, 0.0) for name in self.interaction.losses}
        return Loss(balanced.total, parts)

    def _alignment(self, batch: Batch, features: Mapping[str, Tensor], first: str, second: str) -> Tensor | None:
        """In single precision, whatever the encoders ran in."""
        one, other = _whole(features[first]), _whole(features[second])
        if self.interaction.guide:
            one, other = (f.detach() if name == LGE else f for name, f in ((first, one), (second, other)))
        rows, others = batch.rows[first], batch.rows[second]
        with torch.autocast(one.device.type, enabled=False):  # cosines of half precision have three digits
            if self.interaction.form == "label":
                classes = batch.classes[rows], batch.classes[others]
                return label_alignment(one, other, *classes, self.interaction.temperature)
            both = [row for row in rows.tolist() if row in set(others.tolist())]
            here = [rows.tolist().index(row) for row in both]
            there = [others.tolist().index(row) for row in both]
            return sample_alignment(one[here], other[there], self.interaction.temperature)

    def check(self, network: nn.Module) -> dict[str, float]:
        """Balanced accuracy of every sequence's own head on the inner subjects."""
        assert isinstance(network, JointNetwork)  # noqa: S101
        return {
            f"accuracy_{name}": _accuracy(network.screening, self.inner, name) for name in self.interaction.sequences
        }


@dataclass
class FusionPhase:
    """Phase 3: the fusion of cine features, over encoders that no longer learn.

    Features do not change any more, so they are computed once and not once an epoch.

    Attributes:
        samples, inner: subjects who have all fused sequences are learned from and checked.
        settings: see there. encoders: learned in an earlier phase.
        copies: augmented copies of every subject, beside the plain one.
        seed: of the copies.
    """

    samples: Samples
    inner: Samples
    settings: ScreeningSettings
    encoders: ScreeningNetwork
    copies: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        config = self.settings.config
        self.samples = self.samples.take(_complete(self.samples, config.fused))
        self.inner = self.inner.take(_complete(self.inner, config.fused))
        self.samples.refuse_thin(config.classes)
        rng = np.random.default_rng((self.seed, 3))
        rounds = [fused_features(self.encoders, self.samples)]
        rounds += [
            fused_features(self.encoders, self.samples, (self.settings.augment, rng)) for _ in range(self.copies)
        ]
        self._features, self._inner = torch.stack(rounds), fused_features(self.encoders, self.inner)

    @property
    def size(self) -> int:
        """Draws of an epoch."""
        return self.settings.draws * len(self.samples)

    def network(self) -> nn.Module:
        """A fresh fusion."""
        return ScreeningNetwork(self.settings.config, self.settings.config.fused).fusion

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
        """(size, features) and (size,) classes."""
        from cinecmr.tasks.screening_samples import balanced_rows

        rows = balanced_rows(self.samples.classes, size, rng)
        copy = rng.integers(len(self._features), size=size)
        return self._features[copy, rows], torch.from_numpy(self.samples.classes[rows])

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> Loss:
        """Focal loss of the fused answer."""
        features, classes = batch
        return Loss(focal_loss(network(features), classes, self.settings.gamma), {})

    def check(self, network: nn.Module) -> dict[str, float]:
        """Balanced accuracy on the inner subjects."""
        found = network(self._inner.to(_device(network))).argmax(1).cpu().numpy()
        return {"accuracy": balanced_accuracy(found, self.inner.classes)}


def started(network: ScreeningNetwork, weights: Mapping[str, Tensor]) -> ScreeningNetwork:
    """The network with the weights of the same name; the fusion, which is learned last, and all others stay drawn.

    Raises:
        ValueError: weights of another shape, or none that fits.
    """
    own = network.state_dict()
    fitting = {name: tensor for name, tensor in weights.items() if name in own and not name.startswith("fusion.")}
    if weights and not fitting:
        raise ValueError("none of the weights to start from belongs to this network")
    for name, tensor in fitting.items():
        if tensor.shape != own[name].shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)} where training starts from, and {tuple(own[name].shape)} here"
            )
    network.load_state_dict(fitting, strict=False)
    return network


@torch.inference_mode()
def features_of(
    network: ScreeningNetwork,
    samples: Samples,
    sequence: str,
    change: tuple[Augment, np.random.Generator] | None = None,
) -> Tensor:
    """Features of one sequence for every subject, computed in evaluation mode; rows of those who lack it are 0.

    Args:
        network: its mode is put back afterwards.
        samples: (n subjects).
        sequence: which.
        change: augmentation and its draws.

    Returns:
        (n, features).
    """
    learning = network.training
    network.eval()
    found = torch.zeros(len(samples), network.config.features)
    rows = np.flatnonzero(samples.there[sequence])
    for begin in range(0, len(rows), _ASKED):
        some = rows[begin : begin + _ASKED]
        clips = samples.clip(sequence, some)
        clips = clips if change is None else change[0](clips, sequence, change[1])
        found[torch.from_numpy(some)] = network.features(sequence, clips.to(_device(network))).cpu()
    network.train(learning)
    return found.clone()


def fused_features(
    network: ScreeningNetwork, samples: Samples, change: tuple[Augment, np.random.Generator] | None = None
) -> Tensor:
    """(n, features of all fused sequences) side by side, as the fusion eats them."""
    return torch.cat([features_of(network, samples, name, change) for name in network.config.fused], 1)


def probabilities(network: ScreeningNetwork, samples: Samples, sequence: str | None = None) -> NDArray[np.float64]:
    """What the network says of each subject: (n, classes), rows of those who lack a needed sequence NaN.

    Args:
        network: whole, or with an encoder for `sequence` at least.
        samples: (n subjects).
        sequence: ask its own head; None for the fusion.
    """
    with torch.inference_mode():
        network.eval()
        if sequence is None:
            scores = network.fusion(fused_features(network, samples).to(_device(network)))
            missing = np.setdiff1d(np.arange(len(samples)), _complete(samples, network.config.fused))
        else:
            scores = network.scores(sequence, features_of(network, samples, sequence).to(_device(network)))
            missing = np.flatnonzero(~samples.there[sequence])
        found = scores.cpu().double().softmax(1).numpy().copy()
    found[missing] = np.nan
    return np.asarray(found)


def balanced_accuracy(found: NDArray[np.integer[Any]], truth: NDArray[np.integer[Any]]) -> float:
    """Share rightly classed, each class that is there counting alike; NaN of nobody."""
    rates = [float((found[truth == one] == one).mean()) for one in np.unique(truth)]
    return float(np.mean(rates)) if rates else float("nan")


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _whole(values: Tensor) -> Tensor:
    """In single precision at least: half of it loses what logarithms of shares need."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def _accuracy(network: ScreeningNetwork, samples: Samples, sequence: str) -> float:
    rows = np.flatnonzero(samples.there[sequence])
    some = samples.take(rows)
    scores = network.scores(sequence, features_of(network, some, sequence).to(_device(network)))
    return balanced_accuracy(scores.argmax(1).cpu().numpy(), some.classes)


def _complete(samples: Samples, sequences: tuple[str, ...]) -> NDArray[np.intp]:
    return np.flatnonzero(np.all([samples.there[name] for name in sequences], axis=0))
