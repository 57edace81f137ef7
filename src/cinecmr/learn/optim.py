"""Which weights learn how fast: AdamW's groups, the learning rate over the updates, and when a run may stop early."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from cinecmr.learn.descent import Descent

if TYPE_CHECKING:
    from torch import nn

    from cinecmr.learn.recipe import Optimiser, Recipe, Stopping

_BLOCK = re.compile(r"^encoder\.blocks\.(\d+)\.")
_FIRST = ("cls_token", "pos_embed", "patch_embed")


def warmed_cosine(moment: float, warmup: float, last: float, peak: float, floor: float = 0.0) -> float:
    """From 0 straight up to the peak, then down half a cosine to the floor.

    Args:
        moment: where the run stands, in the unit of the next two (epochs, updates).
        warmup: when the peak is reached.
        last: when the floor is reached.
        peak: the highest learning rate.
        floor: the last one.

    Source: specification of CineMA's code, section 7.

    >>> [warmed_cosine(moment, 50, 4000, 1e-3, 1e-5) for moment in (0, 0.5, 50)]
    [0.0, 1e-05, 0.001]
    """
    if moment < warmup:
        return peak * moment / warmup
    share = (moment - warmup) / max(1, last - warmup)
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * share))


def learning_rate(recipe: Recipe, update: int) -> float:
    """Learning rate of an update, counted from 0: linear warm-up, then half a cosine down at the last update."""
    optimiser, last = recipe.optimiser, recipe.schedule.updates
    if isinstance(optimiser, Descent):
        return optimiser.rate_at(update, last)
    ahead = 0 if optimiser.from_zero or update >= optimiser.warmup else 1
    return warmed_cosine(update + ahead, optimiser.warmup, last, optimiser.rate, optimiser.last_rate)


def layer_of(name: str, blocks: int) -> int:
    """How far a weight of a transformer is from the image: 0 for what makes tokens, `blocks` + 1 for what answers.

    >>> [layer_of(name, 12) for name in ("enc_down_dict.sax.linear.weight", "encoder.blocks.3.norm1.bias", "head.bias")]
    [0, 4, 13]
    """
    if name.startswith("enc_") or any(word in name for word in _FIRST):
        return 0
    block = _BLOCK.match(name)
    return int(block[1]) + 1 if block else blocks + 1


def groups(network: nn.Module, optimiser: Optimiser) -> list[dict[str, Any]]:
    """Parameters that share weight decay and a factor on the learning rate (`lr_scale`).

    With `spare_vectors` or `layer_decay`, frozen weights are left out; else all are in one group, in their order.
    Layer-wise decay gives layer k of a transformer with n blocks the factor layer_decay ** (n + 1 - k).

    Args:
        network: for layer-wise decay, one whose blocks are called `encoder.blocks.0` and so on.
        optimiser: see there.

    Raises:
        ValueError: layer-wise decay of a network without such blocks.

    Source: specification of CineMA's code, section 8.
    """
    if not optimiser.spare_vectors and optimiser.layer_decay == 1:
        return [{"params": list(network.parameters()), "weight_decay": optimiser.decay, "lr_scale": 1.0}]
    named = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    blocks = 1 + max((int(block[1]) for name, _ in named if (block := _BLOCK.match(name))), default=-1)
    if optimiser.layer_decay < 1 and blocks == 0:
        raise ValueError("layer_decay needs a transformer with encoder.blocks; set it to 1 for this network")
    found: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in named:
        spared = optimiser.spare_vectors and parameter.ndim < 2
        layer = layer_of(name, blocks) if optimiser.layer_decay < 1 else blocks + 1
        found.setdefault((layer, spared), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": 0.0 if spared else optimiser.decay,
            "lr_scale": optimiser.layer_decay ** (blocks + 1 - layer),
        }
        for (layer, spared), parameters in sorted(found.items(), key=lambda entry: entry[0])
    ]


def adamw(network: nn.Module, optimiser: Optimiser, given: list[dict[str, Any]] | None = None) -> torch.optim.AdamW:
    """AdamW over an objective's own groups, or over `groups`."""
    of = given if given is not None else groups(network, optimiser)
    return torch.optim.AdamW(
        of, lr=optimiser.rate, betas=optimiser.betas, weight_decay=optimiser.decay, fused=optimiser.fused or None
    )


def made(network: nn.Module, optimiser: Optimiser, given: list[dict[str, Any]] | None = None) -> torch.optim.Optimizer:
    """AdamW, or SGD where the recipe has a `Descent`."""
    if isinstance(optimiser, Descent):
        return optimiser.optimiser(network, given)
    return adamw(network, optimiser, given)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)


@dataclass
class Watch:
    """Counts checks without progress.

    Weights whose score beats that of the weights kept so far are kept; the best and the count move only when it is
    beaten by `progress`. (The published code keeps what beats the best, even if less than what it kept last.) A score
    that is no number is never kept and counts as no progress. For errors, scores here are negative.

    Attributes:
        rule: see there. best: score of the last real progress. since: checks since then. kept: score of the weights
            kept.

    Source: specification of CineMA's code, section 8.
    """

    rule: Stopping
    best: float | None = None
    since: int = 0
    kept: float | None = None

    @property
    def over(self) -> bool:
        """Whether patience is at its end."""
        return self.since >= self.rule.patience

    def keeps(self, scores: dict[str, float]) -> bool:
        """Take note of a check; whether its weights are better than those kept so far.

        Raises:
            ValueError: the check tells no score of that name.
        """
        if self.rule.score not in scores:
            raise ValueError(f"no score {self.rule.score!r} to stop by: the check tells {', '.join(scores) or 'none'}")
        told = scores[self.rule.score]
        score = -told if self.rule.smaller_is_better else told
        if not math.isfinite(score):
            self.since += 1
            return False
        better = self.kept is None or score > self.kept
        self.kept = score if better else self.kept
        if self.best is None or score > self.best + self.rule.progress:
            self.best, self.since = score, 0
        else:
            self.since += 1
        return better
