"""Student, teacher and centre of DINO, under the names of the published code, and their loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from cinecmr.pretrain.backbone import pooled

if TYPE_CHECKING:
    from cinecmr.pretrain.backbone import Backbone

Sizes = tuple[int, int, int, int]


class DinoHead(nn.Module):
    """Three linear layers with batch norm and GELU, a vector of length 1, and one linear layer of fixed gain."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, hidden, bottleneck, answers = sizes
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.GELU(),
            nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden), nn.GELU(),
            nn.Linear(hidden, bottleneck),
        )  # fmt: skip
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.last_layer = weight_norm(nn.Linear(bottleneck, answers, bias=False))
        gain = self.last_layer.parametrizations.weight.original0
        gain.data.fill_(1)
        gain.requires_grad_(False)

    def forward(self, features: Tensor, frozen: bool = False) -> Tensor:
        """(batch, width) to (batch, answers); `frozen` keeps the last layer from learning."""
        directions = functional.normalize(self.mlp(features), dim=-1)
        weight: Tensor = self.last_layer.weight
        return functional.linear(directions, weight.detach() if frozen else weight)


class _Network(nn.Module):
    def __init__(self, backbone: Backbone, pixels: int, sizes: Sizes) -> None:
        super().__init__()
        self.encoder = backbone.encoder(pixels)
        self.head = DinoHead(sizes)

    def forward(self, images: Tensor, frozen: bool = False) -> Tensor:
        found: Tensor = self.head(pooled(self.encoder, images), frozen)
        return found


class DinoNetwork(_Network):
    """The student, with its teacher, the centre and the number of updates made.

    Args:
        backbone: see there. pixels: of a large crop. sizes: of the head, see `DinoHead`.
        copied: whether the teacher starts as the student.
    """

    center: Tensor
    update: Tensor

    def __init__(self, backbone: Backbone, pixels: int, sizes: Sizes, copied: bool) -> None:
        super().__init__(backbone, pixels, sizes)
        self.teacher = _Network(backbone, pixels, sizes)
        if copied:
            self.teacher.load_state_dict({n: t for n, t in self.state_dict().items() if not n.startswith("teacher.")})
        self.teacher.requires_grad_(False)
        self.register_buffer("center", torch.zeros(1, sizes[-1]))
        self.register_buffer("update", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def taught(self, images: Tensor) -> Tensor:
        """The teacher's raw answers; its batch norms go by the batch while learning."""
        found: Tensor = self.teacher(images)
        return found

    @torch.no_grad()
    def recentre(self, teacher: Tensor, kept: float) -> None:
        """Move the centre towards the mean of the teacher's raw answers."""
        self.center.mul_(kept).add_(teacher.float().mean(0, keepdim=True), alpha=1 - kept)

    @torch.no_grad()
    def follow(self, kept: float) -> None:
        """Move the teacher's parameters, not its norms' statistics, towards the student's."""
        own = dict(self.named_parameters())
        for name, parameter in self.teacher.named_parameters():
            parameter.lerp_(own[name], 1 - kept)


def distilled(
    student: Tensor, teacher: Tensor, center: Tensor, crops: int, temperature: float, teacher_temperature: float
) -> Tensor:
    """Cross-entropy of the student's answers under the teacher's, mean over pairs of different crops.

    Args:
        student: (crops * n, answers), crop after crop, the two large ones first.
        teacher: (2n, answers).
        center: (1, answers), taken from the teacher's.
        crops: of each slice.
        temperature: by which the student's answers are divided.
        teacher_temperature: by which the teacher's are.

    Source: Caron et al. 2021, algorithm 1.
    """
    told = (student.float() / temperature).log_softmax(-1).chunk(crops)
    truth = ((teacher.float() - center) / teacher_temperature).softmax(-1).chunk(2)
    terms = [
        -(shares * answer).sum(-1).mean()
        for number, shares in enumerate(truth)
        for other, answer in enumerate(told)
        if other != number
    ]
    return torch.stack(terms).mean()
