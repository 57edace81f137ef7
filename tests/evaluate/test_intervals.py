"""Intervals and tests, against binomial sums, double loops and the published ablation of CC-CMR."""

import json
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cinecmr.evaluate.diagnosis import Counts
from cinecmr.evaluate.intervals import (
    Interval,
    clopper_pearson,
    delong,
    delong_error,
    delong_test,
    hanley_mcneil_error,
    holds,
    holm,
    mcnemar,
    mcnemar_p,
    unknown,
    wilson,
)

TABLES = Path(__file__).resolve().parents[1] / "fixtures" / "cc_cmr" / "paper_tables.json"
ROWS = json.loads(TABLES.read_text("utf-8"))["rows"]


def told_counts(row) -> Counts:
    told = row["reconstructed"]
    return Counts(told["TP"], told["FN"], told["TN"], told["FP"])


@pytest.mark.parametrize("row", ROWS, ids=[row["row"] for row in ROWS])
def test_the_published_ablation_gets_the_intervals_that_it_should_have_had(row):
    seen = told_counts(row)
    for kind, exact in (("clopper_pearson", True), ("wilson", False)):
        found = seen.intervals(exact=exact)
        for name, limits in row[kind].items():
            assert (found[name].low, found[name].high) == pytest.approx(limits, abs=6e-5)
    for name in ("accuracy", "f1", "sensitivity", "specificity"):
        assert getattr(seen, name) == pytest.approx(row["published"][name]["point"], abs=5.001e-4)
    area = row["published"]["auc"]["point"]
    assert hanley_mcneil_error(area, 37, 33) == pytest.approx(row["hanley_mcneil_auc_se"], abs=6e-5)


def test_three_published_intervals_exclude_the_figure_they_stand_beside():
    wrong = [
        (row["row"].split(",")[0], name)
        for row in ROWS
        for name, one in row["published"].items()
        if not holds(one["point"], *one["ci"], rounding=5e-4)
    ]
    assert wrong == [
        ("4CH cine only", "specificity"),
        ("SAX cine only", "sensitivity"),
        ("4CH+SAX", "sensitivity"),
    ]


def test_published_intervals_of_shares_are_narrower_than_any_right_one():
    """37 patients and 33 controls cannot tell a share to 2 or 3 points."""
    for row in ROWS:
        exact = told_counts(row).intervals()
        for name in ("sensitivity", "specificity"):
            assert row["published"][name]["ci_width"] < 0.75 * exact[name].width


def test_the_gain_of_the_published_alignment_is_three_patients_and_may_be_chance():
    fusion, aligned = told_counts(ROWS[2]), told_counts(ROWS[4])
    assert (aligned.tp + aligned.tn) - (fusion.tp + fusion.tn) == 3
    assert mcnemar_p(3, 0) == 0.25


def test_an_interval_that_excludes_its_own_estimate_is_refused():
    with pytest.raises(ValueError, match=r"0\.813 to 0\.841 excludes its own estimate 0\.784"):
        Interval(0.784, 0.813, 0.841)
    with pytest.raises(ValueError, match="known or not, not in part"):
        Interval(0.5, math.nan, 0.6)
    with pytest.raises(ValueError, match="level is a share"):
        Interval(0.5, 0.4, 0.6, level=95)
    assert unknown().text() == "not known"


def test_an_interval_in_per_cent_is_the_same_interval():
    assert wilson(35, 37).scaled(100).text(1) == "94.6 (82.3 to 98.5)"
    turned = Interval(2.0, 1.0, 4.0).scaled(-1)
    assert (turned.low, turned.estimate, turned.high) == (-4, -2, -1)


@given(st.integers(0, 60), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_exact_limits_leave_half_the_rest_in_each_tail_and_wilsons_solve_the_score_equation(successes, n):
    successes = min(successes, n)
    exact, score = clopper_pearson(successes, n), wilson(successes, n)
    ways = [math.comb(n, k) for k in range(n + 1)]

    def chance(share, counts):
        return sum(ways[k] * share**k * (1 - share) ** (n - k) for k in counts)

    if successes > 0:
        assert chance(exact.low, range(successes, n + 1)) == pytest.approx(0.025, rel=1e-6)
        assert (successes / n - score.low) ** 2 == pytest.approx(
            1.959964**2 * score.low * (1 - score.low) / n, rel=1e-4
        )
    if successes < n:
        assert chance(exact.high, range(successes + 1)) == pytest.approx(0.025, rel=1e-6)
        assert (score.high - successes / n) ** 2 == pytest.approx(
            1.959964**2 * score.high * (1 - score.high) / n, rel=1e-4
        )


@pytest.mark.parametrize("share", [0.03, 0.2, 0.5, 0.81, 0.946])
def test_exact_intervals_of_37_patients_hold_the_true_share_at_least_as_often_as_they_say(share):
    chances = stats.binom.pmf(np.arange(38), 37, share)
    held = [clopper_pearson(k, 37).low <= share <= clopper_pearson(k, 37).high for k in range(38)]
    assert chances[held].sum() >= 0.95


def test_no_subjects_give_no_interval_and_impossible_counts_are_refused():
    assert math.isnan(wilson(0, 0).low)
    assert math.isnan(clopper_pearson(0, 0).high)
    with pytest.raises(ValueError, match="5 of 4 is no share"):
        wilson(5, 4)
    with pytest.raises(ValueError, match="-1 of 4 is no share"):
        clopper_pearson(-1, 4)


def slow_delong(scores, truth):
    """Area and variance from every pair of an ill and a well subject."""
    ill, well = [[s for s, t in zip(scores, truth, strict=True) if t == kind] for kind in (1, 0)]
    win = np.array([[1.0 if i > w else 0.5 if i == w else 0.0 for w in well] for i in ill])
    return win.mean(), win.mean(axis=1).var(ddof=1) / len(ill) + win.mean(axis=0).var(ddof=1) / len(well), win


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(2, 12))
@settings(max_examples=40, deadline=None)
def test_delong_is_the_slow_formula_with_ties_too(seed, ill, well):
    rng = np.random.default_rng(seed)
    truth = rng.permutation([1] * ill + [0] * well)
    scores = rng.integers(0, 6, ill + well) + truth  # few values: many ties
    area, variance, _ = slow_delong(scores, truth)
    found = delong(scores, truth)
    assert found.estimate == pytest.approx(area)
    assert delong_error(scores, truth) == pytest.approx(math.sqrt(variance), abs=1e-12)
    assert 0 <= found.low <= found.high <= 1


def test_the_paired_test_of_two_readers_is_the_slow_formula():
    rng = np.random.default_rng(4)
    truth = np.array([1] * 14 + [0] * 11)
    first = truth + rng.normal(0, 0.8, 25)
    second = 0.6 * first + rng.normal(0, 0.7, 25)
    (area, v1, one), (other_area, v2, other) = slow_delong(first, truth), slow_delong(second, truth)
    shared = np.cov(one.mean(axis=1), other.mean(axis=1))[0, 1] / 14
    shared += np.cov(one.mean(axis=0), other.mean(axis=0))[0, 1] / 11
    z = (area - other_area) / math.sqrt(v1 + v2 - 2 * shared)
    found = delong_test(first, second, truth)
    assert found.difference.estimate == pytest.approx(area - other_area)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(z)))
    assert found.difference.width == pytest.approx(2 * stats.norm.ppf(0.975) * math.sqrt(v1 + v2 - 2 * shared))


def test_a_reader_compared_with_itself_or_with_its_own_logarithm_does_not_differ():
    truth, scores = [1, 1, 0, 0, 1, 0], np.array([0.9, 0.3, 0.4, 0.1, 0.8, 0.2])
    for other in (scores, np.log(scores)):
        found = delong_test(scores, other, truth)
        assert (found.difference.estimate, found.p) == (0.0, 1.0)


def test_perfect_order_leaves_delong_without_uncertainty_and_one_ill_subject_without_an_interval():
    perfect = delong([0.9, 0.8, 0.1, 0.2], [1, 1, 0, 0])
    assert (perfect.low, perfect.high) == (1, 1)
    assert math.isnan(delong([0.9, 0.1, 0.2], [1, 0, 0]).estimate)
    assert math.isnan(delong_error([0.9, 0.1, 0.2], [1, 0, 0]))
    assert math.isnan(delong_test([0.9, 0.1], [0.8, 0.1], [1, 0]).p)
    assert math.isnan(delong_test([0.9, 0.8, 0.1, 0.2], [0.1, 0.2, 0.9, 0.8], [1, 1, 0, 0]).p)


def test_scores_that_are_missing_or_truths_that_are_no_truths_are_refused():
    with pytest.raises(ValueError, match="scores must be finite"):
        delong([0.9, math.nan, 0.1], [1, 1, 0])
    with pytest.raises(ValueError, match="truth is whether the disease is there"):
        delong([0.9, 0.1], [2, 0])
    with pytest.raises(ValueError, match="scores for"):
        delong([0.9, 0.1], [1, 0, 0])


def test_delong_intervals_of_normal_scores_hold_the_true_area_about_as_often_as_they_say():
    """400 samples of 20 and 20; the true area of a shift by 1 SD is Phi(1 / sqrt 2)."""
    rng = np.random.default_rng(0)
    truth, area = np.repeat([1, 0], 20), stats.norm.cdf(1 / math.sqrt(2))
    found = [delong(rng.normal(0, 1, 40) + truth, truth) for _ in range(400)]
    held = np.mean([one.low <= area <= one.high for one in found])
    assert 0.92 < held < 0.98


@given(st.integers(0, 25), st.integers(0, 25))
@settings(max_examples=60, deadline=None)
def test_mcnemar_is_the_exact_binomial_test_of_those_on_whom_readers_differ(one, other):
    wanted = stats.binomtest(one, one + other).pvalue if one + other else 1.0
    assert mcnemar_p(one, other) == pytest.approx(wanted)


def test_mcnemar_counts_only_subjects_on_whom_readers_differ():
    found = mcnemar([1, 1, 0, 0, 1], [1, 0, 0, 1, 0])
    assert (found.only_first, found.only_second) == (2, 1)
    with pytest.raises(ValueError, match="compare the same"):
        mcnemar([1, 0], [1])


def test_holm_rejects_what_the_step_by_step_rule_rejects():
    p = np.random.default_rng(1).uniform(0, 0.12, 7)
    for level in (0.01, 0.05, 0.2):
        rejected = set()
        for step, index in enumerate(np.argsort(p)):
            if p[index] > level / (7 - step):
                break
            rejected.add(int(index))
        assert set(np.flatnonzero(holm(p) <= level).tolist()) == rejected
    assert np.isnan(holm([0.01, math.nan])[1])
    assert holm([0.01, math.nan])[0] == pytest.approx(0.01)
    assert all(a <= b for a, b in combinations(holm(np.sort(p)), 2))
