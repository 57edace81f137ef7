"""What a study of pre-training trains: networks and grids of every scale, and every training as one `Job`.

Source: de Mooij et al., sections 2.2 to 2.6 and supplement A; specification of its code, sections 4 to 8.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cinecmr.errors import RefusedInput
from cinecmr.learn.recipe import Optimiser, Recipe, Schedule
from cinecmr.networks.ssp_unet import SSPUNetConfig
from cinecmr.pretrain import dino, mim, pcl, simclr
from cinecmr.pretrain.backbone import Backbone
from cinecmr.tasks import slice_segmentation as task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cinecmr.learn.slice_geometry import Geometry
    from cinecmr.learn.slices import Slice

SCRATCH, NNUNET = "scratch", "nnunet"  # without pre-training: as the preset has it, and as nnU-Net does it
METHODS: dict[str, Any] = {"simclr": simclr, "pcl": pcl, "dino": dino, "mim": mim}
OBJECTIVES: dict[str, Any] = {"simclr": simclr.SimCLR, "pcl": pcl.PCL, "dino": dino.DINO, "mim": mim.MIM}
INITS = (SCRATCH, *METHODS)
STARTS = (*INITS, NNUNET)
TITLES = {SCRATCH: "from scratch", "simclr": "SimCLR", "pcl": "PCL", "dino": "DINO", "mim": "MIM", NNUNET: "nnU-Net"}
UPDATES, EPOCHS = "updates", "epochs"  # the two protocols


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        widths: of the U-Net. pixels, spacing_mm: of its grid.
        batch, pretrain_batch: samples of a step. crops: small crops of DINO.
        head: width of the heads of SimCLR and PCL. answers: of DINO, with its hidden layers.
        updates: of the longest training with labels. pretrain_updates: of each method; 0 where a budget decides, and
            at full scale the published hundred epochs.
        published: SGD at the published rates; otherwise AdamW, which gets somewhere in few updates.
        mild: changes of slices that leave time to learn in few updates, with labels and without: turned by 30 degrees
            instead of 180, scaled by 0.8 to 1.25, brightness changed three times in ten; the same for every start. With
            the published changes PCL was seen to collapse within a hundred updates.
        others: frames without labels that are kept of each subject.
        resamples: of patients, in every interval.
        folds: networks of the nnU-Net row, each of which misses some of the labelled subjects; their answers are
            averaged.
    """

    widths: tuple[int, ...] = (32, 64, 128, 256, 512, 512, 512)
    pixels: int = 256
    spacing_mm: float = 1.25
    batch: int = 32
    pretrain_batch: int = 64
    crops: int = 6
    head: int = 512
    answers: tuple[int, int, int] = (2048, 256, 8192)
    updates: int = 0
    pretrain_updates: int = 0
    published: bool = False
    mild: bool = False
    others: int = 100
    resamples: int = 2000
    folds: int = 1


MILD_TURN = 30.0
_QUARTER = (8, 16, 32, 64, 128, 128, 128)
SCALES = {
    "smoke": Scale((4, 8, 8), 32, 8.0, 4, 4, 2, 8, (8, 4, 16), 3, 2, others=0, resamples=1000, folds=2),
    "hour": Scale(_QUARTER[:6], 64, 3.0, 8, 16, 4, 128, (256, 64, 512), mild=True, others=2),
    "laptop": Scale(_QUARTER, 128, 2.5, 8, 16, 4, 128, (256, 64, 512), mild=True, others=2),
    "gpu": Scale(updates=4000, pretrain_updates=4000, others=8, folds=5),
    "full": Scale(published=True, folds=5),
}


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        init: `SCRATCH`, `NNUNET`, or the pre-training it starts from. labels: labelled subjects; 0 makes it the
            pre-training.
        seed: of weights, order, changes and subset; of its pre-training too.
        updates: how many.
        phase: only labels of "ED" or "ES"; "" for both. vendors: only subjects of these, by letter; none for all.
        augment: whether slices are changed.
    """

    init: str
    labels: int
    seed: int
    updates: int
    phase: str = ""
    vendors: tuple[str, ...] = ()
    augment: bool = True

    @property
    def pretraining(self) -> bool:
        """Whether it learns without labels."""
        return self.labels == 0


@dataclass(frozen=True)
class Plan:
    """One study.

    Attributes:
        scale: name. preset: "published", "official", "sound", "nnunet" (for the labels only).
        inits, labels, seeds, protocols: every combination is trained.
        updates: of the longest training with labels. pretrain_updates: of each method.
    """

    scale: str = "laptop"
    preset: str = "sound"
    inits: tuple[str, ...] = INITS
    labels: tuple[int, ...] = (5, 10, 20, 40)
    seeds: int = 3
    protocols: tuple[str, ...] = (UPDATES, EPOCHS)
    updates: int = 0
    pretrain_updates: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, given, there in (
            ("initialisation", self.inits, STARTS),
            ("protocol", self.protocols, (UPDATES, EPOCHS)),
            ("scale", (self.scale,), tuple(SCALES)),
            ("preset", (self.preset,), tuple(task.PRESETS)),
        ):
            for name in given:
                if name not in there:
                    raise RefusedInput("no-such-setting", f"no {what} {name!r}: there are {', '.join(there)}")
        if not self.inits or not self.labels or min(self.labels) < 1 or self.seeds < 1:
            raise RefusedInput("no-such-setting", "give one initialisation, one number of labels and one seed or more")

    @property
    def size(self) -> Scale:
        """How large everything is."""
        return SCALES[self.scale]

    @property
    def methods(self) -> tuple[str, ...]:
        """What is pre-trained."""
        return tuple(init for init in self.inits if init in METHODS)

    def folds(self, job: Job) -> int:
        """Networks that a training with labels is made of, of which no two have the same labelled subjects."""
        return min(self.size.folds, job.labels) if job.init == NNUNET else 1


def _grid(geometry: Geometry, scale: Scale, share: int = 1) -> Geometry:
    """A preset's geometry on a scale's grid, its shifts alike in millimetres; `share` of the pixels."""
    pixels = scale.pixels // share
    return replace(geometry, pixels=pixels, spacing_mm=scale.spacing_mm, shift=geometry.shift * 1.25 / scale.spacing_mm)


def _crop(geometry: Geometry, scale: Scale, share: int = 1) -> Geometry:
    """A crop of DINO; how much of the field it shows is what DINO learns by, so no scale changes that."""
    grid = _grid(geometry, scale, share)
    return replace(grid, turn=MILD_TURN) if scale.mild else grid


def unet(scale: Scale) -> SSPUNetConfig:
    """The U-Net of a scale."""
    return SSPUNetConfig(widths=scale.widths)


def pretraining(plan: Plan, method: str, slices: Sequence[Slice], held: Sequence[Slice] = ()) -> Any:
    """The objective of a pre-training."""
    scale, module = plan.size, METHODS[method]
    preset = "sound" if plan.preset == "nnunet" else plan.preset
    base, backbone = module.PRESETS[preset], Backbone(unet=unet(scale))
    if method == "dino":
        hidden, bottleneck, answers = scale.answers
        updates = max(1, plan.pretrain_updates.get(method, 1))
        settings = replace(
            base, backbone=backbone, large=_crop(base.large, scale), small=_crop(base.small, scale, 2),
            crops=scale.crops, hidden=hidden, bottleneck=bottleneck, answers=answers,
            epoch=max(1, updates // dino.EPOCHS), updates=updates,
        )  # fmt: skip
    elif method == "mim":
        settings = replace(base, backbone=backbone, patch=scale.pixels // 8, **_changes(base, scale))
    else:
        settings = replace(base, backbone=backbone, head=scale.head, **_changes(base, scale))
    return OBJECTIVES[method](slices, settings, held)


def segmentation(plan: Plan, job: Job, slices: Sequence[Slice]) -> task.SliceSegmentation:
    """The objective of a training with labels."""
    base = task.PRESETS[_preset(plan, job)]
    settings = replace(base, network=unet(plan.size), augment=job.augment, **_changes(base, plan.size))
    if plan.size.mild:  # its field holds the heart, and visiting what lies around costs nine times the computing
        settings = replace(settings, sliding=False)
    return task.SliceSegmentation(slices, settings=settings)


def _changes(base: Any, scale: Scale) -> dict[str, Any]:
    """Geometry and intensity of a preset at a scale."""
    geometry, intensity = _grid(base.geometry, scale), base.intensity
    if not scale.mild:
        return {"geometry": geometry, "intensity": intensity}
    rarely = {f"{name}_chance": min(0.3, getattr(intensity, f"{name}_chance")) for name in _ALWAYS}
    geometry = replace(geometry, turn=MILD_TURN, scale=(0.8, 1.25))
    return {"geometry": geometry, "intensity": replace(intensity, **rarely)}


def recipe(plan: Plan, job: Job, subjects: str) -> Recipe:
    """Everything that decides a training, with its name.

    Args:
        plan: the study.
        job: the training.
        subjects: hashes of all that may be seen and of the labelled ones, a slash between.
    """
    scale = plan.size
    batch = pretrain_batch(scale, job.init) if job.pretraining else scale.batch
    steps = Schedule(job.updates, batch, max(1, min(10, job.updates)), max(1, min(10, job.updates)) * 100)
    start = None
    if job.pretraining:
        told = pretraining(plan, job.init, [_ANY]).settings.as_json()
        epoch = max(1, job.updates // METHODS[job.init].EPOCHS)
        rates: Optimiser = METHODS[job.init].descent("sound" if plan.preset == "nnunet" else plan.preset, epoch)
    else:
        told = {"task": "slice-segmentation", "preset": _preset(plan, job), "scale": plan.scale, **_own(job)}
        rates = task.descent(_preset(plan, job), job.init in METHODS, max(1, job.updates // task.EPOCHS))
    if not scale.published:
        # the same for every start: with and without pre-training differ in nothing else
        rates = Optimiser(rate=1e-3 if job.pretraining else 6e-3, warmup=max(1, job.updates // 10), average=0.95)
    if job.init in METHODS and not job.pretraining:
        before = Job(job.init, 0, job.seed, plan.pretrain_updates[job.init])
        start = recipe(plan, before, told_without_labels(subjects))
    return Recipe({**told, "subjects": subjects.split("/")[-1]}, rates, steps, job.seed, start=start)


def pretrain_batch(scale: Scale, method: str) -> int:
    """Slices of a step of pre-training: the published number at full scale, one for all methods at others."""
    size: int = METHODS[method].BATCH if scale.published else scale.pretrain_batch
    return size


def fold_of(whole: Recipe, number: int, folds: int) -> Recipe:
    """The recipe of one network of several; of an only one, the recipe itself."""
    return whole if folds == 1 else replace(whole, objective={**whole.objective, "fold": f"{number + 1}/{folds}"})


def told_without_labels(subjects: str) -> str:
    """Of "pool/labelled", two hashes of subjects, that of the pool."""
    return subjects.split("/", maxsplit=1)[0]


def _preset(plan: Plan, job: Job) -> str:
    return NNUNET if job.init == NNUNET else plan.preset


def _own(job: Job) -> dict[str, Any]:
    return {"phase": job.phase, "vendors": list(job.vendors), "augment": job.augment, "labels": job.labels}


_ALWAYS = ("factor", "shift", "gamma")  # changes that the published preset always makes
_ANY: Any = object()  # an objective without slices, for its settings


def jobs(plan: Plan, slices: dict[int, float]) -> list[Job]:
    """Every training with labels, each once: trainings that two protocols share are made once.

    Args:
        plan: the study, its updates known.
        slices: mean number of labelled slices for each number of labelled subjects.
    """
    return list(
        dict.fromkeys(
            Job(init, count, seed, updates_of(plan, protocol, count, slices))
            for seed in range(plan.seeds)
            for protocol in plan.protocols
            for count in plan.labels
            for init in plan.inits
        )
    )


def updates_of(plan: Plan, protocol: str, count: int, slices: dict[int, float]) -> int:
    """Updates of a training: all the same; or as many epochs each, so that few labels also mean few updates."""
    if protocol == UPDATES:
        return plan.updates
    return max(1, round(plan.updates * slices[count] / slices[max(plan.labels)]))
