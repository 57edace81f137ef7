"""The recipe of the shipped short-axis model, and the one command that makes it again.

`cinecmr finetune sax-unet --out runs/sax-unet`: synthetic stacks, training from nothing, weights and card. It has
only ever seen synthetic hearts.
"""

from __future__ import annotations

import platform
import subprocess
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cinecmr.analyze.models import Card, Score, checksum
from cinecmr.anatomy import Structure
from cinecmr.datasets.synthetic import PoolRecipe, make_pool, read_pool
from cinecmr.io.files import write_atomically, write_text
from cinecmr.learn.recipe import Optimiser, Recipe, Schedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from cinecmr.tasks.segmentation import SegmentationSettings

NAME = "sax-unet"


@dataclass(frozen=True)
class Shipped:
    """Everything that decides the shipped weights.

    Attributes:
        pool: synthetic stacks. optimiser, schedule, seed: of the training.
    """

    pool: PoolRecipe = field(default_factory=PoolRecipe)
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=Schedule)
    seed: int = 0


def train(folder: Path, shipped: Shipped, workers: int = 2, say: Callable[[str], None] = print) -> Path:
    """Make the pool, train, write weights and card; each step goes on where a killed run stopped.

    Args:
        folder: gets pool/, run/, and the weights and card.
        shipped: see there.
        workers: processes that make the pool.
        say: told one line at a time.

    Returns:
        The card's path.
    """
    from cinecmr.learn.fit import fit
    from cinecmr.tasks.segmentation import SegmentationSettings, StackSegmentation

    started = time.monotonic()
    shards = make_pool(folder / "pool", shipped.pool, workers, lambda done, of: say(f"synthetic stacks: shard {done} of {of}"))
    images, labels = read_pool(shards)
    settings = SegmentationSettings()
    recipe = Recipe(settings.as_json() | {"pool": asdict(shipped.pool)}, shipped.optimiser, shipped.schedule, shipped.seed)
    told = _Teller(shipped.schedule.updates, say)
    network = fit(recipe, StackSegmentation(images, labels, settings), folder / "run", told)
    return _publish(folder, network, recipe, settings, told.scores, time.monotonic() - started)


class _Teller:
    """Turns log lines into text with the time left, and keeps the last scores."""

    def __init__(self, updates: int, say: Callable[[str], None]) -> None:
        self.updates, self.say, self.scores = updates, say, dict[str, float]()
        self._first: tuple[float, float] | None = None

    def __call__(self, line: dict[str, float]) -> None:
        done, seconds = line["update"], line["seconds"]
        self._first = self._first or (done, seconds)
        pace = (seconds - self._first[1]) / max(done - self._first[0], 1)
        left = pace * (self.updates - done) / 60
        self.scores = {k: v for k, v in line.items() if k.startswith("dice_") and k != "dice_loss"} or self.scores
        checked = "".join(f"  {k} {v:.3f}" for k, v in line.items() if k in self.scores)
        self.say(f"update {done:.0f} of {self.updates}  loss {line['loss']:.3f}{checked}  {left:.0f} min left")


def _publish(folder: Path, network: object, recipe: Recipe, settings: SegmentationSettings, scores: dict[str, float],
             seconds: float) -> Path:
    import torch
    from safetensors.torch import save_file

    from cinecmr.tasks.reading import ReadingSettings

    assert isinstance(network, torch.nn.Module)
    weights = folder / f"{NAME}.safetensors"
    tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    write_atomically(weights, lambda path: save_file(tensors, path))
    pool = recipe.objective["pool"]
    assert isinstance(pool, dict)
    last = pool["first_seed"] + pool["subjects"] - 1
    card = Card(
        name=NAME,
        summary="short-axis cine: RV, myocardium, LV; learned from synthetic hearts alone",
        task="Label every pixel of a short-axis stack at any moment of the beat.",
        codes={code.value: code.name for code in (Structure.BACKGROUND, Structure.RV, Structure.MYO, Structure.LV)},
        sha256=checksum(weights), parameters=sum(v.numel() for v in tensors.values()),
        network=asdict(settings.network), reading=asdict(ReadingSettings()), recipe=asdict(recipe),
        trained_on=[f"cinecmr synthetic hearts, subjects {pool['first_seed']} to {last}, {pool['moments']} stacks each "
                    "(phantom.stacks); no real image, labelled or not"],
        scores=[Score(data=f"last {settings.held_out} stacks of the pool, never trained on", kind="synthetic", figures=scores,
                      note="training's own variation of anatomy and contrast, wider than any scanner's")],
        limits=["Research use only, not for diagnosis.",
                "Adults; not tried on children, congenital disease, devices, or real-time cine.",
                "Papillary muscles and trabeculae are counted as blood pool.",
                "Volumes of the right ventricle depend on the basal slices, where the model errs most."],
        made={"commit": commit(), "device": f"cpu, {torch.get_num_threads()} threads", "seconds": f"{seconds:.0f}",
              "torch": str(torch.__version__), "python": platform.python_version(),
              "date": datetime.now(UTC).date().isoformat()},
    )
    path = folder / f"{NAME}.json"
    write_text(path, card.model_dump_json(indent=1) + "\n")
    return path


def commit() -> str:
    """Commit of the checkout this runs from, with a plus where files differ; "unknown" outside one."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], cwd=here, capture_output=True, text=True, check=True)  # noqa: S607
        changed = subprocess.run(["git", "status", "--porcelain", "--", "."], cwd=here, capture_output=True, text=True, check=True)  # noqa: S607
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")
