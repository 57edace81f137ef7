"""How large the tables are made: the four scales, and what each costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cinecmr.errors import RefusedInput
from cinecmr.experiments.cc_cmr.cohort import CohortRecipe
from cinecmr.experiments.cc_cmr.start import StartRecipe
from cinecmr.learn.recipe import Optimiser, Schedule, hash_of
from cinecmr.networks.video_swin import VideoSwinConfig
from cinecmr.tasks.screening import ScreeningSettings
from cinecmr.tasks.screening_data import Window
from cinecmr.tasks.screening_network import ScreeningConfig, VitShape
from cinecmr.tasks.screening_samples import FEWEST_OF_A_CLASS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cinecmr.experiments.cc_cmr.rows import Row


@dataclass(frozen=True)
class Scale:
    """Everything that decides a table, apart from its rows.

    Attributes:
        name: see `SCALES`.
        cohort: the subjects. settings: the network and its samples.
        start: what Video Swin encoders learn before anything else; None where they are drawn.
        epochs: of the three phases. batch: subjects of a step. rate: peak learning rate.
        warmup_epochs: until it is reached.
        folds, seeds: of cross-validation, and trainings of each fold.
        resamples: of the bootstrap.
        precision: "fp32" or "bf16", see `Recipe`; losses are in single precision always.
        clip_seconds: what one clip costs forward and backward on one core of a plain computer, for the estimate
            before the start; `benchmarks/screening.py` measures it.
        subject_seconds: what making one subject costs.
    """

    name: str
    cohort: CohortRecipe
    settings: ScreeningSettings
    epochs: tuple[int, int, int]
    start: StartRecipe | None = None
    batch: int = 8
    rate: float = 1e-3
    warmup_epochs: float = 2.5
    folds: int = 5
    seeds: tuple[int, ...] = (0, 1, 2)
    resamples: int = 2000
    precision: str = "fp32"
    clip_seconds: float = 0.0
    subject_seconds: float = 0.0

    @property
    def key(self) -> str:
        """10 hex digits of all that decides what a fold and a seed say."""
        return hash_of([
            self.cohort.key, self.cohort.subjects, self.settings.as_json(), self.epochs, self.start, self.batch,
            self.rate, self.warmup_epochs, self.folds, self.precision,
        ])  # fmt: skip

    def schedule(self, phase: int, size: int, classes: int = 2) -> tuple[Optimiser, Schedule]:
        """Optimiser and length of a phase, counted from 0.

        Args:
            phase: 0, 1 or 2.
            size: draws of an epoch.
            classes: of which every batch holds two members.
        """
        batch = max(self.batch, FEWEST_OF_A_CLASS * classes)
        an_epoch = -(-size // batch)
        updates = self.epochs[phase] * an_epoch
        told = max(1, updates // 20)
        warmup = min(round(self.warmup_epochs * an_epoch), updates // 4)
        optimiser = Optimiser(self.rate, decay=0.05, warmup=warmup, average=0.0)
        return optimiser, Schedule(updates, batch, told, told * 1000)

    def clips(self, rows: Sequence[Row], share: float = 1.0) -> int:
        """Clips that go forward and backward for these rows, over all folds and seeds; the fusion's are not counted.

        Args:
            rows: of a table.
            share: of the cohort that it asks about.
        """
        train = round(share * self.cohort.subjects) * (self.folds - 2) // self.folds * self.settings.draws
        first = {(row.encoder, name, row.shuffled and name == "lge", row.unlinked and name == "lge")
                 for row in rows for name in used(row)}  # fmt: skip
        joint = sum(len(row.joint.sequences) for row in rows if row.joint is not None)
        each = train * (self.epochs[0] * len(first) + self.epochs[1] * joint)
        return each * self.folds * len(self.seeds)

    def cost(self, rows: Sequence[Row], share: float = 1.0) -> str:
        """One line: how much there is to do, and how long it takes on one core where that is known; see `clips`."""
        clips = self.clips(rows, share)
        told = f"{self.cohort.subjects} subjects, {len(rows)} rows, {self.folds} folds, {len(self.seeds)} seeds"
        if not self.clip_seconds:
            return f"{told}: {clips:,} clips forward and backward"
        # features for the fusion, plain and augmented, and answers: forward alone, a third of the work
        asked = 2 * 2 * self.cohort.subjects * self.folds * len(self.seeds) * len(rows)
        before, others = (self.start.clips, self.start.subjects) if self.start else (0, 0)
        making = (self.cohort.subjects + others) * self.subject_seconds
        hours = ((before + clips + asked / 3) * self.clip_seconds + making) / 3600
        return f"{told}: {before + clips:,} clips forward and backward, about {hours:.1f} core-hours with the subjects"


def used(row: Row) -> tuple[str, ...]:
    """Sequences that a row learns in phase 1."""
    if row.joint is not None:
        return row.joint.sequences
    return (row.alone,) if row.alone else ("ch4", "sax")


_LAPTOP_WINDOW = Window(size=64, spacing_mm=2.4, frames=8)
_SMOKE_WINDOW = Window(size=16, spacing_mm=9.0, frames=4, lge_slices=4)
# A window of 4 x 4 x 4 tokens divides a grid of 4 x 16 x 16 without padding: four times faster than 8 x 7 x 7.
_NARROW = VideoSwinConfig(width=24, depths=(2, 2, 2, 2), heads=(1, 2, 4, 8), window=(4, 4, 4))
_TINY = VideoSwinConfig(width=4, depths=(1, 1), heads=(1, 2), window=(2, 2, 2), drop_path=0.0)

SCALES = {
    scale.name: scale
    for scale in (
        Scale(
            "smoke",
            CohortRecipe(10, window=_SMOKE_WINDOW, frames=8, matrix=32),
            ScreeningSettings(
                ScreeningConfig(window=_SMOKE_WINDOW, swin=_TINY, vit=VitShape((4, 8), 12, 1, 2), hidden=8),
                draws=1,
                backbone_rate=1.0,
            ),
            epochs=(1, 1, 2),
            start=StartRecipe(subjects=4, epochs=1, batch=2),
            batch=4,
            folds=5,
            seeds=(0,),
            resamples=1000,
        ),
        Scale(
            "laptop",
            CohortRecipe(500, window=_LAPTOP_WINDOW, frames=8, matrix=128),
            ScreeningSettings(
                ScreeningConfig(window=_LAPTOP_WINDOW, swin=_NARROW, vit=VitShape((32, 64), 192, 6, 6)),
                draws=1,
                backbone_rate=1.0,
            ),
            epochs=(6, 4, 10),
            start=StartRecipe(),
            rate=2e-4,  # at 1e-3 nothing is learned: losses stay where guessing leaves them
            clip_seconds=0.013,
            subject_seconds=0.6,
        ),
        Scale(
            "gpu",
            CohortRecipe(500, window=Window(size=128, spacing_mm=1.4, frames=16), frames=16, matrix=192),
            ScreeningSettings(
                ScreeningConfig(
                    window=Window(size=128, spacing_mm=1.4, frames=16),
                    swin=VideoSwinConfig(width=48, heads=(2, 4, 8, 16), window=(8, 4, 4)),
                    vit=VitShape((32, 64), 384, 8, 6),
                ),
                draws=1,
                backbone_rate=1.0,
            ),
            epochs=(40, 40, 10),
            start=StartRecipe(),
            precision="bf16",
        ),
        Scale(
            "full",
            CohortRecipe(500),
            ScreeningSettings(ScreeningConfig(swin=VideoSwinConfig(sliced_bias=True)), micro=2),
            epochs=(300, 600, 10),
            precision="bf16",
        ),
    )
}


def chosen(name: str, subjects: int | None = None, seeds: int | None = None) -> Scale:
    """A scale by its name, perhaps with fewer subjects or seeds.

    Raises:
        RefusedInput: there is none of that name.
    """
    if name not in SCALES:
        raise RefusedInput("no-such-scale", f"no scale {name!r}: there are {', '.join(SCALES)}")
    scale = SCALES[name]
    if subjects is not None:
        scale = replace(scale, cohort=replace(scale.cohort, subjects=subjects))
    return scale if seeds is None else replace(scale, seeds=tuple(range(seeds)))
