"""The network of screening: an encoder for each sequence, a linear head on each, and a fusion of the two cines.

Source: CC-CMR (Yuan et al.), sections 2.1 and 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cinecmr.networks.convvit import ConvViT
from cinecmr.networks.multiview import MultiViewConfig, ViewShape
from cinecmr.networks.video_swin import VideoSwin, VideoSwinConfig
from cinecmr.tasks.screening_data import CH4, CINES, LGE, SEQUENCES, Window

if TYPE_CHECKING:
    from collections.abc import Mapping

_VIEWS = {CH4: "lax_4c", "sax": "sax", LGE: "sax"}  # CineMA's names


@dataclass(frozen=True)
class VitShape:
    """Size of a CineMA transformer that serves as an encoder; the defaults are the published ones.

    Attributes:
        stem_widths: see `MultiViewConfig`. width, depth, heads: see there.
    """

    stem_widths: tuple[int, ...] = (64, 128)
    width: int = 768
    depth: int = 12
    heads: int = 12


@dataclass(frozen=True)
class ScreeningConfig:
    """Size of a `ScreeningNetwork`.

    Attributes:
        classes: how many.
        window: of the clips.
        encoder: "video_swin", or "cinema": CineMA's transformer, which reads end-diastole and the frame that differs
            most from it as two channels.
        swin: size of the first, vit: of the second.
        hidden: width of the fusion. dropout: in it.
        fused: sequences whose features are fused; none for a single one, which its own head answers for.
        shared_head: one linear head for all sequences.
    """

    classes: int = 2
    window: Window = field(default_factory=Window)
    encoder: Literal["video_swin", "cinema"] = "video_swin"
    swin: VideoSwinConfig = field(default_factory=VideoSwinConfig)
    vit: VitShape = field(default_factory=VitShape)
    hidden: int = 256
    dropout: float = 0.5
    fused: tuple[str, ...] = CINES
    shared_head: bool = False

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ValueError(f"screening tells two classes or more apart, got {self.classes}")
        if self.encoder not in ("video_swin", "cinema"):
            raise ValueError(f"no encoder {self.encoder!r}: there are video_swin and cinema")

    @property
    def features(self) -> int:
        """Length of one sequence's feature vector."""
        return self.swin.features if self.encoder == "video_swin" else self.vit.width


class SwinEncoder(nn.Module):
    """Video Swin over a clip whose slices are its channels; a single slice is copied to all channels."""

    def __init__(self, config: VideoSwinConfig) -> None:
        super().__init__()
        self.backbone = VideoSwin(config)
        self.channels = config.channels_in

    def forward(self, clip: Tensor) -> Tensor:
        """(batch, slices, moments, x, y) to (batch, features)."""
        if clip.shape[1] == 1:
            clip = clip.expand(-1, self.channels, -1, -1, -1)
        found: Tensor = self.backbone(clip)
        return found


class CinemaEncoder(nn.Module):
    """CineMA's stem, transformer and fusion over two moments of one view; the mean of its tokens.

    The moments are the first of the clip, end-diastole, and the one that differs most from it. Late enhancement, a
    still, is both.
    """

    def __init__(self, sequence: str, config: ScreeningConfig) -> None:
        super().__init__()
        slices, moments, x, y = config.window.shape(sequence)
        self.view, self.still = _VIEWS[sequence], sequence == LGE
        depth = moments if self.still else slices
        size = (x, y) if self.view == _VIEWS[CH4] else (x, y, depth)
        shape, vit = {self.view: ViewShape(size, 2)}, config.vit
        config_ = MultiViewConfig(shape, vit.stem_widths, width=vit.width, depth=vit.depth, heads=vit.heads)
        whole = ConvViT(config_, 1)
        whole.pred_head_dict = nn.ModuleDict()  # the heads are the task's own
        self.backbone = whole

    def two_moments(self, clip: Tensor) -> Tensor:
        """(batch, slices, moments, x, y) to (batch, 2, x, y[, slices])."""
        if self.still:
            first = clip[:, 0].movedim(1, -1)
            return torch.stack([first, first], 1)
        other = (clip - clip[:, :, :1]).abs().mean((1, 3, 4)).argmax(1)
        pair = torch.stack([clip[:, :, 0], clip[torch.arange(len(clip), device=clip.device), :, other]], 1)
        return pair[:, :, 0] if self.view == _VIEWS[CH4] else pair.movedim(2, -1)

    def forward(self, clip: Tensor) -> Tensor:
        """(batch, slices, moments, x, y) to (batch, width)."""
        _, tokens = self.backbone.features({self.view: self.two_moments(clip)})
        return tokens[self.view].mean(1)


class ScreeningNetwork(nn.Module):
    """Encoders, heads, and the fusion of cine features.

    Args:
        config: sizes.
        sequences: which encoders and heads there are. Answers need the fused ones only: late enhancement serves
            training, and a network for use is built without its encoder.
    """

    def __init__(self, config: ScreeningConfig, sequences: tuple[str, ...] = SEQUENCES) -> None:
        super().__init__()
        unknown = [name for name in (*sequences, *config.fused) if name not in SEQUENCES]
        if unknown or not sequences:
            raise ValueError(f"sequences are of {', '.join(SEQUENCES)}, got {', '.join(unknown) or 'none'}")
        self.config, self.sequences = config, sequences
        self.encoders = nn.ModuleDict({name: self._encoder(name) for name in sequences})
        heads = ("all",) if config.shared_head else sequences
        self.heads = nn.ModuleDict({name: nn.Linear(config.features, config.classes) for name in heads})
        self.fusion = nn.Sequential(
            nn.Linear(len(config.fused) * config.features, config.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.classes),
        )
        for head in (*self.heads.modules(), *self.fusion.modules()):
            if isinstance(head, nn.Linear):
                nn.init.trunc_normal_(head.weight, std=0.02)
                nn.init.zeros_(head.bias)

    def _encoder(self, sequence: str) -> nn.Module:
        if self.config.encoder == "cinema":
            return CinemaEncoder(sequence, self.config)
        return SwinEncoder(self.config.swin)

    def features(self, sequence: str, clips: Tensor, micro: int = 0) -> Tensor:
        """Features of clips of one sequence.

        Args:
            sequence: whose encoder.
            clips: (batch, slices, moments, x, y).
            micro: clips that are in memory at once. While gradients are wanted, each such part is computed without
                keeping anything, and again in the backward pass with the same random numbers: the gradient is exact,
                as losses depend on features alone. 0 for the whole batch at once.

        Returns:
            (batch, features).
        """
        encoder = self.encoders[sequence]
        if not micro or len(clips) <= micro:
            whole: Tensor = encoder(clips)
            return whole
        again = torch.is_grad_enabled()
        parts = [
            checkpoint(encoder, p, use_reentrant=False) if again else encoder(p) for p in torch.split(clips, micro)
        ]
        return torch.cat(parts)

    def scores(self, sequence: str, features: Tensor) -> Tensor:
        """(batch, classes) of one sequence's own head, before softmax."""
        answer: Tensor = self.heads["all" if self.config.shared_head else sequence](features)
        return answer

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        """(batch, classes) from the features of the fused sequences, before softmax; others are not looked at."""
        answer: Tensor = self.fusion(torch.cat([features[name] for name in self.config.fused], 1))
        return answer

    def forward(self, clips: Mapping[str, Tensor]) -> Tensor:
        """What the network answers in use: (batch, classes) before softmax, from the fused sequences alone."""
        return self.fuse({name: self.features(name, clips[name]) for name in self.config.fused})
