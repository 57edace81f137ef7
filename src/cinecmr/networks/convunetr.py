"""Label maps and heatmaps from views: the multi-view encoder, and a convolutional decoder for each view.

Source: CineMA (Fu et al.), appendix C.2; specification of its code, section 5.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import Tensor, nn

from cinecmr.networks._blocks import ConvResBlock, conv, patch_conv, unpatch_conv
from cinecmr.networks.multiview import SCALE, MultiView, in_plane
from cinecmr.networks.vit import economically, start_like_published

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cinecmr.networks.multiview import MultiViewConfig


class UpBlock(nn.Module):
    """Twice the pixels in plane, the features of that size added, two residual blocks."""

    def __init__(self, dims: int, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.up = unpatch_conv(channels_in, channels_out, in_plane(SCALE, dims))
        self.conv = nn.ModuleList(ConvResBlock(dims, channels_out, channels_out) for _ in range(2))

    def forward(self, features: Tensor, skipped: Tensor | None) -> Tensor:
        """(batch, channels_in, x, y[, z]) to (batch, channels_out, 2 x, 2 y[, z])."""
        features = self.up(features)
        if skipped is not None:
            features = features + skipped
        for block in self.conv:
            features = block(features)
        return features


class UpPath(nn.Module):
    """From the coarsest features to full size."""

    def __init__(self, dims: int, widths: tuple[int, ...], checkpointing: bool) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        coarse_to_fine = (*reversed(widths), widths[0])
        self.blocks = nn.ModuleList(UpBlock(dims, a, b) for a, b in pairwise(coarse_to_fine))

    def forward(self, features: Tensor, skipped: list[Tensor | None]) -> Tensor:
        """`skipped` holds the features to add at each size, coarsest first; None where there are none."""
        for block, more in zip(self.blocks, skipped, strict=True):
            features = economically(block, self.checkpointing, features, more)
        return features


class ConvUNetR(MultiView):
    """Scores for every pixel of every view.

    Stems and encoder are those of the masked autoencoder, without fusion. The image itself, the stem's stages, the
    encoder's tokens and one coarser step each pass a residual block and join the way up; there is nothing to join at
    half size. Views share the encoder and nothing else.

    Args:
        config: views and widths; sizes in plane are multiples of 32 pixels.
        outputs: classes, background included, or landmarks.
        widths: channels of the decoder at full size, at every stage of the stem, at the tokens and one step coarser.
        dropout: in the residual blocks of what joins the way up.
        image_norm: whether the block of the image itself starts with a norm over channels. With one channel that
            leaves only its bias, so that the image passes through the block's shortcut alone. Published weights need
            it; new ones are better without.
    """

    def __init__(
        self,
        config: MultiViewConfig,
        outputs: int,
        widths: tuple[int, ...] = (32, 64, 128, 256, 512),
        dropout: float = 0.1,
        image_norm: bool = False,
    ) -> None:
        super().__init__(config, fuse=False)
        sources = (*config.stem_widths, config.width, config.width)
        if len(widths) != 1 + len(sources):
            raise ValueError(f"the decoder needs {1 + len(sources)} widths, finest first, got {widths}")
        self.dec_image_conv_block_dict = nn.ModuleDict()
        self.dec_down_blocks_dict = nn.ModuleDict()
        self.dec_conv_blocks_dict = nn.ModuleDict()
        self.decoder_dict = nn.ModuleDict()
        self.pred_head_dict = nn.ModuleDict()
        for view, shape in config.views.items():
            dims = len(shape.size)
            self.dec_image_conv_block_dict[view] = ConvResBlock(
                dims, shape.channels, widths[0], dropout=dropout, first_norm=image_norm
            )
            coarser = patch_conv(config.width, config.width, in_plane(SCALE, dims))
            self.dec_down_blocks_dict[view] = nn.ModuleList([coarser])
            self.dec_conv_blocks_dict[view] = nn.ModuleList(
                ConvResBlock(dims, a, b, dropout=dropout) for a, b in zip(sources, widths[1:], strict=True)
            )
            self.decoder_dict[view] = UpPath(dims, widths, config.checkpointing)
            self.pred_head_dict[view] = conv(dims, widths[0], outputs, 1)
        start_like_published(self)

    def patch(self, view: str) -> tuple[int, ...]:
        """Voxels along x, y[, z] of which a view's image must be a multiple: one step coarser than a token."""
        token = self.config.patch(view)
        return in_plane(SCALE * token[0], len(token))

    def forward(self, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Scores before softmax (labels) or sigmoid (heatmaps).

        Args:
            images: (batch, channels, x, y[, z]) of every view.

        Returns:
            (batch, outputs, x, y[, z]) of every view.

        Raises:
            ValueError: views, shapes or sizes that do not fit.
        """
        encoded = self.encode(images)
        return {
            view: self._decode(view, image, encoded.stages[view], _image_of(encoded.tokens[view], encoded.grids[view]))
            for view, image in images.items()
        }

    def _decode(self, view: str, image: Tensor, stages: list[Tensor], tokens: Tensor) -> Tensor:
        coarser = self.dec_down_blocks_dict[view].get_submodule("0")(tokens)
        blocks = self.dec_conv_blocks_dict[view].children()
        joining = [
            economically(block, self.config.checkpointing, features)
            for block, features in zip(blocks, (*stages, tokens, coarser), strict=True)
        ]
        full = economically(self.dec_image_conv_block_dict[view], self.config.checkpointing, image)
        features = self.decoder_dict[view](joining[-1], [*reversed(joining[:-1]), None, full])
        scores: Tensor = self.pred_head_dict[view](features)
        return scores


def _image_of(tokens: Tensor, grid: tuple[int, ...]) -> Tensor:
    """(batch, tokens, width) to (batch, width, x, y[, z])."""
    return tokens.transpose(1, 2).reshape(len(tokens), -1, *grid)
