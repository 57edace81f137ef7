"""Losses of screening: focal classification, alignment of sequences, and the weights that balance them.

Features are (batch, channels) vectors of one sequence each; labels are class numbers.

Source: CC-CMR (Yuan et al.), equations 1 to 4, in the readings of docs/explanation/screening.md.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NORM_FLOOR = 1e-8  # shorter features count as this long: a feature of zeros is like none
Balance = Literal["uncertainty", "liebel", "equal"]


def focal_loss(scores: Tensor, labels: Tensor, gamma: float = 2.0) -> Tensor:
    """Mean over the samples of -(1 - p)^gamma log p, p being the probability of the true class.

    Args:
        scores: (batch, classes), before softmax.
        labels: (batch,).
        gamma: 0 gives cross-entropy.
    """
    logs = functional.log_softmax(scores, -1).gather(1, labels[:, None])[:, 0]
    return (-((-torch.expm1(logs)) ** gamma) * logs).mean()


def cosines(first: Tensor, second: Tensor) -> Tensor:
    """(n, m) cosine similarities of (n, d) and (m, d) features."""
    return functional.normalize(first, dim=-1, eps=NORM_FLOOR) @ functional.normalize(second, dim=-1, eps=NORM_FLOOR).T


def class_matrix(first: Tensor, second: Tensor, labels: Tensor, other_labels: Tensor) -> Tensor:
    """Mean cosine similarity between the samples of one class in one sequence and of another class in the other.

    It is the product of class means of unit vectors, so the samples need not be paired, and a patient who lacks one
    sequence still counts in the other.

    Args:
        first: (n, d) of one sequence.
        second: (m, d) of another.
        labels: (n,) classes of the first.
        other_labels: (m,) classes of the second.

    Returns:
        (c, c) over the classes that both have, in ascending order.
    """
    means = []
    there = [c for c in sorted(set(labels.tolist())) if (other_labels == c).any()]
    for features, own in ((first, labels), (second, other_labels)):
        unit = functional.normalize(features, dim=-1, eps=NORM_FLOOR)
        rows = [unit[own == c].mean(0) for c in there]
        means.append(torch.stack(rows) if rows else unit[:0])
    return means[0] @ means[1].T


def _contrast(similarity: Tensor, temperature: float) -> Tensor:
    """Each row and each column must find its own place: mean of both cross-entropies over the diagonal."""
    scaled = similarity / temperature
    rows, columns = functional.log_softmax(scaled, 1).diagonal(), functional.log_softmax(scaled, 0).diagonal()
    return -(rows.sum() + columns.sum()) / (2 * len(scaled))


def label_alignment(
    first: Tensor, second: Tensor, labels: Tensor, other_labels: Tensor | None = None, temperature: float = 1.0
) -> Tensor | None:
    """Alignment of two sequences by class: similarities are averaged by class before they are contrasted.

    Args:
        first: (n, d) of one sequence.
        second: (m, d) of the other.
        labels: (n,) classes of the first.
        other_labels: (m,) classes of the second; those of the first when None.
        temperature: divides the similarities. At 1 with two classes the loss lies between log(1 + e^-2) and
            log(1 + e^2) and never reaches 0.

    Returns:
        Scalar; None where fewer than two classes are in both sequences, and there is nothing to tell apart.
    """
    matrix = class_matrix(first, second, labels, labels if other_labels is None else other_labels)
    return _contrast(matrix, temperature) if len(matrix) > 1 else None


def sample_alignment(first: Tensor, second: Tensor, temperature: float = 1.0) -> Tensor | None:
    """Alignment of two sequences patient by patient (equation 2 as it stands).

    Args:
        first: (n, d) of one sequence.
        second: (n, d) of the other, the same patients in the same order.
        temperature: divides the similarities.

    Returns:
        Scalar; None for fewer than two patients.
    """
    return _contrast(cosines(first, second), temperature) if len(first) > 1 else None


class Balanced(NamedTuple):
    """The sum to descend and the weight each part got."""

    total: Tensor
    weights: dict[str, float]


class UncertaintyWeights(nn.Module):
    """A learned sigma for every loss: sum of L / sigma^2 + log(1 + sigma).

    Without a lower bound that sum has none: sigma would pass 0 as soon as a loss vanishes. So sigma is
    softplus(raw) + floor. A loss that is absent from a batch (None) brings neither of its two terms: with the
    logarithm alone its sigma would only shrink, and its weight jump when the loss comes back.

    Args:
        names: of the losses.
        floor: lowest sigma; at 0.1 no weight exceeds 100.
        balance: "uncertainty" (equation 4), "liebel" (L / 2 sigma^2 + log(1 + sigma^2)) or "equal" (the plain sum,
            nothing learned).
    """

    def __init__(self, names: Sequence[str], floor: float = 0.1, balance: Balance = "uncertainty") -> None:
        super().__init__()
        if not 0 < floor < 1:
            raise ValueError(f"the floor of sigma lies between 0 and 1, where sigma starts, got {floor}")
        self.names, self.floor, self.balance = tuple(names), floor, balance
        start = math.log(math.expm1(1 - floor))  # sigma starts at 1
        self.raw = nn.Parameter(torch.full((len(self.names),), start), requires_grad=balance != "equal")

    @property
    def sigma(self) -> Tensor:
        """(losses,), above the floor."""
        return functional.softplus(self.raw) + self.floor

    def forward(self, losses: Mapping[str, Tensor | None]) -> Balanced:
        """The balanced sum.

        Args:
            losses: by name; None where there is none in this batch.

        Raises:
            ValueError: a name that is not balanced here, or no loss at all.
        """
        unknown = losses.keys() - set(self.names)
        if unknown:
            raise ValueError(f"no loss {sorted(unknown)[0]!r} is balanced here: there are {', '.join(self.names)}")
        there = [(name, value) for name, value in losses.items() if value is not None]
        if not there:
            raise ValueError("no loss in this batch: give it samples of two classes")
        terms, weights = [], {}
        for name, value in there:
            sigma = self.sigma[self.names.index(name)]
            terms.append(self._term(value, sigma))
            weights[name] = self._weight(float(sigma.detach()))
        return Balanced(torch.stack(terms).sum(), weights)

    def _term(self, loss: Tensor, sigma: Tensor) -> Tensor:
        if self.balance == "equal":
            return loss
        if self.balance == "liebel":
            return loss / (2 * sigma**2) + torch.log1p(sigma**2)
        return loss / sigma**2 + torch.log1p(sigma)

    def _weight(self, sigma: float) -> float:
        return {"equal": 1.0, "liebel": 0.5 / sigma**2, "uncertainty": 1 / sigma**2}[self.balance]
