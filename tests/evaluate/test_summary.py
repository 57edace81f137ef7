"""Summaries of scores, against figures worked out by hand."""

import json
import math

import numpy as np
import pytest

from cinecmr.evaluate.summary import summarise


def test_thirty_hearts_are_told_with_their_three_worst():
    scores = np.linspace(0.70, 0.99, 30)
    found = summarise(scores, higher_is_better=True, names=[f"heart {k}" for k in range(30)])
    assert found.mean == pytest.approx(0.845)
    assert found.median == pytest.approx(0.845)
    assert found.worst_decile == pytest.approx((0.70 + 0.71 + 0.72) / 3)
    assert found.worst == ("heart 0", "heart 1", "heart 2")
    assert (found.n, found.results, found.failures, found.unscored) == (30, 30, 0, 0)
    assert found.interval.low < 0.845 < found.interval.high
    assert (
        found.text()
        == f"0.845 ({found.interval.low:.3f} to {found.interval.high:.3f}), worst tenth 0.710, 0 of 30 failed"
    )


def test_the_worst_distances_are_the_largest_and_a_miss_is_worse_than_any():
    found = summarise([2.0, math.inf, 9.0, 3.0], higher_is_better=False, limit=8.0, names=list("abcd"))
    assert found.worst == ("b", "c", "d")
    assert (found.failures, found.unscored) == (2, 1)
    assert found.mean == pytest.approx(14 / 3)
    assert found.worst_decile == 9.0


def test_failures_are_counted_in_every_training_and_cases_are_means_over_trainings():
    scores = [[0.9, 0.2, math.nan], [0.7, 0.6, math.nan], [0.8, 0.7, 0.9]]
    found = summarise(scores, higher_is_better=True, limit=0.5)
    assert (found.n, found.results, found.failures, found.unscored) == (3, 9, 3, 2)
    assert found.mean == pytest.approx(np.mean([0.55, 0.65, 0.8]))
    assert found.between_seeds == pytest.approx(np.std([0.55, 0.65, 0.8], ddof=1))
    assert found.median == pytest.approx(0.8)
    assert found.worst[0] == "1"


def test_a_row_for_a_table_holds_the_same_figures():
    found = summarise([0.5, 0.7, 0.9], higher_is_better=True)
    row = found.row()
    assert row["mean"] == found.mean
    assert (row["low"], row["high"]) == (found.interval.low, found.interval.high)
    assert {"worst_decile", "failures", "n"} <= row.keys()
    assert row["between_seeds"] is None
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_nothing_scored_is_not_known_and_all_failed():
    found = summarise([math.nan, math.inf], higher_is_better=False)
    assert found.text() == "not known, 2 of 2 failed"
    assert math.isnan(found.worst_decile)
    with pytest.raises(ValueError, match="2 names for 1 cases"):
        summarise([0.5], higher_is_better=True, names=["a", "b"])
