"""CineMA's changes of a sample: labels follow their image, draws are shared where they must be."""

import numpy as np
import pytest
from scipy import ndimage

from cinecmr.learn.warp import Changes, Move, Moved, for_labels, for_pretraining, rescaled


def marked(shape=(32, 28, 4)):
    """A smooth blob off the middle, and its labels."""
    image = np.zeros(shape, np.float32)
    image[20, 9, 1:3] = 1
    image = ndimage.gaussian_filter(image, (3, 3, 0.5))
    image /= image.max()
    return image[None], (image > 0.5).astype(np.uint8)


def turned(degrees, shift=(0.0, 0.0), factor=1.0, depth=1.0):
    a = np.radians(degrees)
    matrix = factor * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return Moved(matrix, np.array(shift), depth)


def test_a_quarter_turn_is_numpys_and_a_whole_shift_moves_by_whole_pixels():
    image = np.random.default_rng(0).random((1, 9, 9, 2)).astype(np.float32)
    np.testing.assert_allclose(turned(90).image(image), np.rot90(image, 1, (1, 2)), atol=1e-5)
    shifted = turned(0, (2.0, -3.0)).image(image)
    np.testing.assert_allclose(shifted[:, 2:, :-3], image[:, :-2, 3:], atol=1e-5)
    assert not shifted[:, :2].any()


def test_a_move_is_the_slow_formula_of_scipy():
    image, labels = marked()
    move = Move(turn=40.0, shift=4.0, size=0.2, slant=0.2, chance=1.0).draw(np.random.default_rng(3))
    back = np.linalg.inv(move.matrix)
    middle = (np.array(image.shape[1:3]) - 1) / 2
    offset = middle - back @ (middle + move.shift)
    for z in range(4):
        slow = ndimage.affine_transform(image[0, :, :, z], back, offset, order=1, mode="grid-constant")
        np.testing.assert_allclose(move.image(image)[0, :, :, z], slow, atol=1e-4)
    agree = move.labels(labels) == (move.image(image)[0] > 0.5)
    assert agree.mean() > 0.98


def test_points_move_with_the_image():
    image, labels = marked()
    move = turned(35, (2.5, -1.0), 1.1)
    before = np.argwhere(labels)[:, :2].mean(0)
    after = np.argwhere(move.labels(labels))[:, :2].mean(0)
    np.testing.assert_allclose(move.points(before, image.shape[1:]), after, atol=0.4)


def test_growth_along_z_spreads_slices_about_the_middle_one():
    image = np.zeros((1, 4, 4, 9), np.float32)
    image[..., 3:6] = 1
    grown = turned(0, depth=2.0).image(image)
    np.testing.assert_allclose(grown[0, 1, 1], [0, 0.5, 1, 1, 1, 1, 1, 0.5, 0], atol=1e-6)
    labels = turned(0, depth=2.0).labels(image[0].astype(np.uint8))
    assert labels[1, 1].sum() in (5, 6, 7)  # halves go either way


def test_unseen_voxels_stay_unseen_and_nothing_enters_from_outside():
    labels = np.full((9, 9, 1), 255, np.uint8)
    labels[3:6, 3:6] = 3
    moved = turned(0, (4.0, 0.0)).labels(labels)
    assert set(np.unique(moved)) == {0, 3, 255}
    assert (moved[:4] == 0).all()
    assert (turned(0, (4.0, 0.0)).labels(labels, outside=255)[:4] == 255).all()


def test_labels_follow_their_image_through_all_changes():
    image, labels = marked()
    changes = Changes(noise=0.0, gamma=None, move=Move(180, 5, 0.2, chance=1.0))
    for seed in range(8):
        moved, codes = changes(image, np.random.default_rng(seed), labels)
        if codes.sum() > 20:
            assert moved[0][codes > 0].mean() > 3 * moved[0][codes == 0].mean()


def test_a_hole_blackens_the_image_and_leaves_the_labels():
    image, labels = np.ones((1, 20, 20, 4), np.float32), np.ones((20, 20, 4), np.uint8)
    image[:, 0, 0, 0] = 0
    changed, codes = Changes(None, 0.0, None, (8, 8, 2), chance=1.0)(image, np.random.default_rng(0), labels)
    assert (changed == 0).sum() in (8 * 8 * 2, 8 * 8 * 2 + 1)
    assert codes is labels


def test_intensities_stay_between_black_and_white_and_noise_is_seen():
    image, _ = marked()
    quiet = Changes(gamma=None, noise=0.0, move=None, chance=1.0)
    loud = Changes(gamma=None, noise=0.5, move=None, chance=1.0)
    np.testing.assert_allclose(quiet(image, np.random.default_rng(0))[0], rescaled(image))
    changed, _ = loud(image, np.random.default_rng(0))
    assert 0 <= changed.min() < changed.max() <= 1
    assert np.std(changed - image) > 0.02


def test_a_shared_draw_moves_two_views_alike_and_own_draws_do_not():
    image, _ = marked()
    changes, rng = for_pretraining("official"), np.random.default_rng(1)
    draws = [changes.draw(rng) for _ in range(40)]
    assert 8 < sum(draw is None for draw in draws) < 32
    shared = next(draw for draw in draws if draw is not None)
    first, second = (changes(image, np.random.default_rng(n), moved=shared)[0] for n in (0, 1))
    np.testing.assert_array_equal(first, second)


def test_the_official_stretch_is_along_x_only():
    stretched = for_labels("official", long_axis=False).move
    for seed in range(20):
        drawn = Move(0.0, 0.0, stretched.size, stretch=True, chance=1.0).draw(np.random.default_rng(seed))
        assert drawn.matrix[1, 1] == 1.0
        assert 0.8 <= drawn.matrix[0, 0] <= 1.2
    assert not for_labels("sound", long_axis=False).move.stretch


@pytest.mark.parametrize("make", [lambda: for_labels("sounds", False), lambda: for_pretraining("")])
def test_a_preset_that_does_not_exist_is_named(make):
    with pytest.raises(ValueError, match="there are published, official, sound"):
        make()
