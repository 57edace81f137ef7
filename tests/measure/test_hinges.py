"""Hinges and apex from labels, against the landmarks of synthetic hearts and drawings of known corners."""

import numpy as np
import pytest

from cinecmr.anatomy import Landmark, Structure, View
from cinecmr.measure import long_axis
from cinecmr.measure.hinges import POINTS, lateral_end, marks_from_labels, mitral_ends, settled, valve_ends

TWO, FOUR = View.LAX_2C, View.LAX_4C


def read(beating, atria=True):
    """Landmarks of both views from labels, with or without drawn atria."""
    found = {}
    for view, (labels, affine) in beating.seen.items():
        shown = labels if atria else np.where(labels >= Structure.LA, 0, labels).astype(np.uint8)
        found |= marks_from_labels(shown, affine, view)
    return found


def test_hinges_from_labels_lie_within_a_pixel_and_a_half_of_the_marked_ones(beating):
    pixel = np.linalg.norm(beating.seen[FOUR][1][:3, 0])
    found = read(beating)
    assert found.keys() == {name for names in POINTS.values() for name in names}
    for name, points in found.items():
        off = np.linalg.norm(points - beating.marks[name], axis=1)
        assert off.mean() < (2.5 if "apex" in name.value else 1.5) * pixel, name
        assert off.max() < 3 * pixel, name


def test_function_from_labels_is_that_of_the_marked_landmarks(beating):
    found = read(beating)
    for es in range(1, 4):
        for measure, near in ((long_axis.mapse, 1.0), (long_axis.gl_shortening, 2.0)):
            assert measure(found, 0, es) == pytest.approx(measure(beating.marks, 0, es), abs=near)


def test_labels_without_atria_give_the_same_hinges(beating):
    with_atria, without = read(beating), read(beating, atria=False)
    for name, points in with_atria.items():
        np.testing.assert_array_equal(points, without[name])


def test_where_ventricle_and_atrium_touch_their_valve_is_hinged(beating):
    for view, (labels, affine) in beating.seen.items():
        marked = np.stack([beating.marks[name] for name in POINTS[view][:2]], axis=1)
        for both, true in zip(valve_ends(labels, affine), marked, strict=True):
            off = min(np.linalg.norm(order - true, axis=1).max() for order in (both, both[::-1]))
            assert off < 1.5 * np.linalg.norm(affine[:3, 0])


def cup():
    """A cavity 10 wide and 12 high, open at the top, in a wall 2 thick, a right ventricle at lower x; (x, y)."""
    plane = np.zeros((40, 40), np.uint8)
    plane[13:27, 8:22] = Structure.MYO
    plane[15:25, 10:22] = Structure.LV
    plane[5:12, 10:22] = Structure.RV
    return plane[:, :, None, None]


def test_the_opening_of_a_cup_ends_at_its_rims():
    affine = np.diag([2.0, 2.0, 8.0, 1.0])
    ends = mitral_ends(cup(), affine)[0]
    np.testing.assert_allclose(ends[ends[:, 0].argsort()], [[30.0, 43.0, 0.0], [48.0, 43.0, 0.0]])
    marks = marks_from_labels(cup(), affine, FOUR)
    np.testing.assert_allclose(marks[Landmark.MITRAL_4C_SEPTAL], [[30.0, 43.0, 0.0]])
    np.testing.assert_allclose(marks[Landmark.MITRAL_4C_LATERAL], [[48.0, 43.0, 0.0]])
    assert marks[Landmark.APEX_4C][0, 1] == 20.0
    in_two = marks_from_labels(cup(), np.diag([-2.0, -2.0, 8.0, 1.0])[[1, 0, 2, 3]], TWO)
    assert in_two[Landmark.MITRAL_2C_ANTERIOR][0, 1] > in_two[Landmark.MITRAL_2C_INFERIOR][0, 1]


def test_a_hole_in_the_wall_is_not_taken_for_the_valve():
    holed = cup()
    holed[13:15, 14:16] = 0
    np.testing.assert_array_equal(mitral_ends(holed, np.eye(4)), mitral_ends(cup(), np.eye(4)))


def test_a_cavity_that_closes_in_systole_keeps_its_apex():
    closed = cup()
    closed[15:25, 10:16] = Structure.MYO
    both = np.concatenate([cup(), closed], axis=3)
    apex = marks_from_labels(both, np.eye(4), FOUR)[Landmark.APEX_4C]
    np.testing.assert_array_equal(apex[0], apex[1])
    assert apex[1, 1] == 10


def test_frames_without_a_ventricle_or_an_atrium_have_no_points():
    empty = np.concatenate([cup(), cup() * 0], axis=3)
    marks = marks_from_labels(empty, np.eye(4), FOUR)
    for points in marks.values():
        assert np.isfinite(points[0]).all()
        assert np.isnan(points[1]).all()
    assert np.isnan(valve_ends(cup(), np.eye(4))).all()
    assert np.isnan(lateral_end(valve_ends(cup(), np.eye(4)), cup(), np.eye(4))).all()


def test_without_a_right_ventricle_the_septum_is_unknown_in_the_four_chamber_view():
    alone = np.where(cup() == Structure.RV, 0, cup()).astype(np.uint8)
    assert np.isnan(marks_from_labels(alone, np.eye(4), FOUR)[Landmark.MITRAL_4C_SEPTAL]).all()
    assert np.isfinite(marks_from_labels(alone, np.eye(4), TWO)[Landmark.APEX_2C]).all()


def test_other_views_and_stacks_are_refused():
    with pytest.raises(ValueError, match="from the two- and the four-chamber view, not from LAX_3C"):
        marks_from_labels(cup(), np.eye(4), View.LAX_3C)
    for read_ends in (mitral_ends, valve_ends):
        with pytest.raises(ValueError, match=r"long-axis image must be \(x, y, 1, t\)"):
            read_ends(np.repeat(cup(), 2, axis=2), np.eye(4))


def test_a_point_that_leaps_or_is_lost_for_a_frame_is_bridged_and_a_fast_one_is_kept():
    time = np.arange(12) / 12
    down = 22 * np.clip(np.sin(np.pi * time / 0.7), 0, None) ** 2
    points = np.stack([0 * down, 0.3 * down, 50 - down], axis=1)
    np.testing.assert_allclose(settled(points), points)
    wrong = points.copy()
    wrong[7] += 40.0
    wrong[10] = np.nan
    found = settled(wrong)
    np.testing.assert_allclose(found[7], (points[6] + points[8]) / 2)
    np.testing.assert_allclose(found[10], (points[9] + points[11]) / 2)
    kept = np.delete(np.arange(12), [7, 10])
    np.testing.assert_allclose(found[kept], points[kept])
    assert np.isnan(settled(np.full((12, 3), np.nan))).all()
