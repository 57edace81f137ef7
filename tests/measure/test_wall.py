"""Wall points from labels against the wall they were drawn from."""

import numpy as np
import pytest

from cinecmr.anatomy import Structure
from cinecmr.errors import RefusedInput
from cinecmr.measure.strain import strain
from cinecmr.measure.wall import Contour, wall_points
from cinecmr.phantom import wall as true_wall
from cinecmr.phantom.heart import Heart
from cinecmr.phantom.motion import HeartMotion
from cinecmr.phantom.shape import LeftVentricle, Ripple

HEART = Heart(lv=LeftVentricle(tilt=(0.1, 0.05), ripple=Ripple((0.03,), (2,), (0.4,), (1.0,))), bend=(2.0, -2.0))


def drawn(heart=HEART, step=(2.0, 2.0, 2.0), flip=False):
    """(labels, affine) of a heart at end-diastole, wall faces exact, z from apex to base or the other way."""
    axes = np.arange(-50, 80, step[0]), np.arange(-50, 52, step[1]), np.arange(-3, heart.lv.length + 14, step[2])
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    labels = heart.labels(grid.astype(np.float32), 0.0)
    affine = np.diag([*step, 1.0])
    affine[:3, 3] = [axis[0] for axis in axes]
    if flip:
        affine = affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, labels.shape[2] - 1], [0, 0, 0, 1.0]])
        labels = labels[:, :, ::-1]
    return labels, affine


@pytest.mark.parametrize("flip", [False, True])
def test_segments_hold_the_volumes_they_hold_in_the_geometry(flip):
    found, truth = wall_points(*drawn(flip=flip)), true_wall.wall_points(HEART)
    total = truth.weights.sum()
    assert found.weights.sum() == pytest.approx(total, rel=0.02)
    np.testing.assert_allclose(found.long_axis, [0, 0, 1], atol=1e-9)
    for segment in range(1, 17):
        shares = [wall.weights[wall.segments == segment].sum() / total for wall in (found, truth)]
        assert shares[0] == pytest.approx(shares[1], abs=0.012), segment


def test_directions_are_square_to_each_other_and_right_handed():
    for wall in (wall_points(*drawn()), wall_points(*drawn(), follow_wall=False)):
        frame = np.stack([wall.radial, wall.circumferential, wall.longitudinal], axis=-1)
        np.testing.assert_allclose(frame.transpose(0, 2, 1) @ frame, np.tile(np.eye(3), (len(wall), 1, 1)), atol=1e-6)
        np.testing.assert_allclose(np.linalg.det(frame), 1.0, atol=1e-6)


def test_strain_on_labels_is_that_on_the_geometry():
    motion, times = HeartMotion(HEART, np.eye(4)), [HEART.beat.systole]
    found = strain(motion, wall_points(*drawn(step=(1.5, 1.5, 2.0))), times).whole()
    truth = strain(motion, true_wall.wall_points(HEART), times).whole()
    assert found["GCS"][0] == pytest.approx(truth["GCS"][0], abs=0.5)
    assert found["GLS"][0] == pytest.approx(truth["GLS"][0], abs=0.8)
    assert found["GRS"][0] == pytest.approx(truth["GRS"][0], rel=0.07)  # F jumps at the faces of the wall


def test_thick_slices_change_little():
    motion, times = HeartMotion(HEART, np.eye(4)), [HEART.beat.systole]
    found = strain(motion, wall_points(*drawn(step=(1.5, 1.5, 9.0))), times).whole()
    truth = strain(motion, true_wall.wall_points(HEART), times).whole()
    assert found["GCS"][0] == pytest.approx(truth["GCS"][0], abs=1.0)
    assert found["GLS"][0] == pytest.approx(truth["GLS"][0], abs=1.5)


def test_depth_goes_from_the_cavity_outwards():
    labels, affine = drawn()
    wall = wall_points(labels, affine)
    ring = np.abs(wall.points[:, 2] - 45) < 1.1
    radius = np.hypot(wall.points[:, 0] - 2, wall.points[:, 1] + 2)[ring]
    assert np.corrcoef(radius, wall.depth[ring])[0, 1] > 0.9
    assert wall.depth[ring].min() < 0.15
    assert wall.depth[ring].max() > 0.85


def test_a_contour_of_an_ellipse_has_its_radius_and_slope():
    x, y = np.meshgrid(np.arange(-40, 40, 0.5), np.arange(-40, 40, 0.5), indexing="ij")
    inside = (x / 30) ** 2 + (y / 25) ** 2 < 1
    contour = Contour.around(np.arctan2(y, x)[inside], 0.25)
    theta = np.linspace(-3, 3, 20)
    radius, slope = contour.radius(theta)
    exact = 1 / np.hypot(np.cos(theta) / 30, np.sin(theta) / 25)
    np.testing.assert_allclose(radius, exact, atol=0.15)
    np.testing.assert_allclose(slope[1:-1], np.gradient(exact, theta)[1:-1], atol=0.6)
    np.testing.assert_array_equal(Contour.around(np.zeros(0), 0.25).radius(theta), np.zeros((2, 20)))


@pytest.mark.parametrize(
    ("lost", "message"),
    [(Structure.LV, "3 slices or more, and the labels have it in 0"), (Structure.RV, "no right ventricle beside")],
)
def test_labels_without_wall_or_septum_are_refused(lost, message):
    labels, affine = drawn(step=(4.0, 4.0, 8.0))
    with pytest.raises(RefusedInput, match=message):
        wall_points(np.where(labels == lost, 0, labels), affine)
