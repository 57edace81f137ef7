"""Surfaces of the ventricles against closed forms."""

from dataclasses import replace

import numpy as np
import pytest

from cinecmr.anatomy import Structure
from cinecmr.phantom.heart import Heart
from cinecmr.phantom.shape import THETAS, LeftVentricle, Region, RightVentricle, Ripple, bowl, directions

PLAIN = LeftVentricle(endo=25, epi=33, length=90, apex_wall=7, fullness=2.0, taper=0.0, squeeze_slope=0.0, twist=0.0)
ROUGH = LeftVentricle(
    twist=0.25,
    flattening=0.1,
    thick=(Region(0.3, 0.6, 0.9, 0.4, 0.6),),
    still=(Region(0.7, 0.35, 0.9, 0.3, 1.0),),
    ripple=Ripple((0.03, 0.02), (2, 5), (0.4, 2.0), (1.0, -2.0)),
    wall_ripple=Ripple((0.05,), (3,), (1.0,), (0.5,)),
)
SYSTOLE = Heart().beat.systole


def ejected(lv):
    heart = Heart(lv=lv)
    start, end = (heart.volumes_ml(t)[Structure.LV] for t in (0.0, SYSTOLE))
    return 1 - end / start


@pytest.mark.parametrize(("squeeze", "shortening"), [(0.68, 0.85), (0.95, 0.97), (0.5, 0.8), (1.05, 1.0)])
def test_a_cavity_of_constant_squeeze_ejects_one_minus_lambda_f_squared(squeeze, shortening):
    lv = replace(PLAIN, squeeze=squeeze, shortening=shortening)
    assert ejected(lv) == pytest.approx(1 - shortening * squeeze**2, abs=0.003)


@pytest.mark.parametrize("fullness", [2.0, 2.6])
def test_the_cavity_holds_what_the_integral_of_its_bowl_says(fullness):
    lv = replace(PLAIN, fullness=fullness)
    found = Heart(lv=lv).volumes_ml(0.0)
    solid = fullness / (fullness + 1) * np.pi / 1000  # the integral of 1 - (1 - u)^n over u is n / (n + 1)
    assert found[Structure.LV] == pytest.approx(solid * lv.endo**2 * (lv.length - lv.apex_wall), rel=0.003)
    whole = solid * lv.epi**2 * lv.length
    assert found[Structure.LV] + found[Structure.MYO] == pytest.approx(whole, rel=0.003)


def test_a_rough_cavity_holds_its_slow_sum_of_sectors():
    heart = Heart(lv=ROUGH)
    total = 0.0
    angles = -np.pi + (np.arange(720) + 0.5) * np.pi / 360
    for z in np.arange(0.05, ROUGH.length, 0.1):
        endo, _ = ROUGH.radii(angles.astype(np.float32), np.array([[z]], np.float32), 0.0)
        for radius in endo[0, ::8]:
            total += 0.5 * float(radius) ** 2 * (np.pi / 45) * 0.1
    assert heart.volumes_ml(0.0)[Structure.LV] == pytest.approx(total / 1000, rel=0.003)


@pytest.mark.parametrize("lv", [PLAIN, ROUGH, replace(ROUGH, squeeze=0.45, shortening=0.8)])
def test_the_muscle_keeps_its_volume_through_the_beat(lv):
    heart = Heart(lv=lv)
    muscle = [heart.volumes_ml(t)[Structure.MYO] for t in np.linspace(0, 0.9, 7)]
    assert np.ptp(muscle) < 0.003 * np.mean(muscle)


def test_the_endocardial_radius_becomes_f_times_its_rest():
    theta, heights = directions(), np.linspace(10, 80, 15, dtype=np.float32)[:, None]
    rest, _ = PLAIN.reference_radii(theta, heights)
    for activation in (0.3, 1.0):
        f = 1 + (PLAIN.squeeze - 1) * activation
        now, _ = PLAIN.radii(theta, heights * PLAIN.length_factor(activation), activation)
        np.testing.assert_allclose(now, f * rest, rtol=1e-5)


def moved(lv, points, activation):
    """The closed-form map of material points (n, 3), as the specification writes it."""
    x, y, height = points.T
    radius, theta = np.hypot(x, y), np.arctan2(y, x)
    shorter, share = lv.length_factor(activation), height / lv.length
    endo = np.array(
        [lv.reference_radii(np.array([a]), np.array([[h]]))[0][0, 0] for a, h in zip(theta, height, strict=True)]
    )
    f = lv.squeeze_factor(theta, share, activation).astype(float)
    r = np.sqrt(radius**2 / shorter + endo.astype(float) ** 2 * (f**2 - 1 / shorter))
    turned = theta + lv.twist_angle(share, activation)
    return np.stack([r * np.cos(turned), r * np.sin(turned), shorter * height], axis=1)


def wall_points(lv, count=60):
    rng = np.random.default_rng(4)
    theta, height = rng.uniform(-3, 3, count), rng.uniform(0.2, 0.9, count) * lv.length
    inner, outer = (
        np.array(
            [lv.reference_radii(np.array([a]), np.array([[h]]))[i][0, 0] for a, h in zip(theta, height, strict=True)]
        )
        for i in (0, 1)
    )
    radius = inner + rng.uniform(0.1, 0.9, count) * (outer - inner)
    return np.stack([radius * np.cos(theta), radius * np.sin(theta), height], axis=1)


@pytest.mark.parametrize("lv", [PLAIN, ROUGH])
def test_no_piece_of_muscle_is_squashed(lv):
    points, step = wall_points(lv), 0.2
    columns = [
        (moved(lv, points + step * axis, 1.0) - moved(lv, points - step * axis, 1.0)) / (2 * step) for axis in np.eye(3)
    ]
    gradient = np.stack(columns, axis=2)
    np.testing.assert_allclose(np.linalg.det(gradient), 1.0, atol=0.01)
    stretch = np.linalg.svd(gradient, compute_uv=False)
    assert stretch.max() > 1.2  # the wall does thicken: the determinant above is not that of a heart at rest


def test_surfaces_are_where_the_map_takes_their_material_points():
    theta, height, activation = np.float32(1.1), np.float32(50), 0.8
    endo0, epi0 = ROUGH.reference_radii(np.array([theta]), np.array([[height]]))
    start = np.array([[r * np.cos(theta), r * np.sin(theta), height] for r in (endo0[0, 0], epi0[0, 0])])
    end = moved(ROUGH, start, activation)
    angle = np.arctan2(end[0, 1], end[0, 0])
    inner, outer = ROUGH.radii(np.array([angle], np.float32), np.array([[end[0, 2]]], np.float32), activation)
    np.testing.assert_allclose(np.hypot(end[:, 0], end[:, 1]), [inner[0, 0], outer[0, 0]], rtol=1e-4)


def test_an_infarct_that_stays_still_lowers_the_ejection_fraction():
    still = replace(PLAIN, still=(Region(0.0, 0.4, 0.9, 0.3, 1.0),))
    assert ejected(PLAIN) - ejected(still) > 0.04
    heights = np.array([[0.4]], np.float32)
    assert still.squeeze_factor(np.zeros(1, np.float32), heights, 1.0)[0, 0] == pytest.approx(1.0, abs=1e-6)


def test_a_region_is_whole_at_its_centre_and_knows_the_circle_closes():
    region = Region(np.pi, 0.5, 0.4, 0.2, 1.0)
    weight = region.weight(np.array([np.pi, -np.pi, np.pi - 0.4, 0.0], np.float32), np.float32(0.5))
    np.testing.assert_allclose(weight, [1, 1, np.exp(-1), 0], atol=1e-5)


def test_a_ripple_is_the_sum_of_its_waves():
    ripple = Ripple((0.03, -0.01), (2, 3), (0.5, 1.0), (0.7, 0.0))
    theta, share = directions(), np.array([[0.2], [0.9]], np.float32)
    slow = np.zeros((2, THETAS))
    for i, u in enumerate((0.2, 0.9)):
        for j, a in enumerate(theta):
            slow[i, j] = 0.03 * np.cos(2 * a + 0.5 + 0.7 * u) - 0.01 * np.cos(3 * a + 1.0)
    np.testing.assert_allclose(ripple(theta, share), slow, atol=1e-6)


def test_a_bowl_of_fullness_two_is_half_an_ellipsoid():
    share = np.linspace(0, 1, 11, dtype=np.float32)
    np.testing.assert_allclose(bowl(share, 2.0) ** 2 + (1 - share) ** 2, 1.0, atol=1e-6)
    assert bowl(np.float32(0.3), 2.8) > bowl(np.float32(0.3), 2.0)


def test_added_wall_grows_half_inwards_and_half_outwards():
    thick = replace(PLAIN, thick=(Region(0.0, 0.5, 50.0, 50.0, 0.4),))
    theta, height = directions(), np.array([[60.0]], np.float32)
    (endo, epi), (endo_thick, epi_thick) = PLAIN.reference_radii(theta, height), thick.reference_radii(theta, height)
    wall = epi - endo
    np.testing.assert_allclose(endo - endo_thick, 0.2 * wall, rtol=0.01)
    np.testing.assert_allclose(epi_thick - epi, 0.2 * wall, rtol=0.01)


def test_the_right_ventricle_lies_on_the_septum_and_nowhere_else():
    theta, z = directions(), np.array([[50.0]], np.float32)
    septum = np.full((1, THETAS), 33.0, np.float32)
    outer = RightVentricle().outer_radius(theta, z, septum, septum[:, :1], 0.0)
    width = outer[0] - 33
    assert width[np.abs(theta) < 0.3].min() > 15
    assert np.all(width[np.abs(theta) > 2.0] == 0)
    beneath = RightVentricle().outer_radius(theta, np.array([[2.0]], np.float32), septum, septum[:, :1], 0.0)
    np.testing.assert_array_equal(beneath, septum)


def test_the_right_ventricle_winds_inferiorly_on_its_way_to_the_apex():
    rv = RightVentricle(centre=0.1, wind=0.5, skew=0.0, apex=0.0, base=100.0)
    theta, z = directions(), np.array([[2.0], [50.0], [99.9]], np.float32)
    septum = np.full((3, THETAS), 33.0, np.float32)
    width = rv.outer_radius(theta, z, septum, septum[:, :1], 0.0) - septum
    middles = (width * theta).sum(axis=1) / width.sum(axis=1)
    np.testing.assert_allclose(middles, [0.1 - 0.5 * 0.98**1.5, 0.1 - 0.5 * 0.5**1.5, 0.1], atol=0.01)


def test_the_crescent_narrows_by_its_squeeze_where_its_plane_stands_still():
    rv = RightVentricle(squeeze=(0.7, 0.7), descent=0.0)
    theta, z = directions(), np.array([[30.0], [70.0]], np.float32)
    septum = np.full((2, THETAS), 33.0, np.float32)
    rest, contracted = (rv.outer_radius(theta, z, septum, septum[:, :1], a) - septum for a in (0.0, 1.0))
    np.testing.assert_allclose(contracted, 0.7 * rest, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"endo": 40.0}, "endo must lie inside epi, got 40"),
        ({"shortening": 0.3}, r"shortening is a share of the length, 0\.5 to 1\.2, got 0\.3"),
        ({"squeeze": 0.1}, r"squeeze is a share of the endocardial radius, 0\.2 to 1\.3, got 0\.1"),
    ],
)
def test_a_left_ventricle_that_cannot_be_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(PLAIN, **change)
