"""What a training run is: everything that decides its result, frozen, with a hash for a name.

Settings that came later are left out of the hash while they have the value that says "as before", so a run keeps its
name when the laboratory learns something new.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

PRECISIONS = ("fp32", "bf16")


NEWER = {"newer": True}  # of a field that came after runs had names: it counts only where it is not its default


def plain(value: Any) -> Any:
    """Settings as JSON has them: dataclasses as dictionaries, tuples as lists, without what `NEWER` leaves out."""
    if is_dataclass(value) and not isinstance(value, type):
        named = {entry: getattr(value, entry.name) for entry in fields(value) if not entry.metadata.get("local")}
        return {
            entry.name: plain(own)
            for entry, own in named.items()
            if not (entry.metadata.get("newer") and own == entry.default)
        }
    if isinstance(value, dict):
        return {str(plain(key)): plain(own) for key, own in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(own) for own in value]
    return value.value if isinstance(value, Enum) else value


def restored(like: T, told: Mapping[str, Any]) -> T:
    """Settings that `plain` wrote, back as they were.

    Args:
        like: default settings of the same kind: what each value should be is seen from what stands there. A setting
            that is None there stays so.
        told: by name; what is left out keeps its default.

    Raises:
        ValueError: a setting that these have not, or a value that they refuse.
    """
    known = {entry.name for entry in fields(cast("Any", like))}
    if unknown := sorted(told.keys() - known):
        raise ValueError(f"{type(like).__name__} has no {', '.join(unknown)}: they are of another version")
    changed: T = replace(cast("Any", like), **{name: _like(getattr(like, name), own) for name, own in told.items()})
    return changed


def _like(own: Any, value: Any) -> Any:
    if own is None or is_dataclass(own):
        return own if own is None else restored(own, value)
    if isinstance(own, Enum):
        return type(own)(value)
    if isinstance(value, (list, tuple)):
        return tuple(_like(own[0] if own and not isinstance(own[0], tuple) else "", entry) for entry in value)
    return value


def hash_of(value: Any) -> str:
    """10 hex digits of settings."""
    return hashlib.sha256(json.dumps(plain(value), sort_keys=True).encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Optimiser:
    """AdamW with warm-up and cosine decay.

    Attributes:
        rate: peak learning rate. decay: decoupled weight decay.
        warmup: updates until the peak. clip: largest gradient norm.
        average: decay of the running average of the weights that is kept beside them and shipped; 0 keeps the last.
        betas: of the two moments.
        last_rate: learning rate to which the cosine falls.
        from_zero: the first update has the rate 0, as in the published runs; else a `warmup`-th of the peak.
        spare_vectors: no weight decay on biases and other vectors.
        layer_decay: factor by which each block further from the answer learns slower; 1 for none. See `optim`.
        fused: all of a step's arithmetic in one pass over the weights: faster, and equal up to rounding.
    """

    rate: float = 2e-3
    decay: float = 1e-4
    warmup: int = 150
    clip: float = 1.0
    average: float = 0.997
    betas: tuple[float, float] = field(default=(0.9, 0.999), metadata=NEWER)
    last_rate: float = field(default=0.0, metadata=NEWER)
    from_zero: bool = field(default=False, metadata=NEWER)
    spare_vectors: bool = field(default=False, metadata=NEWER)
    layer_decay: float = field(default=1.0, metadata=NEWER)
    fused: bool = field(default=False, metadata=NEWER)

    def __post_init__(self) -> None:
        if self.rate <= 0 or not 0 <= self.average < 1:
            raise ValueError(f"rate must be above 0 and average in [0, 1), got {self.rate} and {self.average}")
        if not 0 <= self.last_rate <= self.rate or not 0 < self.layer_decay <= 1:
            raise ValueError(
                f"last_rate is between 0 and rate and layer_decay in (0, 1], got {self.last_rate}, {self.layer_decay}"
            )


@dataclass(frozen=True)
class Schedule:
    """How long, and how often to look.

    Attributes:
        updates: optimiser steps. batch: samples of one step.
        log_every: updates between log lines; every fifth line leaves a checkpoint.
        check_every: updates between validations, a multiple of `log_every`; each leaves a checkpoint.
        micro: samples that go through the network together, where memory does not hold a batch; 0 for the batch. The
            last of a step may be smaller: every sample of a step weighs the same.
        by_epochs: every sample once an epoch, in an order of its own; the last update of an epoch gets what is left.
            The objective must know its samples by number. Off, each batch is drawn by itself.
    """

    updates: int = 6000
    batch: int = 2
    log_every: int = 20
    check_every: int = 500
    micro: int = field(default=0, metadata=NEWER)
    by_epochs: bool = field(default=False, metadata=NEWER)

    def __post_init__(self) -> None:
        if min(self.updates, self.batch, self.log_every, self.check_every) < 1:
            raise ValueError(f"updates, batch, log_every and check_every must be 1 or more, got {self}")
        if self.check_every % self.log_every:
            raise ValueError(
                f"check_every must be a multiple of log_every, got {self.check_every} and {self.log_every}"
            )
        if not 0 <= self.micro <= self.batch:
            raise ValueError(f"micro must be between 1 and batch, or 0 for the whole batch, got {self.micro}")


@dataclass(frozen=True)
class Stopping:
    """When to stop early, and which weights to keep: those with the best score of a check.

    Attributes:
        score: its name, as the objective's `check` tells it.
        patience: checks without progress until the run stops.
        progress: by how much a score must beat the best to count as progress.
        smaller_is_better: for errors and distances.
    """

    score: str
    patience: int = 5
    progress: float = 1e-4
    smaller_is_better: bool = False

    def __post_init__(self) -> None:
        if self.patience < 1 or self.progress < 0:
            raise ValueError(f"patience must be 1 or more and progress 0 or more, got {self}")


@dataclass(frozen=True)
class Weights:
    """A file of weights to start from; only its checksum is part of a run's name, so that it may be moved.

    Attributes:
        sha256: of the file. path: where it lies here.
    """

    sha256: str
    path: str = field(default="", compare=False, metadata={"local": True})

    @classmethod
    def of(cls, path: Path) -> Weights:
        """A file's checksum.

        Raises:
            OSError: it cannot be read.
        """
        with Path(path).open("rb") as file:
            return cls(hashlib.file_digest(file, "sha256").hexdigest(), str(path))


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        objective: name and settings of what is learned, as JSON-ready values.
        optimiser, schedule: see there.
        seed: of weights, order of samples, and augmentation.
        stopping: when to stop early; None to train to the end and keep the last weights.
        precision: "fp32", or "bf16" for mixed precision.
        start: the run, or the file, whose weights this one begins with; None to begin with drawn ones.
    """

    objective: dict[str, object]
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    seed: int = 0
    stopping: Stopping | None = field(default=None, metadata=NEWER)
    precision: str = field(default="fp32", metadata=NEWER)
    start: Recipe | Weights | None = field(default=None, metadata=NEWER)

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"no precision {self.precision!r}: there are {', '.join(PRECISIONS)}")

    def as_json(self) -> dict[str, Any]:
        """For files and model cards."""
        known: dict[str, Any] = plain(self)
        return known

    @property
    def key(self) -> str:
        """10 hex digits that name the run."""
        return hash_of(self)
