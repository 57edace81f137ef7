"""Motions and priors as files: arrays, and what is to be known of them, in one safetensors file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.io.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


def write_tensors(path: Path, kind: str, tensors: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Write arrays and what is to be known of them as one safetensors file, whole or not at all.

    Args:
        path: of the file.
        kind: what it is; `read_tensors` asks for it.
        tensors: by name.
        facts: anything JSON holds.
    """
    from safetensors.numpy import save_file

    whole = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    metadata = {"facts": json.dumps({"kind": kind, **facts})}
    write_atomically(path, lambda target: save_file(whole, target, metadata=metadata))


def read_tensors(path: Path, kind: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """What `write_tensors` wrote: arrays by name, and the facts.

    Raises:
        ValueError: a file of another kind.
    """
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        facts = json.loads((file.metadata() or {}).get("facts", "{}"))
        if facts.get("kind") != kind:
            raise ValueError(f"{path.name} holds no {kind.removeprefix('cinecmr ')} of cinecmr")
        return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 - not a dict
