"""Changes of a stack that change no label's meaning."""

import numpy as np
import pytest
from scipy import ndimage

from cinecmr.learn.augment import Intensity, turn


def marked():
    """A stack in which the bright pixels are the labelled ones, and no two sides are alike."""
    labels = np.zeros((4, 12, 12), np.uint8)
    labels[0, 2:5, 1:9], labels[1, 3, 4], labels[3, 8:11, 10] = 1, 2, 3
    return labels / np.float32(3), labels


def test_labels_turn_with_their_image():
    image, labels = marked()
    seen = set()
    for seed in range(60):
        moved, moved_labels = turn(image, labels, np.random.default_rng(seed))
        np.testing.assert_allclose(moved * 3, moved_labels)
        seen.add(moved_labels.tobytes())
    assert len(seen) == 16  # four quarter turns, mirrored or not, slices forwards or backwards


def test_turning_loses_no_slice_and_mixes_none():
    image, labels = marked()
    counts = sorted(tuple(np.bincount(plane.ravel(), minlength=4)) for plane in labels)
    for seed in range(10):
        _, moved = turn(image, labels, np.random.default_rng(seed))
        assert sorted(tuple(np.bincount(plane.ravel(), minlength=4)) for plane in moved) == counts


def test_intensities_stay_between_black_and_white():
    image = np.random.default_rng(0).random((3, 16, 16)).astype(np.float32)
    for seed in range(40):
        changed = Intensity(chance=1.0)(image, np.random.default_rng(seed))
        assert changed.shape == image.shape
        assert changed.dtype == np.float32
        assert 0 <= changed.min() <= changed.max() <= 1


def test_a_seed_changes_a_stack_the_same_way_again_and_another_seed_another_way():
    image = np.random.default_rng(0).random((3, 16, 16)).astype(np.float32)
    one, same, other = (Intensity(chance=1.0)(image, np.random.default_rng(seed)) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_stack_given_is_left_as_it_was():
    image = np.random.default_rng(0).random((3, 16, 16)).astype(np.float32)
    before = image.copy()
    Intensity(chance=1.0)(image, np.random.default_rng(1))
    np.testing.assert_array_equal(image, before)


def test_without_chance_nothing_changes():
    image = np.random.default_rng(0).random((2, 8, 8)).astype(np.float32)
    np.testing.assert_array_equal(Intensity(chance=0.0)(image, np.random.default_rng(3)), image)


def test_structures_stay_where_they_are():
    """The brightest blob of a smooth picture is found within a pixel of where it was, whatever is changed."""
    image = np.zeros((2, 24, 24), np.float32)
    image[:, 9, 14] = 1
    image = ndimage.gaussian_filter(image, (0, 2, 2))
    image /= image.max()
    for seed in range(25):
        changed = Intensity(chance=1.0, noise=0.02)(image, np.random.default_rng(seed))
        bright = changed[0] > 0.7 * changed[0].max()
        assert np.hypot(*(np.argwhere(bright).mean(axis=0) - (9, 14))) < 1.5


@pytest.mark.parametrize("seed", range(3))
def test_a_weaker_setting_changes_less(seed):
    image = np.random.default_rng(0).random((3, 16, 16)).astype(np.float32)
    weak, strong = (
        np.abs(
            Intensity(0.45 * k, 0.5 * k, 0.09 * k, 0.2 + 1.0 * k, 1.0)(image, np.random.default_rng(seed)) - image
        ).mean()
        for k in (0.05, 1.0)
    )
    assert weak < strong
