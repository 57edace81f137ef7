"""Tagged slices in the places of the cine's own."""

from dataclasses import replace

import numpy as np
import pytest

from cinecmr.anatomy import Contrast
from cinecmr.geometry import apply_affine
from cinecmr.motion.tagged import tagged_cine


@pytest.fixture
def pattern(tiny_heart):
    """A tagged slice on slice 3, shifted by a pixel in its plane, finer in time, stopping before the beat ends."""
    cine = tiny_heart.image
    affine = cine.affine.copy()
    affine[:3, 3] = apply_affine(cine.affine, np.array([1.0, 0.0, 3.2]))
    x, y, t = np.ogrid[: cine.data.shape[0], : cine.data.shape[1], :16]
    data = (np.sin(x / 2) + np.cos(y / 3) + 0.1 * t)[:, :, None]
    times = np.arange(16) * (cine.times[1] - cine.times[0]) / 2
    return replace(cine, data=data, affine=affine, times=times, contrast=Contrast.TAGGED)


def test_a_tagged_slice_takes_the_place_of_the_nearest_and_leaves_the_others(tiny_heart, pattern):
    made = tagged_cine(tiny_heart.image, pattern)
    others = np.arange(tiny_heart.image.slices) != 3
    np.testing.assert_array_equal(made.data[:, :, others], tiny_heart.image.data[:, :, others].astype(np.float32))
    assert not np.allclose(made.data[:, :, 3, 2], tiny_heart.image.data[:, :, 3, 2])


def test_it_lies_where_it_was_acquired_and_keeps_the_brightness_of_the_slice(tiny_heart, pattern):
    made = tagged_cine(tiny_heart.image, pattern)
    seen, truth = made.data[1:, :, 3, 2], pattern.data[:-1, :, 0, 4]  # a pixel further on; twice as many frames
    assert np.corrcoef(seen.ravel(), truth.ravel())[0, 1] == pytest.approx(1, abs=1e-4)
    before = tiny_heart.image.data[:, :, 3, 2]
    assert made.data[:, :, 3, 2].mean() == pytest.approx(before.mean(), rel=1e-3)
    assert made.data[:, :, 3, 2].std() == pytest.approx(before.std(), rel=1e-3)


def test_frames_after_the_last_tagged_one_stay_cine(tiny_heart, pattern):
    made = tagged_cine(tiny_heart.image, pattern)
    np.testing.assert_array_equal(made.data[..., 9:], tiny_heart.image.data[..., 9:].astype(np.float32))
    assert not np.allclose(made.data[:, :, 3, 7], tiny_heart.image.data[:, :, 3, 7])


def test_a_slice_outside_the_stack_is_left_out(tiny_heart, pattern):
    affine = pattern.affine.copy()
    affine[:3, 3] = apply_affine(tiny_heart.image.affine, np.array([0.0, 0.0, 40.0]))
    made = tagged_cine(tiny_heart.image, replace(pattern, affine=affine))
    np.testing.assert_array_equal(made.data, tiny_heart.image.data.astype(np.float32))
