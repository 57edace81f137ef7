"""Long-axis function, against rigid motions, ellipsoids and the phantom's closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinecmr.anatomy import Landmark, Structure, View
from cinecmr.measure import long_axis as la
from cinecmr.measure.hinges import lateral_end, valve_ends

TWO, FOUR = View.LAX_2C, View.LAX_4C


def turned(rng):
    """A random rotation and shift of the patient: (3, 3) and (3,)."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.diag(r)), rng.normal(0, 50, 3)


def marks_of(down, sideways=0.0, apex_up=0.0, seed=0):
    """A ventricle 90 mm long whose hinges come down (t,) mm, in a patient who lies anyhow."""
    turn, shift = turned(np.random.default_rng(seed))
    down = np.asarray(down, float)
    found = {}
    for view, across in ((TWO, (0.0, 1.0)), (FOUR, (1.0, 0.0))):
        for name, side in zip(la.POINTS[view][:2], (1, -1), strict=True):
            x, y = (side * 15 * one + sideways * (down > 0) for one in across)
            found[name] = np.column_stack([np.broadcast_to(x, down.shape), np.broadcast_to(y, down.shape), 90 - down])
        found[la.POINTS[view][2]] = np.column_stack([0 * down, 0 * down, apex_up * (down > 0)])
    return {name: points @ turn.T + shift for name, points in found.items()}


@given(st.lists(st.floats(-5, 20), min_size=1, max_size=5), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_hinges_that_come_down_are_measured_in_every_position_of_the_patient(down, seed):
    down = [0.0, *down]
    marks = marks_of(down, seed=seed)
    for es in range(len(down)):
        assert la.mapse(marks, 0, es) == pytest.approx(down[es], abs=1e-9)
        assert la.gl_shortening(marks, 0, es) == pytest.approx(100 * down[es] / 90, abs=1e-9)
    np.testing.assert_allclose(la.descent(marks[la.POINTS[TWO][0]], la.long_axis(marks, 0), 0), down, atol=1e-9)
    np.testing.assert_allclose(la.lengths(marks, FOUR), 90 - np.array(down))


def test_a_hinge_that_swings_sideways_has_not_come_down_though_tables_in_print_count_it():
    marks = marks_of([0.0, 8.0], sideways=6.0)
    assert la.mapse(marks, 0, 1) == pytest.approx(8.0)
    assert la.published_mapse(marks, FOUR, 0, 1) == pytest.approx(np.sqrt(8**2 + 6**2 + 6**2))
    straight = marks_of([0.0, 8.0])
    assert la.published_mapse(straight, TWO, 0, 1) == pytest.approx(8.0)


def test_a_ventricle_that_lengthens_in_systole_shortens_by_less_than_nothing_but_not_in_print():
    marks = marks_of([0.0, -9.0])
    assert la.gl_shortening(marks, 0, 1) == pytest.approx(-10.0)
    assert la.published_gl_shortening(marks, FOUR, 0, 1) == pytest.approx(100 * 9 / 99)
    drawn_up = marks_of([0.0, 9.0], apex_up=4.5)
    assert la.gl_shortening(drawn_up, 0, 1) == pytest.approx(15.0)
    assert la.published_gl_shortening(drawn_up, FOUR, 0, 1) == pytest.approx(15.0)


def test_one_view_is_enough_and_none_is_refused():
    marks = marks_of([0.0, 8.0])
    only = {name: marks[name] for name in la.POINTS[FOUR]}
    assert la.marked_views(only) == (FOUR,)
    assert la.mapse(only, 0, 1) == pytest.approx(8.0)
    with pytest.raises(ValueError, match="LAX_2C has no mitral_2c_anterior"):
        la.lengths(only, TWO)
    with pytest.raises(ValueError, match="SAX has no mitral hinges"):
        la.lengths(only, View.SAX)
    with pytest.raises(ValueError, match="no long-axis view has both mitral hinges"):
        la.mapse({Landmark.APEX_2C: np.zeros((2, 3))}, 0, 1)


def test_measurements_say_from_which_views_and_leave_out_what_was_not_marked():
    marks, cycle = marks_of([0.0, 8.0, 3.0]), {"LV_ED": 0, "LV_ES": 1}
    told = la.measurements(marks, cycle, "test")
    assert (told["MAPSE"].value, told["gl_shortening"].value) == pytest.approx((8.0, 100 * 8 / 90))
    assert "mean of 4 mitral hinges" in told["MAPSE"].method
    assert told["gl_shortening"].frame == 1
    assert la.measurements(marks, {"LV_ED": 0}, "test") == {}
    assert la.measurements({}, cycle, "test") == {}
    lateral = marks[Landmark.MITRAL_4C_LATERAL]  # stands in for the tricuspid one: it comes down alike
    right = la.measurements(marks, cycle | {"RV_ED": 0, "RV_ES": 2}, "test", lateral)["TAPSE"]
    assert (right.value, right.unit, right.frame) == (pytest.approx(3.0), "mm", 2)
    assert "TAPSE" not in la.measurements(marks, cycle, "test", lateral)
    gap = {name: np.where(np.arange(3)[:, None] == 1, np.nan, points) for name, points in marks.items()}
    assert la.measurements(gap, cycle, "test") == {}


def test_the_phantoms_long_axis_function_is_its_closed_form(beating):
    heart, moments, marks = beating.heart, beating.moments, beating.marks
    for frame, surfaces in enumerate(moments):
        assert la.mapse(marks, 0, frame) == pytest.approx(heart.lv.length - surfaces.base, abs=0.4)
        shortened = 100 * (1 - heart.lv.length_factor(surfaces.activation))
        assert la.gl_shortening(marks, 0, frame) == pytest.approx(shortened, abs=0.4)


def test_the_lateral_tricuspid_hinge_comes_down_with_the_phantoms_valve(beating):
    heart, moments = beating.heart, beating.moments
    labels, affine = beating.seen[FOUR]
    lateral = lateral_end(valve_ends(labels, affine, Structure.RV, Structure.RA), labels, affine)
    axis = beating.axis
    for frame, surfaces in enumerate(moments):
        true = float(heart.rv.base - surfaces.rv_top)
        assert la.tapse(lateral, axis, 0, frame) == pytest.approx(true, abs=1.2 * np.linalg.norm(affine[:3, 0]))


def test_atrial_volumes_by_area_and_length_are_within_three_tenths_though_no_atrium_is_an_ellipsoid(beating):
    shown = {view: la.outline(*data, Structure.LA, valve_ends(*data)) for view, data in beating.seen.items()}
    curve = la.atrial_curve(shown[TWO], shown[FOUR])
    true = np.array([row[Structure.LA] for row in beating.atria_ml])
    np.testing.assert_allclose(curve, true, rtol=0.3)
    assert curve.argmax() == true.argmax()


def test_the_right_atrium_from_one_plane_comes_out_too_small(beating):
    labels, affine = beating.seen[FOUR]
    ends = valve_ends(labels, affine, Structure.RV, Structure.RA)
    shares = la.atrial_curve(None, la.outline(labels, affine, Structure.RA, ends))
    shares = shares / np.array([row[Structure.RA] for row in beating.atria_ml])
    assert (shares < 0.9).all()
    assert (shares > 0.65).all()


def ellipse(half_width, half_length, size=80, spacing=1.0, seed=1):
    """An atrium that is an ellipse upon a ventricle, in an oblique plane; the valve lies at its lower pole."""
    x, y = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    x, y = (x - size / 2) * spacing, (y - size / 2) * spacing
    labels = np.where(y < -half_length, Structure.LV, 0).astype(np.uint8)
    labels[(x / half_width) ** 2 + (y / half_length) ** 2 <= 1] = Structure.LA
    turn, shift = turned(np.random.default_rng(seed))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * spacing, shift
    pole = turn @ (np.array([size / 2, size / 2 - half_length / spacing, 0]) * spacing) + shift
    ends = pole + np.outer([-1, 1], turn @ [8.0, 0, 0])
    return labels[:, :, None, None], affine, ends[None]


def test_area_and_length_of_an_ellipse_in_an_oblique_plane():
    labels, affine, ends = ellipse(17.0, 25.0)
    shown = la.outline(labels, affine, Structure.LA, ends)
    assert shown.area[0] == pytest.approx(np.pi * 17 * 25, rel=0.01)
    assert shown.length[0] == pytest.approx(50.0, abs=1.0)


def test_an_ellipsoid_seen_in_two_views_with_other_frames_has_its_own_volume():
    wide, narrow = ellipse(20.0, 25.0), ellipse(14.0, 25.0, seed=4)
    two = la.outline(np.repeat(wide[0], 3, axis=3), wide[1], Structure.LA, np.repeat(wide[2], 3, axis=0))
    four = la.outline(np.repeat(narrow[0], 5, axis=3), narrow[1], Structure.LA, np.repeat(narrow[2], 5, axis=0))
    curve = la.atrial_curve(two, four)
    assert curve.shape == (5,)
    np.testing.assert_allclose(curve, 4 / 3 * np.pi * 20 * 14 * 25 / 1000, rtol=0.03)
    round_one = la.outline(wide[0], wide[1], Structure.LA, wide[2])
    assert la.atrial_curve(None, round_one)[0] == pytest.approx(4 / 3 * np.pi * 20 * 20 * 25 / 1000, rel=0.03)


@given(st.floats(5, 40), st.floats(5, 40), st.floats(5, 40))
@settings(max_examples=30, deadline=None)
def test_two_areas_and_a_length_are_exact_for_an_ellipsoid(a, b, c):
    volume = la.area_length_volume(np.pi * a * c, np.pi * b * c, 2 * c)
    assert float(volume) == pytest.approx(4 / 3 * np.pi * a * b * c / 1000)


def test_frames_that_interpolate_between_views_stay_between_their_volumes():
    """The two-chamber view has two frames, the four-chamber view four: the odd ones lie half way, the last too."""
    area = np.array([1000.0, 2000.0])
    four = la.Outline(np.full(4, 1500.0), np.full(4, 50.0))
    curve = la.atrial_curve(la.Outline(area, np.array([60.0, 60.0])), four)
    np.testing.assert_allclose(curve / la.area_length_volume(1500.0, 1000.0, 50.0), [1, 1.5, 2, 1.5])


def test_an_atrium_without_a_valve_has_no_length_and_an_empty_one_no_area():
    labels, affine, ends = ellipse(17.0, 25.0)
    assert np.isnan(la.outline(labels, affine, Structure.LA, ends * np.nan).length[0])
    nothing = la.outline(labels * 0, affine, Structure.LA, ends)
    assert (nothing.area[0], np.isnan(nothing.length[0])) == (0, True)


def test_atrial_measurements_are_those_of_the_curve():
    told = la.atrial_measurements("LA", np.array([40.0, 80.0, np.nan, 60.0]), "test", "two- and four-chamber view")
    assert (told["LAVmax"].value, told["LAVmin"].value, told["LAEF"].value) == (80.0, 40.0, 50.0)
    assert (told["LAVmax"].frame, told["LAVmin"].frame) == (1, 0)
    assert la.atrial_measurements("LA", np.array([np.nan, 80.0]), "test", "") == {}
    assert la.atrial_measurements("RA", np.zeros(3), "test", "") == {}


def test_stacks_and_other_frames_are_refused():
    labels, affine, ends = ellipse(17.0, 25.0)
    with pytest.raises(ValueError, match=r"long-axis image must be \(x, y, 1, t\)"):
        la.outline(np.repeat(labels, 2, axis=2), affine, Structure.LA, ends)
    with pytest.raises(ValueError, match=r"ends of a valve must be \(1, 2, 3\)"):
        la.outline(labels, affine, Structure.LA, np.repeat(ends, 2, axis=0))


def test_an_atrium_that_lies_away_from_its_valve_does_not_begin_there():
    labels = np.zeros((60, 60, 1, 3), np.uint8)
    labels[20:40, 30:50, 0, 0] = Structure.LA
    labels[20:40, 38:58, 0, 1] = Structure.LA  # 8 pixels of 2 mm above its valve
    ends = np.tile(np.array([[40.0, 58.0, 0.0], [80.0, 58.0, 0.0]]), (3, 1, 1))
    seen = la.begins_at_valve(labels, np.diag([2.0, 2.0, 8.0, 1.0]), Structure.LA, ends)
    assert seen.tolist() == [True, False, False]
    ends[0, 0] = np.nan
    assert not la.begins_at_valve(labels, np.diag([2.0, 2.0, 8.0, 1.0]), Structure.LA, ends).any()
