"""Agreement of numbers, against numbers worked out by hand."""

import math

import numpy as np
import pytest

from cinecmr.evaluate.agreement import agreement, coefficient_of_variation


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
