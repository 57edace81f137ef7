"""The objective: what a network is shown and how it is scored."""

import numpy as np
import pytest
import torch

from cinecmr.networks.stack_unet import StackUNetConfig
from cinecmr.tasks.segmentation import SegmentationSettings, StackSegmentation, standardised

SETTINGS = SegmentationSettings(StackUNetConfig(widths=(4, 8)), (3, 5), held_out=4)


@pytest.fixture
def task():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (7, 6, 8, 8), np.uint8)
    labels[:, :, 0, 0] = np.arange(7)[:, None] % 4  # so that held-out stacks differ
    return StackSegmentation(labels * np.uint8(80), labels, SETTINGS)


def test_a_batch_holds_stacks_of_one_count_of_slices(task):
    counts = set()
    for seed in range(20):
        images, labels = task.batch(np.random.default_rng(seed), 3)
        count = images.shape[2]
        assert images.shape == (3, 1, count, 8, 8)
        assert labels.shape == (3, count, 8, 8)
        assert images.dtype == torch.float32
        counts.add(count)
    assert counts == {3, 4, 5}


def test_the_network_eats_stacks_of_mean_zero_and_deviation_one(task):
    images, _ = task.batch(np.random.default_rng(1), 4)
    torch.testing.assert_close(images.mean(dim=(1, 2, 3, 4)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(images.std(dim=(1, 2, 3, 4), correction=0), torch.ones(4), atol=1e-4, rtol=0)


def test_labels_stay_with_their_images_through_augmentation(task):
    """Bytes were made from labels, so brightness still orders as the labels do, whatever turned or softened."""
    for seed in range(10):
        images, labels = task.batch(np.random.default_rng(seed), 1)
        means = [float(images[0, 0][labels[0] == code].mean()) for code in range(4)]
        assert means == sorted(means)


def test_a_batch_follows_its_generator(task):
    one, same, other = (task.batch(np.random.default_rng(seed), 2) for seed in (3, 3, 4))
    assert torch.equal(one[0], same[0])
    assert torch.equal(one[1], same[1])
    assert one[0].shape != other[0].shape or not torch.equal(one[0], other[0])


def test_held_out_stacks_are_never_shown(task):
    taught = {int(n) for seed in range(60) for n in [_number_of(task, seed)]}
    assert taught == {0, 1, 2}


def _number_of(task, seed):
    """Which stack a draw takes, told by painting each stack in its own code."""
    painted = np.broadcast_to(np.arange(7, dtype=np.uint8)[:, None, None, None], task.labels.shape).copy()
    _, labels = StackSegmentation(task.images, painted, SETTINGS).batch(np.random.default_rng(seed), 1)
    return labels.unique().item()


class Oracle(torch.nn.Module):
    """Tells labels from the bytes they were made of."""

    def forward(self, stack):
        level = (stack - stack.min()) / (stack.max() - stack.min())
        return -50 * (3 * level - torch.arange(4.0).view(1, 4, 1, 1, 1)).square()


def test_an_oracle_scores_perfectly(task):
    assert task.check(Oracle()) == {"dice_rv": 1.0, "dice_myo": 1.0, "dice_lv": 1.0}


class Swapped(Oracle):
    def forward(self, stack):
        return super().forward(stack)[:, [0, 3, 2, 1]]


def test_a_network_that_swaps_the_ventricles_is_caught(task):
    scores = task.check(Swapped())
    assert scores["dice_myo"] == 1.0
    assert scores["dice_lv"] == scores["dice_rv"] == 0.0


def test_the_loss_is_the_sum_of_its_parts_and_reaches_the_weights(task):
    network = task.network()
    loss = task.loss(network, task.batch(np.random.default_rng(0), 2))
    assert float(loss.total.detach()) == pytest.approx(loss.parts["dice_loss"] + loss.parts["cross_entropy"], rel=1e-6)
    loss.total.backward()
    assert all(p.grad is not None for p in network.parameters())


def test_standardising_forgets_units():
    stack = np.random.default_rng(0).random((3, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(standardised(700 * stack + 90), standardised(stack), atol=1e-4)
    np.testing.assert_array_equal(standardised(np.full((2, 4, 4), 7.0, np.float32)), 0)


def test_settings_are_ready_for_a_recipe():
    facts = SETTINGS.as_json()
    assert facts["task"] == "sax-segmentation"
    assert facts["network"]["widths"] == (4, 8)


@pytest.mark.parametrize(
    ("stacks", "labelled", "message"),
    [(7, 6, r"one shape, got \(7, 2, 8, 8\) and \(6, 2, 8, 8\)"), (4, 4, "4 stacks leave none to learn from beside 4")],
)
def test_pools_that_cannot_be_learned_from_are_refused(stacks, labelled, message):
    images, labels = (np.zeros((n, 2, 8, 8), np.uint8) for n in (stacks, labelled))
    with pytest.raises(ValueError, match=message):
        StackSegmentation(images, labels, SETTINGS)
