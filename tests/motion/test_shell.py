"""Coordinates and functions on a wall, against differences and a spheroid whose depth is known."""

import numpy as np
import pytest

from cinecmr.errors import RefusedInput
from cinecmr.motion.evidence import with_whole_rings
from cinecmr.motion.field import WallMotion, time_waves
from cinecmr.motion.shell import HeartFrame, Shell, prolate

AFFINE = np.diag([2.0, 2.0, 8.0, 1.0])


@pytest.fixture
def shell(tiny_heart):
    return Shell.of(tiny_heart.labels[..., 0], tiny_heart.image.affine, (3, 2, 2))


def wall(tiny_heart, count=60):
    index = np.argwhere(tiny_heart.labels[..., 0] == 2).astype(float)
    return index[:: len(index) // count] @ tiny_heart.image.affine[:3, :3].T


def test_a_direction_is_a_unit_vector_and_the_apex_its_pole():
    points = np.random.default_rng(1).normal(0, 30, (50, 3))
    n, spheroid, _, _ = prolate(points, 45.0)
    np.testing.assert_allclose(np.linalg.norm(n, axis=1), 1, atol=1e-6)
    assert (spheroid > 0).all()
    np.testing.assert_allclose(prolate(np.array([[0.0, 0.0, -80.0]]), 45.0)[0], [[0, 0, 1]], atol=1e-6)


def test_a_point_is_where_its_spheroid_and_direction_say():
    points = np.random.default_rng(2).normal(0, 30, (50, 3))
    n, s, _, _ = prolate(points, 45.0)
    back = 45.0 * np.column_stack([np.sinh(s) * n[:, 0], np.sinh(s) * n[:, 1], -np.cosh(s) * n[:, 2]])
    np.testing.assert_allclose(back, points, atol=1e-4)


def test_slopes_of_the_functions_are_their_differences(tiny_heart, shell):
    points = wall(tiny_heart)
    values, slopes = shell.with_gradient(points)
    np.testing.assert_allclose(shell.functions(points), values)
    for axis, way in enumerate(shell.frame.turn):
        differences = (shell.functions(points + 1e-4 * way) - shell.functions(points - 1e-4 * way)) / 2e-4
        np.testing.assert_allclose(slopes[:, :, axis], differences, atol=1e-6)


def test_depth_is_about_nought_inside_and_one_outside_the_wall(tiny_heart, shell):
    points = wall(tiny_heart, 400)
    depth = shell.depth(points)[1]
    assert (np.abs(depth - 0.5) < 1.0).mean() > 0.95
    middle = shell.frame.patient(np.array([[0.0, 0.0, 0.0]]))
    assert shell.depth(middle)[1][0] < 0


def test_the_frame_looks_from_apex_to_base_and_to_the_right_ventricle(tiny_heart):
    frame = HeartFrame.of(tiny_heart.labels[..., 0], tiny_heart.image.affine)
    np.testing.assert_allclose(frame.turn @ frame.turn.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(frame.turn[2], [0, 0, 1], atol=1e-9)  # larger slices lie at higher z
    assert frame.turn[0] @ [-1, 0, 0] > 0.99  # the right ventricle lies at low x
    points = np.random.default_rng(3).normal(0, 20, (5, 3))
    np.testing.assert_allclose(frame.patient(frame.local(points)), points)


def test_a_heart_of_two_slices_has_no_frame(tiny_heart):
    with pytest.raises(RefusedInput, match="3 slices or more"):
        HeartFrame.of(tiny_heart.labels[:, :, 3:5, 0], tiny_heart.image.affine)


def test_waves_rest_at_end_diastole_and_come_back_after_a_beat():
    waves = time_waves(np.array([0.0, 1.0, 0.25]), 3)
    np.testing.assert_allclose(waves[:, :2], 0, atol=1e-12)
    np.testing.assert_allclose(waves[:2, 2], [1, -1], atol=1e-12)


@pytest.fixture
def motion(shell):
    rng = np.random.default_rng(4)
    return WallMotion(shell, rng.normal(0, 0.15, (len(shell.waves()), 4, 3)), ed=0.1)


def test_a_motion_has_the_gradient_of_its_displacement_and_rests_at_end_diastole(tiny_heart, motion):
    points = wall(tiny_heart)
    np.testing.assert_allclose(motion.displacement(points, 0.1), 0, atol=1e-12)
    np.testing.assert_allclose(motion.displacement(points, 1.1), 0, atol=1e-12)
    found = motion.gradient(points, 0.4)
    for axis in range(3):
        way = 1e-4 * np.eye(3)[axis]
        differences = (motion.displacement(points + way, 0.4) - motion.displacement(points - way, 0.4)) / 2e-4
        np.testing.assert_allclose(found[:, :, axis], differences + np.eye(3)[axis], atol=1e-6)


def test_tissue_traced_to_a_frame_and_back_is_where_it_was(tiny_heart, motion):
    points = wall(tiny_heart)
    back, missed = motion.inverse(points + motion.displacement(points, 0.4), 0.4)
    assert missed.max() < 1e-3
    np.testing.assert_allclose(back, points, atol=5e-3)


def test_a_motion_is_read_as_it_was_written(tiny_heart, motion, tmp_path):
    motion.save(tmp_path / "motion.safetensors")
    again = WallMotion.load(tmp_path / "motion.safetensors")
    points = wall(tiny_heart)
    np.testing.assert_array_equal(again.displacement(points, 0.3), motion.displacement(points, 0.3))
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="no wall motion"):
        WallMotion.load(tmp_path / "other.safetensors")


def test_a_slice_at_the_valve_is_no_ring_and_shows_no_faces(tiny_heart):
    labels = tiny_heart.labels[..., 0].copy()
    rings = np.flatnonzero((labels == 3).any(axis=(0, 1)) & (labels == 2).any(axis=(0, 1)))
    np.testing.assert_array_equal(with_whole_rings(labels), labels)
    middle = int(np.argwhere(labels[:, :, rings[2]] == 3)[:, 0].mean())
    plane = labels[:, :, rings[2]]
    plane[:middle][plane[:middle] == 2] = 0  # half of the ring is gone
    found = with_whole_rings(labels)
    assert (found[:, :, rings[2]] == 255).all()
    np.testing.assert_array_equal(np.delete(found, rings[2], axis=2), np.delete(labels, rings[2], axis=2))


def test_a_thick_solid_apex_keeps_away_from_the_poles_where_directions_mean_nothing():
    x, y, z = np.meshgrid(*(np.arange(n) - n // 2 for n in (48, 48, 12)), indexing="ij")
    r2, height = 4.0 * (x**2 + y**2), 10.0 * (z + 6) + 5  # mm above the apex
    outer = (r2 / 36**2 + ((height - 115) / 115) ** 2 < 1) & (height < 115)
    inner = (r2 / 16**2 + ((height - 115) / 75) ** 2 < 1) & (height < 115)  # 40 mm of muscle below the cavity
    labels = np.where(inner, 3, np.where(outer, 2, 0)).astype(np.uint8)
    affine = np.diag([2.0, 2.0, 10.0, 1.0])
    shell = Shell.of(labels, affine, (3, 2, 2))
    muscle = np.argwhere(labels == 2) @ affine[:3, :3].T
    assert prolate(shell.frame.local(muscle), shell.frame.focus)[1].min() > 0.25
    assert shell.depth(muscle)[1].min() > -0.5
