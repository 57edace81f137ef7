"""The training loop: one for every objective.

Every draw follows from (seed, update), so a run that was killed goes on from its last checkpoint exactly as if it
had not been: the same curve to the last digit on one machine.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from filelock import FileLock, Timeout

from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_text
from cinecmr.learn import checkpoint
from cinecmr.learn.loading import ahead, draw, moved, passes, torch_seed
from cinecmr.learn.optim import Watch, learning_rate, made, set_rate
from cinecmr.learn.parallel import joined
from cinecmr.learn.start import WEIGHTS, begin, leave

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import nn

    from cinecmr.learn.loading import Pass
    from cinecmr.learn.objective import Loss, Objective
    from cinecmr.learn.parallel import World
    from cinecmr.learn.recipe import Recipe

    Line = dict[str, float]

__all__ = ["fit", "in_use", "learning_rate"]
HELD = "run.lock"


def fit(
    recipe: Recipe,
    objective: Objective,
    folder: Path,
    progress: Callable[[dict[str, float]], None] | None = None,
    *,
    device: str = "cpu",
    workers: int = 0,
) -> nn.Module:
    """Train, or go on training.

    Started by `torchrun`, every process calls this alike, and they share the passes of each update.

    Args:
        recipe: what decides the result. A folder that holds another recipe's run is refused.
        objective: gives network, batches, loss and scores.
        folder: gets recipe.json, log.jsonl (one line a log or check), checkpoint.safetensors, at the end
            weights.safetensors, and best.safetensors where the recipe stops early.
        progress: called with every log line.
        device: where the network runs: "cpu", "cuda", "mps".
        workers: threads that make batches ahead of time; they change nothing but the speed.

    Returns:
        The network with the running average of its weights; where the recipe stops early, with the best that a check
        saw.

    Raises:
        ValueError: the folder belongs to another recipe, or the loss is not a number.
        RefusedInput: the disk is full (`disk-full`), another process trains into the folder (`run-in-use`), or the
            weights to start from are missing or do not fit.
    """
    with joined(device) as world, checkpoint.full_disk_told(folder), _alone(folder, world):
        if world.first:
            _claim(folder, recipe)
        world.wait()
        torch.manual_seed(recipe.seed)
        run = _Run(recipe, objective, folder, world)
        run.train(progress, workers)
        return run.finish()


class _Run:
    """One run of one process: the network, and everything that a checkpoint holds."""

    def __init__(self, recipe: Recipe, objective: Objective, folder: Path, world: World) -> None:
        self.recipe, self.objective, self.folder, self.world = recipe, objective, folder, world
        network = objective.network()
        self.state = folder / "checkpoint.safetensors"
        if not self.state.exists():
            begin(network, objective, recipe.start, folder)
        self.network = network.to(world.device)
        grouped = getattr(objective, "parameter_groups", None)
        self.optimiser = made(self.network, recipe.optimiser, grouped and grouped(self.network, recipe.optimiser))
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.watch = Watch(recipe.stopping) if recipe.stopping else None
        self.done = self._resume() if self.state.exists() else 0

    def _resume(self) -> int:
        facts = checkpoint.load(self.state, self.network, self.average, self.optimiser)
        if self.watch:
            told: Any = facts["watch"]
            self.watch.best, self.watch.since, self.watch.kept = told["best"], int(told["since"]), told["kept"]
        return int(str(facts["update"]))

    @property
    def over(self) -> bool:
        """Whether there is nothing left to do."""
        return self.done >= self.recipe.schedule.updates or bool(self.watch and self.watch.over)

    def _mine(self, update: int) -> list[Pass]:
        every = passes(self.recipe, self.objective, update)
        if self.world.size > 1 and self.recipe.schedule.micro * self.world.size > self.recipe.schedule.batch:
            raise ValueError(
                f"{self.world.size} processes share passes of {self.recipe.schedule.micro} samples of a batch of "
                f"{self.recipe.schedule.batch}: some have nothing to do; set schedule.micro lower"
            )
        if self.world.size > 1 and not self.recipe.schedule.micro:
            raise ValueError(
                f"{self.world.size} processes share an update by its passes, and it has one: give schedule.micro"
            )
        return every[self.world.rank :: self.world.size]

    def _plan(self) -> Iterator[Pass]:
        for update in range(self.done, self.recipe.schedule.updates):
            yield from self._mine(update)

    def train(self, progress: Callable[[Line], None] | None, workers: int) -> None:
        """Until the last update, or until patience ends."""
        log = self.folder / "log.jsonl"
        if self.world.first:
            _trim_log(log, self.done)
        schedule, recent = self.recipe.schedule, list[dict[str, float]]()
        clock = time.monotonic()
        if self.over:
            return
        batches = ahead(self._plan(), lambda of: draw(self.recipe, self.objective, of), workers)
        while not self.over:
            recent.append(self.step(batches))
            last = self.done == schedule.updates
            if self.done % schedule.log_every and not last:
                continue
            line = _means(recent) | {
                "update": self.done,
                "rate": learning_rate(self.recipe, self.done - 1),
                "seconds": round(time.monotonic() - clock, 1),
            }
            recent = []
            checking = self.done % schedule.check_every == 0 or last
            if checking:
                line |= self.check()
            if self.world.first:
                _append(log, line)
                if checking or self.done % (5 * schedule.log_every) == 0:
                    self.save()
                if progress:
                    progress(line)
        batches.close()

    def step(self, batches: Iterator[Any]) -> Line:
        """One update of the weights."""
        update, told = self.done, []
        set_rate(self.optimiser, learning_rate(self.recipe, update))
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        for of in self._mine(update):
            told.append(self._pass(of, moved(next(batches), self.world.device)))
        self.world.sum_gradients(self.network)
        parts = _weighted([entry for process in self.world.gathered(told) for entry in process])
        if not np.isfinite(parts["loss"]):
            raise ValueError(f"the loss is {parts['loss']} at update {update + 1}; lower the learning rate")
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.optimiser.clip)
        self.optimiser.step()
        if after := getattr(self.objective, "after_step", None):
            after(self.network, update)
        self.world.share_buffers(self.network)
        self._follow(update)
        self.done = update + 1
        return parts | {"gradient": float(norm)}

    def _pass(self, of: Pass, batch: Any) -> tuple[float, Line]:
        """Add the gradient of some samples, weighted by their share of the update."""
        torch.manual_seed(torch_seed(self.recipe, of))
        loss = self._loss(batch)
        (loss.total if of.alone else loss.total * of.share).backward()  # type: ignore[no-untyped-call]
        return of.share, {"loss": float(loss.total.detach()), **loss.parts}

    def _loss(self, batch: Any) -> Loss:
        with self._precision():
            return self.objective.loss(self.network, batch)

    def _precision(self) -> torch.autocast:
        kind = self.world.device.split(":")[0]
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=self.recipe.precision == "bf16")

    def _follow(self, update: int) -> None:
        decay = min(self.recipe.optimiser.average, (1 + update) / (10 + update))  # the first weights are soon forgotten
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                if value.is_floating_point():
                    self.average[name].lerp_(value, 1 - decay)
                else:
                    self.average[name].copy_(value)

    def check(self) -> Line:
        """Scores of the averaged weights, told by the first process; the network's own are put back afterwards."""
        scores: Line = {}
        if self.world.first:
            own = {k: v.clone() for k, v in self.network.state_dict().items()}
            self.network.load_state_dict(self.average)
            self.network.eval()
            with torch.inference_mode(), self._precision():
                scores = self.objective.check(self.network)
            if self.watch and self.watch.keeps(scores):
                leave(self.folder / "best.safetensors", self.network, self.recipe.key)
            self.network.load_state_dict(own)
        if self.watch:
            told = self.world.gathered([self.watch.best, self.watch.since, self.watch.kept])[0]
            self.watch.best, self.watch.since, self.watch.kept = told[0], int(told[1]), told[2]
        return scores

    def save(self) -> None:
        """Write the checkpoint."""
        facts: dict[str, object] = {"update": self.done, "recipe": self.recipe.key}
        if self.watch:
            facts["watch"] = {"best": self.watch.best, "since": self.watch.since, "kept": self.watch.kept}
        checkpoint.save(self.state, self.network, self.average, self.optimiser, facts)

    def finish(self) -> nn.Module:
        """The network with the weights to keep, which are also left in the folder."""
        self.world.wait()
        best = self.folder / "best.safetensors"
        kept = checkpoint.weights(best) if self.watch and best.exists() else self.average
        self.network.load_state_dict(kept)
        if self.world.first and not (self.folder / WEIGHTS).exists():
            leave(self.folder / WEIGHTS, self.network, self.recipe.key)
        self.world.wait()
        return self.network.eval()


def _weighted(told: list[tuple[float, Line]]) -> Line:
    """Parts of an update's loss: means over its passes by their shares; a part that a pass lacks is left out there."""
    if len(told) == 1:
        return dict(told[0][1])
    names = dict.fromkeys(name for _, parts in told for name in parts)
    found: Line = {}
    for name in names:
        held = [(share, parts[name]) for share, parts in told if name in parts]
        found[name] = sum(share * value for share, value in held) / sum(share for share, _ in held)
    return found


def _means(recent: list[Line]) -> Line:
    """Means over the updates since the last line."""
    names = dict.fromkeys(name for parts in recent for name in parts)
    return {name: float(np.mean([parts[name] for parts in recent if name in parts])) for name in names}


def in_use(folder: Path) -> bool:
    """Whether a process trains into a folder now."""
    lock = FileLock(folder / HELD)
    with suppress(Timeout):
        if not folder.is_dir():
            return False
        with lock.acquire(timeout=0):
            return False
    return True


@contextmanager
def _alone(folder: Path, world: World) -> Iterator[None]:
    """Hold a folder: two runs that wrote into one would spoil its log. The system lets go of what a killed one held."""
    lock = FileLock(folder / HELD)
    if world.first:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(Timeout):
            lock.acquire(timeout=0)
    if not world.gathered(lock.is_locked)[0]:
        raise RefusedInput("run-in-use", f"another process trains into {folder}: let it end, or give another folder")
    try:
        yield
    finally:
        lock.release()


def _claim(folder: Path, recipe: Recipe) -> None:
    path, text = folder / "recipe.json", json.dumps(recipe.as_json(), indent=1, sort_keys=True)
    if path.exists() and path.read_text() != text:
        raise ValueError(f"{folder} holds a run of another recipe; give an empty folder, or delete that one")
    for unfinished in folder.glob(".writing-*"):  # a kill in the middle of writing leaves them
        unfinished.unlink()
    write_text(path, text)


def _trim_log(path: Path, start: int) -> None:
    """Drop lines after the checkpoint, which the loop is about to write again, and one that a kill cut short."""
    if path.exists():
        written = path.read_text().splitlines(keepends=True)
        kept = [line for line in written if line.endswith("\n") and json.loads(line)["update"] <= start]
        write_text(path, "".join(kept))


def _append(path: Path, line: Line) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
