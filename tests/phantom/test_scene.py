"""The tissues of heart and chest, against the labels of the same heart."""

from dataclasses import replace

import numpy as np
import pytest

from cinecmr.anatomy import Disease, Structure
from cinecmr.phantom import motion
from cinecmr.phantom.heart import Heart
from cinecmr.phantom.population import draw_heart
from cinecmr.phantom.scene import Chest, Scene, Tissue, Tube, smooth_noise
from cinecmr.phantom.shape import LeftVentricle
from cinecmr.phantom.surroundings import draw_chest

BLOOD = (Tissue.BLOOD_LEFT, Tissue.BLOOD_RIGHT, Tissue.BLOOD_ATRIUM, Tissue.BLOOD_VESSEL)


@pytest.fixture(scope="module")
def subject():
    rng = np.random.default_rng(21)
    heart = draw_heart(rng, Disease.NORMAL)
    return heart, draw_chest(rng, heart)


def grid(step=3.0, reach=150):
    axes = np.arange(-reach, reach, step), np.arange(-reach, reach, step), np.arange(-30, 150, 12.0)
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)


@pytest.mark.parametrize("time", [0.0, 0.36])
def test_every_label_is_made_of_the_tissues_a_reader_would_allow(subject, time):
    heart, chest = subject
    points = grid()
    codes, labels = Scene(heart, chest, time).tissues(points), heart.labels(points, time)
    assert set(np.unique(codes[labels == Structure.LV])) == {Tissue.BLOOD_LEFT, Tissue.MYOCARDIUM}  # papillary muscles
    assert set(np.unique(codes[labels == Structure.MYO])) == {Tissue.MYOCARDIUM}
    assert (codes[labels == Structure.LV] == Tissue.BLOOD_LEFT).mean() > 0.6
    right = codes[labels == Structure.RV]
    assert np.isin(right, (Tissue.BLOOD_RIGHT, Tissue.MYOCARDIUM, Tissue.BLOOD_ATRIUM)).mean() > 0.97
    assert (right == Tissue.BLOOD_RIGHT).mean() > 0.5


def test_no_blood_of_the_left_ventricle_lies_outside_its_label_but_the_aortic_root(subject):
    heart, chest = subject
    points = grid()
    codes = Scene(heart, replace(chest, atria=()), 0.0).tissues(points)
    assert np.all(heart.labels(points, 0.0)[codes == Tissue.BLOOD_LEFT] == Structure.LV)


def test_outside_the_chest_is_air(subject):
    heart, chest = subject
    scene = Scene(heart, chest, 0.0)
    away = np.array([np.cos(chest.wall), np.sin(chest.wall), 0.0])
    beyond = 45 + heart.lv.epi * 2.5 + chest.wall_gap + chest.muscle_depth + chest.fat_depth + 4 * chest.wall_waves[0]
    far = (beyond + np.arange(20, 80, 5.0))[:, None] * away + [0.0, 0.0, 0.5 * heart.lv.length]
    assert np.all(scene.tissues(far) == Tissue.AIR)


def test_from_the_heart_to_the_skin_come_muscle_and_fat_of_the_chest_wall():
    heart, chest = Heart(), Chest(wall=np.pi, diaphragm=0.0, ribs=(1000.0, 0.0))
    line = np.stack([-np.arange(0, 140, 0.5), np.zeros(280), np.full(280, 45.0)], axis=1)
    codes = Scene(heart, chest, 0.0).tissues(line)
    order = codes[np.flatnonzero(np.diff(codes.astype(int), prepend=-1))]
    assert [Tissue(c) for c in order[-4:]] == [Tissue.FAT, Tissue.MUSCLE, Tissue.FAT, Tissue.AIR]
    assert 0.5 * (codes == Tissue.MUSCLE).sum() == pytest.approx(chest.muscle_depth - 2.5, abs=1.0)
    assert (codes == Tissue.LUNG).any()


def test_clutter_replaces_the_chest_and_leaves_the_heart_alone(subject):
    heart, chest = subject
    points, labels = grid(), heart.labels(grid(), 0.0)
    plain = Scene(heart, chest, 0.0).tissues(points)
    around = replace(chest, clutter=(Tissue.GUT_CONTENT, Tissue.SPLEEN), clutter_step=4.0)
    cluttered = Scene(heart, around, 0.0).tissues(points)
    np.testing.assert_array_equal(cluttered[labels > 0], plain[labels > 0])
    assert (cluttered != plain).mean() > 0.3
    new = cluttered[cluttered != plain]
    assert set(np.unique(new)) <= {Tissue.GUT_CONTENT, Tissue.SPLEEN}


def test_papillary_muscles_stand_in_the_cavity_and_nowhere_else():
    heart, bare = Heart(), Chest(papillary=(), trabecula_left=0.0, trabecula_right=0.0, atria=())
    muscled = replace(bare, papillary=((2.0, 5.0, 0.2, 0.8),))
    points = grid(1.5, 60)
    without, having = (Scene(heart, chest, 0.0).tissues(points) for chest in (bare, muscled))
    changed = without != having
    assert changed.any()
    assert np.all(heart.labels(points, 0.0)[changed] == Structure.LV)
    angles = np.arctan2(points[..., 1], points[..., 0])[changed]
    assert np.all(np.abs(angles - 2.0) < 0.6)


def test_a_vessel_is_a_circle_with_a_wall():
    tube = Tube((-90.0, 0.0), 0.0, (12.0, 12.0, np.inf), 2.0, Tissue.BLOOD_VESSEL, Tissue.MUSCLE)
    scene = Scene(Heart(), Chest(tubes=(tube,), wall=0.0, diaphragm=np.pi / 2, lung_vessels=0.0), 0.0)
    x, y = np.meshgrid(np.arange(-110, -70, 0.25), np.arange(-20, 20, 0.25), indexing="ij")
    codes = scene.tissues(np.stack([x, y, np.full_like(x, 40.0)], axis=-1))
    assert (codes == Tissue.BLOOD_VESSEL).sum() / 16 == pytest.approx(np.pi * 12**2, rel=0.01)
    assert (codes == Tissue.MUSCLE).sum() / 16 == pytest.approx(np.pi * (14**2 - 12**2), rel=0.03)


def test_atria_follow_the_mitral_plane_down(subject):
    heart, chest = subject
    line = np.zeros((400, 3), np.float32)
    line[:, :2] = chest.atria[0].centre
    line[:, 2] = np.linspace(40, 140, 400)

    def lowest(time):
        codes = Scene(heart, replace(chest, atria=chest.atria[:1], papillary=()), time).tissues(line)
        return line[codes == Tissue.BLOOD_ATRIUM, 2].min()

    came_down = heart.lv.length * (1 - heart.lv.shortening)
    assert lowest(0.0) - lowest(heart.beat.systole) == pytest.approx(came_down, abs=1.0)


def test_noise_has_unit_variance_is_smooth_and_closes_on_itself():
    noise = smooth_noise((40, 50), 3.0, np.random.default_rng(0))
    assert noise.std() == pytest.approx(1, abs=1e-3)
    assert noise.mean() == pytest.approx(0, abs=1e-3)
    seam, inside = np.abs(noise[0] - noise[-1]).mean(), np.abs(np.diff(noise, axis=0)).mean()
    assert seam < 2 * inside < 1


def test_the_muscle_carries_its_grain_along():
    """What is seen at a piece of wall at end-systole was seen there at end-diastole; in the chest nothing moves."""
    rng = np.random.default_rng(5)
    heart = Heart(lv=LeftVentricle(twist=0.2), bend=(3.0, -2.0))
    chest = draw_chest(rng, heart)
    theta, height = rng.uniform(-np.pi, np.pi, 4000), rng.uniform(10, 0.9 * heart.lv.length, 4000)
    endo, epi = heart.lv.reference_radii(theta, height)
    radius = endo + rng.uniform(0.1, 0.9, 4000) * (epi - endo)
    dx, dy = heart.axis_shift(height.astype(np.float32))
    points = np.stack([radius * np.cos(theta) + dx, radius * np.sin(theta) + dy, height], axis=-1)
    moved = motion.forward(heart, points, heart.beat.systole)
    rest, now = Scene(heart, chest, 0.0), Scene(heart, chest, heart.beat.systole)
    muscle = np.full(4000, Tissue.MYOCARDIUM, np.uint8)
    before = rest.grain(muscle, rest.spots(points.astype(np.float32)))
    spots = now.spots(moved.astype(np.float32))
    assert np.corrcoef(before, now.grain(muscle, spots))[0, 1] > 0.9
    assert abs(np.corrcoef(before, spots.noise)[0, 1]) < 0.6  # what stands still in space is something else
    np.testing.assert_array_equal(now.grain(np.full(4000, Tissue.LUNG, np.uint8), spots), spots.noise)
