"""Planes of a visit pass through what they are planned on."""

from dataclasses import replace

import numpy as np
import pytest

from cinecmr.anatomy import Disease, Structure, View
from cinecmr.geometry import apply_affine
from cinecmr.phantom.atria import AORTA_ANGLE, draw_atria
from cinecmr.phantom.heart import Heart
from cinecmr.phantom.population import draw_heart
from cinecmr.phantom.scanner import Scanner
from cinecmr.phantom.views import LONG_AXIS, Aim, draw_placing, long_axis, replan, short_axis, target

SMALL = (24, 24)


@pytest.fixture(scope="module")
def subject():
    heart = draw_heart(np.random.default_rng(5), Disease.NORMAL)
    return heart, draw_atria(np.random.default_rng(6), heart), draw_placing(np.random.default_rng(7))


def aimed(placing, aim=None):
    return replace(placing, aims=dict.fromkeys(LONG_AXIS, aim or Aim()))


def off_plane(planes, point):
    """Distance of a point in heart coordinates from a plane, mm."""
    return abs((np.asarray(point) - planes.local[:3, 3]) @ planes.normal)


@pytest.mark.parametrize("view", LONG_AXIS)
def test_a_well_aimed_long_axis_plane_holds_apex_mitral_centre_and_its_own_target(subject, view):
    heart, atria, placing = subject
    planes = long_axis(view, heart, atria, Scanner(), aimed(placing), SMALL)
    for point in ([0, 0, 0], [0, 0, heart.lv.length], [*target(view, heart, atria), heart.lv.length]):
        assert off_plane(planes, point) < 1e-9


def test_a_plane_misses_apex_and_mitral_centre_by_its_aim(subject):
    heart, atria, placing = subject
    planes = long_axis(View.LAX_2C, heart, atria, Scanner(), aimed(placing, Aim(apex=3.0, mitral=-2.0)), SMALL)
    assert off_plane(planes, [0, 0, 0]) == pytest.approx(3.0, rel=0.01)
    assert off_plane(planes, [0, 0, heart.lv.length]) == pytest.approx(2.0, rel=0.01)


def test_four_chambers_are_cut_through_both_inflow_valves_and_three_through_the_aortic_root(subject):
    heart, atria, placing = subject
    four, three, two = (
        long_axis(view, heart, atria, Scanner(), placing, SMALL) for view in (View.LAX_4C, View.LAX_3C, View.LAX_2C)
    )
    assert off_plane(four, [*atria.right.centre, heart.rv.base]) < 12
    there = heart.lv.endo - atria.aorta
    root = [there * np.cos(AORTA_ANGLE), there * np.sin(AORTA_ANGLE), heart.lv.length]
    assert off_plane(three, root) < 5
    cut = heart.labels(two.points(0), 0.0)
    assert (cut == Structure.LV).any()
    assert (cut == Structure.RV).sum() <= 0.1 * (cut == Structure.LV).sum()  # clear of the right ventricle


def test_pictures_lie_as_they_are_read(subject):
    """4C: columns to the patient's left, rows to the back; 2C and 3C: columns to the back, rows to the feet."""
    heart, atria, placing = subject
    wanted = {View.LAX_4C: ([-1, 0, 0], [0, -1, 0]), View.LAX_3C: ([0, -1, 0], [0, 0, -1])}
    wanted[View.LAX_2C] = wanted[View.LAX_3C]
    for view, (columns, rows) in wanted.items():
        affine = long_axis(view, heart, atria, Scanner(), placing, SMALL).affine
        x, y = (affine[:3, i] / np.linalg.norm(affine[:3, i]) for i in (0, 1))
        assert x @ columns > 0.6, view
        assert y @ rows > 0.6, view


def test_the_apex_lies_to_the_right_of_a_four_chamber_picture_and_the_right_ventricle_left_of_the_left(subject):
    heart, atria, placing = subject
    planes = long_axis(View.LAX_4C, heart, atria, Scanner(), placing, SMALL)
    back = np.linalg.inv(planes.local)
    apex, base, right = apply_affine(back, np.array([[0, 0, 0], [0, 0, heart.lv.length], [45, -12, 60]], float))
    assert apex[0] > base[0]
    assert right[0] < 0.5 * (apex[0] + base[0])


def test_patient_and_heart_coordinates_of_a_plane_agree(subject):
    heart, atria, placing = subject
    planes = long_axis(View.LAX_4C, heart, atria, Scanner(), placing, SMALL)
    there = apply_affine(placing.to_patient, planes.points(0)[3, 5].astype(float))
    np.testing.assert_allclose(there, apply_affine(planes.affine, np.array([3.0, 5.0, 0.0])), atol=1e-4)


def test_the_stack_covers_the_ventricle_and_is_nearly_at_right_angles_to_its_axis(subject):
    heart, _, placing = subject
    for seed in range(20):
        placing = draw_placing(np.random.default_rng(seed))
        planes = short_axis(heart, Scanner(), placing, np.random.default_rng(0), SMALL)
        heights = sorted(planes.points(z)[12, 12, 2] for z in range(planes.shape[2]))
        assert heights[0] < 4
        assert heights[-1] > heart.lv.length - 2
        assert np.degrees(np.arccos(abs(planes.normal[2]))) < 10


def test_a_breath_hold_moves_the_anatomy_not_the_header():
    heart, placing = Heart(), draw_placing(np.random.default_rng(1))
    planes = short_axis(heart, Scanner(), placing, np.random.default_rng(0), SMALL)
    x, y = (planes.local[:3, i] / np.linalg.norm(planes.local[:3, i]) for i in (0, 1))
    held = apply_affine(planes.local, np.array([4.0, 6.0, 2.0]))
    wanted = held + planes.shifts[2, 0] * x + planes.shifts[2, 1] * y
    np.testing.assert_allclose(planes.points(2)[4, 6], wanted, atol=1e-4)


def test_slices_may_lie_where_they_are_asked_for():
    heart, placing = Heart(), replace(draw_placing(np.random.default_rng(1)), tilt=(0.0, 0.0))
    planes = short_axis(heart, Scanner(), placing, np.random.default_rng(0), SMALL, np.array([70.0, 45.0, 20.0]))
    assert [planes.points(z)[0, 0, 2] for z in range(3)] == pytest.approx([70.0, 45.0, 20.0], abs=1e-3)
    assert planes.slice_at(50.0) == 1


def test_hearts_lie_in_patients_by_a_rotation_and_a_shift():
    for seed in range(20):
        matrix = draw_placing(np.random.default_rng(seed)).to_patient
        np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-9)
        assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)


def test_another_plan_leaves_the_heart_where_it_lies():
    placing = draw_placing(np.random.default_rng(3))
    again = replan(placing.to_patient, np.random.default_rng(4))
    np.testing.assert_array_equal(again.to_patient, placing.to_patient)
    assert again.aims != placing.aims
