"""What a run begins with: drawn weights, those of another run, or those of a file; and where it leaves its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_atomically
from cinecmr.learn.recipe import Recipe, Weights
from cinecmr.networks.multiview import MultiView
from cinecmr.networks.pretrained import differences, start_from, transformer_within

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cinecmr.learn.objective import Objective

WEIGHTS = "weights.safetensors"


def begin(network: nn.Module, objective: Objective, start: Recipe | Weights | None, folder: Path) -> None:
    """Give a fresh network the weights it starts from.

    An objective may do it itself, in a method `begin(network, tensors)`. Else weights of the same network are loaded
    whole, and a multi-view network takes from a masked autoencoder, or from the transformer that another pre-training
    taught, what `networks.pretrained.start_from` maps.

    Args:
        network: changed in place.
        objective: whose network it is.
        start: see `Recipe`. A recipe's run lies beside `folder`, in a folder named by its key.
        folder: of the run that begins.

    Raises:
        RefusedInput: there are no such weights (`no-start`), they are others than the recipe's (`weights-changed`), or
            they do not fit (`weights-do-not-fit`).
    """
    if start is None:
        return
    tensors = _read(_find(start, folder))
    own: Any = getattr(objective, "begin", None)
    try:
        if own is not None:
            own(network, tensors)
        elif not (unlike := differences(network, tensors)):
            network.load_state_dict(tensors)
        elif isinstance(network, MultiView):
            start_from(network, transformer_within(tensors))
        else:
            raise ValueError(str(unlike))
    except ValueError as error:
        raise RefusedInput("weights-do-not-fit", f"this network cannot start from those weights: {error}") from error


def _find(start: Recipe | Weights, folder: Path) -> Path:
    if isinstance(start, Recipe):
        path = folder.parent / start.key / WEIGHTS
        if not path.is_file():
            raise RefusedInput("no-start", f"{path} is missing; train the recipe this run starts from first")
        return path
    path = Path(start.path)
    if not path.is_file():
        raise RefusedInput("no-start", f"there are no weights at {path}; check the path")
    if (found := Weights.of(path).sha256) != start.sha256:
        raise RefusedInput(
            "weights-changed", f"{path} has SHA-256 {found[:12]}..., the recipe starts from {start.sha256[:12]}..."
        )
    return path


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        message = f"{path} holds no safetensors ({error}); give the weights a run left"
        raise RefusedInput("weights-do-not-fit", message) from error


def leave(path: Path, network: nn.Module, key: str) -> None:
    """Write a run's weights, whole or not at all, with the run's name in the file."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    write_atomically(path, lambda target: save_file(tensors, target, metadata={"recipe": key}))
