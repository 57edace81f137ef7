"""One heart: its labels at any point against its volumes from the geometry."""

from dataclasses import replace

import numpy as np
import pytest

from cinecmr.anatomy import Structure
from cinecmr.phantom.heart import Heart, Person
from cinecmr.phantom.shape import LeftVentricle, RightVentricle

HEARTS = {
    "plain": Heart(),
    "level": Heart(rv=RightVentricle(tilt=0.0)),
    "tilted": Heart(rv=RightVentricle(tilt=0.3)),
    "tilted the other way": Heart(rv=RightVentricle(tilt=-0.2)),
    "bent": Heart(bend=(4.0, -3.0)),
    "bent, tilted, overloaded": Heart(
        lv=LeftVentricle(flattening=0.12), rv=RightVentricle(reach=1.4, apical_reach=2.0, tilt=0.2), bend=(-3.0, 3.0)
    ),
}


def cells(step=1.5):
    """One point at random in every cell of a grid around the heart: an unbiased count, without steps at planes."""
    axes = np.arange(-60, 120, step), np.arange(-75, 75, step), np.arange(-6, 125, step)
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    jitter = np.random.default_rng(2).uniform(0, step, grid.shape)
    return (grid + jitter).astype(np.float32), step**3 / 1000


@pytest.mark.parametrize("time", [0.0, 0.36])
@pytest.mark.parametrize("name", HEARTS)
def test_volumes_from_the_surfaces_are_those_of_counted_points(name, time):
    heart = HEARTS[name]
    points, each_ml = cells()
    codes = heart.labels(points, time)
    exact = heart.volumes_ml(time)
    for structure, within in ((Structure.LV, 0.01), (Structure.MYO, 0.01), (Structure.RV, 0.015)):
        counted = float((codes == structure).sum()) * each_ml
        assert exact[structure] == pytest.approx(counted, rel=within), structure.name
    assert set(np.unique(codes)) == {0, 1, 2, 3}


def test_bending_the_axis_moves_no_volume():
    straight, bent = Heart().volumes_ml(0.2), Heart(bend=(5.0, 2.0)).volumes_ml(0.2)
    for structure in (Structure.LV, Structure.MYO):
        assert bent[structure] == pytest.approx(straight[structure], rel=1e-9)


def test_from_the_axis_outwards_come_blood_muscle_septum_and_right_ventricle():
    heart = Heart()
    line = np.stack([np.arange(0, 120, 0.5), np.zeros(240), np.full(240, 45.0)], axis=1)
    codes = heart.labels(line, 0.0)
    changes = codes[np.flatnonzero(np.diff(codes.astype(int), prepend=-1))]
    assert list(changes) == [Structure.LV, Structure.MYO, Structure.RV, Structure.BACKGROUND]


def test_the_lateral_wall_borders_no_right_ventricle():
    line = np.stack([-np.arange(0, 120, 0.5), np.zeros(240), np.full(240, 45.0)], axis=1)
    assert Structure.RV not in Heart().labels(line, 0.0)


def test_nothing_of_the_left_ventricle_lies_above_the_mitral_plane_or_below_the_apex():
    heart, (points, _) = Heart(), cells(3.0)
    for time in (0.0, 0.36):
        codes, base = heart.labels(points, time), heart.surfaces(time).base
        beyond = (points[..., 2] > base) | (points[..., 2] < 0)
        assert not np.isin(codes[beyond], (Structure.MYO, Structure.LV)).any()


def test_the_mitral_plane_comes_down_by_the_shortening():
    heart = Heart()
    assert heart.surfaces(0.0).base == pytest.approx(heart.lv.length)
    assert heart.surfaces(heart.beat.systole).base == pytest.approx(heart.lv.length * heart.lv.shortening)


def slice_at(height, lean=0.0):
    x, y = np.meshgrid(np.arange(-60, 90, 1.5), np.arange(-70, 70, 1.5), indexing="ij")
    return np.stack([x, y, height + lean * x], axis=-1).astype(np.float32)


@pytest.mark.parametrize(("above", "whole"), [(-2.0, True), (2.0, False)])
def test_a_reader_draws_whole_rings_where_the_mitral_plane_cuts_a_slice(above, whole):
    heart = Heart()
    surfaces = heart.surfaces(0.0)
    points = slice_at(surfaces.base + above, lean=0.12)
    cut, drawn = heart.labels_on(points, surfaces), heart.reader_labels(points, surfaces)
    left = drawn >= Structure.MYO
    radius = np.hypot(points[..., 0], points[..., 1])
    assert set(np.unique(cut[radius < 20])) == {0, 3}  # the plane does cut it
    assert bool((drawn[radius < 15] == Structure.LV).all()) is whole
    assert bool(left.any()) is whole


@pytest.mark.parametrize(("above", "whole"), [(-4.0, True), (4.0, False)])
def test_a_reader_draws_the_right_ventricle_whole_or_not_at_all_where_its_own_plane_cuts(above, whole):
    """Readers of ACDC draw none where atrium and outflow tract lie side by side."""
    heart = Heart(rv=RightVentricle(tilt=0.25, base=80.0))
    surfaces = heart.surfaces(0.0)
    points = slice_at(surfaces.rv_top + above)
    cut, drawn = heart.labels_on(points, surfaces), heart.reader_labels(points, surfaces)
    r, at = heart.polar(points, surfaces)
    crescent = (r < surfaces.rv.ravel()[at]) & (r >= surfaces.epi.ravel()[at])
    assert 0.2 < (cut[crescent] == Structure.RV).mean() < 0.8  # the plane does cut it
    assert bool((drawn[crescent] == Structure.RV).all()) is whole
    assert bool((drawn == Structure.RV).any()) is whole


def test_a_reader_and_the_geometry_agree_where_no_plane_cuts():
    heart = Heart()
    surfaces = heart.surfaces(0.3)
    points = slice_at(40.0, lean=0.05)
    np.testing.assert_array_equal(heart.reader_labels(points, surfaces), heart.labels_on(points, surfaces))


def test_curves_are_the_volumes_of_every_moment():
    heart, times = Heart(), np.array([0.0, 0.2, 0.36, 0.8])
    curves = heart.curves(times)
    for i, time in enumerate(times):
        for structure, value in heart.volumes_ml(float(time)).items():
            assert curves[structure][i] == value


def test_a_late_right_ventricle_is_smallest_after_the_left():
    heart = replace(Heart(), beat=replace(Heart().beat, rv_delay=0.05))
    curves = heart.curves(np.linspace(0.3, 0.5, 21))
    assert np.argmin(curves[Structure.RV]) > np.argmin(curves[Structure.LV])


def test_body_surface_follows_mosteller():
    assert Person(height_m=1.8, weight_kg=80.0).bsa_m2 == pytest.approx(2.0)
