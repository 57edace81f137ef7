"""Tags belong to the tissue: they move with it, fade, and leave with the blood."""

import numpy as np
import pytest
from scipy import ndimage

from cinecmr.phantom.chest import Chest, Tissue
from cinecmr.phantom.heart import Heart
from cinecmr.phantom.motion import forward
from cinecmr.phantom.population import draw_heart
from cinecmr.phantom.scanner import Exposure, Look, Scanner, layers
from cinecmr.phantom.scene import Scene
from cinecmr.phantom.shape import LeftVentricle, Region
from cinecmr.phantom.surroundings import draw_chest
from cinecmr.phantom.tagging import CSPAMM_ZERO, Tags, material, slice_heights, tag_directions, tagged
from cinecmr.phantom.torso import draw_torso

INFARCTED = Heart(lv=LeftVentricle(twist=0.25, still=(Region(2.6, 0.5, 0.9, 0.35, 1.0),)), bend=(1.0, -1.0))
CHEST = Chest(papillary=(), trabecula_left=0.0)
MACHINE = Scanner(snr=35.0, blur=0.5, shading=0.0)  # the coils' falloff evened out, as one does before tracking
CLEAN = Scanner(snr=1e6, blur=0.1, shading=0.0, banding=0.0, slice_mm=1.0)
LOOK = Look(MACHINE.signals(), np.zeros(len(Tissue), np.float32), flow=0.05)
UP = np.array([0.0, 0.0, 1.0], np.float32)
STEP = 1.5


def plane(heart, share=1, size=72):
    grid = (np.arange(size, dtype=np.float32) - size / 2) * STEP
    x, y = np.meshgrid(grid + 5, grid, indexing="ij")
    return np.stack([x, y, np.full_like(x, slice_heights(heart)[share])], axis=-1)


def analytic(points, origin, spacing=7.0):
    """The grid as the pulses leave it, written from the formula: two crossed (1 - cos) / 2 at 45 degrees."""
    turns = [(points - origin) @ np.array([1, side, 0]) / np.sqrt(2) / spacing for side in (1, -1)]
    return np.prod([0.5 - 0.5 * np.cos(2 * np.pi * t) for t in turns], axis=0)


def wall_points(heart, rng, count=40_000):
    """Points in the inner 70 % of the wall at end-diastole."""
    theta, z, depth = rng.uniform(-np.pi, np.pi, count), rng.uniform(8, 85, count), rng.uniform(0.15, 0.85, count)
    endo, epi = heart.lv.reference_radii(theta, z)
    dx, dy = heart.axis_shift(z)
    r = endo + depth * (epi - endo)
    return np.stack([dx + r * np.cos(theta), dy + r * np.sin(theta), z], axis=-1)


@pytest.mark.parametrize("share", [0, 1, 2])
@pytest.mark.parametrize("milliseconds", [30, 120, 210, 300])
def test_intensity_at_material_points_follows_the_pattern_for_300_ms(milliseconds, share):
    heart = INFARCTED
    time = milliseconds / 1000 / heart.beat.rr_s
    pixels = plane(heart, share)
    picture = tagged(Scene(heart, CHEST, time), Exposure(pixels, UP, MACHINE, LOOK, np.random.default_rng(0)))
    at_rest = wall_points(heart, np.random.default_rng(1))
    now = forward(heart, at_rest, time)
    in_slice = np.abs(now[:, 2] - pixels[0, 0, 2]) < 1.0
    where = (now[in_slice, :2] - pixels[0, 0, :2]) / STEP
    intensity = ndimage.map_coordinates(picture, where.T, order=1)
    expected = analytic(at_rest[in_slice], 0.5 * (pixels[0, 0] + pixels[-1, -1]))
    assert in_slice.sum() > 200
    assert np.corrcoef(intensity, expected)[0, 1] > 0.95


def test_tissue_is_traced_back_to_where_it_was():
    heart, time = INFARCTED, 0.25
    pixels = plane(heart)
    scene = Scene(heart, CHEST, time)
    back = material(scene, pixels)
    radius, at = heart.polar(pixels, scene.surfaces)
    wall = (radius < scene.surfaces.epi.ravel()[at] - 0.5) & (radius > scene.surfaces.endo.ravel()[at] + 0.5)
    np.testing.assert_allclose(forward(heart, back[wall], time), pixels[wall], atol=1e-3)
    far = radius > scene.surfaces.outer.ravel()[at] + 15
    assert far.any()
    np.testing.assert_array_equal(back[far], pixels[far])  # the chest stands still


def test_at_rest_lines_lie_where_the_pulses_put_them():
    pixels = plane(INFARCTED)
    picture = tagged(Scene(INFARCTED, CHEST, 0.0), Exposure(pixels, UP, CLEAN, LOOK, np.random.default_rng(0)))
    labels = INFARCTED.labels(pixels, 0.0)
    expected = analytic(pixels.astype(float), 0.5 * (pixels[0, 0] + pixels[-1, -1]))
    for code, density in ((2, 0.85 / 0.95), (3, 1.0)):
        inner = ndimage.binary_erosion(labels == code, iterations=2)
        np.testing.assert_allclose(picture[inner], density * expected[inner], atol=0.05)


def test_directions_lie_in_the_plane_of_a_tilted_slice():
    turn = np.radians(25)
    u, v = np.array([np.cos(turn), 0, np.sin(turn)]), np.array([0.0, -1.0, 0.0])
    i, j = np.meshgrid(np.arange(6) * 2.0, np.arange(4) * 2.0, indexing="ij")
    points = (i[..., None] * u + j[..., None] * v).astype(np.float32)
    directions, origin = tag_directions(points, Tags(angles=(0.0, 90.0)))
    np.testing.assert_allclose(directions, [u, v], atol=1e-6)
    np.testing.assert_allclose(origin, 5 * u + 3 * v, atol=1e-5)


def test_tags_fade_by_recovery_and_by_readouts():
    """Section 8 of the specification: at 400 ms, T1 1000 ms and ten pulses of 10 degrees 0.67 x 0.86 is left."""
    assert Tags().fading(0.4000001, 1000.0) == pytest.approx(0.670 * 0.858, abs=2e-3)
    assert Tags().fading(0.0, 1000.0) == 1.0
    assert Tags().fading(0.4, 300.0) < 0.3  # fat


def test_blood_carries_its_tags_away():
    heart = INFARCTED
    pixels = plane(heart)

    def contrast(milliseconds):
        time = milliseconds / 1000 / heart.beat.rr_s
        picture = tagged(Scene(heart, CHEST, time), Exposure(pixels, UP, CLEAN, LOOK, np.random.default_rng(0)))
        labels = heart.labels(pixels, time)
        return [np.std(picture[ndimage.binary_erosion(labels == code, iterations=2)]) for code in (3, 2)]

    (blood, muscle), (later_blood, later_muscle) = contrast(20), contrast(200)
    assert blood > 0.2
    assert later_blood < 0.15 * blood
    assert later_muscle > 0.5 * muscle


@pytest.mark.parametrize(("tip", "dark", "bright"), [(90.0, 0.0, 1.0), (60.0, 0.5, 1.0), (120.0, -0.5, 1.0)])
def test_the_tip_sets_how_deep_lines_are(tip, dark, bright):
    line = Tags(angles=(0.0,), tip_deg=tip).pattern(np.array([[0.0], [0.5], [1.0]]))
    np.testing.assert_allclose(line, [dark, bright, dark], atol=1e-12)
    grid = Tags(tip_deg=tip).pattern(np.array([[0.0, 0.5], [0.5, 0.5]]))
    np.testing.assert_allclose(grid, [dark * bright, bright**2], atol=1e-12)


def test_the_difference_of_two_patterns_has_no_recovered_part():
    """CSPAMM: mean of a line is zero at any time, where that of a single pattern grows."""
    heart = INFARCTED
    pixels = plane(heart)
    scene = Scene(heart, CHEST, 0.3)
    labels = heart.labels(pixels, 0.3)
    wall = ndimage.binary_erosion(labels == 2)
    for complementary in (True, False):
        tags = Tags(angles=(45.0,), complementary=complementary)
        picture = tagged(scene, Exposure(pixels, UP, CLEAN, LOOK, np.random.default_rng(0)), tags=tags)
        middle = CSPAMM_ZERO if complementary else 0.85 / 0.95
        lines = np.ptp(np.percentile(picture[wall], (5, 95)))
        assert lines > 0.35
        if complementary:
            assert picture[wall].mean() == pytest.approx(middle, abs=0.06)
        else:
            assert 0.5 * middle < picture[wall].mean() < middle


def test_planes_lie_at_base_middle_and_apex():
    base, middle, apex = slice_heights(INFARCTED)
    assert 0.9 * INFARCTED.lv.length > base > middle > apex > 0.15 * INFARCTED.lv.length


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"spacing_mm": 1.0}, "spacing_mm is 3 to 20 mm, got 1"),
        ({"flip_deg": 60.0}, "flip_deg is 1 to 40 degrees, got 60"),
        ({"angles": ()}, "one direction .lines. or two"),
        ({"complementary": True}, "CSPAMM is taken one direction at a time"),
    ],
)
def test_impossible_tags_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Tags(**wrong)


def test_what_stands_still_is_painted_once_for_all_frames():
    rng = np.random.default_rng(4)
    heart = draw_heart(rng)
    chest = draw_torso(rng, draw_chest(rng, heart), heart)
    pixels = plane(heart, 0, size=40)
    scenes = [Scene(heart, chest, time) for time in (0.0, 0.3)]
    behind = layers(scenes[0], pixels, UP, MACHINE.slice_mm)
    hows = [Exposure(pixels, UP, MACHINE, LOOK, np.random.default_rng(0), known) for known in (behind, ())]
    once, alone = (tagged(scenes[1], how) for how in hows)
    np.testing.assert_array_equal(once, alone)
    other = tagged(scenes[0], Exposure(pixels, UP, MACHINE, LOOK, np.random.default_rng(0), behind))
    assert not np.array_equal(once, other)
