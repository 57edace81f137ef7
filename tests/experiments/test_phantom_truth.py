"""Formulas beside measurements: one small heart, and what is said where they differ."""

import json

import numpy as np
import pytest

from cinecmr.anatomy import Disease, Structure
from cinecmr.experiments import phantom_truth
from cinecmr.experiments.phantom_truth import FINE, Differences, agree, exact_faces, geometry, grid
from cinecmr.measure.strain import strain
from cinecmr.phantom.heart import Heart
from cinecmr.phantom.motion import HeartMotion
from cinecmr.phantom.shape import LeftVentricle, Region
from cinecmr.phantom.wall import wall_points


def test_a_heart_measures_as_its_formulas_say(tmp_path):
    lines = list(phantom_truth.run(tmp_path, 1, 9001, 2.1, [Disease.NORMAL]))
    told = json.loads((tmp_path / "truth.json").read_text())
    rows = {figure["name"]: figure for figure in told["figures"]}
    assert set(rows) == set(phantom_truth.UNITS)
    for name in ("EDV", "ESV", "mass", "EF"):
        assert rows[name]["within"], name
    for name in ("GCS", "GLS", "twist", "MAPSE"):
        assert rows[name]["measured"] == pytest.approx(rows[name]["geometry"], abs=1.2)  # the grid is coarse
    assert told["det_f_minus_1"]["normal"] < 1e-9
    assert told["about"]["seed"] == "9001"
    assert (tmp_path / "truth.md").read_text() == "\n".join(lines) + "\n"
    within = sum(row["within"] for row in rows.values())
    assert lines[-1].startswith(f"{within} of {len(rows)} figures agree; det F = 1 within 1e-06 in the wall of 1 of 1")


def test_a_cavity_of_constant_squeeze_has_the_closed_forms():
    lv = LeftVentricle(taper=0.0, squeeze_slope=0.0, squeeze=0.7, shortening=0.85)
    told = geometry(Heart(lv=lv))
    assert told["EF"] == pytest.approx(100 * (1 - 0.85 * 0.7**2), abs=0.3)
    assert told["MAPSE"] == pytest.approx(0.15 * lv.length)
    assert 0.5 * np.degrees(lv.twist) < told["twist"] < np.degrees(lv.twist)


def test_cells_of_the_wall_are_fine_enough_for_the_thickest_apex():
    thick = (Region(theta=0.0, height=0.1, width_theta=50.0, width_height=0.37, amount=0.82),)
    heart = Heart(lv=LeftVentricle(epi=41.0, endo=26.7, length=99.0, squeeze=0.5, squeeze_slope=0.22, thick=thick))
    motion = HeartMotion(heart, np.eye(4))

    def grs(around, along, through):
        wall = wall_points(heart, cells=(around, along, through))
        return strain(motion, wall, [heart.beat.systole]).whole()["GRS"][0]

    around, along, through = FINE
    finest = grs(12, along, 8 * through)  # the same all round, so few cells around the axis do
    assert grs(12, along, 6) < finest - 0.3
    assert grs(12, along, through) == pytest.approx(finest, abs=0.1)
    assert grs(12, 2 * along, through) == pytest.approx(grs(around, along, through), abs=0.1)


def test_what_differs_by_more_than_it_may_is_told():
    assert agree("EDV", 100.0, 100.9)
    assert not agree("EDV", 100.0, 101.1)
    assert agree("GCS", -18.0, -17.75)
    assert not agree("GCS", -18.0, -17.6)


def test_gradients_from_differences_are_those_of_the_map():
    motion = HeartMotion(Heart(), np.eye(4))
    points = np.array([[28.0, 3.0, 50.0], [0.0, -29.0, 40.0], [5.0, 5.0, 45.0]])
    np.testing.assert_allclose(Differences(motion).gradient(points, 0.3), motion.gradient(points, 0.3), atol=1e-5)


def test_faces_drawn_by_the_formulas_move_no_volume():
    heart = Heart()
    points, _ = grid(heart, 2.3)
    drawn = heart.labels(points, 0.0)
    exact = exact_faces(heart, points, drawn)
    for structure in (Structure.LV, Structure.MYO):
        assert (exact == structure).sum() == pytest.approx((drawn == structure).sum(), rel=0.01)
    r = np.hypot(points[..., 0], points[..., 1])
    level = np.abs(points[..., 2] - 60) < 1.2
    endo, epi = heart.lv.reference_radii(np.zeros(1), np.array([[60.0]]))
    muscle = exact == Structure.MYO
    assert r[muscle & level].min() > endo[0, 0] - 1.5
    assert r[muscle & level].max() < epi[0, 0] + 1.5
    np.testing.assert_array_equal(exact == Structure.RV, (drawn == Structure.RV) & ~np.isin(exact, (2, 3)))
