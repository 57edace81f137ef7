"""How large everything is, from `smoke` for tests to `full` as published.

`hour` is for one core and an hour or two, `laptop` for two cores and four hours a table, `gpu` for one device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cinecmr.anatomy import View
from cinecmr.experiments.cinema import CINEMA, RAND, RESNET, UNET
from cinecmr.learn.recipe import Optimiser
from cinecmr.learn.warp import Changes, for_labels, on_grid
from cinecmr.pretrain import mae
from cinecmr.tasks.architecture import Architecture

if TYPE_CHECKING:
    from cinecmr.experiments.table import Training
    from cinecmr.learn.samples import Grid

OFFICIAL, PUBLISHED, SOUND = "official", "published", "sound"
_KINDS = {UNET: ("unet", "unet"), RESNET: ("resnet", "resnet"), RAND: ("convunetr", "convvit"),
          CINEMA: ("convunetr", "convvit")}  # fmt: skip
_EPOCHS = {"segmentation": (4000, 50, 100), "regression": (800, 10, 20), "classification": (800, 10, 20),
           "landmarks": (400, 10, 20)}  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Sizes and lengths.

    Attributes:
        name: of the scale.
        decoder, levels, layers, inplanes: of ConvUNetR's decoder, U-Net, residual network; see `Architecture`.
        updates: of a fine-tuning; 0 for the published epochs, validated and stopped early.
        batch, micro: samples of an update, and of a pass.
        rate: peak learning rate.
        turn, shift_mm: largest rotation, degrees, and shift of a sample while learning; 0 as published.
        subjects, pretrain_subjects: synthetic ones, where a data set is not given.
        frames, matrix: of their beats and images; 0 for the scanner's matrix.
        seeds: trainings of one kind; 0 for as many as the table has.
        resamples, draws: of patients, and of cases as the paper draws them.
        precision: "fp32" or "bf16".
        cost: what a run takes, in words.
    """

    name: str
    decoder: tuple[int, ...] = (32, 64, 128, 256, 512)
    levels: tuple[int, ...] = (32, 64, 128, 256, 512)
    layers: int = 50
    inplanes: tuple[int, int, int, int] = (64, 128, 256, 512)
    updates: int = 0
    batch: int = 64
    micro: int = 4
    rate: float = 1e-3
    turn: float = 0.0
    shift_mm: float = 0.0
    subjects: int = 150
    pretrain_subjects: int = 2000
    frames: int = 25
    matrix: int = 0
    seeds: int = 0
    resamples: int = 2000
    draws: int = 100
    precision: str = "fp32"
    cost: str = ""

    @property
    def plan(self) -> mae.Plan:
        """Of the pre-training; the tasks take widths and grids from it."""
        return _hour() if self.name == "hour" else mae.plan(self.name)


def _hour() -> mae.Plan:
    """Pixels of 3 mm, and networks narrower than at `laptop`, so that forty trainings end within an hour or so."""
    of = mae.plan("laptop")
    small = replace(
        of.settings, sax_size=(64, 64, 8), sax_spacing=(3.0, 3.0, 10.0), lax_size=(64, 64), lax_spacing=3.0,
        stem_widths=(16, 32), stem_blocks=1, width=128, depth=4, heads=4, decoder_width=96, decoder_depth=2,
    )  # fmt: skip
    return replace(of, settings=small, updates=1500, frames=4)


SCALES = {
    "smoke": Scale(
        "smoke", (4, 8, 8, 8, 8), (4, 8), 18, (4, 8, 8, 8), updates=2, batch=2, micro=0, turn=30, shift_mm=10,
        subjects=8, pretrain_subjects=4, frames=3, matrix=40, seeds=1, resamples=50, draws=20, cost="seconds a table",
    ),
    "hour": Scale(
        "hour", (8, 16, 24, 32, 48), (8, 16, 24, 32, 48), 50, (8, 16, 32, 64), updates=200, batch=2, micro=0, rate=2e-3,
        turn=30, shift_mm=20, subjects=60, pretrain_subjects=160, frames=4, matrix=96,
        cost="an hour or two a table on one core",
    ),
    "laptop": Scale(
        "laptop", (8, 16, 32, 64, 128), (8, 16, 32, 64, 128), 50, (16, 32, 64, 128), updates=300, batch=2, micro=0,
        turn=30, shift_mm=20, subjects=100, pretrain_subjects=200, frames=8, matrix=144,
        cost="at most four hours a table on two cores",
    ),
    "gpu": Scale("gpu", updates=1500, batch=16, micro=8, precision="bf16", cost="about ten minutes a run"),
    "full": Scale("full", precision="bf16", cost="hours a run, as published"),
}  # fmt: skip


def sized(scale: Scale) -> str:
    """How large a scale is, in words."""
    of, levels = scale.plan.settings, ", ".join(map(str, scale.levels))
    size, spacing = (" x ".join(f"{n:g}" for n in axes) for axes in (of.sax_size, of.sax_spacing))
    length = f"{scale.updates} updates of {scale.batch}" if scale.updates else "the published epochs"
    return (
        f"short axis of {size} voxels of {spacing} mm; transformers {of.width} wide and {of.depth} deep, U-Net of "
        f"{levels} channels; {length}"
    )


def grid(scale: Scale, view: View) -> Grid:
    """What a network of this scale reads of a view."""
    return scale.plan.settings.grids()[view.value]


def architecture(scale: Scale, training: Training, preset: str = SOUND) -> Architecture:
    """The network of a training: as wide as the pre-trained one of this scale."""
    dense = training.task == "segmentation" or (training.task == "landmarks" and training.dense)
    settings = scale.plan.settings
    return Architecture(
        _KINDS[training.model][0 if dense else 1],
        settings.width,
        settings.depth,
        settings.heads,
        settings.stem_widths,
        settings.stem_blocks,
        scale.decoder,
        scale.levels,
        scale.layers,
        scale.inplanes,
        image_norm=preset != SOUND,
    )


def changes(scale: Scale, view: View, segmenting: bool, preset: str = SOUND) -> Changes:
    """What happens to samples while fine-tuning: the published ranges in millimetres, on this scale's grid."""
    found = on_grid(for_labels(preset, view is not View.SAX), grid(scale, view), scale.turn, scale.shift_mm)
    return found if segmenting else replace(found, hole=None)


def optimiser(scale: Scale, model: str, updates: int, warm: float, preset: str = SOUND) -> Optimiser:
    """AdamW as published. `official` treats models without pre-training otherwise, as the published code does.

    Args:
        scale: see there.
        model: name in the table.
        updates: of the whole run.
        warm: share of them until the peak.
        preset: "sound" and "published" give all models one weight decay; layers learn at different rates only where
            they were pre-trained.
    """
    alike = Optimiser(
        scale.rate, 0.05, max(1, round(warm * updates)), 5.0, 0.0, (0.9, 0.95), 1e-2 * scale.rate, from_zero=True,
        spare_vectors=True,
    )  # fmt: skip
    if model == CINEMA:
        return replace(alike, layer_decay=0.75)
    return replace(alike, decay=0.01, spare_vectors=False) if preset == OFFICIAL else alike


def epochs(task: str) -> tuple[int, int, int]:
    """Published epochs of a task: of the run, until the peak, and between checks."""
    return _EPOCHS[task]
