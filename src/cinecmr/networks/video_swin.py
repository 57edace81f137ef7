"""Video Swin: a transformer over clips whose attention stays inside windows of space and time.

Inside the network, features are (batch, t, x, y, channels). Parameter names are those of the published weights.

Source: Liu et al., "Video Swin Transformer" (2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cinecmr.networks._blocks import DropPath, Mlp, patch_conv
from cinecmr.networks._shapes import check_image
from cinecmr.networks.vit import economically

Triple = tuple[int, int, int]
APART = -100.0  # added to the score of two voxels that are neighbours only because the clip was rolled


@dataclass(frozen=True)
class VideoSwinConfig:
    """Size of a `VideoSwin`; the defaults are the published tiny one.

    Attributes:
        channels_in: image channels; the published weights take three.
        width: channels of the first stage, doubled at every further one.
        depths, heads: blocks and attention heads of each stage.
        patch, window: along t, x, y: voxels of a first token, tokens of an attention window.
        drop_path: share of samples that skip the last block while training; it grows to that from 0 at the first.
        sliced_bias: where a window shrinks to a clip smaller than itself, look position biases up by the first rows
            of the full table, as the published code does. That is wrong as soon as x or y shrinks (never so at
            224 x 224), so it is off for new networks.
        checkpointing: compute blocks again in the backward pass instead of keeping their features: less memory, more
            time.
    """

    channels_in: int = 3
    width: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    patch: Triple = (2, 4, 4)
    window: Triple = (8, 7, 7)
    drop_path: float = 0.1
    sliced_bias: bool = False
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if not self.depths or len(self.depths) != len(self.heads):
            raise ValueError(f"every stage needs a depth and heads, got depths {self.depths} and heads {self.heads}")
        for stage, heads in enumerate(self.heads):
            if self.width * 2**stage % heads:
                raise ValueError(f"stage {stage}: {self.width * 2**stage} channels do not share out to {heads} heads")

    @property
    def features(self) -> int:
        """Channels that come out of the last stage."""
        return int(self.width * 2 ** (len(self.depths) - 1))


TINY = VideoSwinConfig()
BASE = VideoSwinConfig(width=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32), drop_path=0.3)


class _Group(NamedTuple):
    """Windows that share one attention mask."""

    windows: tuple[int, ...]  # their numbers, row-major over (t, x, y)
    regions: tuple[tuple[bool, ...], ...] | None  # along each axis: is a token past the seam? None: no seam at all


class _Layout(NamedTuple):
    """How a clip of some size is cut into windows."""

    window: Triple
    shift: Triple
    counts: Triple  # windows along each axis, after padding
    groups: tuple[_Group, ...]


def _fitted(sizes: Triple, window: Triple, shift: Triple) -> tuple[Triple, Triple]:
    """Window and shift, where a short axis is one window without a shift."""
    kept = [(w, s) if n > w else (n, 0) for n, w, s in zip(sizes, window, shift, strict=True)]
    return tuple(w for w, _ in kept), tuple(s for _, s in kept)  # type: ignore[return-value]


def layout(sizes: Triple, window: Triple, shift: Triple) -> _Layout:
    """Windows of a clip, and which of them hold the seam that rolling leaves.

    Only the last window along a shifted axis holds a seam, so there are at most eight different masks, however many
    windows there are.
    """
    window, shift = _fitted(sizes, window, shift)
    counts: Triple = tuple(-(-n // w) for n, w in zip(sizes, window, strict=True))  # type: ignore[assignment]
    choices = []
    for count, s in zip(counts, shift, strict=True):
        every = tuple(range(count))
        choices.append([(every[:-1], False), (every[-1:], True)] if s else [(every, False)])
    groups = []
    for along in product(*choices):
        places = product(*(numbers for numbers, _ in along))
        windows = tuple((t * counts[1] + x) * counts[2] + y for t, x, y in places)
        seams = [
            tuple(has_seam and i >= w - s for i in range(w))
            for (_, has_seam), w, s in zip(along, window, shift, strict=True)
        ]
        groups.append(_Group(windows, tuple(seams) if any(has_seam for _, has_seam in along) else None))
    return _Layout(window, shift, counts, tuple(groups))


def seam_mask(regions: tuple[tuple[bool, ...], ...], like: Tensor) -> Tensor:
    """(n, n): 0 between tokens on the same side of every seam, `APART` elsewhere; n is the tokens of a window."""
    t, x, y = (torch.tensor(side, device=like.device) for side in regions)
    code = (4 * t[:, None, None] + 2 * x[None, :, None] + 1 * y[None, None, :]).flatten()
    return (code[:, None] != code[None, :]).to(like.dtype) * APART


def relative_position_index(window: Triple) -> Tensor:
    """(n, n) row of the bias table for each query (first axis) and key (second); it depends on query - key only."""
    places = torch.stack(torch.meshgrid(*(torch.arange(w) for w in window), indexing="ij")).flatten(1)
    apart = places[:, :, None] - places[:, None, :]
    t, x, y = apart[0] + window[0] - 1, apart[1] + window[1] - 1, apart[2] + window[2] - 1
    return (t * (2 * window[1] - 1) + x) * (2 * window[2] - 1) + y


def _rows(full: Triple, window: Triple, sliced: bool) -> Tensor:
    """Tokens of the full window that stand for those of a smaller one."""
    if sliced:
        return torch.arange(window[0] * window[1] * window[2])
    numbers = torch.arange(full[0] * full[1] * full[2]).reshape(full)
    return numbers[: window[0], : window[1], : window[2]].flatten()


class _Attention(nn.Module):
    """Attention among the tokens of each window, with a learned bias for every relative position."""

    relative_position_index: Tensor

    def __init__(self, width: int, heads: int, window: Triple, sliced: bool) -> None:
        super().__init__()
        self.heads, self.window, self.sliced = heads, window, sliced
        t, x, y = (2 * w - 1 for w in window)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(t * x * y, heads))
        self.register_buffer("relative_position_index", relative_position_index(window), persistent=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def _bias(self, window: Triple) -> Tensor:
        """(heads, n, n)."""
        index = self.relative_position_index
        if window != self.window:
            rows = _rows(self.window, window, self.sliced).to(index.device)
            index = index[rows][:, rows]
        return self.relative_position_bias_table[index].movedim(-1, 0)

    def forward(self, tokens: Tensor, plan: _Layout) -> Tensor:
        """(batch, windows, n, channels) in and out."""
        batch, windows, n, width = tokens.shape
        shape = (batch, windows, n, 3, self.heads, width // self.heads)
        query, key, value = self.qkv(tokens).reshape(shape).permute(3, 0, 1, 4, 2, 5)
        bias, parts = self._bias(plan.window), []
        for group in plan.groups:
            masked = bias if group.regions is None else bias + seam_mask(group.regions, bias)
            numbers = list(group.windows)
            # one mask for the whole group, broadcast over its windows, keeps memory independent of their number
            whole = len(plan.groups) == 1
            q, k, v = ((a if whole else a[:, numbers]).flatten(0, 1) for a in (query, key, value))
            seen = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=masked[None].to(q.dtype))
            parts.append(seen.reshape(batch, len(numbers), *seen.shape[1:]))
        seen = parts[0]
        if len(parts) > 1:
            order = [number for group in plan.groups for number in group.windows]
            back = sorted(range(windows), key=order.__getitem__)
            seen = torch.cat(parts, 1)[:, back]
        out: Tensor = self.proj(seen.transpose(2, 3).flatten(3))
        return out


class SwinBlock(nn.Module):
    """Attention within windows, then a small network for each token; odd blocks cut their windows half a window on."""

    def __init__(
        self, width: int, heads: int, window: Triple, shift: Triple, drop_path: float = 0.0, sliced: bool = False
    ) -> None:
        super().__init__()
        self.shift = shift
        self.norm1 = nn.LayerNorm(width)
        self.attn = _Attention(width, heads, window, sliced)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def _attended(self, features: Tensor) -> Tensor:
        sizes: Triple = tuple(features.shape[1:4])  # type: ignore[assignment]
        plan = layout(sizes, self.attn.window, self.shift)
        grid = [c * w for c, w in zip(plan.counts, plan.window, strict=True)]
        (t, x, y), (ct, cx, cy), (wt, wx, wy) = sizes, plan.counts, plan.window
        features = nn.functional.pad(features, (0, 0, 0, grid[2] - y, 0, grid[1] - x, 0, grid[0] - t))
        if any(plan.shift):
            features = features.roll([-s for s in plan.shift], (1, 2, 3))
        cut = features.reshape(-1, ct, wt, cx, wx, cy, wy, features.shape[-1])
        tokens = cut.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4, 6).flatten(1, 3)
        tokens = self.attn(tokens, plan)
        cut = tokens.reshape(-1, ct, cx, cy, wt, wx, wy, tokens.shape[-1])
        features = cut.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, *grid, tokens.shape[-1])
        if any(plan.shift):
            features = features.roll(list(plan.shift), (1, 2, 3))
        return features[:, :t, :x, :y]

    def forward(self, features: Tensor) -> Tensor:
        """(batch, t, x, y, channels) in and out."""
        features = features + self.drop_path(self._attended(self.norm1(features)))
        out: Tensor = features + self.drop_path(self.mlp(self.norm2(features)))
        return out


class PatchMerging(nn.Module):
    """Four neighbours in plane become one token of twice the channels; time is kept."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, t, x, y, c) to (batch, t, x / 2, y / 2, 2 c), odd sizes rounded up."""
        x, y = features.shape[2:4]
        features = nn.functional.pad(features, (0, 0, 0, y % 2, 0, x % 2))
        four = [features[:, :, i::2, j::2] for i, j in ((0, 0), (1, 0), (0, 1), (1, 1))]
        merged: Tensor = self.reduction(self.norm(torch.cat(four, -1)))
        return merged


class _Stage(nn.Module):
    def __init__(self, config: VideoSwinConfig, number: int, drop_paths: list[float]) -> None:
        super().__init__()
        width = config.width * 2**number
        half: Triple = tuple(w // 2 for w in config.window)  # type: ignore[assignment]
        self.checkpointing = config.checkpointing
        self.blocks = nn.ModuleList(
            SwinBlock(
                width, config.heads[number], config.window, half if i % 2 else (0, 0, 0), rate, config.sliced_bias
            )
            for i, rate in enumerate(drop_paths)
        )
        self.downsample = PatchMerging(width) if number < len(config.depths) - 1 else None

    def forward(self, features: Tensor) -> Tensor:
        for block in self.blocks:
            features = economically(block, self.checkpointing, features)
        return features if self.downsample is None else self.downsample(features)


class _PatchEmbedding(nn.Module):
    """Patches that do not overlap become tokens; a clip that does not fill its last patches is padded with zeros."""

    def __init__(self, config: VideoSwinConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.proj = patch_conv(config.channels_in, config.width, config.patch)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, clip: Tensor) -> Tensor:
        missing = [-n % p for n, p in zip(clip.shape[2:], self.patch, strict=True)]
        clip = nn.functional.pad(clip, [n for m in reversed(missing) for n in (0, m)])
        out: Tensor = self.norm(self.proj(clip).movedim(1, -1))
        return out


class VideoSwin(nn.Module):
    """Features of a clip."""

    def __init__(self, config: VideoSwinConfig | None = None) -> None:
        super().__init__()
        self.config = config or VideoSwinConfig()
        depths = self.config.depths
        self.patch_embed = _PatchEmbedding(self.config)
        last = max(sum(depths) - 1, 1)
        rates = [self.config.drop_path * i / last for i in range(sum(depths))]
        self.layers = nn.ModuleList(
            _Stage(self.config, i, rates[sum(depths[:i]) : sum(depths[: i + 1])]) for i in range(len(depths))
        )
        self.norm = nn.LayerNorm(self.config.features)
        self._start()

    def _start(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, _Attention):
                nn.init.trunc_normal_(module.relative_position_bias_table, std=0.02)

    def stages(self, clip: Tensor) -> list[Tensor]:
        """Features after each stage and its merging, (batch, t, x, y, channels), not normed.

        Raises:
            ValueError: another number of axes or channels.
        """
        check_image(clip, self.config.channels_in, (1, 1, 1), axes="txy")
        features, found = self.patch_embed(clip), []
        for stage in self.layers:
            features = stage(features)
            found.append(features)
        return found

    def feature_map(self, clip: Tensor) -> Tensor:
        """The normed last features, (batch, channels, t / 2, x / 32, y / 32) with the published patch, rounded up.

        Raises:
            ValueError: another number of axes or channels.
        """
        features: Tensor = self.norm(self.stages(clip)[-1])
        return features.movedim(-1, 1)

    def forward(self, clip: Tensor) -> Tensor:
        """One vector a clip: the mean of the feature map over time and space.

        Args:
            clip: (batch, channels, t, x, y), any size; the published weights were learned on 224 x 224 pixels.

        Returns:
            (batch, `config.features`).

        Raises:
            ValueError: another number of axes or channels.
        """
        return self.feature_map(clip).flatten(2).mean(2)
