"""Checkpoints that others published as pickles, read by torch's safe loader, which runs no code of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from pathlib import Path

TABLES = ("state_dict", "model", "network_weights")  # where frameworks keep the tensors beside other things


def read_pickle(path: Path) -> dict[str, Tensor]:
    """The tensors of a published pickle by name, without what wrappers put before the names.

    Args:
        path: a file of `torch.save`.

    Raises:
        ValueError: it holds anything but tensors and plain values, is damaged, or holds no table of tensors.
    """
    try:
        read = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of the loader, of zip files, of the system: none may pass for weights
        raise ValueError(
            f"torch's safe loader does not read {path.name}: it is damaged, or holds more than tensors and plain values"
        ) from error
    while isinstance(read, dict) and (inner := next((read[key] for key in TABLES if key in read), None)) is not None:
        read = inner
    named = read.items() if isinstance(read, dict) else ()
    tensors = {str(n).removeprefix("module."): t for n, t in named if isinstance(t, Tensor)}
    if not tensors:
        raise ValueError(f"{path.name} holds no tensors by name: give the file of weights as published")
    return tensors
