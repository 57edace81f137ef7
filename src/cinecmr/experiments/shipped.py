"""The recipe of the shipped short-axis model, and the one command that makes it again.

`cinecmr finetune sax-unet --out runs/sax-unet`: synthetic stacks, training from nothing, weights and card. It has
only ever seen synthetic hearts.
"""

from __future__ import annotations

import json
import platform
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cinecmr.analyze.models import Card, Score, checksum
from cinecmr.anatomy import Structure
from cinecmr.datasets.synthetic import PoolRecipe, make_pool, read_pool
from cinecmr.experiments.provenance import commit
from cinecmr.io.files import write_atomically, write_text
from cinecmr.learn.recipe import Optimiser, Recipe, Schedule

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from cinecmr.datasets.synthetic import Pool
    from cinecmr.learn.objective import Objective
    from cinecmr.tasks.segmentation import SegmentationSettings

NAME = "sax-unet"


@dataclass(frozen=True)
class Shipped:
    """Everything that decides the shipped weights.

    Attributes:
        pool: synthetic stacks. optimiser, schedule, seed: of the training.
        settings: of the task and its network; the defaults of `tasks.segmentation` when None.
    """

    pool: PoolRecipe = field(default_factory=lambda: PoolRecipe(subjects=1800))
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=lambda: Schedule(updates=5500))
    seed: int = 0
    settings: SegmentationSettings | None = None


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
    from cinecmr.tasks.segmentation import SegmentationSettings, StackSegmentation

    settings = shipped.settings or SegmentationSettings()
    recipe = Recipe(
        settings.as_json() | {"pool": asdict(shipped.pool)}, shipped.optimiser, shipped.schedule, shipped.seed
    )
    made = from_pool(folder, recipe, shipped.pool, lambda at: StackSegmentation(*read_pool(at), settings), workers, say)
    return publish(folder, made.network, made.effort, **_said(recipe, shipped.pool, made.scores))


@dataclass(frozen=True)
class Trained:
    """What a training left: the network, its last figures and what it took."""

    network: nn.Module
    scores: dict[str, float]
    effort: Effort


def from_pool(
    folder: Path,
    recipe: Recipe,
    pool: Pool,
    task: Callable[[list[Path]], Objective],
    workers: int,
    say: Callable[[str], None],
) -> Trained:
    """Make a pool and train on it; each step goes on where a killed run stopped.

    Args:
        folder: gets pool/ and run/.
        recipe: of the training; the pool's settings are among its objective's.
        pool: synthetic hearts.
        task: made from the pool's shards.
        workers: processes that make the pool.
        say: told one line at a time.
    """
    from cinecmr.learn.fit import fit

    effort = Effort(folder / "effort.json")
    shards = make_pool(folder / "pool", pool, workers, lambda done, of: say(f"synthetic hearts: shard {done} of {of}"))
    effort.save()
    network = fit(recipe, task(shards), folder / "run", Teller(recipe.schedule.updates, say, effort))
    return Trained(network, last_scores(folder / "run" / "log.jsonl"), effort)


def last_scores(log: Path) -> dict[str, float]:
    """Figures of the last check that a run's log holds; from the file, as a finished run tells nothing more."""
    found: dict[str, float] = {}
    for text in log.read_text().splitlines():
        found = checked(json.loads(text)) or found
    return found


def checked(line: dict[str, float]) -> dict[str, float]:
    """The scores of a log line, Dice and distances in mm; most lines have none."""
    return {k: v for k, v in line.items() if (k.startswith("dice_") and k != "dice_loss") or k.endswith("_mm")}


class Effort:
    """Code and time that a training took, summed over every process that worked on it, in a file of its own."""

    def __init__(self, path: Path) -> None:
        self.path, self._started = path, time.monotonic()
        before = json.loads(path.read_text()) if path.exists() else {}
        self._before: float = before.get("seconds", 0.0)
        self.commits: list[str] = before.get("commits", [])
        if commit() not in self.commits:
            self.commits.append(commit())
        self.save()

    @property
    def seconds(self) -> float:
        """Since the first process began, pauses between processes left out."""
        return self._before + time.monotonic() - self._started

    def save(self) -> None:
        """Write it, whole."""
        write_text(self.path, json.dumps({"commits": self.commits, "seconds": round(self.seconds, 1)}) + "\n")


class Teller:
    """Turns log lines into text with the time left."""

    def __init__(self, updates: int, say: Callable[[str], None], effort: Effort) -> None:
        self.updates, self.say, self.effort = updates, say, effort
        self._first: tuple[float, float] | None = None

    def __call__(self, line: dict[str, float]) -> None:
        """Say a log line as a person reads it."""
        self.effort.save()
        done, seconds = line["update"], line["seconds"]
        self._first = self._first or (done, seconds)
        pace = (seconds - self._first[1]) / max(done - self._first[0], 1)
        left = pace * (self.updates - done) / 60
        scores = "".join(f"  {name} {value:.3f}" for name, value in checked(line).items())
        self.say(f"update {done:.0f} of {self.updates}  loss {line['loss']:.3f}{scores}  {left:.0f} min left")


def publish(folder: Path, network: nn.Module, effort: Effort, /, **said: Any) -> Path:
    """Write weights and card; the card is written last, so that a card always has its weights.

    Args:
        folder: gets both.
        network: what is shipped.
        effort: that it took.
        said: entries of the card that do not follow from these, `name` among them.

    Returns:
        The card's path.
    """
    from safetensors.torch import save_file

    weights = folder / f"{said['name']}.safetensors"
    tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    write_atomically(weights, lambda path: save_file(tensors, path))
    made = Card(
        sha256=checksum(weights),
        parameters=sum(v.numel() for v in tensors.values()),
        licence="Apache-2.0",
        made=_circumstances(effort),
        **said,
    )
    path = folder / f"{made.name}.json"
    write_text(path, made.model_dump_json(indent=1) + "\n")
    return path


def _said(recipe: Recipe, pool: PoolRecipe, scores: dict[str, float]) -> dict[str, Any]:
    """What the card of the short-axis model says of it."""
    return {
        "name": NAME,
        "summary": "short-axis cine: RV, myocardium, LV; learned from synthetic hearts alone",
        "task": "Label every pixel of a short-axis stack at any moment of the beat.",
        "codes": {c.value: c.name for c in (Structure.BACKGROUND, Structure.RV, Structure.MYO, Structure.LV)},
        **_settings(recipe),
        **_evidence(recipe, pool, scores),
    }


def _settings(recipe: Recipe) -> dict[str, Any]:
    """How to build the network, to ask it, and to train it again."""
    from cinecmr.tasks.reading import ReadingSettings

    return {"network": recipe.objective["network"], "reading": asdict(ReadingSettings()), "recipe": asdict(recipe)}


def _evidence(recipe: Recipe, pool: PoolRecipe, scores: dict[str, float]) -> dict[str, Any]:
    """What it learned from, how it did, and where nobody looked."""
    last = pool.first_seed + pool.subjects - 1
    return {
        "trained_on": [
            f"cinecmr synthetic hearts, subjects {pool.first_seed} to {last}, {pool.moments} stacks each "
            "(phantom.stacks); no real image, labelled or not"
        ],
        "scores": [
            Score(
                data=f"last {recipe.objective['held_out']} stacks of the pool, never trained on",
                kind="synthetic",
                figures=scores,
                note="training's own variation of anatomy and contrast, wider than any scanner's",
            )
        ],
        "limits": [
            "Research use only, not for diagnosis.",
            "Adults; not tried on children, congenital disease, devices, or real-time cine.",
            "Papillary muscles and trabeculae are counted as blood pool.",
            "Volumes of the right ventricle depend on the basal slices, where the model errs most.",
        ],
    }


def _circumstances(effort: Effort) -> dict[str, str]:
    import torch

    return {
        "commit": ", ".join(effort.commits),
        "device": f"cpu, {torch.get_num_threads()} threads",
        "seconds": f"{effort.seconds:.0f}",
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }
