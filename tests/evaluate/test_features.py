"""How features lie, against loops over pairs of patients."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinecmr.evaluate.features import (
    centroid_cosines,
    cosine_distances,
    effective_rank,
    ellipses,
    neighbour_purity,
    silhouettes,
)

seeds = st.integers(0, 2**32 - 1)


def cohort(seed, n=14, classes=3):
    rng = np.random.default_rng(seed)
    of = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    return rng.normal(size=(n, 5)) + 0.8 * np.eye(5)[of], of


@given(seeds, st.booleans())
@settings(max_examples=30, deadline=None)
def test_silhouettes_are_the_slow_formula(seed, cosine):
    features, of = cohort(seed)
    told = silhouettes(features, [f"class {k}" for k in of], cosine=cosine)

    def far(i, j):
        if cosine:
            return 1 - features[i] @ features[j] / np.linalg.norm(features[i]) / np.linalg.norm(features[j])
        return np.linalg.norm(features[i] - features[j])

    for i in range(len(of)):
        own = [far(i, j) for j in range(len(of)) if of[j] == of[i] and j != i]
        other = min(np.mean([far(i, j) for j in range(len(of)) if of[j] == k]) for k in set(of) - {of[i]})
        wanted = (other - np.mean(own)) / max(other, np.mean(own)) if own else 0.0
        assert told[i] == pytest.approx(wanted)


@given(seeds, st.integers(1, 13))
@settings(max_examples=30, deadline=None)
def test_purity_is_the_share_of_own_class_among_the_nearest(seed, k):
    features, of = cohort(seed)
    far = cosine_distances(features)
    slow = np.mean(
        [
            np.mean([of[j] == of[i] for j in sorted((j for j in range(14) if j != i), key=lambda j: far[i, j])[:k]])
            for i in range(14)
        ]
    )
    assert neighbour_purity(features, of, k) == pytest.approx(slow)


def test_neighbours_in_another_sequence_leave_out_the_patients_own_feature():
    features, of = cohort(3)
    assert neighbour_purity(features, of, 4, among=(features, of)) == neighbour_purity(features, of, 4)
    assert neighbour_purity(features, of, 1, among=(features, of), skip_own=False) == 1.0
    names = np.array(["ill", "odd", "well"])[of]
    some = neighbour_purity(features, names, 1, among=(features[5:8], names[5:8]), skip_own=False)
    nearest = cosine_distances(features, features[5:8]).argmin(axis=1)
    assert some == pytest.approx((names[5:8][nearest] == names).mean())
    with pytest.raises(ValueError, match="skip_own needs the same patients"):
        neighbour_purity(features, of, 1, among=(features[:5], of[:5]))
    with pytest.raises(ValueError, match="k must be 1 to 13, got 14"):
        neighbour_purity(features, of, 14)


def test_features_that_tell_classes_apart_are_pure_and_mixed_ones_are_at_chance():
    of = np.repeat([0, 1], 40)
    rng = np.random.default_rng(0)
    apart = np.eye(6)[of] + rng.normal(0, 0.05, (80, 6))
    mixed = rng.normal(size=(80, 6))
    assert neighbour_purity(apart, of) == 1.0
    assert silhouettes(apart, of).mean() > 0.9
    assert neighbour_purity(mixed, of) == pytest.approx(0.5, abs=0.1)
    assert abs(silhouettes(mixed, of).mean()) < 0.05


def test_one_class_has_no_silhouette():
    with pytest.raises(ValueError, match="two classes or more"):
        silhouettes(np.eye(3), ["ill"] * 3)
    with pytest.raises(ValueError, match=r"features must be \(2, d\)"):
        silhouettes(np.eye(3), ["ill", "well"])


def test_centroids_of_two_sequences_that_point_alike_have_cosine_1():
    features, of = cohort(1)
    names = ["a", "b", "c"]
    told = centroid_cosines(features, 3 * features, [names[k] for k in of])
    assert told == pytest.approx({"a": 1.0, "b": 1.0, "c": 1.0})
    assert list(centroid_cosines(features, -features, of).values()) == pytest.approx([-1.0] * 3)
    right = centroid_cosines(np.tile([1.0, 0.0], (3, 1)), np.tile([0.0, 2.0], (3, 1)), [0, 0, 1])
    assert right == pytest.approx({0: 0.0, 1: 0.0})
    with pytest.raises(ValueError, match="the same patients in both"):
        centroid_cosines(features, features[:5], of)


def test_the_centroid_cosine_of_each_class_is_the_slow_formula_of_that_class():
    (first, of), (second, _) = cohort(2), cohort(3)
    told = centroid_cosines(first, second, of)
    for name in range(3):
        means = []
        for side in (first, second):
            rows = [row / np.linalg.norm(row) for row, kind in zip(side, of, strict=True) if kind == name]
            means.append(sum(rows) / len(rows))
        one, other = means
        expected = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        assert told[name] == pytest.approx(expected), name
    assert len({round(value, 6) for value in told.values()}) == 3


def test_ellipses_are_mean_and_spread_of_each_group():
    told = ellipses([[0.0, 0.0], [2.0, 6.0], [5.0, 5.0]], ["cine", "cine", "lge"])
    assert told["cine"].centre == (1.0, 3.0)
    assert told["cine"].half_axes == pytest.approx((math.sqrt(2), math.sqrt(18)))
    assert told["lge"].centre == (5.0, 5.0)
    assert all(math.isnan(half) for half in told["lge"].half_axes)
    with pytest.raises(ValueError, match=r"points must be \(1, 2\)"):
        ellipses([[0.0, 0.0], [1.0, 1.0]], ["cine"])


def test_the_effective_rank_counts_directions():
    rng = np.random.default_rng(0)
    line = rng.normal(size=(50, 1)) * np.array([[1.0, 2.0, -1.0]])
    assert effective_rank(line) == pytest.approx(1.0)
    corners = np.concatenate([np.eye(4), -np.eye(4)])
    assert effective_rank(corners) == pytest.approx(4.0)
    assert 9 < effective_rank(rng.normal(size=(4000, 10))) <= 10
    assert math.isnan(effective_rank(np.full((6, 3), 0.7)))
