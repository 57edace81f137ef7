"""A masked autoencoder of several views: most patches are hidden, and the network draws them from the rest.

Source: CineMA (Fu et al.), section 4.1 and appendix C.1; specification of its code, section 4.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cinecmr.networks.multiview import MultiView, Split, take
from cinecmr.networks.patches import patchify, unpatchify
from cinecmr.networks.positions import sincos_table
from cinecmr.networks.vit import Decoder, start_like_published

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cinecmr.networks.multiview import Encoded, MultiViewConfig


class _DecoderEmbedding(nn.Module):
    """Positions of a view's patches for the decoder, and the token that stands for a hidden patch."""

    def __init__(self, grid: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(sincos_table(grid, width), requires_grad=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))


class MaskedAutoencoder(MultiView):
    """Hide patches of every view, encode what is left of all views together, predict what was hidden.

    Hidden patches become queries of a decoder that look at the seen tokens and not at one another. Any of the
    configured views may be given, each at its nominal size.

    Args:
        config: views and widths.
        decoder_width, decoder_depth, decoder_heads: as published.
        normalised_target: predict patches of mean 0 and variance 1 (not published).
        cross_attention: off, seen tokens and queries together attend to themselves (not published).
    """

    def __init__(
        self,
        config: MultiViewConfig,
        decoder_width: int = 512,
        decoder_depth: int = 8,
        decoder_heads: int = 16,
        normalised_target: bool = False,
        cross_attention: bool = True,
    ) -> None:
        super().__init__(config, fuse=True, needs_every_view=False)
        self.normalised_target, self.cross_attention = normalised_target, cross_attention
        self.dec_linear = nn.Linear(config.width, decoder_width)
        self.dec_embed_dict = nn.ModuleDict(
            {view: _DecoderEmbedding(config.grid(view), decoder_width) for view in config.views}
        )
        self.decoder = Decoder(decoder_width, decoder_depth, decoder_heads, config.checkpointing)
        self.pred_head_dict = nn.ModuleDict(
            {
                view: nn.Linear(decoder_width, prod(config.patch(view)) * shape.channels)
                for view, shape in config.views.items()
            }
        )
        start_like_published(self)

    def checked_grids(self, images: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
        """As `MultiView.checked_grids`; besides, sizes must be the nominal ones, for which the decoder has positions.

        Raises:
            ValueError: views, shapes or sizes that do not fit.
        """
        grids = super().checked_grids(images)
        for view, image in images.items():
            nominal, given = self.config.views[view].size, tuple(image.shape[2:])
            for axis, wanted, got in zip("xyz", nominal, given, strict=False):
                if wanted != got:
                    raise ValueError(f"view {view} has {got} voxels along {axis}; this autoencoder reads {wanted} only")
        return grids

    def hide(
        self, images: Mapping[str, Tensor], share: float = 0.75, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Draw patches to hide, for every sample and view by itself.

        Args:
            images: (batch, channels, x, y[, z]) of every view.
            share: share of patches to hide; int((1 - share) * patches) are kept.
            generator: randomness, on the CPU.

        Returns:
            (batch, patches) bool of every view, True where hidden.

        Raises:
            ValueError: a share that is not between 0 and 1, or images that do not fit.
        """
        if not 0 <= share < 1:
            raise ValueError(f"the share of hidden patches is from 0 up to but not including 1, got {share}")
        hidden = {}
        for view, grid in self.checked_grids(images).items():
            noise = torch.rand(len(images[view]), prod(grid), generator=generator)
            kept = int(prod(grid) * (1 - share))
            hidden[view] = (noise.argsort(1).argsort(1) >= kept).to(images[view].device)
        return hidden

    def features(self, images: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Class token (batch, 1, width) and fused tokens (batch, patches, width) of every view, nothing hidden."""
        encoded = self.encode(images)
        return encoded.summary, encoded.tokens

    def forward(self, images: Mapping[str, Tensor], hidden: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Predict the hidden patches.

        Args:
            images: (batch, channels, x, y[, z]) of every view, intensities 0 to 1. Hidden patches need not be blanked.
            hidden: (batch, patches) bool of the same views; the same number in every sample.

        Returns:
            (batch, hidden patches, voxels of a patch * channels) of every view, in the order of the patches.

        Raises:
            ValueError: views, shapes, sizes or hidden patches that do not fit.
        """
        encoded = self.encode(images, hidden)
        keys = torch.cat([self._seen(view, encoded) for view in images], 1)
        questions = [self._questions(view, encoded.splits[view]) for view in images]
        summary = self.dec_linear(encoded.summary)
        counts = [question.shape[1] for question in questions]
        if self.cross_attention:
            drawn = self.decoder(torch.cat([summary, *questions], 1), keys, sum(counts))
        else:
            drawn = self.decoder(torch.cat([summary, keys, *questions], 1), None, sum(counts))
        return {
            view: self.pred_head_dict[view](part) for view, part in zip(images, drawn.split(counts, 1), strict=True)
        }

    def _seen(self, view: str, encoded: Encoded) -> Tensor:
        positions = take(self.dec_embed_dict[view].pos_embed, encoded.splits[view].seen)  # type: ignore[arg-type]
        seen: Tensor = self.dec_linear(encoded.tokens[view]) + positions
        return seen

    def _questions(self, view: str, split: Split) -> Tensor:
        embedding = self.dec_embed_dict[view]
        assert isinstance(embedding, _DecoderEmbedding)  # noqa: S101 - for the type checker
        return embedding.mask_token + take(embedding.pos_embed, split.hidden)

    def target(self, view: str, image: Tensor, hidden: Tensor) -> Tensor:
        """What `forward` should have predicted of one view: (batch, hidden patches, values)."""
        patches = patchify(image, self.config.patch(view))
        if self.normalised_target:
            variance, mean = torch.var_mean(patches, -1, keepdim=True)
            patches = (patches - mean) / (variance + 1e-6).sqrt()
        return patches[hidden].reshape(len(image), -1, patches.shape[-1])

    def loss(
        self,
        predicted: Mapping[str, Tensor],
        images: Mapping[str, Tensor],
        hidden: Mapping[str, Tensor],
        inside: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of the hidden patches.

        Args:
            predicted: what `forward` gave.
            images: what it was given.
            hidden: what it was given.
            inside: (batch, 1, x, y[, z]) of every view, 1 where an image was acquired and 0 where it was padded;
                padding then does not count. None: it counts, as in the published pre-training.

        Returns:
            The plain mean over views, and every view's own error. A view that hides nothing has no error and leaves
            the mean.

        Raises:
            ValueError: no view hides anything.
        """
        errors: dict[str, Tensor] = {}
        for view, drawn in predicted.items():
            squared = (drawn.float() - self.target(view, images[view], hidden[view]).float()) ** 2
            weight = torch.ones_like(squared)
            if inside is not None:
                acquired = inside[view].expand_as(images[view]).float()
                weight = patchify(acquired, self.config.patch(view))[hidden[view]].reshape(squared.shape)
            if bool(weight.any()):
                errors[view] = (squared * weight).sum() / weight.sum()
        if not errors:
            raise ValueError(f"nothing to learn: no patch of {', '.join(predicted)} is hidden")
        return torch.stack(list(errors.values())).mean(), errors

    def reconstruct(self, view: str, predicted: Tensor, image: Tensor, hidden: Tensor) -> Tensor:
        """An image (batch, channels, x, y[, z]) whose hidden patches are the predicted ones."""
        patch = self.config.patch(view)
        patches = patchify(image, patch).clone()
        patches[hidden] = predicted.to(patches.dtype).flatten(0, 1)
        return unpatchify(patches, patch, self.config.grid(view))
