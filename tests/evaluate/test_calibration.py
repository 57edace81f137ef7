"""What probabilities are worth, against probabilities of known truth."""

import math

import numpy as np
import pytest
from scipy import optimize, special

from cinecmr.evaluate.calibration import (
    brier,
    calibration_bins,
    calibration_error,
    decision_curve,
    recalibration,
)


def cohort(n=4000, seed=0, slope=1.0, shift=0.0):
    """Probabilities whose logits are off by a known line."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-0.5, 1.2, n)
    truth = rng.random(n) < special.expit(logit)
    return special.expit((logit - shift) / slope), truth.astype(int)


def test_probabilities_that_come_true_need_no_recalibration_and_lie_on_the_diagonal():
    said, truth = cohort()
    found = recalibration(said, truth)
    assert found.slope.low < 1 < found.slope.high
    assert found.intercept.low < 0 < found.intercept.high
    assert calibration_error(said, truth) < 0.03
    assert all(one.seen.low - 0.03 < one.said < one.seen.high + 0.03 for one in calibration_bins(said, truth))


def test_a_spoilt_logit_is_found_again():
    """logit(ill) = shift + slope x logit(said) by construction."""
    said, truth = cohort(slope=0.4, shift=0.8)
    found = recalibration(said, truth)
    assert found.slope.low < 0.4 < found.slope.high
    assert found.intercept.low < 0.8 < found.intercept.high
    assert found.slope.width < 0.06
    assert calibration_error(said, truth) > 0.1


def test_the_recalibrating_line_is_the_maximum_of_the_likelihood():
    said, truth = cohort(n=60, seed=3)

    def deviance(line):
        p = special.expit(line[0] + line[1] * special.logit(said))
        return -np.log(np.where(truth == 1, p, 1 - p)).sum()

    slow = optimize.minimize(deviance, [0.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    found = recalibration(said, truth)
    assert (found.intercept.estimate, found.slope.estimate) == pytest.approx(tuple(slow.x), abs=1e-5)
    large = optimize.brentq(lambda add: (truth - special.expit(add + special.logit(said))).sum(), -5, 5)
    assert found.in_the_large.estimate == pytest.approx(large, abs=1e-8)


def test_a_line_that_no_data_decide_is_unknown():
    separated = recalibration([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
    assert math.isnan(separated.slope.estimate)
    assert separated.in_the_large.estimate == pytest.approx(0, abs=1e-9)
    constant = recalibration([0.3, 0.3, 0.3, 0.3], [0, 1, 0, 1])
    assert math.isnan(constant.slope.estimate)
    assert constant.in_the_large.estimate == pytest.approx(special.logit(0.5) - special.logit(0.3))
    assert math.isnan(recalibration([0.3, 0.4], [1, 1]).in_the_large.estimate)


def test_probabilities_of_exactly_nothing_and_everything_have_a_finite_line():
    found = recalibration([0.0, 1.0, 0.3, 1.0, 0.6, 0.0], [0, 1, 1, 0, 0, 1])
    assert np.isfinite([found.slope.estimate, found.intercept.estimate, found.in_the_large.estimate]).all()


def test_bins_hold_every_subject_once_and_tell_what_was_said_and_seen():
    said, truth = np.array([0.0, 0.05, 0.1, 0.11, 0.95, 1.0]), np.array([0, 1, 0, 1, 1, 1])
    found = calibration_bins(said, truth, 10)
    assert [one.n for one in found] == [3, 1, 2]
    assert [one.said for one in found] == pytest.approx([0.05, 0.11, 0.975])
    assert [one.seen.estimate for one in found] == pytest.approx([1 / 3, 1, 1])
    slow = (3 * abs(0.05 - 1 / 3) + abs(0.11 - 1) + 2 * abs(0.975 - 1)) / 6
    assert calibration_error(said, truth) == pytest.approx(slow)


def test_bins_of_equal_counts_hold_alike_many_and_keep_ties_together():
    said, truth = cohort(n=100)
    assert [one.n for one in calibration_bins(said, truth, 5, equal_counts=True)] == [20] * 5
    same = calibration_bins([0.4] * 7, [1, 0, 0, 1, 0, 0, 0], 5, equal_counts=True)
    assert [one.n for one in same] == [7]
    assert calibration_error([0.4] * 7, [1, 0, 0, 1, 0, 0, 0], equal_counts=True) == pytest.approx(0.4 - 2 / 7)


def test_brier_of_true_probabilities_is_the_mean_of_their_variances():
    said, truth = cohort(n=20000)
    assert brier(said, truth) == pytest.approx((said * (1 - said)).mean(), abs=0.005)
    assert (brier([1.0, 0.0], [1, 0]), brier([0.0, 1.0], [1, 0])) == (0, 1)


def test_net_benefit_is_counted_subject_by_subject():
    said, truth = cohort(n=200)
    at = [0.05, 0.2, 0.5, 0.9]
    curve = decision_curve(said, truth, at)
    for index, threshold in enumerate(at):
        right = sum(1 for p, t in zip(said, truth, strict=True) if p >= threshold and t)
        wrong = sum(1 for p, t in zip(said, truth, strict=True) if p >= threshold and not t)
        assert curve.model[index] == pytest.approx((right - threshold / (1 - threshold) * wrong) / 200)
    everybody = decision_curve(np.ones(200), truth, at)
    np.testing.assert_allclose(curve.all, everybody.model)
    assert (curve.none == 0).all()


def test_a_perfect_model_gains_all_there_is_and_true_probabilities_never_lose():
    truth = np.array([1, 0, 0, 1, 0])
    perfect = decision_curve(truth.astype(float), truth, [0.1, 0.4, 0.8])
    np.testing.assert_allclose(perfect.model, 0.4)
    said, ill = cohort(n=20000)
    assert (decision_curve(said, ill, np.linspace(0.05, 0.8, 9)).gain > -0.003).all()


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        brier([1.2], [1])
    with pytest.raises(ValueError, match="between 0 and 1"):
        brier([math.nan], [1])
    with pytest.raises(ValueError, match="truth must be 0 or 1"):
        brier([0.2], [2])
    with pytest.raises(ValueError, match="not empty"):
        brier([], [])
    with pytest.raises(ValueError, match="bins must be 1 or more"):
        calibration_bins([0.2], [1], 0)
    with pytest.raises(ValueError, match="over 0 and under 1"):
        decision_curve([0.2], [1], [1.0])
