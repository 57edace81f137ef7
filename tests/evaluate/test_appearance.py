"""Figures of a picture whose contrast, blur, noise and borders are known."""

import numpy as np
import pytest
from scipy import ndimage

from cinecmr.anatomy import Structure
from cinecmr.evaluate.appearance import describe

SIZE, BLOOD, MUSCLE, RIGHT = 96, 200.0, 60.0, 160.0
X, Y = np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij")
DISTANCE = np.hypot(X - 50.5, Y - 47.5)


def ring(cavity=20.0, wall=9.0):
    labels = np.zeros((SIZE, SIZE, 2), np.uint8)
    labels[np.hypot(X - 22, Y - 47) < 14] = Structure.RV
    labels[cavity + wall > DISTANCE] = Structure.MYO
    labels[cavity > DISTANCE] = Structure.LV
    return labels


def picture(labels, blur=0.0, noise=0.0, lining=0.0):
    grey = np.array([20.0, RIGHT, MUSCLE, BLOOD])[labels]
    grey[(labels == Structure.LV) & (DISTANCE[..., None] > 20.0 - lining)] = MUSCLE
    if blur:
        grey = ndimage.gaussian_filter(grey, (blur, blur, 0))
    return grey + np.random.default_rng(1).normal(0, noise, grey.shape) if noise else grey


def test_intensities_are_shares_of_the_blood_of_the_left_ventricle():
    row = describe(picture(ring()), ring())
    assert row["myo"] == pytest.approx(MUSCLE / BLOOD)
    assert row["rv"] == pytest.approx(RIGHT / BLOOD)
    assert row["grain_lv"] == row["grain_myo"] == 0


@pytest.mark.parametrize("blur", [1.0, 1.25, 1.5])
def test_a_blurred_border_is_as_wide_as_its_blur_says(blur):
    # A step through a Gaussian: contrast over steepest slope is sqrt(2 pi) sigma; bins of half a pixel and the pixels
    # themselves widen it a little.
    width = describe(picture(ring(), blur=blur), ring())["edge_width"]
    assert width == pytest.approx(np.sqrt(2 * np.pi) * blur, rel=0.12)


@pytest.mark.parametrize("lining", [0.0, 1.0, 2.0])
def test_a_lining_that_looks_like_wall_shifts_the_border_by_its_depth(lining):
    shift = describe(picture(ring(), blur=1.0, lining=lining), ring())["edge_shift"]
    assert shift == pytest.approx(lining, abs=0.3)


def test_noise_is_what_was_added_whatever_the_anatomy():
    row = describe(picture(ring(), blur=1.0, noise=8.0), ring())
    assert row["noise"] == pytest.approx(8.0 / BLOOD, rel=0.1)
    assert row["grain_myo"] == pytest.approx(8.0 / BLOOD, rel=0.25)
    assert row["detail"] > describe(picture(ring(), blur=1.0, noise=2.0), ring())["detail"]


def test_fat_and_lung_are_counted_in_the_surroundings():
    labels = ring()
    bright = picture(labels)
    bright[:24] = 1.5 * BLOOD
    row = describe(bright, labels)
    # The square begins 48 pixels before the heart's centre, at pixel 2, and ends at the picture's edge.
    assert row["fat_share"] == pytest.approx(22 / 94, abs=0.01)
    assert describe(picture(labels), labels)["fat_share"] == 0
    assert describe(picture(labels), labels)["dark_share"] > 0.5


def test_a_stack_without_a_ring_tells_nothing():
    assert describe(np.ones((SIZE, SIZE, 2)), np.zeros((SIZE, SIZE, 2), np.uint8)) == {}


def test_a_picture_on_another_grid_is_an_error():
    with pytest.raises(ValueError, match="of one shape"):
        describe(np.ones((4, 4, 2)), np.zeros((4, 4, 3), np.uint8))
