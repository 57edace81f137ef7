"""Losses against slow formulas and closed forms."""

import math

import pytest
import torch

from cinecmr.learn.losses import dice_and_cross_entropy, dice_loss, hard_dice


def random_case(seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(2, 4, 3, 5, 6, generator=rng), torch.randint(0, 4, (2, 3, 5, 6), generator=rng)


def test_soft_dice_is_the_slow_sum_over_pixels():
    scores, labels = random_case()
    shares = scores.softmax(1)
    ratios = []
    for code in (1, 2, 3):
        overlap = total = 0.0
        for batch in range(2):
            for share, label in zip(
                shares[batch, code].flatten().tolist(), labels[batch].flatten().tolist(), strict=True
            ):
                overlap += share * (label == code)
                total += share + (label == code)
        ratios.append((2 * overlap + 1) / (total + 1))
    assert float(dice_loss(scores, labels)) == pytest.approx(1 - sum(ratios) / 3, rel=1e-5)


def test_a_sure_and_true_answer_costs_nothing():
    _, labels = random_case()
    scores = 50.0 * torch.nn.functional.one_hot(labels, 4).movedim(-1, 1)
    dice, entropy = dice_and_cross_entropy(scores, labels)
    assert float(dice) == pytest.approx(0, abs=1e-5)
    assert float(entropy) == pytest.approx(0, abs=1e-5)


def test_not_knowing_costs_the_logarithm_of_the_classes():
    _, labels = random_case()
    dice, entropy = dice_and_cross_entropy(torch.zeros(2, 4, 3, 5, 6), labels)
    assert float(entropy) == pytest.approx(math.log(4), rel=1e-6)
    n = labels.numel()
    ratios = [(2 * k / 4 + 1) / (n / 4 + k + 1) for k in (int((labels == c).sum()) for c in (1, 2, 3))]
    assert float(dice) == pytest.approx(1 - sum(ratios) / 3, rel=1e-5)


def test_empty_slices_without_anything_found_cost_nothing():
    scores = torch.zeros(1, 4, 2, 8, 8)
    scores[:, 0] = 60
    assert float(dice_loss(scores, torch.zeros(1, 2, 8, 8, dtype=torch.long))) == pytest.approx(0, abs=1e-5)


def test_background_does_not_count_towards_dice():
    labels = torch.zeros(1, 1, 10, 10, dtype=torch.long)
    labels[..., :5, :] = 3
    wrong = 50.0 * torch.nn.functional.one_hot(torch.zeros_like(labels), 4).movedim(-1, 1)
    assert float(dice_loss(wrong, labels)) == pytest.approx((1 - 1 / 51) / 3, rel=1e-4)


def test_hard_dice_is_two_overlaps_over_the_sum_and_one_where_nothing_is():
    found, truth = torch.tensor([1, 1, 1, 2, 0, 0]), torch.tensor([1, 1, 0, 0, 2, 0])
    assert hard_dice(found, truth, 4) == [pytest.approx(2 * 2 / 5), 0.0, 1.0]


def test_hard_dice_is_soft_dice_of_sure_answers():
    _, found = random_case(1)
    _, truth = random_case(2)
    scores = 80.0 * torch.nn.functional.one_hot(found, 4).movedim(-1, 1)
    soft = 1 - float(dice_loss(scores, truth, smooth=0.0))
    assert soft == pytest.approx(sum(hard_dice(found, truth, 4)) / 3, rel=1e-5)
