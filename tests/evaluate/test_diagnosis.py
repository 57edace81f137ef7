"""Scores of diagnoses, against double loops, counts by hand and the fixtures of CineMA."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinecmr.evaluate import diagnosis as d

CINEMA = Path(__file__).resolve().parents[1] / "fixtures" / "cinema" / "scores.json"
TOLD = json.loads(CINEMA.read_text("utf-8"))

labels = st.integers(0, 2**32 - 1)


def sample(seed, n=25, ties=8):
    """Scores with ties, and a truth of both kinds."""
    rng = np.random.default_rng(seed)
    truth = np.append([0, 1], rng.integers(0, 2, n - 2))
    return rng.integers(0, ties, n) / ties, truth


@given(labels)
@settings(max_examples=40, deadline=None)
def test_the_area_is_the_share_of_pairs_ranked_rightly(seed):
    scores, truth = sample(seed)
    pairs = [
        1.0 if s > w else 0.5 if s == w else 0.0
        for s, t in zip(scores, truth, strict=True)
        for w, u in zip(scores, truth, strict=True)
        if t == 1 and u == 0
    ]
    assert d.roc_auc(scores, truth) == pytest.approx(np.mean(pairs))
    points = d.roc(scores, truth)
    under = np.trapezoid(points.sensitivity, 1 - points.specificity)
    assert under == pytest.approx(np.mean(pairs))


@given(labels)
@settings(max_examples=40, deadline=None)
def test_every_operating_point_is_the_count_at_its_threshold(seed):
    scores, truth = sample(seed)
    points = d.roc(scores, truth)
    assert len(points.thresholds) == 1 + len(set(scores.tolist()))
    for threshold, sens, spec in zip(points.thresholds, points.sensitivity, points.specificity, strict=True):
        seen = d.counts(scores >= threshold, truth)
        assert (sens, spec) == (pytest.approx(seen.sensitivity), pytest.approx(seen.specificity))


@given(labels)
@settings(max_examples=40, deadline=None)
def test_average_precision_sums_precision_over_the_gain_in_sensitivity(seed):
    scores, truth = sample(seed)
    slow, before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        seen = d.counts(scores >= threshold, truth)
        slow += (seen.sensitivity - before) * seen.ppv
        before = seen.sensitivity
    assert d.average_precision(scores, truth) == pytest.approx(slow)


@given(labels, st.floats(0.05, 1.0))
@settings(max_examples=40, deadline=None)
def test_chosen_thresholds_are_the_best_of_all_thresholds(seed, wanted):
    scores, truth = sample(seed)
    every = [math.inf, *sorted(set(scores.tolist()), reverse=True)]
    seen = {at: d.counts(scores >= at, truth) for at in every}
    best = max(c.sensitivity + c.specificity for c in seen.values())
    at = d.youden_threshold(scores, truth)
    assert seen[at].sensitivity + seen[at].specificity == pytest.approx(best)
    assert d.threshold_at_sensitivity(scores, truth, wanted) == max(
        at for at in every if seen[at].sensitivity >= wanted - 1e-9
    )
    assert d.threshold_at_specificity(scores, truth, wanted) == min(
        at for at in every if seen[at].specificity >= wanted - 1e-9
    )


def test_a_perfect_score_separates_and_its_negative_never_does():
    scores, truth = np.array([0.1, 0.2, 0.7, 0.9]), [0, 0, 1, 1]
    assert (d.roc_auc(scores, truth), d.average_precision(scores, truth), d.youden_threshold(scores, truth)) == (
        1,
        1,
        0.7,
    )
    assert d.roc_auc(-scores, truth) == 0


def test_figures_that_need_ill_and_well_subjects_are_unknown_without():
    assert math.isnan(d.roc_auc([0.3, 0.4], [1, 1]))
    assert math.isnan(d.average_precision([0.3, 0.4], [0, 0]))
    assert math.isnan(d.sensitivity([1, 0], [0, 0]))
    assert math.isnan(d.specificity([1, 0], [1, 1]))
    nobody = d.Counts(0, 0, 3, 0)
    assert math.isnan(nobody.f1)
    assert math.isnan(nobody.ppv)
    assert (nobody.npv, nobody.mcc) == (1, 0)
    with pytest.raises(ValueError, match="operating points need ill and well subjects: 2 of 2"):
        d.roc([0.3, 0.4], [1, 1])


def test_values_at_a_prevalence_are_those_of_the_specification_and_of_a_counted_population():
    sens, spec = 35 / 37, 31 / 33
    told = {0.002: 0.030, 0.005: 0.073, 0.01: 0.136, 0.05: 0.451, 0.20: 0.796}
    for prevalence, ppv in told.items():
        assert d.ppv_at_prevalence(sens, spec, prevalence) == pytest.approx(ppv, abs=6e-4)
    assert d.ppv_at_prevalence(sens, 0.798, 0.01) == pytest.approx(0.045, abs=6e-4)
    of_1000 = d.Counts(tp=90, fn=10, tn=720, fp=180)
    assert d.ppv_at_prevalence(0.9, 0.8, 0.1) == pytest.approx(of_1000.ppv)
    assert d.npv_at_prevalence(0.9, 0.8, 0.1) == pytest.approx(of_1000.npv)
    with pytest.raises(ValueError, match="prevalence is a share"):
        d.ppv_at_prevalence(0.9, 0.8, 20)


def test_scores_of_five_classes_are_those_of_the_published_code():
    told = TOLD["cls5"]
    probabilities, truth = np.array(told["probs"]), told["true"]
    found = probabilities.argmax(axis=1)
    assert d.accuracy(found, truth) == pytest.approx(told["metrics"]["accuracy"])
    assert d.f1_micro(found, truth) == pytest.approx(told["metrics"]["f1"])
    assert d.mcc(found, truth) == pytest.approx(told["metrics"]["mcc"])
    assert d.roc_auc_one_vs_one(probabilities, truth) == pytest.approx(told["metrics"]["roc_auc"])


def test_scores_of_two_classes_are_those_of_the_published_code():
    told = TOLD["cls2"]
    ill, truth = np.array(told["probs"])[:, 1], told["true"]
    seen = d.counts(ill > 0.5, truth)
    metrics = told["metrics"]
    assert (seen.sensitivity, seen.specificity) == pytest.approx((metrics["sensitivity"], metrics["specificity"]))
    assert (seen.f1, seen.mcc, seen.accuracy) == pytest.approx((metrics["f1"], metrics["mcc"], metrics["accuracy"]))
    assert d.roc_auc(ill, truth) == pytest.approx(metrics["roc_auc"])


@given(labels)
@settings(max_examples=40, deadline=None)
def test_scores_over_classes_are_the_slow_formulas(seed):
    rng = np.random.default_rng(seed)
    truth, found = rng.integers(0, 4, (2, 18))
    table = d.confusion(found, truth, 5)
    assert all(table[i, j] == ((truth == i) & (found == j)).sum() for i in range(5) for j in range(5))
    one_by_one = {k: d.counts(found == k, truth == k).f1 for k in range(5)}
    assert math.isnan(one_by_one[4])
    np.testing.assert_allclose(d.f1_by_class(found, truth, 5), list(one_by_one.values()))
    assert d.f1_macro(found, truth, 5) == pytest.approx(np.nanmean(list(one_by_one.values())))
    # The correlation of one-hot tables, which is what Gorodkin's coefficient is.
    x, y = np.eye(5)[found], np.eye(5)[truth]
    covariance = ((x - x.mean(axis=0)) * (y - y.mean(axis=0))).sum()
    spread = math.sqrt(((x - x.mean(axis=0)) ** 2).sum() * ((y - y.mean(axis=0)) ** 2).sum())
    assert d.mcc(found, truth) == pytest.approx(covariance / spread if spread else 0.0)


def test_two_classes_have_the_same_correlation_by_either_formula():
    found, truth = [1, 1, 0, 0, 1, 0, 0], [1, 0, 0, 0, 1, 1, 0]
    assert d.mcc(found, truth) == pytest.approx(d.counts(found, truth).mcc)


def test_a_class_that_nobody_has_is_left_out_of_means_over_classes():
    scores = np.array([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1], [0.2, 0.7, 0.1]])
    truth = [0, 1, 0, 1]
    by_class = d.roc_auc_by_class(scores, truth)
    assert math.isnan(by_class[2])
    assert d.roc_auc_one_vs_rest(scores, truth) == pytest.approx(by_class[:2].mean())
    assert d.roc_auc_one_vs_one(scores, truth) == pytest.approx(by_class[:2].mean())
    assert math.isnan(d.roc_auc_one_vs_rest(scores, [0, 0, 0, 0]))
    assert math.isnan(d.roc_auc_one_vs_one(scores, [0, 0, 0, 0]))
    # A class found though nobody has it costs: its F1 is 0 and counts.
    assert d.f1_macro([2, 1, 0, 1], truth) == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_input_that_cannot_be_scored_is_refused():
    with pytest.raises(ValueError, match="found must be 0 or 1"):
        d.counts([0.3, 0.7], [0, 1])
    with pytest.raises(ValueError, match="lists of one length"):
        d.counts([1, 0], [1, 0, 1])
    with pytest.raises(ValueError, match="scores must be finite"):
        d.roc_auc([0.1, math.nan], [0, 1])
    with pytest.raises(ValueError, match="scores must be finite"):
        d.roc_auc_one_vs_one([[0.1, math.nan], [0.2, 0.8]], [0, 1])
    with pytest.raises(ValueError, match="class 3 of 3 classes, which are 0 to 2"):
        d.confusion([3], [0], 3)
    with pytest.raises(ValueError, match="whole numbers from 0"):
        d.confusion([0.5], [0])
    with pytest.raises(ValueError, match="none of 0 to 2"):
        d.roc_auc_by_class(np.zeros((2, 3)), [0, 3])
    with pytest.raises(ValueError, match=r"scores must be \(n, classes\)"):
        d.roc_auc_by_class(np.zeros(2), [0, 1])
    for wanted in (0, 1.2):
        with pytest.raises(ValueError, match="sensitivity is a share over 0"):
            d.threshold_at_sensitivity([0.1, 0.2], [0, 1], wanted)
        with pytest.raises(ValueError, match="specificity is a share over 0"):
            d.threshold_at_specificity([0.1, 0.2], [0, 1], wanted)
