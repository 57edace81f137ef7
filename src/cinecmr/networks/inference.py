"""Networks made ready to be asked and no longer to learn.

What can be computed once is, which changes no answer beyond rounding; where wished they run in bf16 or compiled.
"""

from __future__ import annotations

import copy
import os
import stat
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from cinecmr.networks._blocks import ChannelNorm, ConvResBlock

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

Precision = Literal["fp32", "bf16", "auto"]
REACH = 2  # voxels that two convolutions of 3 see beyond their own


@dataclass(frozen=True)
class Way:
    """How a network is run.

    Attributes:
        precision: "fp32"; "bf16", faster by half or more where the machine has such arithmetic and many times slower
            where it has to emulate it; "auto", bf16 where the machine has it.
        compiled: whether torch compiles the network at the first question, which takes a minute and a C++ compiler.
        backend: of the compilation.
    """

    precision: Precision = "fp32"
    compiled: bool = False
    backend: str = "inductor"

    def __post_init__(self) -> None:
        if self.precision not in ("fp32", "bf16", "auto"):
            raise ValueError(f"no precision {self.precision!r}: there are fp32, bf16, auto")

    def halves(self, device: str) -> bool:
        """Whether a network on that device runs in bf16."""
        return self.precision == "bf16" or (self.precision == "auto" and computes_half(device))


def computes_half(device: str) -> bool:
    """Whether the machine has bf16 arithmetic; without it a processor emulates it, many times slower."""
    kind = device.split(":")[0]
    if kind == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


class Ready(nn.Module):
    """A network in evaluation mode that answers without gradients, in 32 bits whatever it computed in.

    The network given stays as it is; weights are shared with it.

    Args:
        network: takes and gives tensors, or dictionaries of them.
        device: where it runs.
        way: see there.
    """

    def __init__(self, network: nn.Module, device: str = "cpu", way: Way | None = None) -> None:
        super().__init__()
        self.way, self.kind = way or Way(), device.split(":")[0]
        self.half_precision = self.way.halves(device)
        shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
        own = with_constants_kept(copy.deepcopy(network, memo=dict(shared))).to(device).eval()
        if self.way.compiled:
            keep_compiled_privately()
            self.asked: Any = torch.compile(own, backend=self.way.backend)
        else:
            self.asked = own

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.kind, torch.bfloat16) if self.half_precision else nullcontext()

    @torch.inference_mode()
    def forward(self, *given: Any) -> Any:
        """As the network's own, floating-point outputs in 32 bits."""
        with self._precision():
            answer = self.asked(*given)
        return _whole(answer)


def _whole(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: _whole(one) for name, one in answer.items()}
    if isinstance(answer, list | tuple):
        return type(answer)(_whole(one) for one in answer)
    return answer.float() if isinstance(answer, Tensor) and answer.is_floating_point() else answer


def with_constants_kept(network: nn.Module) -> nn.Module:
    """Replace, in place, every residual block whose branch cannot see its input by one that computes it once.

    Published networks begin the image's own block with a norm over its only channel. That leaves nothing of the
    image but the norm's bias, so the branch is the same for every image of a size: a constant, but for the two voxels
    at the edges that the convolutions' zeros reach.
    """
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, ConvResBlock) and _is_blind(child):
                setattr(module, name, BlindBlock(child))
    return network


def _is_blind(block: ConvResBlock) -> bool:
    return isinstance(block.norm1, ChannelNorm) and tuple(block.norm1.normalized_shape) == (1,)


class BlindBlock(nn.Module):
    """A residual block whose branch sees a constant, for evaluation: the branch is computed on a few voxels and kept.

    Args:
        block: its first norm is over one channel.
    """

    def __init__(self, block: ConvResBlock) -> None:
        super().__init__()
        self.block = block
        self.kept: dict[tuple[object, ...], Tensor] = {}

    def _branch(self, image: Tensor) -> Tensor:
        """(1, channels, x, y[, z]): edges as computed on a small image, all between like its middle."""
        side = 2 * REACH + 1
        small = image.new_zeros(1, 1, *(min(n, side) for n in image.shape[2:]))
        block = self.block
        changed = block.conv1(nn.functional.gelu(block.norm1(small)))
        changed = block.conv2(nn.functional.gelu(block.norm2(changed)))
        for axis, n in enumerate(image.shape[2:], 2):
            places = torch.arange(n, device=image.device)
            from_end = places - n + changed.shape[axis]
            changed = changed.index_select(
                axis, torch.where(places < REACH, places, from_end.clamp(min=min(REACH, n - 1)))
            )
        return torch.as_tensor(changed)

    def forward(self, image: Tensor) -> Tensor:
        """(batch, 1, ...) to (batch, channels, ...), as the block itself in evaluation mode."""
        mixed = torch.get_autocast_dtype(image.device.type) if torch.is_autocast_enabled(image.device.type) else None
        size = (*image.shape[2:], image.dtype, image.device, mixed)
        if size not in self.kept:
            self.kept = {size: self._branch(image)}  # the last size only: images of a study have one
        out: Tensor = self.block.shortcut(image) + self.kept[size]
        return out


def compiled_cache() -> Path:
    """The user's own folder for compiled networks: $XDG_CACHE_HOME/cinecmr/compiled, else in ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "cinecmr" / "compiled"


def keep_compiled_privately(folder: Path | None = None) -> Path:
    """Make torch keep what it compiles where nobody else can write, not in the shared folder for temporary files.

    Args:
        folder: made when absent, for its owner only; `compiled_cache()` where not given.

    Raises:
        ValueError: others may write to the folder, or it belongs to another user: compiled code is run as it lies.
    """
    folder = folder or compiled_cache()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if others or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
        raise ValueError(f"compiled networks are not kept in a folder that others can write to: chmod 700 {folder}")
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    os.environ["TRITON_CACHE_DIR"] = str(folder / "triton")
    return folder
