"""Affines, planes and resampling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinecmr.geometry import (
    angle_between,
    apply_affine,
    in_plane_window,
    plane_normal,
    sample_plane,
    voxel_volume_ml,
)


def oblique(seed, spacing=(1.4, 1.7, 9.0)):
    """A turned, shifted affine of given spacing."""
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] @ np.diag(spacing)
    affine[:3, 3] = rng.normal(0, 100, 3)
    return affine


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000))
def test_points_go_there_and_back(seed):
    affine = oblique(seed)
    points = np.random.default_rng(seed).normal(0, 50, (2, 5, 3))
    back = apply_affine(np.linalg.inv(affine), apply_affine(affine, points))
    np.testing.assert_allclose(back, points, atol=1e-9)


def test_a_point_goes_where_homogeneous_coordinates_take_it():
    affine, point = oblique(3), np.array([4.0, -2.0, 7.0])
    np.testing.assert_allclose(apply_affine(affine, point), (affine @ [*point, 1.0])[:3])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000))
def test_the_normal_stands_on_the_plane_and_ignores_slice_order(seed):
    affine = oblique(seed)
    normal = plane_normal(affine)
    np.testing.assert_allclose(normal @ affine[:3, :2], 0, atol=1e-12)
    assert np.linalg.norm(normal) == pytest.approx(1)
    affine[:3, 2] *= -1
    np.testing.assert_array_equal(plane_normal(affine), normal)


@settings(deadline=None, max_examples=30)
@given(st.floats(0, 180))
def test_lines_have_no_direction(degrees):
    turned = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees)), 0])
    found = angle_between(np.array([5.0, 0, 0]), turned)
    assert found == pytest.approx(min(degrees, 180 - degrees), abs=1e-4)
    assert found == pytest.approx(angle_between(-turned, np.array([1.0, 0, 0])), abs=1e-4)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000))
def test_a_voxel_holds_the_product_of_its_spacing(seed):
    assert voxel_volume_ml(oblique(seed, (1.5, 2.0, 10.0))) == pytest.approx(0.030)


def test_a_window_is_centred_and_of_its_own_spacing():
    affine = oblique(1, (1.25, 2.0, 8.0))
    window = in_plane_window(affine, (30.0, 41.5), 65, 1.6)
    np.testing.assert_allclose(window @ [32, 32, 1], [30.0, 41.5, 1])
    step = (window @ [1, 1, 1] - window @ [0, 0, 1])[:2] * [1.25, 2.0]
    np.testing.assert_allclose(step, 1.6)


def test_a_linear_picture_is_sampled_exactly():
    x, y = np.meshgrid(np.arange(40.0), np.arange(50.0), indexing="ij")
    window = in_plane_window(np.diag([1.5, 1.0, 8.0, 1.0]), (20.0, 25.0), 11, 0.9)
    found = sample_plane(3 * x - 2 * y + 5, window, (11, 11))
    for i in range(11):
        for j in range(11):
            u, v, _ = window @ [i, j, 1]
            assert found[i, j] == pytest.approx(3 * u - 2 * v + 5, rel=1e-5)
    assert found.dtype == np.float32


def test_labels_are_sampled_without_inventing_codes():
    labels = np.random.default_rng(0).choice(np.array([0, 1, 3, 255], np.uint8), (20, 20))
    window = in_plane_window(np.eye(4), (9.5, 9.5), 31, 0.61)
    found = sample_plane(labels, window, (31, 31), order=0)
    assert found.dtype == np.uint8
    assert set(np.unique(found)) == {0, 1, 3, 255}


def test_beyond_the_picture_is_the_fill():
    window = in_plane_window(np.eye(4), (2.0, 2.0), 21, 1.0)
    found = sample_plane(np.ones((5, 5)), window, (21, 21), fill=-7.0)
    assert (found == 1).sum() == 25
    assert (found == -7).sum() == 21**2 - 25
