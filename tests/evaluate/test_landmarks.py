"""Distances of landmarks, against points moved by known amounts."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from cinecmr.anatomy import Landmark
from cinecmr.evaluate.landmarks import distances, localisation, pixel_distances

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "cinema"
APEX, HINGE = Landmark.APEX_4C, Landmark.MITRAL_4C_SEPTAL


def test_points_moved_by_3_4_and_12_mm_lie_13_mm_off():
    truth = {APEX: np.zeros((2, 3)), HINGE: np.ones((2, 3))}
    found = {APEX: np.array([[3.0, 4.0, 12.0], [0.0, 0.0, 0.0]]), HINGE: np.ones((2, 3))}
    told = distances(found, truth)
    np.testing.assert_allclose(told[APEX], [13.0, 0.0])
    np.testing.assert_allclose(told[HINGE], [0.0, 0.0])


def test_a_missed_landmark_is_infinitely_far_and_an_unmarked_one_is_not_scored():
    truth = {APEX: np.array([[1.0, 2.0, 3.0], [np.nan] * 3, [1.0, 2.0, 3.0]]), HINGE: np.zeros((1, 3))}
    told = distances({APEX: np.array([[np.nan] * 3, [5.0] * 3, [1.0, 2.0, 3.0]])}, truth)
    np.testing.assert_array_equal(told[APEX], [np.inf, np.nan, 0.0])
    np.testing.assert_array_equal(told[HINGE], [np.inf])
    with pytest.raises(ValueError, match="apex_4c: found at"):
        distances({APEX: np.zeros((2, 3))}, truth)


def test_a_table_of_distances_counts_misses_apart_and_in_the_shares_within_reach():
    told = localisation([1.0, 2.0, 3.0, 10.0, math.inf, math.nan])
    assert (told.n, told.missed, told.mean, told.median) == (5, 1, 4.0, 2.5)
    assert told.p95 == pytest.approx(np.percentile([1, 2, 3, 10], 95))
    assert told.within == (0.4, 0.6)
    assert (localisation([math.inf]).missed, localisation([math.inf]).within) == (1, (0.0, 0.0))
    assert math.isnan(localisation([math.inf]).mean)
    assert localisation([math.nan]).n == 0


def test_distances_in_pixels_are_those_of_the_published_code():
    told = json.loads((FIXTURES / "scores.json").read_text("utf-8"))["landmark_metrics"]
    found, truth = (
        np.array([[told[f"{who}_{axis}{k}"] for axis in "xy"] for k in (1, 2, 3)]) for who in ("pred", "true")
    )
    gaps = pixel_distances(found, truth)
    assert gaps.tolist() == [told[f"distance{k}"] for k in (1, 2, 3)]
    assert gaps.mean() == pytest.approx(told["mean_distance"])
    np.testing.assert_allclose(pixel_distances([[3.0, 4.0]], [[0.0, 0.0]], (2.0, 1.0)), math.hypot(6, 4))
