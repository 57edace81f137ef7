"""Where points of the heart go: against the surfaces, against rest, and there and back."""

from dataclasses import replace

import numpy as np
import pytest

from cinecmr.anatomy import Disease
from cinecmr.phantom import motion
from cinecmr.phantom.heart import Heart
from cinecmr.phantom.moment import fall, levelled
from cinecmr.phantom.population import draw_heart
from cinecmr.phantom.shape import LeftVentricle, Region, RightVentricle, Ripple

ROUGH = LeftVentricle(
    twist=0.25,
    flattening=0.1,
    tilt=(0.1, -0.08),
    thick=(Region(0.3, 0.6, 0.9, 0.4, 0.6),),
    still=(Region(0.7, 0.35, 0.9, 0.3, 1.0),),
    ripple=Ripple((0.03, 0.02), (2, 5), (0.4, 2.0), (1.0, -2.0)),
    wall_ripple=Ripple((0.05,), (3,), (1.0,), (0.5,)),
)
HEARTS = {
    "plain": Heart(),
    "rough and bent": Heart(lv=ROUGH, bend=(4.0, -3.0)),
    "overloaded": Heart(
        rv=RightVentricle(reach=1.3, apical_reach=2.2, apex=-2.0, squeeze=(0.95, 0.9)), bend=(2.0, 1.0)
    ),
}
named = pytest.mark.parametrize("heart", HEARTS.values(), ids=HEARTS.keys())


def wall_points(heart, count=150, seed=3, low=0.02, high=0.98):
    """Material points of the left ventricular wall, heart coordinates: thirds of the wall, apex to base."""
    rng, lv = np.random.default_rng(seed), heart.lv
    theta, height = rng.uniform(-np.pi, np.pi, count), rng.uniform(0.1, 0.97, count) * lv.length
    endo, epi = lv.reference_radii(theta, height)
    radius = endo + rng.uniform(low, high, count) * (epi - endo)
    return on_bent_axis(heart, radius, theta, height), (theta, height)


def on_bent_axis(heart, radius, theta, z):
    share = np.clip(z / heart.lv.length, -0.3, 1.6)
    bow = 4 * share * (1 - share)
    x, y = (radius * way(theta) + shift * bow for way, shift in zip((np.cos, np.sin), heart.bend, strict=True))
    return np.stack([x, y, z], axis=1)


def everywhere(heart, count=400, seed=5):
    """Points of the whole chest, more of them near the heart."""
    rng, top = np.random.default_rng(seed), heart.lv.length
    chest = rng.uniform((-110, -110, -50), (140, 110, top + 120), (count // 2, 3))
    near = rng.uniform((-45, -50, -8), (90, 60, top + 25), (count - count // 2, 3))
    return np.concatenate([chest, near])


def about_axis(heart, points):
    share = np.clip(points[:, 2] / heart.lv.length, -0.3, 1.6)
    x, y = (points[:, :2] - (4 * share * (1 - share))[:, None] * np.array(heart.bend)).T
    return np.hypot(x, y), np.arctan2(y, x), points[:, 2]


@named
@pytest.mark.parametrize("time", [0.15, 0.36, 0.7])
def test_both_faces_of_the_wall_land_on_the_surfaces_of_the_later_moment(heart, time):
    active, rng = float(heart.beat.activation(time)), np.random.default_rng(1)
    theta, height = rng.uniform(-np.pi, np.pi, 200), rng.uniform(0.12, 0.99, 200) * heart.lv.length
    for face in (0, 1):
        rest = heart.lv.reference_radii(theta, height)[face]
        now = motion.forward(heart, on_bent_axis(heart, rest, theta, height), time)
        r, turned, z = about_axis(heart, now)
        np.testing.assert_allclose(r, heart.lv.radii(turned, z, active)[face], atol=1e-6)
        np.testing.assert_allclose(z, heart.lv.length_factor(active) * height, atol=1e-9)


@named
def test_points_never_cross_from_blood_to_muscle(heart):
    points, time = everywhere(heart, 3000), heart.beat.systole
    points = points[np.abs(points[:, 2] - heart.lv.length) > 1.0]  # the mitral plane is not muscle's own
    now = motion.forward(heart, points, time)
    rest, later = heart.surfaces(0.0), heart.surfaces(time)
    off = np.abs(heart.polar(points.astype(np.float32), rest)[0] - rest.epi.ravel()[heart.polar(points, rest)[1]]) > 1.0
    off &= np.abs(heart.polar(points, rest)[0] - rest.endo.ravel()[heart.polar(points, rest)[1]]) > 1.0
    left = (heart.labels(points, 0.0) >= 2) & (points[:, 2] < heart.lv.length - 8) & off
    assert left.sum() > 100
    assert (heart.labels(now, time)[left] == heart.labels(points, 0.0)[left]).mean() > 0.98
    assert later.base < rest.base


@named
def test_muscle_keeps_its_volume_to_the_last_digits(heart):
    points, _ = wall_points(heart)
    for time in (0.1, 0.36, 0.6):
        found = motion.gradient(heart, points, time)
        np.testing.assert_allclose(np.linalg.det(found), 1.0, atol=1e-10)
    assert np.linalg.svd(found, compute_uv=False).max() > 1.1


@named
def test_the_gradient_in_the_wall_is_that_of_the_map(heart):
    points, _ = wall_points(heart, low=0.05, high=0.95)
    step, time = 1e-3, 0.3
    columns = [
        (motion.forward(heart, points + step * axis, time) - motion.forward(heart, points - step * axis, time))
        / (2 * step)
        for axis in np.eye(3)
    ]
    slow, found = np.stack(columns, axis=-1), motion.gradient(heart, points, time)
    worst = np.abs(found - slow).max(axis=(1, 2))
    # The drawn bowls and the septum's flattening have a few edges (apex of the cavity, half height): F jumps there.
    assert np.quantile(worst, 0.97) < 1e-5


@named
@pytest.mark.parametrize("time", [0.2, 0.36])
def test_every_point_of_the_chest_finds_back_to_where_it_was(heart, time):
    points = np.concatenate([everywhere(heart), wall_points(heart)[0]])
    found = motion.inverse(heart, motion.forward(heart, points, time), time)
    assert np.linalg.norm(found - points, axis=1).max() < 1e-5


@pytest.mark.parametrize("disease", list(Disease), ids=lambda d: d.value)
def test_nothing_folds_in_any_disease(disease):
    heart = draw_heart(np.random.default_rng(11), disease)
    steps = np.arange(-100, 130, 23.0), np.arange(-100, 110, 23.0), np.arange(-40, heart.lv.length + 110, 17.0)
    grid = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1)
    grid += np.random.default_rng(1).uniform(-8, 8, grid.shape)
    assert np.linalg.det(motion.gradient(heart, grid, heart.beat.systole)).min() > 0.03


def test_at_end_diastole_nothing_has_moved_and_far_away_nothing_ever_does():
    heart = Heart()
    points = everywhere(heart, 60)
    np.testing.assert_array_equal(motion.forward(heart, points, 0.0), points)
    np.testing.assert_array_equal(motion.inverse(heart, points, 0.0), points)
    np.testing.assert_allclose(motion.gradient(heart, points, 0.0), np.tile(np.eye(3), (60, 1, 1)), atol=1e-9)
    far = np.array([[-190.0, 0, 50], [0, 190, 60], [200, 30, 60], [10, 0, -160], [0, 0, 260]])
    np.testing.assert_allclose(motion.forward(heart, far, heart.beat.systole), far, atol=0.05)


def test_the_free_wall_of_the_right_ventricle_moves_with_its_blood():
    heart, time = Heart(lv=replace(Heart().lv, tilt=(0.0, 0.0))), 0.36
    theta, z = np.meshgrid(np.linspace(-0.6, 0.6, 9), np.linspace(25, 85, 9), indexing="ij")
    theta, z = theta.ravel(), z.ravel()
    theta = theta + heart.rv.middle((z - heart.rv.apex) / (heart.rv.base - heart.rv.apex))
    now = motion.forward(heart, on_bent_axis(heart, free_wall(heart, theta, z, 0.0), theta, z), time)
    r, turned, height = about_axis(heart, now)
    assert np.abs(r - free_wall(heart, turned, height, time)).max() < 0.6
    assert (free_wall(heart, theta, z, 0.0) - r).min() > 4  # it does move


def free_wall(heart, theta, z, time):
    """Radius of the inner face of the free wall, from the tables that images are drawn with."""
    tables = heart.surfaces(time)
    rows, columns = (z - tables.z0), (theta + np.pi) / (2 * np.pi) * tables.rv.shape[1] - 0.5
    i, j = np.floor(rows).astype(int), np.floor(columns).astype(int)
    u, v = rows - i, columns - j
    a, b = ((1 - v) * tables.rv[k, j] + v * tables.rv[k, j + 1] for k in (i, i + 1))
    return (1 - u) * a + u * b


def test_atria_fill_while_the_ventricles_empty():
    heart, time = Heart(), 0.36
    rng = np.random.default_rng(2)
    ball = rng.normal(size=(600, 3))
    ball = 24 * ball / np.linalg.norm(ball, axis=1)[:, None] * rng.uniform(size=(600, 1)) ** (1 / 3)
    atrium = np.linalg.det(motion.gradient(heart, ball + np.array([-4, -6, heart.lv.length + 27]), time)).mean()
    cavity = np.linalg.det(motion.gradient(heart, 0.6 * ball + np.array([0, 0, 55]), time)).mean()
    assert 1.25 < atrium < 2.2
    assert cavity < 0.6


def test_blood_on_the_axis_has_one_gradient_from_every_side():
    heart = Heart(lv=ROUGH)
    angles = np.linspace(0, 2 * np.pi, 9)[:-1]
    near = np.stack([1e-2 * np.cos(angles), 1e-2 * np.sin(angles), np.full(8, 35.0)], axis=1)
    found = motion.gradient(heart, near, 0.36)
    np.testing.assert_allclose(found, np.tile(found[:1], (8, 1, 1)), atol=2e-3)


def test_in_the_patient_the_motion_is_that_of_the_heart_turned_and_shifted():
    heart = HEARTS["rough and bent"]
    turn = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn, (-30.0, 12.0, 5.0)
    points = wall_points(heart, 20)[0]
    there = points @ turn.T + affine[:3, 3]
    moving = motion.HeartMotion(heart, affine)
    np.testing.assert_allclose(
        there + moving.displacement(there, 0.3), motion.forward(heart, points, 0.3) @ turn.T + affine[:3, 3], atol=1e-9
    )
    np.testing.assert_allclose(
        moving.gradient(there, 0.3), turn @ motion.gradient(heart, points, 0.3) @ turn.T, atol=1e-9
    )


def test_points_keep_their_shape():
    points = np.full((2, 3, 4, 3), [20.0, 5.0, 40.0])
    assert motion.forward(Heart(), points, 0.3).shape == points.shape
    assert motion.inverse(Heart(), points, 0.3).shape == points.shape
    assert motion.gradient(Heart(), points, 0.3).shape == (2, 3, 4, 3, 3)


def test_fading_is_smooth_and_what_is_levelled_stops_rising():
    way = np.linspace(-0.5, 1.5, 201)
    assert np.all(np.diff(fall(way)) <= 0)
    assert np.abs(np.diff(fall(way), 2)).max() < 1e-3
    heights = np.array([10.0, 50.0, 51.0, 500.0])
    np.testing.assert_allclose(levelled(heights, 50.0), [10, 50, 50 + 10 * np.tanh(0.1), 60], atol=1e-12)
