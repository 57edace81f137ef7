"""What cannot be heart is taken away, each rule by a drawn case."""

import numpy as np
import pytest

from cinecmr.anatomy import Structure
from cinecmr.tasks.cleaning import clean, clean_frame

SIZE = 40
X, Y = np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij")


def heart(slices=3):
    """Rings with an RV beside them in every slice: nothing to clean."""
    labels = np.zeros((SIZE, SIZE, slices), np.uint8)
    labels[np.hypot(X - 22, Y - 20) < 10] = 2
    labels[np.hypot(X - 22, Y - 20) < 6] = 3
    labels[(np.hypot(X - 9, Y - 20) < 7) & (labels[..., 0] == 0)] = 1
    return labels


def test_a_heart_without_fault_is_left_as_it_is():
    np.testing.assert_array_equal(clean_frame(heart(), 2.0), heart())


def test_the_map_given_is_left_as_it_was():
    labels = heart()
    labels[36:38, 36:38, 0] = 3
    before = labels.copy()
    clean_frame(labels, 2.0)
    np.testing.assert_array_equal(labels, before)


@pytest.mark.parametrize("code", [2, 3])
def test_a_second_left_ventricle_elsewhere_is_taken_away(code):
    labels = heart()
    labels[34:39, 33:39, 1:] = code
    np.testing.assert_array_equal(clean_frame(labels, 2.0), heart())


def test_a_left_ventricle_in_a_slice_away_from_the_rest_is_taken_away():
    labels = heart(6)
    labels[:, :, 3] = 0
    expected = heart(6)
    expected[:, :, 3:] = 0
    expected[labels == 1] = 1
    labels[:, :, 5] = 0
    expected[:, :, 5] = 0
    found = clean_frame(labels, 2.0)
    assert not (found[:, :, 3:] >= 2).any()
    np.testing.assert_array_equal(found[:, :, :3], heart())


def test_a_hole_in_the_ring_becomes_cavity():
    labels = heart()
    labels[22:24, 19:21, 1] = 0
    np.testing.assert_array_equal(clean_frame(labels, 2.0), heart())


def test_a_right_ventricle_inside_the_left_becomes_cavity():
    labels = heart()
    labels[21:24, 18:22, 1] = 1
    np.testing.assert_array_equal(clean_frame(labels, 2.0), heart())


def test_papillary_muscle_inside_the_cavity_belongs_to_the_cavity():
    labels = heart()
    labels[21:24, 21:23] = 2
    np.testing.assert_array_equal(clean_frame(labels, 2.0), heart())


def test_a_second_cavity_in_the_wall_becomes_wall():
    labels = heart()
    labels[30, 19:21] = 3
    np.testing.assert_array_equal(clean_frame(labels, 2.0), heart())


@pytest.mark.parametrize(("pixel_mm2", "stays"), [(1.0, False), (20.0, True)])
def test_a_speck_of_right_ventricle_goes_by_its_size_in_the_body(pixel_mm2, stays):
    labels = heart()
    labels[..., 1][labels[..., 1] == 1] = 0
    labels[8:11, 18:21, 1] = 1  # nine pixels that join the pieces above and below
    assert bool((clean_frame(labels, pixel_mm2)[..., 1] == 1).any()) is stays


def test_a_right_ventricle_broken_in_two_keeps_both_parts():
    labels = heart()
    labels[:, 19:21][labels[:, 19:21] == 1] = 0
    np.testing.assert_array_equal(clean_frame(labels, 2.0), labels)


def test_a_stray_right_ventricle_of_a_tenth_is_taken_away():
    labels = heart()
    labels[33:38, 34:38, 0] = 1
    np.testing.assert_array_equal(clean_frame(labels, 2.0), heart())


def test_empty_slices_stay_empty():
    empty = np.zeros((SIZE, SIZE, 4), np.uint8)
    np.testing.assert_array_equal(clean_frame(empty, 2.0), empty)
    capped = np.concatenate([empty[:, :, :1], heart(), empty[:, :, :1]], axis=2)
    np.testing.assert_array_equal(clean_frame(capped, 2.0), capped)


def test_an_apex_of_muscle_alone_is_kept():
    labels = heart(4)
    labels[:, :, 3] = 0
    labels[np.hypot(X - 22, Y - 20) < 5, 3] = 2
    np.testing.assert_array_equal(clean_frame(labels, 2.0), labels)


def test_every_frame_is_cleaned_on_its_own():
    good, bad = heart(), heart()
    bad[34:39, 33:39] = 3
    found = clean(np.stack([good, bad, good], axis=3), np.array([1.4, 1.4, 10.0]))
    np.testing.assert_array_equal(found, np.stack([good] * 3, axis=3))


def test_cleaning_twice_changes_nothing_more():
    rng = np.random.default_rng(0)
    for _ in range(5):
        labels = heart()
        noise = rng.random(labels.shape) < 0.08
        labels[noise] = rng.integers(0, 4, noise.sum())
        once = clean_frame(labels, 2.0)
        np.testing.assert_array_equal(clean_frame(once, 2.0), once)


def test_a_stomach_is_no_left_ventricle_however_large_because_no_right_one_lies_beside_it():
    x, y = np.meshgrid(np.arange(80), np.arange(60), indexing="ij")
    labels = np.zeros((80, 60, 4), np.uint8)
    heart, stomach = np.hypot(x - 25, y - 25), np.hypot(x - 62, y - 35)
    labels[np.hypot(x - 8, y - 25) < 8] = Structure.RV
    labels[heart < 11] = Structure.MYO
    labels[heart < 7] = Structure.LV
    true = labels.copy()
    labels[stomach < 15] = Structure.MYO
    labels[stomach < 9] = Structure.LV
    np.testing.assert_array_equal(clean_frame(labels, 2.0), true)


def test_labels_of_slices_nobody_saw_are_not_taken_for_cavity():
    labels = np.full((4, 4, 2, 1), Structure.UNSEEN, np.uint8)
    with pytest.raises(ValueError, match="codes 0 to 3, got 255"):
        clean(labels, np.ones(3))


def test_a_right_ventricle_called_left_in_some_slices_is_right_where_the_column_goes_on_elsewhere():
    labels = heart(slices=5)
    for z in (2, 3):
        labels[..., z][labels[..., z] == 1] = 3  # the larger piece lies where the right ventricle is above and below
    found = clean_frame(labels, 2.0)
    truth = heart(slices=5)
    assert ((found == 3) == (truth == 3)).all()
    assert ((found == 1) == (truth == 1)).all()


def test_a_speck_of_cavity_beside_the_column_is_muscle():
    labels = heart()
    labels[np.hypot(X - 22, Y - 28.5)[..., None].repeat(3, 2) < 1.2] = 3
    found = clean_frame(labels, 2.0)
    assert ((found >= 2) == (heart() >= 2)).all()
    assert ((found == 3) == (heart() == 3)).all()


def test_slices_apart_by_an_empty_one_are_still_one_column():
    labels = heart(slices=4)
    labels[..., 1][labels[..., 1] == 3] = 2  # a closed slice between
    found = clean_frame(labels, 2.0)
    assert [bool((found[..., z] == 3).any()) for z in range(4)] == [True, False, True, True]


def test_a_papillary_muscle_that_reaches_the_cavity_from_the_wall_belongs_to_it():
    labels, expected = heart(), heart()
    notch = (np.abs(Y - 20) < 2) & (X > 23) & (expected[..., 1] == 3)
    notch &= np.hypot(X - 22, Y - 20) < 5.5
    labels[..., 1][notch] = 2
    found = clean_frame(labels, 2.0)
    assert notch.any()
    assert (found[..., 1][notch] == 3).all()
    assert not (found[..., 1] >= 2)[heart()[..., 1] < 2].any()  # nothing grows beyond the muscle
