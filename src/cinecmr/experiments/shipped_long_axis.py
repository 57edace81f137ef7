"""The recipe of the shipped long-axis model, and the one command that makes it again.

`cinecmr finetune lax-unet --out runs/lax-unet`: synthetic frames of 2C, 3C and 4C planes, training from nothing,
weights and card. It has only ever seen synthetic hearts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from cinecmr.analyze.models import Score
from cinecmr.datasets.long_axis_frames import FramePool
from cinecmr.datasets.synthetic import read_shards
from cinecmr.experiments.shipped import from_pool, publish
from cinecmr.learn.recipe import Optimiser, Recipe, Schedule, Weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cinecmr.tasks.long_axis import LongAxisSettings

NAME = "lax-unet"


@dataclass(frozen=True)
class ShippedLongAxis:
    """Everything that decides the shipped weights.

    Attributes:
        pool: synthetic frames. optimiser, schedule, seed: of the training.
        settings: of the task and its network; the defaults of `tasks.long_axis` when None.
        start: weights of an earlier training to go on from; nothing when None.
    """

    pool: FramePool = field(default_factory=lambda: FramePool(subjects=300, per_shard=10))
    optimiser: Optimiser = field(default_factory=lambda: Optimiser(fused=True))
    schedule: Schedule = field(default_factory=lambda: Schedule(updates=2800, batch=8, check_every=300))
    seed: int = 0
    settings: LongAxisSettings | None = None
    start: Weights | None = None


def train(folder: Path, shipped: ShippedLongAxis, workers: int = 2, say: Callable[[str], None] = print) -> Path:
    """Make the pool, train, write weights and card; each step goes on where a killed run stopped.

    Args:
        folder: gets pool/, run/, and the weights and card.
        shipped: see there.
        workers: processes that make the pool.
        say: told one line at a time.

    Returns:
        The card's path.
    """
    from cinecmr.tasks.long_axis import LongAxis, LongAxisSettings

    settings = shipped.settings or LongAxisSettings()
    pixel_mm = shipped.pool.frame.pixel_mm
    told = settings.as_json() | {"pool": asdict(shipped.pool)}
    recipe = Recipe(told, shipped.optimiser, shipped.schedule, shipped.seed, start=shipped.start)
    made = from_pool(
        folder, recipe, shipped.pool, lambda at: LongAxis(read_shards(at), pixel_mm, settings), workers, say
    )
    return publish(folder, made.network, made.effort, **_said(recipe, shipped.pool, settings, made.scores))


def _said(recipe: Recipe, pool: FramePool, settings: LongAxisSettings, scores: dict[str, float]) -> dict[str, Any]:
    """What the card says of it."""
    from cinecmr.tasks.long_axis import CODES
    from cinecmr.tasks.long_axis_reading import LongAxisReadingSettings

    last = pool.first_seed + pool.subjects - 1
    return {
        "name": NAME,
        "family": "long-axis",
        "summary": "2C, 3C and 4C cine: ventricles, myocardium, atria, hinges and apex; from synthetic hearts alone",
        "task": "Label every pixel of a long-axis plane at any moment of the beat, and mark valve hinges and apex.",
        "codes": {code.value: code.name for code in CODES},
        "network": recipe.objective["network"],
        "reading": asdict(LongAxisReadingSettings(pool.frame.pixel_mm, pool.frame.pixels)),
        "recipe": recipe.as_json(),
        "trained_on": [
            f"cinecmr synthetic hearts, subjects {pool.first_seed} to {last}, {pool.moments} moments of each in three "
            "planes (datasets.long_axis_frames); no real image, labelled or not",
            *_begun(recipe),
        ],
        "scores": [
            Score(
                data=f"last {settings.held_out} frames of the pool, never trained on",
                kind="synthetic",
                figures=scores,
                note="training's own variation of anatomy, plane and contrast, wider than any scanner's; _mm are "
                "median distances of found from true points",
            )
        ],
        "limits": [
            "Research use only, not for diagnosis.",
            "Adults; not tried on children, congenital disease, devices, or real-time cine.",
            "Papillary muscles and trabeculae are counted as blood pool; the aorta has no label.",
            "No real long-axis image with a reader's labels was there to score it on: look at its contours.",
            "Pictures of two real studies were looked at (3 T Siemens 2C, 3C, 4C; one 4C of M&Ms-2): mitral hinges, "
            "apex and left ventricle as a reader would draw them; a very bright right atrium is missed or taken for "
            "the left one.",
        ],
    }


def _begun(recipe: Recipe) -> list[str]:
    """What weights it went on from had learned from."""
    if not isinstance(recipe.start, Weights):
        return []
    return [f"before, as weights of SHA-256 {recipe.start.sha256[:12]}...: an earlier training on such frames alone"]
