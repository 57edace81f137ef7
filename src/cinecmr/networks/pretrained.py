"""From pre-trained to fine-tuned: which weights of a masked autoencoder a network starts from.

Source: specification of CineMA's code, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from cinecmr.networks.multiview import MultiView

FIRST_CONV = "conv_blocks.0.patch_embed.conv.weight"


@dataclass(frozen=True)
class Started:
    """What `start_from` did, by names of tensors.

    Attributes:
        loaded: of the network, now holding pre-trained weights.
        tiled: of those, first convolutions whose pre-trained channels were repeated for more channels.
        fresh: of the network, left as they were: tables of positions, decoder, heads.
        dropped: of the pre-trained weights, which this network has no use for.
    """

    loaded: tuple[str, ...]
    tiled: tuple[str, ...]
    fresh: tuple[str, ...]
    dropped: tuple[str, ...]


def start_from(
    network: MultiView, pretrained: Mapping[str, Tensor], freeze: bool = False, share_channels: bool = False
) -> Started:
    """Give a network the stems of its views, the encoder and, where it fuses, the fusion of a masked autoencoder.

    Tables of positions stay the network's own, so that its images may have another size. Where an image has more
    channels than in pre-training (ED and ES, or three sequences), the first convolution's channels are repeated.

    Args:
        network: changed in place.
        pretrained: weights of the autoencoder by published name.
        freeze: keep what was loaded from learning.
        share_channels: divide repeated channels by how often they repeat, so that the convolution answers as before
            to equal images; off in the published fine-tuning.

    Returns:
        Which tensors were loaded, tiled, left and dropped.

    Raises:
        ValueError: weights that lack a view or a tensor, or whose shapes do not fit; nothing is changed then.
    """
    own = network.state_dict()
    wanted = [name for name in own if _is_shared(name, network)]
    _refuse_missing(wanted, pretrained, network)
    fitted = {name: _fitted(name, pretrained[name], own[name], share_channels) for name in wanted}
    with torch.no_grad():
        for name, tensor in fitted.items():
            own[name].copy_(tensor)
    if freeze:
        for name, parameter in network.named_parameters():
            if name in fitted:
                parameter.requires_grad_(False)
    return Started(
        loaded=tuple(wanted),
        tiled=tuple(name for name in wanted if pretrained[name].shape != own[name].shape),
        fresh=tuple(name for name in own if name not in fitted),
        dropped=tuple(name for name in pretrained if name not in fitted),
    )


def transformer_within(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The multi-view transformer among what SimCLR, PCL, DINO or MIM left, under its own names; DINO's teacher's.

    Weights that hold no such transformer come back as they are.
    """
    for start in ("teacher.encoder.vit.", "encoder.vit."):
        found = {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
        if found:
            return found
    return tensors


def _is_shared(name: str, network: MultiView) -> bool:
    """Whether the autoencoder has this tensor too, for the same use."""
    module, *rest = name.split(".")
    if rest[-1] == "pos_embed":
        return False
    return module in ("encoder", "enc_down_dict") or (network.fuse and module == "enc_fusion_dict")


def _refuse_missing(wanted: list[str], pretrained: Mapping[str, Tensor], network: MultiView) -> None:
    views = dict.fromkeys(name.split(".")[1] for name in pretrained if name.startswith("enc_down_dict."))
    for view in network.config.views:
        if view not in views:
            there = f"they have {', '.join(views)}" if views else "they are not of a multi-view network"
            raise ValueError(f"the pre-trained weights have no view {view}: {there}")
    missing = [name for name in wanted if name not in pretrained]
    if missing:
        raise ValueError(f"the pre-trained weights lack {len(missing)} of {len(wanted)} tensors, such as {missing[0]}")


def _fitted(name: str, given: Tensor, own: Tensor, share_channels: bool) -> Tensor:
    """The given tensor in the network's own shape."""
    if given.shape == own.shape:
        return given
    axes_fit = given.ndim == own.ndim and (given.shape[0], *given.shape[2:]) == (own.shape[0], *own.shape[2:])
    if not (name.endswith(FIRST_CONV) and axes_fit and own.shape[1] % given.shape[1] == 0):
        raise ValueError(f"{name} has shape {tuple(given.shape)} in the pre-trained weights, here {tuple(own.shape)}")
    times = own.shape[1] // given.shape[1]
    tiled = given.repeat(1, times, *(1 for _ in own.shape[2:]))
    return tiled / times if share_channels else tiled


@dataclass(frozen=True)
class Differences:
    """How weights of a file differ from what a network needs.

    Attributes:
        missing: names that only the network has.
        unexpected: names that only the file has.
        misshapen: name, then the shape in the file and the shape in the network.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.misshapen)

    def __str__(self) -> str:
        told = [f"{len(names)} {how}, such as {_some(names)}" for how, names in self._named() if names]
        told += [f"{name} has shape {theirs}, needs {ours}" for name, theirs, ours in self.misshapen[:1]]
        if len(self.misshapen) > 1:
            told.append(f"{len(self.misshapen) - 1} more of another shape")
        return "; ".join(told) or "none"

    def _named(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return ("missing", self.missing), ("unexpected", self.unexpected)


def _some(names: tuple[str, ...], shown: int = 3) -> str:
    return ", ".join(names[:shown]) + (" ..." if len(names) > shown else "")


def differences(network: nn.Module, tensors: Mapping[str, Tensor]) -> Differences:
    """Compare names and shapes of weights with those of a network, which may be on the meta device."""
    own = network.state_dict()
    return Differences(
        missing=tuple(name for name in own if name not in tensors),
        unexpected=tuple(name for name in tensors if name not in own),
        misshapen=tuple(
            (name, tuple(tensors[name].shape), tuple(tensor.shape))
            for name, tensor in own.items()
            if name in tensors and tensors[name].shape != tensor.shape
        ),
    )
