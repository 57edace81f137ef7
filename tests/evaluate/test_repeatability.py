"""Repeated readings, against tables in print, variance components and simulations of known ones."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinecmr.evaluate.agreement import coefficient_of_variation
from cinecmr.evaluate.repeatability import repeatability

# Six people, four judges: Shrout and Fleiss, Psychol Bull 1979;86:420, table 2.
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def test_the_table_of_shrout_and_fleiss_gives_the_coefficients_in_print():
    told = repeatability(JUDGES)
    assert told.icc.estimate == pytest.approx(0.29, abs=0.005)
    assert told.icc_consistency.estimate == pytest.approx(0.71, abs=0.005)
    assert (told.icc.low, told.icc.high) == pytest.approx((0.019, 0.761), abs=0.005)
    assert (told.icc_consistency.low, told.icc_consistency.high) == pytest.approx((0.342, 0.946), abs=0.005)
    assert (told.n, told.readings, told.missing) == (6, 4, 0)


def visits(n=3000, within=2.0, between=8.0, shift=0.0, seed=0):
    rng = np.random.default_rng(seed)
    people = rng.normal(60, between, (n, 1))
    return people + rng.normal(0, within, (n, 2)) + np.array([0.0, shift])


def test_known_variances_are_found_again():
    told = repeatability(visits(), level=0.999)
    assert told.within_sd == pytest.approx(2.0, rel=0.04)
    assert told.repeatability == pytest.approx(1.96 * math.sqrt(2) * 2.0, rel=0.04)
    for icc in (told.icc, told.icc_consistency):
        assert icc.low < 64 / 68 < icc.high
        assert icc.width < 0.03


def test_a_scanner_that_shifts_all_volumes_disagrees_and_yet_is_consistent():
    told = repeatability(visits(shift=6.0))
    assert told.bias == pytest.approx(6.0, abs=0.2)
    assert told.icc_consistency.estimate == pytest.approx(64 / 68, abs=0.01)
    assert told.icc.estimate == pytest.approx(64 / (68 + 18), abs=0.02)  # 6 apart: a variance of 18


def test_repeatability_holds_95_of_100_differences():
    pairs = visits(n=4000)
    told = repeatability(pairs)
    assert (np.abs(pairs[:, 1] - pairs[:, 0]) < told.repeatability).mean() == pytest.approx(0.95, abs=0.012)


def test_within_person_spread_and_variation_of_pairs_are_the_slow_formulas():
    pairs = visits(n=7).tolist()
    told = repeatability(pairs)
    assert told.within_sd == pytest.approx(math.sqrt(sum((a - b) ** 2 / 2 for a, b in pairs) / 7))
    assert told.cv == pytest.approx(coefficient_of_variation([a for a, _ in pairs], [b for _, b in pairs]))


@given(st.integers(0, 2**32 - 1), st.integers(3, 12), st.integers(2, 4))
@settings(max_examples=60, deadline=None)
def test_every_interval_holds_its_coefficient_whatever_the_readings(seed, n, k):
    rng = np.random.default_rng(seed)
    table = rng.normal(0, rng.uniform(0, 3), (n, 1)) + rng.normal(0, 1, (n, k)) + rng.normal(0, 2, (1, k))
    told = repeatability(table)
    # Means of products of two readings of one person, over all pairs: consistency by variance components.
    rows, columns = table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
    rest = ((table - rows - columns + table.mean()) ** 2).sum() / ((n - 1) * (k - 1))
    people = rows.var(ddof=1) - rest / k
    judges = columns.var(ddof=1) - rest / n
    assert told.icc_consistency.estimate == pytest.approx(people / (people + rest))
    agreement = people / (people + judges + rest)
    if math.isnan(told.icc.estimate):
        assert agreement < 0.05  # said to be unknown only near no agreement, where its interval is not one
    else:
        assert told.icc.estimate == pytest.approx(agreement)


def test_readings_that_repeat_exactly_have_coefficient_1_and_people_who_are_all_alike_have_none():
    same = repeatability([[50.0, 50.0], [60.0, 60.0], [70.0, 70.0]])
    assert (same.icc.estimate, same.icc_consistency.estimate, same.within_sd, same.cv) == (1, 1, 0, 0)
    alike = repeatability([[50.0, 50.0]] * 3)
    assert math.isnan(alike.icc.estimate)
    assert math.isnan(alike.icc_consistency.estimate)


def test_people_without_a_second_visit_are_counted_and_left_out():
    told = repeatability([[50.0, 52.0], [60.0, math.nan], [70.0, 69.0], [55.0, 54.0]])
    assert (told.n, told.missing) == (3, 1)
    with pytest.raises(ValueError, match="1 people have all 2 readings"):
        repeatability([[50.0, 52.0], [60.0, math.nan]])
    with pytest.raises(ValueError, match="readings must be"):
        repeatability([50.0, 52.0])
