"""Where a run stands, on disk: tensors in safetensors, the rest in their JSON header; no pickle."""

from __future__ import annotations

import errno
import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor, nn

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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
    own = network.state_dict()
    average.update({name: tensor.to(own[name].device) for name, tensor in groups["average"].items()})
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in groups["optimiser"].items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = tensor
    whole = optimiser.state_dict()
    whole["state"] = state
    optimiser.load_state_dict(whole)
    return facts


def weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that holds nothing else."""
    return load_file(path)


@contextmanager
def full_disk_told(folder: Path) -> Iterator[None]:
    """Say in a sentence that the disk is full; what was written before stays whole.

    Raises:
        RefusedInput: no space was left, or a quota or a limit was reached, while something was written (`disk-full`).
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        if not _is_full(error):
            raise
        free = shutil.disk_usage(folder).free // 2**20 if folder.exists() else 0
        raise RefusedInput(
            "disk-full",
            f"the run in {folder} could not be written ({free} MiB are free there): make room and start it again; it "
            "goes on from its last checkpoint, which is whole",
        ) from error


def _is_full(error: Exception) -> bool:
    """Whether writing failed for want of room; the writer of tensors tells the number in its text only."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    return any(f"os error {number})" in str(error) for number in _FULL)
