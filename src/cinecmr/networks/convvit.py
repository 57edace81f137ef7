"""Numbers from views: diseases, ejection fraction, age, coordinates of landmarks.

Source: CineMA (Fu et al.), appendix C.2; specification of its code, section 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from cinecmr.networks.multiview import MultiView
from cinecmr.networks.vit import start_like_published

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cinecmr.networks.multiview import MultiViewConfig

Reduce = Literal["all", "patch", "cls"]


class ConvViT(MultiView):
    """A linear head on the mean of each view's fused tokens, one on the class token, and the mean of their answers.

    Args:
        config: views and widths; ED and ES read together are two channels, ED first.
        outputs: classes, or numbers to regress.

    Answers are raw: logits of classes, z-scores of measurements, or coordinates as shares of the image's size.
    """

    def __init__(self, config: MultiViewConfig, outputs: int) -> None:
        super().__init__(config, fuse=True)
        if "cls" in config.views:
            raise ValueError("a view cannot be called 'cls': that is the name of the class token's head")
        self.pred_head_dict = nn.ModuleDict({name: nn.Linear(config.width, outputs) for name in (*config.views, "cls")})
        start_like_published(self)

    def features(self, images: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Class token (batch, 1, width) and fused tokens (batch, tokens, width) of every view."""
        encoded = self.encode(images)
        return encoded.summary, encoded.tokens

    def forward(self, images: Mapping[str, Tensor], reduce: Reduce = "all") -> Tensor:
        """Answers for a batch.

        Args:
            images: (batch, channels, x, y[, z]) of every view.
            reduce: heads whose answers are averaged: "all" (published), "patch" (those of the views), "cls".

        Returns:
            (batch, outputs).

        Raises:
            ValueError: views, shapes or sizes that do not fit, or another `reduce`.
        """
        if reduce not in ("all", "patch", "cls"):
            raise ValueError(f"no reduce {reduce!r}: there are all, patch, cls")
        summary, tokens = self.features(images)
        answers = [self.pred_head_dict[view](part.mean(1)) for view, part in tokens.items()] if reduce != "cls" else []
        if reduce != "patch":
            answers.append(self.pred_head_dict["cls"](summary[:, 0]))
        return torch.stack(answers).mean(0)
