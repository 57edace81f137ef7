"""What a training run is: everything that decides its result, frozen, with a hash for a name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Optimiser:
    """AdamW with warm-up and cosine decay.

    Attributes:
        rate: peak learning rate. decay: decoupled weight decay.
        warmup: updates until the peak. clip: largest gradient norm.
        average: decay of the running average of the weights that is kept beside them and shipped.
    """

    rate: float = 2e-3
    decay: float = 1e-4
    warmup: int = 150
    clip: float = 1.0
    average: float = 0.997

    def __post_init__(self) -> None:
        if self.rate <= 0 or not 0 <= self.average < 1:
            raise ValueError(f"rate must be above 0 and average in [0, 1), got {self.rate} and {self.average}")


@dataclass(frozen=True)
class Schedule:
    """How long, and how often to look.

    Attributes:
        updates: optimiser steps. batch: samples of one step.
        log_every: updates between log lines; every fifth line leaves a checkpoint.
        check_every: updates between validations, a multiple of `log_every`; each leaves a checkpoint.
    """

    updates: int = 6000
    batch: int = 2
    log_every: int = 20
    check_every: int = 500

    def __post_init__(self) -> None:
        if min(self.updates, self.batch, self.log_every, self.check_every) < 1:
            raise ValueError(f"updates, batch, log_every and check_every must be 1 or more, got {self}")
        if self.check_every % self.log_every:
            raise ValueError(
                f"check_every must be a multiple of log_every, got {self.check_every} and {self.log_every}"
            )


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        objective: name and settings of what is learned, as JSON-ready values.
        optimiser, schedule: see there.
        seed: of weights, order of samples, and augmentation.
    """

    objective: dict[str, object]
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    seed: int = 0

    @property
    def key(self) -> str:
        """10 hex digits that name the run."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:10]
