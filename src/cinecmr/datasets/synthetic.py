"""Pools of synthetic samples on disk, made once and read by every training run; that of short-axis stacks.

Shards are written whole, so making a pool can be killed and goes on where it stopped; a shard depends only on its
number and the recipe, so pools made with any number of workers are equal.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.io.files import write_atomically, write_text
from cinecmr.phantom.stacks import VERSION, StackRecipe, training_stacks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Pool(ABC):
    """Whose samples a pool holds; what they are says the recipe that adds to this.

    Attributes:
        subjects: number of synthetic subjects; their seeds are `first_seed` and following.
        moments: of each subject.
        per_shard: subjects in one file.
    """

    subjects: int = 1200
    first_seed: int = 0
    moments: int = 2
    per_shard: int = 25

    def __post_init__(self) -> None:
        if self.subjects % self.per_shard:
            raise ValueError(f"subjects must fill whole shards of {self.per_shard}, got {self.subjects}")

    @property
    def shards(self) -> int:
        """Number of files."""
        return self.subjects // self.per_shard

    @property
    def key(self) -> str:
        """Name of the settings: 10 hex digits of their hash, the number of subjects apart (a pool can grow)."""
        settings = {k: v for k, v in asdict(self).items() if k != "subjects"}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:10]

    def seeds(self, number: int) -> range:
        """Of the subjects of one shard."""
        first = self.first_seed + number * self.per_shard
        return range(first, first + self.per_shard)

    @abstractmethod
    def shard(self, number: int) -> dict[str, NDArray[Any]]:
        """The samples of one shard: arrays by name, sample first."""


@dataclass(frozen=True)
class PoolRecipe(Pool):
    """A pool of short-axis stacks.

    Attributes:
        stack: see `StackRecipe`.
        version: of the phantom that makes them.
    """

    stack: StackRecipe = field(default_factory=StackRecipe)
    version: int = VERSION

    def shard(self, number: int) -> dict[str, NDArray[Any]]:
        """`images` and `labels`, (stacks, slices, x, y) each."""
        stacks = [pair for seed in self.seeds(number) for pair in training_stacks(seed, self.stack, self.moments)]
        images, labels = (np.stack(column) for column in zip(*stacks, strict=True))
        return {"images": images, "labels": labels}


def shard_path(folder: Path, number: int) -> Path:
    """File of one shard."""
    return folder / f"shard_{number:04d}.npz"


def write_shard(folder: Path, recipe: Pool, number: int) -> Path:
    """Make one shard, unless it is there."""
    path = shard_path(folder, number)
    if path.exists():
        return path
    arrays: dict[str, Any] = recipe.shard(number)

    def write(target: Path) -> None:
        with target.open("wb") as file:
            np.savez_compressed(file, **arrays)

    write_atomically(path, write)
    return path


def make_pool(
    folder: Path, recipe: Pool, workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> list[Path]:
    """Make what is missing of a pool.

    Args:
        folder: pools of other settings may lie in it too: each has its own sub-folder.
        recipe: what to make.
        workers: processes.
        progress: called with shards done and shards in all.

    Returns:
        The shards, in order.
    """
    place = folder / recipe.key
    place.mkdir(parents=True, exist_ok=True)
    write_text(place / "recipe.json", json.dumps(asdict(recipe), indent=1))
    missing = [n for n in range(recipe.shards) if not shard_path(place, n).exists()]
    done = recipe.shards - len(missing)
    if workers <= 1:
        for number in missing:
            write_shard(place, recipe, number)
            done += 1
            if progress:
                progress(done, recipe.shards)
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for _ in pool.map(write_shard, [place] * len(missing), [recipe] * len(missing), missing):
                done += 1
                if progress:
                    progress(done, recipe.shards)
    return [shard_path(place, n) for n in range(recipe.shards)]


def read_shards(shards: list[Path]) -> dict[str, NDArray[Any]]:
    """All arrays of a pool by name, sample first."""
    parts: dict[str, list[NDArray[Any]]] = {}
    for path in shards:
        with np.load(path, allow_pickle=False) as shard:
            for name in shard.files:
                parts.setdefault(name, []).append(shard[name])
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def read_pool(shards: list[Path]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """All images and labels of a pool of stacks, (stacks, slices, x, y) each, uint8."""
    arrays = read_shards(shards)
    return arrays["images"], arrays["labels"]
