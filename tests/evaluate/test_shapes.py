"""Ratios of drawn hearts against closed forms, and against the script that defines them where it is there."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from cinecmr.anatomy import Structure
from cinecmr.evaluate.shapes import describe, describe_beat, roundness, solidity

SCRIPT = Path(__file__).resolve().parents[3] / "shared" / "checks" / "shape_statistics.py"


def drawn(lv=(24, 24, 20, 20, 16, 16), wall=12.0, rv=(20, 20, 20, 20, 0, 0), size=176):
    """A stack of discs: LV at the centre, MYO around it, RV apart; radii in pixels, slices from base to apex."""
    x, y = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    stack = np.zeros((size, size, len(lv)), np.uint8)
    for z, (inner, right) in enumerate(zip(lv, rv, strict=True)):
        stack[np.hypot(x - 142, y - 88) < right, z] = Structure.RV
        stack[np.hypot(x - 80, y - 88) < inner + wall * (inner > 0), z] = Structure.MYO
        stack[np.hypot(x - 80, y - 88) < inner, z] = Structure.LV
    return stack


def test_discs_have_the_ratios_of_their_radii():
    row = describe(drawn())
    assert row["rv_lv_base"] == pytest.approx((20 / 24) ** 2, rel=0.03)
    assert row["rv_lv_mid"] == pytest.approx(1, rel=0.03)
    assert row["rv_lv_apex"] == 0
    assert row["myo_lv_base"] == pytest.approx((36**2 - 24**2) / 24**2, rel=0.03)
    assert row["myo_lv_apex"] == pytest.approx((28**2 - 16**2) / 16**2, rel=0.03)
    assert row["rv_distance"] == pytest.approx((62 / 36 + 62 / 36 + 62 / 32 + 62 / 32) / 4, rel=0.02)
    assert row["rv_lv"] == pytest.approx(4 * 20**2 / (2 * (24**2 + 20**2 + 16**2)), rel=0.03)
    assert row["myo_lv"] == pytest.approx((36**2 + 32**2 + 28**2) / (24**2 + 20**2 + 16**2) - 1, rel=0.03)
    assert row["lv_roundness"] == pytest.approx(1, abs=0.06)
    assert (row["labelled"], row["rv_only"], row["ring_open_base"]) == (1, 0, 0)
    assert row["no_rv"] == pytest.approx(2 / 6)


def test_a_heart_stored_apex_first_has_the_same_shape():
    stack = drawn()
    assert describe(stack[..., ::-1]) == pytest.approx(describe(stack), nan_ok=True)


def test_slices_beyond_the_ventricle_count_as_they_are():
    empty, rv_alone = np.zeros((176, 176, 1), np.uint8), drawn(lv=(0,), rv=(20,))
    row = describe(np.concatenate([rv_alone, drawn(), empty, empty], axis=2))
    assert row["labelled"] == pytest.approx(7 / 9)
    assert row["rv_only"] == pytest.approx(1 / 7)
    assert row["no_rv"] == pytest.approx(2 / 7)


def test_a_ring_that_lacks_a_quarter_is_open_by_a_quarter():
    stack = drawn()
    x, y = np.meshgrid(np.arange(176), np.arange(176), indexing="ij")
    gap = (x - 80 < y - 88) & (x - 80 < 88 - y)  # a right angle seen from the centre
    stack[gap & (stack[..., 0] == Structure.MYO), 0] = 0
    assert describe(stack)["ring_open_base"] == pytest.approx(0.25, abs=1.5 / 72)


def test_a_full_moon_is_solid_and_a_crescent_is_not():
    x, y = np.meshgrid(np.arange(176), np.arange(176), indexing="ij")
    moon, bite = np.hypot(x - 80, y - 88) < 60, np.hypot(x - 140, y - 88) < 60
    # Two circles of radius r, r apart, share r^2 (2 pi / 3 - sqrt(3) / 2); the hull of what is left of the first is
    # the first up to the chord x = r / 2, where both circles meet.
    share = 60**2 * (2 * np.pi / 3 - np.sqrt(3) / 2)
    left, hull = np.pi * 60**2 - share, 60**2 * (np.pi - (np.pi / 3 - np.sqrt(3) / 4))
    assert solidity(moon) == pytest.approx(1, abs=0.03)
    assert solidity(moon & ~bite) == pytest.approx(left / hull, abs=0.03)


def test_a_long_rectangle_is_not_round():
    region = np.zeros((80, 80), bool)
    region[10:70, 20:30] = True
    assert roundness(region) == pytest.approx(4 * np.pi * 600 / ((2 * (60 + 10) - 4) * 1.12) ** 2)


def test_what_is_too_small_to_have_a_shape_has_none():
    assert describe(drawn(lv=(9, 9), rv=(5, 5))) == {}
    dot = np.zeros((9, 9), bool)
    dot[4, 4] = True
    assert np.isnan(roundness(dot))
    line = np.zeros((40, 40), bool)
    line[5, 2:38] = True
    assert np.isnan(solidity(line))
    assert np.isnan(describe(drawn(rv=(0,) * 6))["rv_solidity"])


def test_a_film_is_not_a_stack():
    with pytest.raises(ValueError, match="one stack"):
        describe(np.zeros((4, 4, 4, 2), np.uint8))


def test_the_beat_tells_what_became_of_the_volumes():
    ed, es = drawn(), drawn(lv=(12, 12, 10, 10, 8, 8), wall=18.0, rv=(10, 10, 10, 10, 0, 0))
    first, second = describe_beat(ed, es)
    assert "ef_lv" not in first
    assert second["ef_lv"] == pytest.approx(1 - (es == 3).sum() / (ed == 3).sum())
    assert second["ef_lv"] == pytest.approx(0.75, abs=0.02)
    assert second["ef_rv"] == pytest.approx(0.75, abs=0.02)
    assert second["myo_es_ed"] == pytest.approx((es == 2).sum() / (ed == 2).sum())
    assert np.isnan(describe_beat(drawn(rv=(0,) * 6), es)[1]["ef_rv"])


@pytest.mark.skipif(not SCRIPT.is_file(), reason="the script that defines the ratios is not beside this checkout")
def test_every_ratio_is_that_of_the_script_that_defines_it():
    spec = importlib.util.spec_from_file_location("shape_statistics", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    rng = np.random.default_rng(3)
    for _ in range(4):
        lv = np.sort(rng.uniform(10, 28, 7))[::-1]
        rv = np.append(rng.uniform(12, 22, 5), [0, 0])
        stack = drawn(tuple(lv), rng.uniform(6, 16), tuple(rv))
        stack[:, 85:91, 0] = 0  # opens the ring
        ours, theirs = describe(stack), script.describe(stack)
        assert theirs.keys() == ours.keys() - {"rv_lv", "myo_lv"}
        for name, value in theirs.items():  # the script jitters the hull's points by a thousandth of a pixel
            assert ours[name] == pytest.approx(value, rel=1e-3 if name == "rv_solidity" else 1e-9), name
