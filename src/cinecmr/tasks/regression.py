"""Numbers straight from pictures, without labels: ejection fraction, body mass index, age.

ED and ES frame are read together, as two channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from torch.nn import functional

from cinecmr.anatomy import Structure
from cinecmr.learn.objective import Loss
from cinecmr.study import Findings, Measurement
from cinecmr.tasks._learner import Learner, Sample, ViewSettings, phases
from cinecmr.tasks.architecture import Architecture, ask, device_of
from cinecmr.tasks.volume_segmentation import measured_fraction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from cinecmr.datasets import Case
    from cinecmr.study import Study

# Name under which an answer stands among the measurements, and its unit. "legacy_weighted_ef" is what published
# weights learned as EF: of sums of label codes instead of volumes (specification of CineMA's code, section 12, row 1).
TARGETS = {
    "LVEF": ("LVEF_direct", "%"),
    "RVEF": ("RVEF_direct", "%"),
    "BMI": ("BMI_direct", "kg/m2"),
    "age": ("age_direct", "years"),
    "legacy_weighted_ef": ("legacy_weighted_ef", "%"),
}
PAIR = 2  # frames read together


@dataclass(frozen=True)
class RegressionSettings(ViewSettings):
    """What is told.

    Attributes:
        target: one of `TARGETS`.
        mean, spread: of the target, in its unit: the network answers in z-scores. 0 and 0 take those of the cases.
    """

    architecture: Architecture = field(default_factory=lambda: Architecture("convvit"))
    target: str = "LVEF"
    mean: float = 0.0
    spread: float = 0.0

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise ValueError(f"nothing called {self.target!r} to regress: there are {', '.join(TARGETS)}")
        if self.spread < 0:
            raise ValueError(f"spread is a standard deviation, got {self.spread}")


@dataclass
class Regression(Learner):
    """Learn, tell and score one number a study."""

    settings: RegressionSettings = field(default_factory=RegressionSettings)

    def __post_init__(self) -> None:
        if self.cases and self.settings.spread == 0:
            known = [value for case in self.cases if (value := self._value(case)) is not None]
            if known:
                spread = float(np.std(known)) or 1.0
                self.settings = replace(self.settings, mean=float(np.mean(known)), spread=spread)

    @property
    def channels(self) -> int:
        """ED and ES of every sequence."""
        return PAIR * len(self.settings.contrasts)

    @property
    def outputs(self) -> int:
        """One number."""
        return 1

    def prepare(self, case: Case) -> Iterator[Sample]:
        """One sample a case whose number is known."""
        value = self._value(case)
        study, truth = case.load()
        if value is None or not self.readable(study):
            return
        ed, es, _ = phases(self.image(study), truth.cycle)
        score = (value - self.settings.mean) / self.settings.spread
        yield Sample(self.volume(study, (ed, es), self.place(study)), np.array([score], np.float32))

    def _value(self, case: Case) -> float | None:
        study, truth = case.load()
        return value_of(self.settings, study, truth)

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> Loss:
        """Mean squared error of z-scores."""
        images, targets = (part.to(device_of(network)) for part in batch)
        error = functional.mse_loss(ask(network, self.settings.view.value, images).float(), targets)
        return Loss(error, {"squared_error": float(error.detach())})

    def truth(self, case: Case) -> Findings:
        """The number, under the name of the answer; no measurement where it is not known."""
        value, (_, truth) = self._value(case), case.load()
        return self._told(value, "expert", truth.cycle) if value is not None else Findings(cycle=truth.cycle)

    def _told(self, value: float, source: str, cycle: Mapping[str, int]) -> Findings:
        name, unit = TARGETS[self.settings.target]
        return Findings(
            measurements={name: Measurement(value, unit, "straight from the pictures", source)}, cycle=cycle
        )

    def predict(self, network: nn.Module, study: Study, cycle: Mapping[str, int] | None = None) -> Findings:
        """The number of a study; where the cycle is not known, see `phases`."""
        ed, es, flags = phases(self.image(study), cycle)
        answer = self.answer(network, self.volume(study, (ed, es), self.place(study)))
        value = float(answer[0]) * (self.settings.spread or 1.0) + self.settings.mean
        return self._told(value, "network", {}) | Findings(flags=tuple(flags))

    def score(self, found: Findings, truth: Findings, study: Study | None = None) -> dict[str, float]:  # noqa: ARG002
        """`closeness` (minus the absolute error, so that higher is better), `abs_error`, `found` and `true`.

        Empty where the true number is not known.
        """
        name, _ = TARGETS[self.settings.target]
        if name not in truth.measurements:
            return {}
        ours, true = found.measurements[name].value, truth.measurements[name].value
        error = abs(ours - true)
        return {"closeness": -error, "abs_error": error, "found": ours, "true": true}


def value_of(settings: RegressionSettings, study: Study, truth: Findings) -> float | None:
    """The true number; None where the data do not tell."""
    facts, target = study.facts, settings.target
    if target == "age":
        return facts.age_y
    if target == "BMI":
        return facts.weight_kg / facts.height_m**2 if facts.weight_kg and facts.height_m else None
    if target in ("LVEF", "RVEF") and (known := measured_fraction(truth, target[:2])) is not None:
        return known
    return _ejection_fraction(settings, truth)


def _ejection_fraction(settings: RegressionSettings, truth: Findings) -> float | None:
    """From labels at ED and ES, %; None without them."""
    labels = truth.labels.get(settings.key)
    if labels is None or not {"LV_ED", "LV_ES"} <= truth.cycle.keys():
        return None
    at = {phase: labels[..., truth.cycle[f"LV_{phase}"]] for phase in ("ED", "ES")}
    if any((codes == Structure.UNSEEN).all() for codes in at.values()):
        return None
    full, empty = (_filling(settings.target, codes) for codes in (at["ED"], at["ES"]))
    return float(np.clip(100 * (full - empty) / full, 0, 100)) if full else None


def _filling(target: str, codes: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float:
    if target == "legacy_weighted_ef":
        return float(codes[codes != Structure.UNSEEN].sum(dtype=np.int64))
    return float((codes == (Structure.RV if target == "RVEF" else Structure.LV)).sum())
