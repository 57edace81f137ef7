"""Published Video Swin weights under the names of three libraries, and what of a checkpoint the network takes.

The published files are pickles of `state_dict` and `meta`. Read them with torch's safe loader
(`weights_only=True`), give what comes out to `published_tensors`, and keep the result as safetensors.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor

from cinecmr.networks.pretrained import differences
from cinecmr.networks.video_swin import VideoSwin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cinecmr.networks.video_swin import VideoSwinConfig

Naming = Literal["official", "torchvision", "monai"]
INDEX = "relative_position_index"  # follows from the window; computed, never loaded
HEAD = re.compile(r"(cls_head\.|head\.|proj_out\.)")
_TORCHVISION_MLP = {"fc1": "0", "fc2": "3"}
_MONAI_MLP = {"fc1": "linear1", "fc2": "linear2"}


class Taken(NamedTuple):
    """What a checkpoint holds for a network.

    Attributes:
        tensors: by the network's own names.
        dropped: names in the checkpoint that the network has no use for: its head, its index tables.
    """

    tensors: dict[str, Tensor]
    dropped: tuple[str, ...]


def other_name(official: str, naming: Naming) -> str | None:
    """Name of a tensor of the network in another library.

    Args:
        official: the network's own name, such as "layers.2.blocks.0.mlp.fc1.weight".
        naming: "official", "torchvision" (swin3d) or "monai" (its SwinTransformer with merging in plane only).

    Returns:
        The other name; None where that library has no such tensor (MONAI's last norm has no weights).

    >>> other_name("layers.2.blocks.0.mlp.fc1.weight", "torchvision")
    'features.4.0.mlp.0.weight'
    >>> other_name("layers.0.downsample.norm.bias", "monai")
    'layers1.0.downsample.norm.bias'
    """
    found = re.fullmatch(r"layers\.(\d+)\.(blocks\.(\d+)|downsample)\.(.+)", official)
    if naming == "official" or (found is None and naming == "torchvision"):
        return official
    if found is None:
        return None if official.startswith("norm.") else official
    stage, part, block, rest = int(found[1]), found[2], found[3], found[4]
    mlp = _TORCHVISION_MLP if naming == "torchvision" else _MONAI_MLP
    rest = re.sub(r"mlp\.(fc[12])", lambda m: f"mlp.{mlp[m[1]]}", rest)
    if naming == "monai":
        return f"layers{stage + 1}.0.{part}.{rest}"
    return f"features.{2 * stage}.{block}.{rest}" if block else f"features.{2 * stage + 1}.{rest}"


def _naming(names: list[str]) -> Naming:
    if any(name.startswith("features.") for name in names):
        return "torchvision"
    return "monai" if any(name.startswith("layers1.") for name in names) else "official"


def _state(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, without the prefix of a larger model."""
    inner = checkpoint.get("state_dict", checkpoint)
    if not hasattr(inner, "items"):
        raise ValueError(f"the checkpoint's state_dict is no table of tensors but {type(inner).__name__}")
    found = {str(n).removeprefix("module.").removeprefix("backbone."): t for n, t in inner.items()}
    tensors = {name: t for name, t in found.items() if isinstance(t, Tensor)}
    if not tensors:
        raise ValueError("the checkpoint holds no tensors: give the file of weights as published")
    return tensors


def published_tensors(checkpoint: Mapping[str, Any], config: VideoSwinConfig | None = None) -> Taken:
    """The network's tensors out of a published checkpoint, under the network's own names.

    Args:
        checkpoint: as read from the published file: tensors by name, or such a table under "state_dict", by the
            official names, torchvision's or MONAI's. Weights of MONAI lack the last norm; add it as `norm.weight`
            and `norm.bias`.
        config: size of the network the weights are for.

    Returns:
        Tensors that `VideoSwin(config).load_state_dict(..., strict=True)` takes, contiguous, and what was dropped.

    Raises:
        ValueError: weights of another network or another size; says what is missing, unexpected or misshapen.
    """
    state = _state(checkpoint)
    naming = _naming(list(state))
    with torch.device("meta"):
        network = VideoSwin(config)
    own = {other_name(name, naming) or name: name for name in network.state_dict()}
    tensors, dropped = {}, []
    for name, tensor in state.items():
        if name.endswith(INDEX) or HEAD.match(name):
            dropped.append(name)
        else:
            tensors[own.get(name, name)] = tensor.contiguous()
    wrong = differences(network, tensors)
    if wrong:
        raise ValueError(f"these are no weights of this Video Swin ({naming} names): {wrong}")
    return Taken(tensors, tuple(dropped))
