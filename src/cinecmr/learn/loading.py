"""Which samples make an update, what is drawn for each, and batches made ahead of time.

Every draw follows from the seed and the sample's place in the run, never from the process or thread that makes it: any
number of workers, devices and restarts gives the same samples.
"""

from __future__ import annotations

import math
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from cinecmr.learn.objective import Objective
    from cinecmr.learn.recipe import Recipe

K = TypeVar("K")
_ORDER, _TORCH = 1, 2  # ends of seeds, so that no two purposes share one


@dataclass(frozen=True)
class Pass:
    """Samples that go through the network together.

    Attributes:
        update, number: of the update, and of the pass within it.
        count: samples. share: of the update's samples.
        epoch: which one, where samples are visited by epochs.
        samples: their numbers then; empty where the objective draws them.
        alone: the update has no other pass.
    """

    update: int
    number: int
    count: int
    share: float
    epoch: int = 0
    samples: tuple[int, ...] = ()
    alone: bool = True


def updates_per_epoch(size: int, batch: int) -> int:
    """Updates that show every sample once; the last may be smaller, and none is dropped."""
    return math.ceil(size / batch)


def passes(recipe: Recipe, objective: Objective, update: int) -> list[Pass]:
    """The passes of one update.

    Raises:
        ValueError: epochs are wanted and the objective does not know its samples by number.
    """
    schedule = recipe.schedule
    if not schedule.by_epochs:
        return _cut(update, 0, schedule.batch, schedule.micro or schedule.batch, ())
    size = getattr(objective, "size", None)
    if size is None or not hasattr(objective, "sample") or not hasattr(objective, "collate"):
        raise ValueError(f"{type(objective).__name__} has no size, sample and collate: it cannot be learned by epochs")
    epoch, place = divmod(update, updates_per_epoch(size, schedule.batch))
    order = np.random.default_rng((recipe.seed, epoch, size, _ORDER)).permutation(size)
    chosen = tuple(int(n) for n in order[place * schedule.batch : (place + 1) * schedule.batch])
    return _cut(update, epoch, len(chosen), schedule.micro or schedule.batch, chosen)


def _cut(update: int, epoch: int, count: int, micro: int, samples: tuple[int, ...]) -> list[Pass]:
    starts = range(0, count, micro)
    return [
        Pass(
            update,
            number,
            min(micro, count - start),
            min(micro, count - start) / count,
            epoch,
            samples[start : start + micro],
            len(starts) == 1,
        )
        for number, start in enumerate(starts)
    ]


def draw(recipe: Recipe, objective: Any, of: Pass) -> Any:
    """The batch of a pass."""
    if of.samples:
        return objective.collate(
            [objective.sample(n, np.random.default_rng((recipe.seed, of.epoch, n))) for n in of.samples]
        )
    seed = (recipe.seed, of.update) if of.alone else (recipe.seed, of.update, of.number)
    return objective.batch(np.random.default_rng(seed), of.count)


def torch_seed(recipe: Recipe, of: Pass) -> int:
    """Seed of what the network itself draws in a pass: dropout, dropped branches."""
    state = np.random.SeedSequence((recipe.seed, of.update, of.number, _TORCH)).generate_state(1, np.uint64)
    return int(state[0])


def ahead(keys: Iterable[K], make: Callable[[K], Any], workers: int) -> Generator[Any, None, None]:
    """`make` of every key, in order; with workers, threads are two steps each ahead of the reader.

    An exception of `make` is raised where its result would have come.
    """
    if workers < 1:
        yield from (make(key) for key in keys)
        return
    waiting: deque[Any] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
    try:
        for key in keys:
            waiting.append(pool.submit(make, key))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def moved(batch: Any, device: str) -> Any:
    """A batch with its tensors on a device; tuples, lists, dictionaries and dataclasses are followed."""
    if device == "cpu":
        return batch
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: moved(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(moved(value, device) for value in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(moved(value, device) for value in batch)
    if is_dataclass(batch) and not isinstance(batch, type):
        return replace(batch, **{entry.name: moved(getattr(batch, entry.name), device) for entry in fields(batch)})
    return batch
