"""Which of several: disease, ill or not, sex, vendor. ED and ES frame are read together, as two channels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from torch.nn import functional

from cinecmr.anatomy import Disease
from cinecmr.errors import RefusedInput
from cinecmr.learn.objective import Loss
from cinecmr.study import Findings, Measurement
from cinecmr.tasks._learner import Learner, Sample, ViewSettings, phases
from cinecmr.tasks.architecture import Architecture, ask, device_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from cinecmr.datasets import Case
    from cinecmr.study import Study

TARGETS = ("disease", "detection", "sex", "vendor")
PAIR = 2  # frames read together
HEALTHY, ILL = "normal", "ill"
NORMAL = {"normal", "nor", "n"}  # words of data sets for those who have nothing
FEWEST = 2


@dataclass(frozen=True)
class ClassificationSettings(ViewSettings):
    """What is asked.

    Attributes:
        target: "disease" (the data set's own groups), "detection" (all that are not normal are one class), "sex",
            "vendor".
        classes: in the order of the network's answers; empty takes those of the cases, by name.
        smoothing: share of each target that is spread over all classes.
    """

    architecture: Architecture = field(default_factory=lambda: Architecture("convvit"))
    target: str = "disease"
    classes: tuple[str, ...] = ()
    smoothing: float = 0.1

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise ValueError(f"nothing called {self.target!r} to classify: there are {', '.join(TARGETS)}")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing is a share from 0 to 1, got {self.smoothing}")


@dataclass
class Classification(Learner):
    """Learn, tell and score the class of a study."""

    settings: ClassificationSettings = field(default_factory=ClassificationSettings)

    def __post_init__(self) -> None:
        if self.cases and not self.settings.classes:
            found = {word for case in self.cases if (word := self._word(case))}
            if len(found) < FEWEST:
                told = f"only {next(iter(found))}" if found else "none that says"
                raise RefusedInput(
                    "one-class",
                    f"to learn {self.settings.target} takes cases of two classes or more, and of {len(self.cases)} "
                    f"cases there is {told}; add others, or check the table of the data set",
                )
            self.settings = replace(self.settings, classes=tuple(sorted(found)))

    @property
    def channels(self) -> int:
        """ED and ES of every sequence."""
        return PAIR * len(self.settings.contrasts)

    @property
    def outputs(self) -> int:
        """One a class."""
        return len(self.settings.classes)

    def _word(self, case: Case) -> str:
        return class_of(self.settings.target, case)

    def prepare(self, case: Case) -> Iterator[Sample]:
        """One sample a case whose class is among those asked for."""
        word = self._word(case)
        study, truth = case.load()
        if word not in self.settings.classes or not self.readable(study):
            return
        ed, es, _ = phases(self.image(study), truth.cycle)
        volume = self.volume(study, (ed, es), self.place(study))
        yield Sample(volume, np.array(self.settings.classes.index(word), np.int64))

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> Loss:
        """Cross-entropy with smoothed labels."""
        images, targets = (part.to(device_of(network)) for part in batch)
        scores = ask(network, self.settings.view.value, images).float()
        entropy = functional.cross_entropy(scores, targets, label_smoothing=self.settings.smoothing)
        return Loss(entropy, {"cross_entropy": float(entropy.detach())})

    def finish(self, answer: Tensor) -> Tensor:
        """Probabilities."""
        return answer.float().softmax(1)

    def truth(self, case: Case) -> Findings:
        """Probability 1 of the true class; nothing where it is not known, or not among those learned."""
        _, truth = case.load()
        word = self._word(case)
        if word not in self.settings.classes:
            return Findings(cycle=truth.cycle)
        shares = [float(word == name) for name in self.settings.classes]
        return self._told(shares, "expert") | Findings(cycle=truth.cycle)

    def _told(self, shares: list[float], source: str) -> Findings:
        target = self.settings.target
        named = dict(zip(self.settings.classes, shares, strict=True))
        told = {f"{target}:{name}": Measurement(share, "1", "probability", source) for name, share in named.items()}
        diseases = {disease.value: disease for disease in Disease}
        diagnosis = {diseases[name.lower()]: share for name, share in named.items() if name.lower() in diseases}
        return Findings(measurements=told, diagnosis=diagnosis if target == "disease" else {})

    def predict(self, network: nn.Module, study: Study, cycle: Mapping[str, int] | None = None) -> Findings:
        """Probability of every class, as measurements `TARGET:CLASS`; where the cycle is not known, see `phases`."""
        ed, es, flags = phases(self.image(study), cycle)
        shares = self.answer(network, self.volume(study, (ed, es), self.place(study)))
        return self._told([float(share) for share in shares], "network") | Findings(flags=tuple(flags))

    def score(self, found: Findings, truth: Findings, study: Study | None = None) -> dict[str, float]:  # noqa: ARG002
        """`correct` (1 or 0), `share_of_true`, `class` (index of the true one) and `share_N` of every class.

        Of diseases also `called_well` of the well and `called_ill` of the ill, all that are not normal being ill: their
        means are specificity and sensitivity.

        Empty where the true class is not known: such cases leave the table, as in the paper.
        """
        names = [f"{self.settings.target}:{name}" for name in self.settings.classes]
        if not names or names[0] not in truth.measurements:
            return {}
        true = int(np.argmax([truth.measurements[name].value for name in names]))
        shares = [found.measurements[name].value for name in names]
        said = int(np.argmax(shares))
        well = [number for number, name in enumerate(self.settings.classes) if name.lower() in NORMAL]
        told: dict[str, float] = {}
        if self.settings.target in ("disease", "detection") and well:
            told = {"called_well": float(said in well)} if true in well else {"called_ill": float(said not in well)}
        return {
            "correct": float(said == true),
            "share_of_true": shares[true],
            "class": float(true),
            **{f"share_{number}": share for number, share in enumerate(shares)},
            **told,
        }


def class_of(target: str, case: Case) -> str:
    """The class of a case in words; "" where the data do not tell."""
    if target in ("disease", "detection"):
        word = case.group or (case.disease.value if case.disease else "")
        if target == "disease" or not word:
            return word
        return HEALTHY if case.disease is Disease.NORMAL else ILL
    facts = case.load()[0].facts
    if target == "sex":
        return facts.sex.value if facts.sex else ""
    return facts.vendor or ""
