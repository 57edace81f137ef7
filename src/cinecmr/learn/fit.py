"""The training loop: one for every objective.

Every draw follows from (seed, update), so a run that was killed goes on from its last checkpoint exactly as if it
had not been: the same curve to the last digit on one machine.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import torch

from cinecmr.io.files import write_text
from cinecmr.learn import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor, nn

    from cinecmr.learn.objective import Objective
    from cinecmr.learn.recipe import Recipe


def learning_rate(recipe: Recipe, update: int) -> float:
    """Linear warm-up, then half a cosine down to nothing at the last update."""
    optimiser, last = recipe.optimiser, recipe.schedule.updates
    if update < optimiser.warmup:
        return optimiser.rate * (update + 1) / optimiser.warmup
    share = (update - optimiser.warmup) / max(1, last - optimiser.warmup)
    return optimiser.rate * 0.5 * (1 + math.cos(math.pi * share))


def fit(
    recipe: Recipe, objective: Objective, folder: Path, progress: Callable[[dict[str, float]], None] | None = None
) -> nn.Module:
    """Train, or go on training.

    Args:
        recipe: what decides the result. A folder that holds another recipe's run is refused.
        objective: gives network, batches, loss and scores.
        folder: gets recipe.json, log.jsonl (one line a log or check) and checkpoint.safetensors.
        progress: called with every log line.

    Returns:
        The network with the running average of its weights.

    Raises:
        ValueError: the folder belongs to another recipe, or the loss is not a number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, recipe)
    torch.manual_seed(recipe.seed)
    network = objective.network()
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.optimiser.rate, weight_decay=recipe.optimiser.decay)
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    start = 0
    state = folder / "checkpoint.safetensors"
    if state.exists():
        start = int(str(checkpoint.load(state, network, average, optimiser)["update"]))
    _trim_log(folder / "log.jsonl", start)
    recent: list[dict[str, float]] = []
    clock = time.monotonic()
    for update in range(start, recipe.schedule.updates):
        recent.append(_step(recipe, objective, network, optimiser, average, update))
        done = update + 1
        last = done == recipe.schedule.updates
        if done % recipe.schedule.log_every == 0 or last:
            line = {name: float(np.mean([r[name] for r in recent])) for name in recent[0]}
            line |= {
                "update": done,
                "rate": learning_rate(recipe, update),
                "seconds": round(time.monotonic() - clock, 1),
            }
            recent = []
            checking = done % recipe.schedule.check_every == 0 or last
            if checking:
                line |= _check(objective, network, average)
            _append(folder / "log.jsonl", line)
            if checking or done % (5 * recipe.schedule.log_every) == 0:
                checkpoint.save(state, network, average, optimiser, {"update": done, "recipe": recipe.key})
            if progress:
                progress(line)
    network.load_state_dict(average)
    return network.eval()


def _step(
    recipe: Recipe,
    objective: Objective,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
    update: int,
) -> dict[str, float]:
    rng = np.random.default_rng((recipe.seed, update))
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(recipe, update)
    network.train()
    loss = objective.loss(network, objective.batch(rng, recipe.schedule.batch))
    if not torch.isfinite(loss.total):
        raise ValueError(f"the loss is {float(loss.total.detach())} at update {update + 1}; lower the learning rate")
    optimiser.zero_grad(set_to_none=True)
    loss.total.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.optimiser.clip)
    optimiser.step()
    decay = min(recipe.optimiser.average, (1 + update) / (10 + update))  # the first weights are soon forgotten
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                average[name].lerp_(value, 1 - decay)
            else:
                average[name].copy_(value)
    return {"loss": float(loss.total.detach()), **loss.parts, "gradient": float(norm)}


def _check(objective: Objective, network: nn.Module, average: dict[str, Tensor]) -> dict[str, float]:
    """Scores of the averaged weights, the network's own put back afterwards."""
    own = {k: v.clone() for k, v in network.state_dict().items()}
    network.load_state_dict(average)
    network.eval()
    with torch.inference_mode():
        scores = objective.check(network)
    network.load_state_dict(own)
    return scores


def _claim(folder: Path, recipe: Recipe) -> None:
    path, text = folder / "recipe.json", json.dumps(asdict(recipe), indent=1, sort_keys=True)
    if path.exists() and path.read_text() != text:
        raise ValueError(f"{folder} holds a run of another recipe; give an empty folder, or delete that one")
    write_text(path, text)


def _trim_log(path: Path, start: int) -> None:
    """Drop lines after the checkpoint, which the loop is about to write again, and one that a kill cut short."""
    if path.exists():
        written = path.read_text().splitlines(keepends=True)
        kept = [line for line in written if line.endswith("\n") and json.loads(line)["update"] <= start]
        write_text(path, "".join(kept))


def _append(path: Path, line: dict[str, float]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
