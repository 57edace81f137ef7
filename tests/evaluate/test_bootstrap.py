"""Draws of patients, against slow draws, exact permutations and normal theory."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from cinecmr.evaluate.bootstrap import bootstrap, mean_of_known, paired, published, published_test
from cinecmr.evaluate.diagnosis import roc_auc


def slow_mean(outputs, cases):
    """`mean_of_known` again, so that the general path is taken."""
    return mean_of_known(outputs, cases)


def dice(seeds=3, n=40, seed=0, better=0.0):
    """Scores of several trainings: hard patients are hard for all."""
    rng = np.random.default_rng(seed)
    return np.clip(0.88 + rng.normal(0, 0.05, n) + rng.normal(0, 0.01, (seeds, n)) + better, 0, 1)


def test_means_of_draws_are_those_of_the_slow_draws():
    scores = dice(n=12)
    scores[0, 3], scores[:, 5] = math.inf, math.nan
    patients = [k // 2 for k in range(12)]
    quick, slow = (
        bootstrap(scores, statistic, patients=patients, resamples=150, seed=4)
        for statistic in (mean_of_known, slow_mean)
    )
    assert (quick.interval.low, quick.interval.high) == pytest.approx((slow.interval.low, slow.interval.high))
    assert quick.interval.estimate == pytest.approx(np.mean([np.mean(row[np.isfinite(row)]) for row in scores]))
    other = np.where(np.isfinite(scores), dice(n=12, seed=3), math.nan)
    ours, theirs = (
        paired(scores, other, statistic, patients=patients, resamples=1000) for statistic in (mean_of_known, slow_mean)
    )
    assert ours.p == theirs.p
    assert (ours.difference.low, ours.difference.high) == pytest.approx((theirs.difference.low, theirs.difference.high))


def test_a_method_gains_nothing_by_missing_a_hard_patient():
    other = dice(n=30)
    other[:, 4] = 0.3
    brave = other + 0.001
    shy = np.where(np.arange(30) == 4, math.nan, other - 0.01)
    found = paired(shy, brave)
    assert np.nanmean(shy) > brave.mean()  # a mean of what it found
    assert found.difference.estimate == pytest.approx(-0.011)
    assert found.difference.high == pytest.approx(-0.011)
    assert found.left_out == 3
    assert paired(brave, other).left_out == 0


def test_the_interval_of_a_mean_of_many_patients_is_that_of_normal_theory():
    scores = dice(seeds=1, n=300)[0]
    found = bootstrap(scores, resamples=4000).interval
    half = 1.96 * scores.std(ddof=1) / math.sqrt(300)
    assert (found.low, found.high) == pytest.approx((scores.mean() - half, scores.mean() + half), abs=0.12 * half)


def test_showing_each_patient_three_times_makes_nobody_surer():
    scores = dice(seeds=1, n=25)[0]
    once = bootstrap(scores, seed=2).interval
    thrice = bootstrap(np.repeat(scores, 3), patients=np.repeat(np.arange(25), 3).tolist(), seed=2).interval
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))
    fooled = bootstrap(np.repeat(scores, 3), seed=2).interval
    assert fooled.width < 0.7 * once.width


def test_intervals_hold_the_true_mean_about_as_often_as_they_say():
    rng = np.random.default_rng(3)
    held = []
    for trial in range(120):
        found = bootstrap(rng.exponential(1.0, 40), resamples=300, seed=trial).interval
        held.append(found.low <= 1.0 <= found.high)
    assert 0.86 < np.mean(held) < 0.99


def test_strata_keep_their_number_of_patients_so_that_an_area_is_always_defined():
    rng = np.random.default_rng(0)
    truth = np.array([1] * 3 + [0] * 9)
    scores = truth + rng.normal(0, 1, 12)
    area = lambda p, cases: roc_auc(p, truth[cases])  # noqa: E731
    free = bootstrap(scores, area, resamples=300)
    kept = bootstrap(scores, area, strata=truth.tolist(), resamples=300)
    assert free.undefined > 0
    assert kept.undefined == 0
    assert kept.interval.estimate == roc_auc(scores, truth)
    seen = []
    bootstrap(scores, lambda _, cases: seen.append(int(truth[cases].sum())) or 0.0, strata=truth.tolist(), resamples=50)
    assert set(seen) == {3}


def test_drawing_the_trainings_too_makes_a_wider_interval_where_they_differ():
    scores = np.full((3, 30), 0.9) + np.array([[-0.02], [0.0], [0.02]])
    kept, drawn = bootstrap(scores), bootstrap(scores, draw_seeds=True)
    assert kept.interval.width == pytest.approx(0)
    assert (drawn.interval.low, drawn.interval.high) == pytest.approx((0.88, 0.92))
    assert kept.between_seeds == pytest.approx(0.02)
    assert math.isnan(bootstrap(scores[0]).between_seeds)


def test_p_is_the_share_of_all_ways_to_swap_the_methods():
    ours, theirs = dice(seeds=2, n=9, seed=1, better=0.012), dice(seeds=2, n=9, seed=1)
    theirs = theirs + np.random.default_rng(8).normal(0, 0.02, 9)
    gaps = (ours - theirs).mean(axis=0)
    every = [abs(np.dot(signs, gaps)) for signs in product((-1, 1), repeat=9)]
    exact = np.mean(np.array(every) >= abs(gaps.sum()) - 1e-12)
    found = paired(ours, theirs, resamples=20000)
    assert found.p == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20000))
    assert found.difference.estimate == pytest.approx(gaps.mean())


def test_a_method_compared_with_itself_does_not_differ_and_the_order_turns_the_sign():
    scores = dice()
    same = paired(scores, scores)
    assert (same.difference.estimate, same.p) == (0, 1)
    other = dice(seed=5)
    forth, back = paired(scores, other), paired(other, scores)
    assert forth.difference.estimate == pytest.approx(-back.difference.estimate)
    assert (forth.difference.low, forth.difference.high) == pytest.approx((-back.difference.high, -back.difference.low))
    assert forth.p == pytest.approx(back.p)


def test_without_a_difference_small_p_are_as_rare_as_they_say():
    rng = np.random.default_rng(6)
    ps = [paired(*rng.normal(0, 1, (2, 15)), resamples=1000, seed=k).p for k in range(100)]
    assert np.mean(np.array(ps) < 0.1) == pytest.approx(0.1, abs=0.09)


def test_pairing_sees_a_small_gain_on_patients_that_differ_much():
    found = paired(dice(better=0.01), dice())
    assert found.p < 0.01
    assert found.difference.low > 0
    apart = bootstrap(dice(better=0.01)).interval
    assert apart.low < dice().mean() < apart.high  # the two intervals overlap all the same


def test_areas_of_two_readers_are_compared_by_swapping_patients():
    rng = np.random.default_rng(2)
    truth = np.array([1, 0] * 15)
    good, bad = truth + rng.normal(0, 0.4, 30), rng.normal(0, 1, 30)
    found = paired(good, bad, lambda p, cases: roc_auc(p, truth[cases]), strata=truth.tolist(), resamples=1000)
    assert found.difference.estimate == pytest.approx(roc_auc(good, truth) - roc_auc(bad, truth))
    assert found.p < 0.01
    assert found.text().startswith("+0.")


def test_the_published_interval_is_of_means_over_seeds_of_drawn_cases():
    scores = dice(n=60)
    found = published(scores)
    rng = np.random.default_rng(0)
    counts = rng.multinomial(60, np.full(60, 1 / 60), 100)
    slow = [np.mean([np.average(row, weights=count) for row in scores]) for count in counts]
    assert found.estimate == pytest.approx(np.mean(slow))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(slow, (2.5, 97.5))))


def test_the_published_test_is_a_t_test_of_draws_and_grows_with_their_number():
    ours, theirs = dice(n=60, seed=1), dice(n=60, seed=9)
    draws = [
        scores.mean(axis=0) @ np.random.default_rng(k).multinomial(60, np.full(60, 1 / 60), 100).T / 60
        for k, scores in enumerate((ours, theirs))
    ]
    assert published_test(ours, theirs) == pytest.approx(stats.ttest_ind(*draws).pvalue)
    assert published_test(ours, theirs, resamples=20000) < 1e-6  # though the patients do not tell the methods apart:
    assert paired(ours, theirs).p > 0.05


def test_what_has_no_figure_has_no_interval():
    nothing = bootstrap([math.nan, math.inf])
    assert math.isnan(nothing.interval.estimate)
    assert nothing.undefined == nothing.resamples
    assert math.isnan(paired([math.nan] * 3, [1.0] * 3).p)
    assert paired([math.nan] * 3, [1.0] * 3).text() == "not known"
    assert math.isnan(published([math.nan]).estimate)
    assert math.isnan(published_test([math.nan], [1.0]))


def test_the_seed_decides_the_draws():
    scores = dice()
    assert bootstrap(scores, seed=1) == bootstrap(scores, seed=1)
    assert bootstrap(scores, seed=1) != bootstrap(scores, seed=2)


def test_samples_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="3 patients for 2 cases"):
        bootstrap([0.1, 0.2], patients=["a", "b", "c"])
    with pytest.raises(ValueError, match="has cases in two strata"):
        bootstrap([0.1, 0.2], patients=["a", "a"], strata=["ill", "well"])
    with pytest.raises(ValueError, match="hold some"):
        bootstrap([])
    with pytest.raises(ValueError, match="compare the same cases"):
        paired([0.1, 0.2], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="needs 1000 resamples or more, got 100"):
        paired([0.1, 0.2], [0.1, 0.3], resamples=100)


def test_without_a_difference_the_published_test_cries_wolf_and_the_paired_one_does_not():
    """60 patients, two methods of equal worth that err apart: how often either p falls under 0.05."""
    rng = np.random.default_rng(12)
    wolf, sound = [], []
    for _ in range(60):
        ours, theirs = 0.88 + rng.normal(0, 0.05, (2, 60))
        wolf.append(published_test(ours, theirs) < 0.05)
        sound.append(paired(ours, theirs, resamples=1000).p < 0.05)
    assert np.mean(wolf) > 0.6
    assert np.mean(sound) < 0.15
