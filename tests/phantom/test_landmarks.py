"""Landmarks, against the planes they are marked on, the labels they bound, and the motion they follow."""

from dataclasses import replace

import numpy as np
import pytest

from cinecmr.anatomy import Disease, Landmark, Structure, View
from cinecmr.geometry import apply_affine
from cinecmr.measure.hinges import TRICUSPID
from cinecmr.phantom.atria import draw_atria
from cinecmr.phantom.heart import Heart
from cinecmr.phantom.landmarks import apex_height, hinge_points, insertions, mark, mitral_rim
from cinecmr.phantom.motion import HeartMotion
from cinecmr.phantom.population import draw_heart
from cinecmr.phantom.scanner import Scanner
from cinecmr.phantom.shape import LeftVentricle
from cinecmr.phantom.views import LONG_AXIS, Aim, draw_placing, long_axis, short_axis

TIMES = (0.0, 0.2, 0.36, 0.6)
OF_VIEW = {
    View.LAX_2C: (Landmark.MITRAL_2C_ANTERIOR, Landmark.MITRAL_2C_INFERIOR, Landmark.APEX_2C),
    View.LAX_4C: (Landmark.MITRAL_4C_SEPTAL, Landmark.MITRAL_4C_LATERAL, Landmark.APEX_4C),
    View.SAX: (Landmark.RV_INSERTION_ANTERIOR, Landmark.RV_INSERTION_INFERIOR),
}


def planned(heart, placing, atria):
    planes = {view: long_axis(view, heart, atria, Scanner(), placing, (24, 24)) for view in LONG_AXIS}
    return {View.SAX: short_axis(heart, Scanner(), placing, np.random.default_rng(0), (24, 24)), **planes}


@pytest.fixture(scope="module")
def visit():
    heart = draw_heart(np.random.default_rng(15), Disease.NORMAL)
    placing = draw_placing(np.random.default_rng(17))
    planes = planned(heart, placing, draw_atria(np.random.default_rng(16), heart))
    moments = [heart.surfaces(time) for time in TIMES]
    return heart, placing, planes, moments, mark(heart, moments, planes.values())


def test_every_landmark_is_found_at_every_frame(visit):
    assert set(visit[4]) == set(Landmark) - set(TRICUSPID)
    assert all(points.shape == (len(TIMES), 3) for points in visit[4].values())


def test_landmarks_lie_in_the_plane_they_are_marked_on(visit):
    heart, _, planes, _, marks = visit
    for view, names in OF_VIEW.items():
        back = np.linalg.inv(planes[view].affine)
        wanted = planes[View.SAX].slice_at(0.5 * heart.lv.length) if view is View.SAX else 0
        for name in names:
            np.testing.assert_allclose(apply_affine(back, marks[name])[:, 2], wanted, atol=1e-3)


def around(planes, z, point, radius):
    """Points on a small circle in a slice's plane, heart coordinates with the slice's breath-hold shift."""
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    x, y = (planes.local[:3, i] / np.linalg.norm(planes.local[:3, i]) for i in (0, 1))
    circle = point + planes.offset(z) + radius * (np.cos(angle)[:, None] * x + np.sin(angle)[:, None] * y)
    return circle.astype(np.float32)


def test_landmarks_sit_where_the_labels_meet(visit):
    """Hinges: cavity, muscle and neither. Apex: cavity and muscle. Insertions: right ventricle, muscle and neither."""
    heart, placing, planes, moments, marks = visit
    back = np.linalg.inv(placing.to_patient)
    for view, names in OF_VIEW.items():
        z = planes[view].slice_at(0.5 * heart.lv.length) if view is View.SAX else 0
        for name in names:
            for surfaces, point in zip(moments, apply_affine(back, marks[name]), strict=True):
                seen = set(np.unique(heart.labels_on(around(planes[view], z, point, 2.5), surfaces)))
                blood = Structure.RV if view is View.SAX else Structure.LV
                assert seen >= {blood, Structure.MYO}, name
                assert ("APEX" in name.name) or Structure.BACKGROUND in seen, name


def test_hinges_are_told_apart_by_where_they_lie(visit):
    _, placing, _, _, marks = visit
    septum, anterior = placing.to_patient[:3, 0], placing.to_patient[:3, 1]
    two = marks[Landmark.MITRAL_2C_ANTERIOR] - marks[Landmark.MITRAL_2C_INFERIOR]
    four = marks[Landmark.MITRAL_4C_SEPTAL] - marks[Landmark.MITRAL_4C_LATERAL]
    insertion = marks[Landmark.RV_INSERTION_ANTERIOR] - marks[Landmark.RV_INSERTION_INFERIOR]
    assert np.all(two @ anterior > 20)
    assert np.all(four @ septum > 20)
    assert np.all(insertion @ anterior > 15)


def test_the_mitral_hinges_come_down_as_far_as_the_heart_shortens():
    """Closed form: the plane of an untilted heart falls by the length times one minus lambda."""
    heart = Heart(lv=LeftVentricle(length=92.0, shortening=0.84))
    placing = replace(draw_placing(np.random.default_rng(2)), aims=dict.fromkeys(LONG_AXIS, Aim()))
    planes = planned(heart, placing, draw_atria(np.random.default_rng(3), heart))
    marks = mark(heart, [heart.surfaces(t) for t in (0.0, heart.beat.systole)], planes.values())
    axis = placing.to_patient[:3, 2]
    for view in (View.LAX_2C, View.LAX_4C):
        for name in OF_VIEW[view][:2]:
            assert (marks[name][0] - marks[name][1]) @ axis == pytest.approx(92.0 * 0.16, abs=0.01)


def test_the_apex_goes_where_the_motion_takes_it():
    heart = Heart()
    placing = replace(draw_placing(np.random.default_rng(2)), aims=dict.fromkeys(LONG_AXIS, Aim()))
    planes = planned(heart, placing, draw_atria(np.random.default_rng(3), heart))
    marks = mark(heart, [heart.surfaces(t) for t in TIMES], planes.values())
    motion = HeartMotion(heart, placing.to_patient)
    for name in (Landmark.APEX_2C, Landmark.APEX_4C):
        start = marks[name][:1]
        for time, found in zip(TIMES, marks[name], strict=True):
            np.testing.assert_allclose(start[0] + motion.displacement(start, time)[0], found, atol=0.3)


def test_insertions_stay_on_the_outer_wall_that_the_motion_carries(visit):
    """Seen in a plane that stands still: within the few millimetres by which the wall turns and passes through it."""
    heart, placing, _, _, marks = visit
    motion = HeartMotion(heart, placing.to_patient)
    for name in OF_VIEW[View.SAX]:
        start = marks[name][:1]
        carried = start[0] + motion.displacement(start, TIMES[2])[0]
        assert np.linalg.norm(carried - marks[name][2]) < 12
        assert np.linalg.norm(carried - start[0]) > 1


def test_the_apex_of_a_thick_walled_heart_lies_deeper():
    thin, thick = (Heart(lv=LeftVentricle(apex_wall=wall)) for wall in (5.0, 12.0))
    assert apex_height(thin) == pytest.approx(5.0, abs=0.15)
    assert apex_height(thick) == pytest.approx(12.0, abs=0.15)


def test_the_mitral_rim_lies_in_the_tilted_mitral_plane():
    heart = Heart(lv=LeftVentricle(tilt=(0.15, -0.1)))
    surfaces = heart.surfaces(0.36)
    rim = mitral_rim(heart, surfaces)
    np.testing.assert_allclose(surfaces.above_mitral(rim.astype(np.float32)), 0, atol=0.05)
    assert np.ptp(rim[:, 2]) > 5


def test_a_plane_beside_the_heart_has_no_hinges():
    heart = Heart()
    atria = draw_atria(np.random.default_rng(3), heart)
    placing = replace(
        draw_placing(np.random.default_rng(2)), aims=dict.fromkeys(LONG_AXIS, Aim(apex=90.0, mitral=90.0))
    )
    planes = long_axis(View.LAX_2C, heart, atria, Scanner(), placing, (24, 24))
    with pytest.raises(ValueError, match="cut the mitral rim twice, not 0 times"):
        hinge_points(heart, heart.surfaces(0.0), planes)


def test_a_slice_without_a_right_ventricle_has_no_insertions():
    heart = Heart()
    small = replace(heart, rv=replace(heart.rv, apex=80.0))
    planes = short_axis(small, Scanner(), draw_placing(np.random.default_rng(2)), np.random.default_rng(0), (24, 24))
    assert insertions(small, small.surfaces(0.0), planes) == {}
