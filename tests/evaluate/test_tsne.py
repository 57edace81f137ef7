"""t-SNE, against its definitions."""

import numpy as np
import pytest

from cinecmr.evaluate.features import neighbour_purity
from cinecmr.evaluate.tsne import divergence, gradient, neighbour_shares, tsne


def groups(n=12, seed=0):
    rng = np.random.default_rng(seed)
    of = np.repeat([0, 1, 2], n)
    return np.eye(8)[of] + rng.normal(0, 0.1, (3 * n, 8)), of


def test_every_patient_gets_as_many_neighbours_as_the_perplexity_asks():
    rng = np.random.default_rng(1)
    far = np.square(rng.normal(size=(20, 1, 3)) - rng.normal(size=(1, 20, 3))).sum(axis=2)
    far = far + far.T
    for perplexity in (2.0, 5.0, 12.0):
        shares = neighbour_shares(far, perplexity)
        assert (np.diag(shares) == 0).all()
        for i, row in enumerate(shares):
            there = row[row > 0]
            assert np.exp(-(there * np.log(there)).sum()) == pytest.approx(perplexity, rel=1e-6)
            order = np.argsort(np.delete(far[i], i))
            assert (np.diff(np.delete(row, i)[order]) <= 0).all()


def test_the_gradient_is_that_of_the_divergence():
    rng = np.random.default_rng(2)
    joint = rng.random((7, 7))
    joint = joint + joint.T
    np.fill_diagonal(joint, 0)
    joint /= joint.sum()
    points = rng.normal(size=(7, 2))
    slope = gradient(joint, points)
    for i in range(7):
        for axis in range(2):
            step = np.zeros_like(points)
            step[i, axis] = 1e-5
            numeric = (divergence(joint, points + step) - divergence(joint, points - step)) / 2e-5
            assert slope[i, axis] == pytest.approx(numeric, abs=1e-7)


def test_the_divergence_is_0_only_where_the_picture_keeps_every_neighbourhood():
    points = np.random.default_rng(3).normal(size=(6, 2))
    weights = np.array(
        [[0 if i == j else 1 / (1 + ((a - b) ** 2).sum()) for j, b in enumerate(points)] for i, a in enumerate(points)]
    )
    joint = weights / weights.sum()
    assert divergence(joint, points) == pytest.approx(0, abs=1e-12)
    assert divergence(joint, 2 * points) > 0.001


def test_three_groups_of_patients_stay_three_groups():
    features, of = groups()
    picture = tsne(features)
    assert picture.points.shape == (36, 2)
    assert picture.perplexity == pytest.approx(35 / 3)
    far = np.linalg.norm(picture.points[:, None] - picture.points[None], axis=2)
    np.fill_diagonal(far, np.inf)
    assert (of[far.argmin(axis=1)] == of).all()
    assert neighbour_purity(features, of, 5) == 1.0
    assert 0 <= picture.divergence < 1


def test_the_seed_decides_the_picture():
    features, _ = groups(n=5)
    np.testing.assert_array_equal(tsne(features, seed=3).points, tsne(features, seed=3).points)
    assert not np.allclose(tsne(features, seed=3, cosine=False).points, tsne(features, seed=3).points)


def test_patients_who_are_all_alike_still_have_a_picture():
    assert np.isfinite(tsne(np.ones((6, 4))).points).all()


def test_too_few_patients_and_impossible_perplexities_are_refused():
    with pytest.raises(ValueError, match="features must be"):
        tsne(np.eye(3))
    for perplexity in (0.5, 5.0):
        with pytest.raises(ValueError, match="perplexity must be 1 or more and under 5"):
            tsne(np.eye(6), perplexity=perplexity)
