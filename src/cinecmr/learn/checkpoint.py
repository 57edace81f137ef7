"""Where a run stands, on disk: tensors in safetensors, the rest in their JSON header; no pickle."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from cinecmr.io.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn


def save(
    path: Path,
    network: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    facts: dict[str, object],
) -> None:
    """Write weights, their running average, the optimiser's moments and a few facts, whole or not at all."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.items()}
    for number, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{k}": torch.as_tensor(v) for k, v in state.items()}
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    write_atomically(path, lambda target: save_file(tensors, target, metadata={"facts": json.dumps(facts)}))


def load(
    path: Path, network: nn.Module, average: dict[str, Tensor], optimiser: torch.optim.Optimizer
) -> dict[str, object]:
    """Put a run back where `save` left it; returns the facts."""
    groups: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimiser": {}}
    with safe_open(path, "pt") as file:
        facts: dict[str, object] = json.loads(file.metadata()["facts"])
        for key in file.keys():  # noqa: SIM118 - not a dict
            group, name = key.split(".", 1)
            groups[group][name] = file.get_tensor(key)
    network.load_state_dict(groups["network"])
    average.update(groups["average"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in groups["optimiser"].items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = tensor
    whole = optimiser.state_dict()
    whole["state"] = state
    optimiser.load_state_dict(whole)
    return facts
