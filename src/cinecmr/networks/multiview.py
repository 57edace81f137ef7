"""Several views of one heart in one transformer: a stem for each view, one encoder, fusion with the stems' features.

Networks take and give dictionaries by view. A view here is a name and a size: images are (batch, channels, x, y) or
(batch, channels, x, y, z). In plane a token is 16 pixels wide (4 x 2 x 2), along z it is one slice.

Source: CineMA (Fu et al.), appendix C.1; specification of its code, sections 3 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from cinecmr.networks import visible as rows_of
from cinecmr.networks._blocks import ConvNormAct, MaskedConvBlock, dimensions, patch_conv
from cinecmr.networks.patches import patch_grid, patchify
from cinecmr.networks.positions import resized_table, sincos_table
from cinecmr.networks.vit import Encoder, economically

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST_PATCH = 4  # pixels in plane of the stem's first patches
SCALE = 2  # in plane, of every later step


@dataclass(frozen=True)
class ViewShape:
    """What a network expects of one view.

    Attributes:
        size: voxels along x, y of a long-axis view or x, y, z of a stack.
        channels: channels of the image, frames that are read together included.
    """

    size: tuple[int, ...]
    channels: int = 1


@dataclass(frozen=True)
class MultiViewConfig:
    """Views and widths of a multi-view network; the defaults are the published ("base") ones.

    Attributes:
        views: shape of every view.
        stem_widths, stem_blocks: channels of the stem's stages, and masked blocks in each.
        width, depth, heads: channels of a token, blocks of the encoder, heads of its attention.
        drop_path: share of samples for which an encoder branch is dropped in training (0.1 in published fine-tuning).
        checkpointing: less memory, more time: compute stages and blocks again in the backward pass.
    """

    views: Mapping[str, ViewShape]
    stem_widths: tuple[int, ...] = (64, 128)
    stem_blocks: int = 2
    width: int = 768
    depth: int = 12
    heads: int = 12
    drop_path: float = 0.0
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if not self.views:
            raise ValueError("a multi-view network needs one view or more")
        for view, shape in self.views.items():
            dimensions(len(shape.size))
            patch_grid(shape.size, self.patch(view), f"view {view}")

    def patch(self, view: str) -> tuple[int, ...]:
        """Voxels of one token along x, y[, z]."""
        return in_plane(FIRST_PATCH * SCALE ** len(self.stem_widths), len(self.views[view].size))

    def grid(self, view: str) -> tuple[int, ...]:
        """Tokens along x, y[, z] at the nominal size."""
        return patch_grid(self.views[view].size, self.patch(view), f"view {view}")


def in_plane(pixels: int, dims: int) -> tuple[int, ...]:
    """`pixels` along x and y, one slice along z."""
    return (pixels, pixels, 1)[:dims]


class Split(NamedTuple):
    """Indices of the tokens that are seen and of those that are hidden, each (batch, number), ascending."""

    seen: Tensor
    hidden: Tensor


def split(hidden: Tensor, tokens: int, what: str) -> Split:
    """Sort tokens into seen and hidden.

    Args:
        hidden: (batch, tokens) bool, True where hidden.
        tokens: how many there have to be.
        what: whose tokens, for the error message.

    Raises:
        ValueError: another shape or type, or samples that hide different numbers.
    """
    if hidden.ndim != 2 or hidden.shape[1] != tokens or hidden.dtype != torch.bool:
        raise ValueError(
            f"{what}: hidden patches must be (batch, {tokens}) bool, got {tuple(hidden.shape)} {hidden.dtype}"
        )
    counts = hidden.sum(1)
    if (counts != counts[0]).any():
        raise ValueError(f"{what}: every sample must hide the same number of patches, got {counts.tolist()}")
    order = hidden.to(torch.uint8).argsort(dim=1, stable=True)
    kept = tokens - int(counts[0])
    return Split(order[:, :kept], order[:, kept:])


def take(tokens: Tensor, indices: Tensor) -> Tensor:
    """Rows of (batch or 1, tokens, width) by (batch, number) indices: (batch, number, width)."""
    return tokens.expand(len(indices), -1, -1).gather(1, indices[..., None].expand(-1, -1, tokens.shape[-1]))


class Stage(nn.Module):
    """Patches to channels, then masked convolution blocks."""

    def __init__(self, channels_in: int, channels_out: int, patch: tuple[int, ...], blocks: int) -> None:
        super().__init__()
        self.patch_embed = ConvNormAct(patch_conv(channels_in, channels_out, patch))
        self.conv = nn.ModuleList(MaskedConvBlock(len(patch), channels_out) for _ in range(blocks))

    def forward(self, features: Tensor, visible: Tensor | None) -> Tensor:
        """(batch, channels_in, ...) to (batch, channels_out, ...), smaller by the patch."""
        features = self.patch_embed(features)
        for block in self.conv:
            features = block(features, visible)
        return features


class _LastPatch(nn.Module):
    def __init__(self, values: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(values, width)

    def forward(self, patches: Tensor) -> Tensor:
        out: Tensor = self.proj(patches)
        return out


class Stem(nn.Module):
    """One view's images to tokens, through convolutions that never let a seen patch read a hidden one."""

    def __init__(self, config: MultiViewConfig, view: str) -> None:
        super().__init__()
        shape, widths = config.views[view], config.stem_widths
        self.dims = len(shape.size)
        self.grid = config.grid(view)
        self.checkpointing = config.checkpointing
        self.step = in_plane(SCALE, self.dims)
        self.seen_only = True  # off, hidden patches are computed and thrown away; the answers are the same
        patches = [in_plane(FIRST_PATCH, self.dims)] + [self.step] * (len(widths) - 1)
        self.pos_embed = nn.Parameter(sincos_table(self.grid, config.width), requires_grad=False)
        self.conv_blocks = nn.ModuleList(
            Stage(a, b, patch, config.stem_blocks)
            for a, b, patch in zip((shape.channels, *widths), widths, patches, strict=False)
        )
        self.patch_embed = _LastPatch(widths[-1] * SCALE**2, config.width)
        self.linear = nn.Linear(config.width, config.width)

    def _visible(self, hidden: Tensor, grid: tuple[int, ...], stage: int) -> Tensor:
        """1 where a voxel of a stage is seen, 0 where hidden: (batch, 1, x, y[, z])."""
        visible = (~hidden).reshape(len(hidden), 1, *grid)
        for axis in (2, 3):
            visible = visible.repeat_interleave(SCALE ** (len(self.conv_blocks) - stage), axis)
        return visible

    def forward(
        self, image: Tensor, grid: tuple[int, ...], hidden: Tensor | None = None, seen: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Tokens of the seen patches, and the features of every stage.

        Args:
            image: (batch, channels, x, y[, z]).
            grid: tokens along the spatial axes of this image.
            hidden: (batch, tokens) bool, or None where nothing is hidden.
            seen: (batch, number) indices of the tokens not hidden, or None for all.

        Returns:
            (batch, number, width), positions added; and a tensor (batch, channels, x, y[, z]) a stage, finest first, or
            rows of the seen patches (`visible`) where some are hidden.
        """
        if seen is not None and self.seen_only:
            return self._of_seen(image, grid, seen)
        features, stages = image, []
        for number, stage in enumerate(self.conv_blocks):
            visible = None if hidden is None else self._visible(hidden, grid, number)
            features = economically(stage, self.checkpointing, features, visible)
            stages.append(features)
        patches = patchify(features, self.step)
        positions = resized_table(self.pos_embed, self.grid, grid)
        if seen is not None:
            patches, positions = take(patches, seen), take(positions, seen)
        return self.linear(self.patch_embed(patches)) + positions, stages

    def _of_seen(self, image: Tensor, grid: tuple[int, ...], seen: Tensor) -> tuple[Tensor, list[Tensor]]:
        pixels = FIRST_PATCH * SCALE ** len(self.conv_blocks)
        patches = take(patchify(image, in_plane(pixels, self.dims)), seen)
        rows, stages = patches.reshape(*seen.shape, -1, image.shape[1]), []
        for number, stage in enumerate(self.conv_blocks):
            step = SCALE if number else FIRST_PATCH

            def run(given: Tensor, layers: nn.Module = stage, step: int = step) -> Tensor:
                return rows_of.stage(given, layers, step, seen, grid)  # type: ignore[arg-type]

            rows = economically(run, self.checkpointing, rows)
            stages.append(rows)
        positions = take(resized_table(self.pos_embed, self.grid, grid), seen)
        return self.linear(self.patch_embed(rows.flatten(2))) + positions, stages


class Fusion(nn.Module):
    """Adds to each token of a view what the stages of its stem hold at that place, then a norm."""

    def __init__(self, config: MultiViewConfig, view: str) -> None:
        super().__init__()
        stages = len(config.stem_widths)
        dims = len(config.views[view].size)
        self.down_convs = nn.ModuleList(
            patch_conv(channels, config.width, in_plane(SCALE ** (stages - i), dims))
            for i, channels in enumerate(config.stem_widths)
        )
        self.norm = nn.LayerNorm(config.width)

    def forward(self, tokens: Tensor, stages: list[Tensor], seen: Tensor | None = None, rows: bool = False) -> Tensor:
        """(batch, number, width) in and out; `seen` are the tokens' indices in the grid, None for all.

        With `rows`, the stages hold the seen patches only; see `visible`.
        """
        for down, stage in zip(self.down_convs, stages, strict=True):
            if rows:
                side = round(stage.shape[2] ** 0.5)
                tokens = tokens + rows_of.pointwise(rows_of.regrouped(stage, side), down)[:, :, 0]
                continue
            added = down(stage).flatten(2).transpose(1, 2)
            tokens = tokens + (added if seen is None else take(added, seen))
        out: Tensor = self.norm(tokens)
        return out


class Encoded(NamedTuple):
    """What the encoder makes of some views.

    Attributes:
        summary: (batch, 1, width), the class token.
        tokens: (batch, number, width) of every view, seen patches only, fused where the network fuses.
        stages: features of every view's stem, finest first; rows of seen patches where some are hidden (`visible`).
        grids: tokens along the axes of every view's image.
        splits: which tokens were seen, for views with hidden patches.
    """

    summary: Tensor
    tokens: dict[str, Tensor]
    stages: dict[str, list[Tensor]]
    grids: dict[str, tuple[int, ...]]
    splits: dict[str, Split]


class MultiView(nn.Module):
    """What the published multi-view networks have in common: stems, encoder and, for some, fusion.

    Args:
        config: views and widths.
        fuse: whether tokens get the stems' features back after the encoder.
        needs_every_view: whether images of all configured views must be given, or of any of them.
    """

    def __init__(self, config: MultiViewConfig, fuse: bool, needs_every_view: bool = True) -> None:
        super().__init__()
        self.config, self.fuse, self.needs_every_view = config, fuse, needs_every_view
        self.enc_down_dict = nn.ModuleDict({view: Stem(config, view) for view in config.views})
        if fuse:
            self.enc_fusion_dict = nn.ModuleDict({view: Fusion(config, view) for view in config.views})
        self.encoder = Encoder(config.width, config.depth, config.heads, config.drop_path, config.checkpointing)

    def patch(self, view: str) -> tuple[int, ...]:
        """Voxels along x, y[, z] of which a view's image must be a multiple."""
        return self.config.patch(view)

    def checked_grids(self, images: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
        """Tokens along the axes of every image.

        Raises:
            ValueError: a view that is unknown or missing, or an image whose batch, channels, number of axes or size
                do not fit; the message names view and axis.
        """
        known = ", ".join(self.config.views)
        unknown = [view for view in images if view not in self.config.views]
        missing = [view for view in self.config.views if view not in images]
        if unknown:
            raise ValueError(f"no view {unknown[0]!r} in this network: it reads {known}")
        if missing and (self.needs_every_view or not images):
            raise ValueError(f"image of view {missing[0]} is missing: this network reads {known}")
        batches = {view: len(image) for view, image in images.items()}
        if len(set(batches.values())) > 1:
            raise ValueError(f"views of one batch must have as many samples each, got {batches}")
        return {view: self._grid(view, image) for view, image in images.items()}

    def _grid(self, view: str, image: Tensor) -> tuple[int, ...]:
        shape = self.config.views[view]
        axes = ("x", "y", "z")[: len(shape.size)]
        if image.ndim != 2 + len(axes) or image.shape[1] != shape.channels:
            wanted = ", ".join(("batch", str(shape.channels), *axes))
            raise ValueError(f"images of view {view} must be ({wanted}), got shape {tuple(image.shape)}")
        size = tuple(image.shape[2:])
        patch_grid(size, self.patch(view), f"view {view}")
        return patch_grid(size, self.config.patch(view), f"view {view}")

    def encode(self, images: Mapping[str, Tensor], hidden: Mapping[str, Tensor] | None = None) -> Encoded:
        """Run stems, encoder and fusion.

        Args:
            images: (batch, channels, x, y[, z]) of every view.
            hidden: (batch, tokens) bool of every view, True where a patch is hidden; None to show everything.

        Raises:
            ValueError: views, shapes or sizes that do not fit.
        """
        grids = self.checked_grids(images)
        if hidden is not None and set(hidden) != set(images):
            raise ValueError(f"hidden patches are given for {', '.join(hidden)}, images for {', '.join(images)}")
        splits: dict[str, Split] = {}
        tokens: dict[str, Tensor] = {}
        stages: dict[str, list[Tensor]] = {}
        for view, image in images.items():
            if hidden is not None:
                splits[view] = split(hidden[view], torch.Size(grids[view]).numel(), f"view {view}")
            seen = splits[view].seen if view in splits else None
            tokens[view], stages[view] = self.enc_down_dict[view](
                image, grids[view], None if hidden is None else hidden[view], seen
            )
        together = self.encoder(torch.cat(list(tokens.values()), 1))
        summary, *parts = together.split([1, *(t.shape[1] for t in tokens.values())], 1)
        tokens = dict(zip(tokens, parts, strict=True))
        if self.fuse:
            for view, part in tokens.items():
                seen = splits[view].seen if view in splits else None
                stem = self.enc_down_dict[view]
                rows = seen is not None and isinstance(stem, Stem) and stem.seen_only
                tokens[view] = self.enc_fusion_dict[view](part, stages[view], seen, rows)
        return Encoded(summary, tokens, stages, grids, splits)
