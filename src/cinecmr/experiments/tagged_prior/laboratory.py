"""Priors and fits of the fourth paper's tables, each made once and kept: a run that was killed goes on where it was."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import View
from cinecmr.experiments.scoring import Scored
from cinecmr.experiments.tagged_prior import starts
from cinecmr.experiments.tagged_prior.cohorts import TAGGED, Subject, name_of, subject
from cinecmr.experiments.tagged_prior.judging import against_truth, as_published, field_at_rest
from cinecmr.io.files import write_text
from cinecmr.io.subject import subject_name
from cinecmr.learn.recipe import hash_of
from cinecmr.motion.cohort import META, cohort_prior
from cinecmr.motion.network_prior import network_prior
from cinecmr.motion.published import XAVIER, register_published
from cinecmr.motion.register import register
from cinecmr.phantom.stacks import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.experiments.tagged_prior.scales import Scale
    from cinecmr.experiments.tagged_prior.starts import Start
    from cinecmr.motion.network_prior import State
    from cinecmr.motion.prior import Prior
    from cinecmr.motion.published import NetworkMotion, Published
    from cinecmr.motion.register import Sound
    from cinecmr.study import Image, Motion, Study

    Labels = NDArray[np.uint8]
    Scores = dict[int, dict[str, float]]  # by steps done

PRIORS, FITS = "priors", "fits"
_FINE, _COARSE = 2.0, 1.0  # pixels of smoothing of the first and the last steps of the default
_FIRST_SHARE = 0.6  # of its steps


@dataclass(frozen=True)
class Laboratory:
    """One scale's priors and fits.

    Attributes:
        scale: how large they are.
        out: folder that keeps them.
        official: the penalty on volume is off, as in the published program's shipped settings.
        device: where networks run.
        say: told what is done.
    """

    scale: Scale
    out: Path
    official: bool = False
    device: str = "cpu"
    say: Callable[[str], None] = print

    @property
    def network(self) -> Published:
        """Settings of the recipe."""
        return replace(self.scale.network, volume=0.0) if self.official else self.scale.network

    def key(self, start: Start) -> str:
        """Name of a start and everything that decides what comes of it."""
        held = [
            asdict(start),
            asdict(self.network),
            asdict(self.scale.sound),
            self.scale.frames,
            self.scale.matrix,
            self.scale.cells,
        ]
        return f"{start.kind}-{start.subjects}-" + hash_of([*held, VERSION])

    def path(self, start: Start, cohort: str, number: int) -> Path:
        """Where the scores of a fit are kept."""
        return self.out / FITS / self.key(start) / f"{name_of(cohort, number)}.json"

    def kept(self, start: Start, cohort: str, number: int, steps: Sequence[int]) -> Scored | None:
        """Scores after so many steps, of the last of them under its own name; None where they have to be made."""
        path = self.path(start, cohort, number)
        if not path.is_file():
            return None
        found = json.loads(path.read_text("utf-8"))
        if any(str(step) not in found for step in steps):
            return None
        name = subject_name(name_of(cohort, number))
        return Scored(name, name, found[str(steps[-1])])

    def fit(self, start: Start, cohort: str, number: int, steps: Sequence[int]) -> None:
        """Fit one subject, and keep its scores after each of so many steps."""
        one = made(cohort, number, self.scale)
        found = (self._network_scores if start.method == starts.NETWORK else self._own_scores)(start, one, steps)
        write_text(self.path(start, cohort, number), json.dumps(found, indent=1) + "\n")

    def _network_scores(self, start: Start, one: Subject, steps: Sequence[int]) -> Scores:
        found: Scores = {}
        wanted = {0, *steps}

        def look(done: int, motion: NetworkMotion) -> None:
            if done in wanted:
                found[done] = scores(motion, one, self.scale.cells)

        self.network_motion(start, one, max(wanted), look)
        return found

    def network_motion(
        self, start: Start, one: Subject, steps: int, watch: Callable[[int, NetworkMotion], None] | None = None
    ) -> NetworkMotion:
        """The published recipe from a start."""
        settings = replace(self.network, steps=steps)
        weights = None
        if start.kind == starts.XAVIER:
            settings = replace(settings, first=XAVIER)
        elif start.subjects:
            weights = self.weights(start)
        return register_published(
            one.image, one.labels, start=weights, settings=settings, watch=watch, device=self.device
        )

    def _own_scores(self, start: Start, one: Subject, steps: Sequence[int]) -> Scores:
        prior = self.prior(start) if start.subjects else None
        found: Scores = {}
        for count in {0, *steps}:
            settings = in_steps(self.scale.sound, count)
            found[count] = scores(
                register(one.study, one.labels, start=prior, settings=settings).motion, one, self.scale.cells
            )
        return found

    def prior(self, start: Start) -> Prior:
        """A prior of the default registration."""
        names = [str(number) for number in range(start.subjects)]
        method = {starts.MEAN: "mean", META: META}.get(start.kind, "robust")
        settings = in_steps(self.scale.sound, self.scale.whole)
        folder = (
            self.out / PRIORS / ("ours-" + hash_of([asdict(settings), self.scale.frames, self.scale.matrix, VERSION]))
        )
        found = cohort_prior(names, self._tagged, folder, method=method, settings=settings)
        return replace(found, by_ejected=np.zeros_like(found.by_ejected)) if start.kind == starts.FLAT else found

    def _tagged(self, name: str) -> tuple[Study, Labels]:
        one = made(TAGGED, int(name), self.scale)
        return one.study, one.labels

    def weights(self, start: Start) -> State:
        """A prior of the network: the average of the subjects' own."""
        names = [name_of(TAGGED, number) for number in range(start.subjects)]
        apart = start.kind == starts.APART
        held = [asdict(self.network), self.scale.frames, self.scale.matrix, VERSION]
        folder = self.out / PRIORS / (f"published-{'apart-' if apart else ''}" + hash_of(held))
        method = start.kind if start.kind in (starts.ROBUST, META) else starts.MEAN
        found = network_prior(
            names, self._tagged_image, folder, self.network, method, apart=apart, device=self.device, say=self.say
        )
        return found.weights

    def _tagged_image(self, name: str) -> tuple[Image, Labels]:
        one = made(TAGGED, int(name.rsplit("-", 1)[1]), self.scale)
        return one.image, one.labels


def in_steps(settings: Sound, count: int) -> Sound:
    """The default with so many Gauss-Newton steps: the first ones on smoother pictures, as it does."""
    first = round(_FIRST_SHARE * count)
    return replace(settings, levels=((_FINE, first), (_COARSE, count - first)))


def scores(motion: Motion, one: Subject, cells: tuple[int, int, int]) -> dict[str, float]:
    """Everything the tables tell of a fit."""
    image = one.study[View.SAX]
    truth = against_truth(motion, one.truth, image.frames, cells)
    found = as_published(motion, image, one.labels) | truth | field_at_rest(motion, image, one.labels, one.truth)
    return found | {f"{name}_error": abs(truth[f"es_{name}_error"]) for name in ("GCS", "GRS", "GLS")}


@lru_cache(maxsize=2)
def made(cohort: str, number: int, scale: Scale) -> Subject:
    """A subject; the last ones are kept, for several fits follow on one."""
    return subject(cohort, number, scale)
