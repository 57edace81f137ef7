"""Agreement of numbers, against numbers worked out by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinecmr.evaluate.agreement import (
    agreement,
    bland_altman,
    coefficient_of_variation,
    concordance,
    correlation,
    ef_grade,
    published_ejection_fraction,
    volume_errors,
)
from cinecmr.study import Findings, Measurement

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "cinema"


def test_four_ejection_fractions_give_the_figures_worked_out_by_hand():
    result = agreement([62.0, 48.0, 35.0, 55.0], [60.0, 50.0, 30.0, 55.0])
    differences = [2.0, -2.0, 5.0, 0.0]
    spread = math.sqrt(sum((d - 1.25) ** 2 for d in differences) / 3)
    assert result.abs_error == pytest.approx(2.25)
    assert result.bias == pytest.approx(1.25)
    assert result.limits == pytest.approx((1.25 - 1.96 * spread, 1.25 + 1.96 * spread))
    assert result.worst == 5.0
    assert result.relative_error == pytest.approx(100 * (2 / 60 + 2 / 50 + 5 / 30) / 4)
    assert (result.n, result.missing) == (4, 0)


def test_a_withheld_number_is_counted_and_not_averaged():
    result = agreement([62.0, None, float("nan")], [60.0, 50.0, 55.0])
    assert (result.n, result.missing, result.abs_error) == (1, 2, 2.0)
    assert all(math.isnan(limit) for limit in result.limits)


def test_scaling_all_volumes_changes_errors_but_not_the_coefficient_of_variation():
    rng = np.random.default_rng(0)
    truth = rng.uniform(80, 200, 30)
    found = truth + rng.normal(0, 6, 30)
    litres, millilitres = agreement(list(found / 1000), list(truth / 1000)), agreement(list(found), list(truth))
    assert litres.cv == pytest.approx(millilitres.cv)
    assert litres.abs_error == pytest.approx(millilitres.abs_error / 1000)


def test_the_coefficient_of_variation_is_the_slow_formula():
    a, b = [100.0, 120.0], [110.0, 114.0]
    slow = math.sqrt(sum(((x - y) ** 2 / 2) / ((x + y) / 2) ** 2 for x, y in zip(a, b, strict=True)) / 2)
    assert coefficient_of_variation(a, b) == pytest.approx(100 * slow)


def test_nothing_to_compare_is_an_error():
    with pytest.raises(ValueError, match="no pair in which"):
        agreement([None], [50.0])
    with pytest.raises(ValueError, match="1 found numbers for 2 true ones"):
        agreement([50.0], [50.0, 60.0])


def test_limits_of_agreement_and_their_intervals_are_those_worked_out_by_hand():
    found, truth = [62.0, 48.0, 35.0, 55.0, None], [60.0, 50.0, 30.0, 55.0, 40.0]
    figure = bland_altman(found, truth)
    differences = np.array([2.0, -2.0, 5.0, 0.0])
    np.testing.assert_allclose(figure.differences, differences)
    np.testing.assert_allclose(figure.means, [61.0, 49.0, 32.5, 55.0])
    spread, t = math.sqrt(sum((d - 1.25) ** 2 for d in differences) / 3), 3.18245  # of 3 degrees of freedom
    assert figure.bias.estimate == pytest.approx(1.25)
    assert figure.bias.high - 1.25 == pytest.approx(t * spread / 2, rel=1e-5)
    assert figure.low.estimate == pytest.approx(1.25 - 1.96 * spread)
    assert figure.high.high - figure.high.estimate == pytest.approx(
        t * spread * math.sqrt(1 / 4 + 1.96**2 / 6), rel=1e-5
    )
    with pytest.raises(ValueError, match="three pairs or more, got 2"):
        bland_altman([1.0, 2.0], [1.0, 3.0])


def test_limits_of_agreement_hold_95_of_100_differences():
    rng = np.random.default_rng(1)
    truth = rng.uniform(80, 200, 4000)
    found = truth + rng.normal(3, 6, 4000)
    figure = bland_altman(list(found), list(truth))
    inside = (figure.differences > figure.low.estimate) & (figure.differences < figure.high.estimate)
    assert inside.mean() == pytest.approx(0.95, abs=0.01)
    assert (figure.low.estimate, figure.high.estimate) == pytest.approx((3 - 11.76, 3 + 11.76), abs=0.5)


def test_an_error_that_grows_with_the_heart_shows_as_a_slope():
    """found = 1.1 truth: differences 0.1 truth over means 1.05 truth, a line of slope 2 / 21 without rest."""
    truth = [80.0, 120.0, 150.0, 210.0]
    figure = bland_altman([1.1 * value for value in truth], truth)
    assert figure.slope.estimate == pytest.approx(2 / 21)
    assert figure.slope.width == pytest.approx(0, abs=1e-9)
    same = bland_altman([50.0] * 4, [50.0] * 4)
    assert math.isnan(same.slope.estimate)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_correlation_and_concordance_are_the_slow_formulas(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(50, 10, (2, 9))
    assert correlation(list(a), list(b)) == pytest.approx(np.corrcoef(a, b)[0, 1])
    # Lin's: 1 less the mean squared difference over what it were if the two had nothing to do with each other.
    shuffled = np.mean([(x - y) ** 2 for x in a for y in b])
    assert concordance(list(a), list(b)) == pytest.approx(1 - ((a - b) ** 2).mean() / shuffled)


def test_a_line_that_is_not_the_diagonal_correlates_but_does_not_agree():
    truth = [40.0, 50.0, 60.0, 70.0]
    assert correlation([2 * value for value in truth], truth) == pytest.approx(1)
    assert concordance([2 * value for value in truth], truth) < 0.2
    assert concordance(truth, truth) == pytest.approx(1)
    assert math.isnan(correlation([5.0, 5.0], [1.0, 2.0]))
    assert math.isnan(concordance([5.0, 5.0], [5.0, 5.0]))


def findings(**values):
    return Findings(measurements={name: Measurement(value, "ml", "told", "test") for name, value in values.items()})


def test_volume_errors_of_both_ventricles_count_what_was_withheld():
    truth = [findings(LVEDV=150, LVEF=60, RVEF=50), findings(LVEDV=130, LVEF=55, RVEF=45), findings(LVEDV=120)]
    found = [findings(LVEDV=155, LVEF=58, RVEF=53), findings(LVEDV=127, RVEF=41), findings(LVEDV=121, LVEF=40)]
    told = volume_errors(found, truth)
    assert set(told) == {"LVEDV", "LVEF", "RVEF"}
    assert told["LVEDV"].abs_error == pytest.approx(3.0)
    assert (told["LVEF"].n, told["LVEF"].missing, told["LVEF"].abs_error) == (1, 1, 2.0)
    assert told["RVEF"].bias == pytest.approx(-0.5)
    with pytest.raises(ValueError, match="2 found studies for 3 true ones"):
        volume_errors(found[:2], truth)


def test_ejection_fractions_and_variation_are_those_of_the_published_code():
    told = json.loads((FIXTURES / "scores.json").read_text("utf-8"))
    assert published_ejection_fraction(100.0, 40.0) == told["ef"]
    assert [published_ejection_fraction(*pair) for pair in ((0, 0), (100, 120), (100, -5))] == [0, 0, 100]
    assert {value: ef_grade(float(value)) for value in told["ef_region"]} == told["ef_region"]
    assert coefficient_of_variation(told["cv"]["x"], told["cv"]["y"]) == pytest.approx(100 * told["cv"]["cv"])
