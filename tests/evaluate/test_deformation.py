"""Motions against motions whose difference is known."""

from dataclasses import dataclass

import numpy as np
import pytest

from cinecmr.evaluate.deformation import Spread, end_point_errors, jacobians, strain_error
from cinecmr.phantom.heart import Heart
from cinecmr.phantom.motion import HeartMotion
from cinecmr.phantom.wall import wall_points


@dataclass(frozen=True)
class Linear:
    """x -> x + t (A - 1) x + t b."""

    matrix: np.ndarray
    shift: np.ndarray

    def displacement(self, points, time):
        return time * (points @ (self.matrix - np.eye(3)).T + self.shift)

    def gradient(self, points, time):
        return np.tile(np.eye(3) + time * (self.matrix - np.eye(3)), (len(points), 1, 1))


REST = Linear(np.eye(3), np.zeros(3))
POINTS = np.random.default_rng(1).normal(0, 20, (40, 3))


def test_a_shifted_heart_is_wrong_by_its_shift_everywhere():
    shifted = Linear(np.eye(3), np.array([3.0, 0.0, 4.0]))
    errors = end_point_errors(shifted, REST, POINTS, [0.0, 0.5, 1.0])
    np.testing.assert_allclose(errors, np.tile([[0.0], [2.5], [5.0]], (1, 40)))
    assert Spread.of(errors) == pytest.approx(Spread(2.5, 2.5, 5.0, 5.0))


def test_a_spread_is_that_of_the_slow_formulas():
    errors = np.random.default_rng(2).gamma(2.0, 1.0, (7, 11))
    flat = sorted(errors.ravel())
    spread = Spread.of(errors)
    assert (spread.mean, spread.median, spread.largest) == pytest.approx((sum(flat) / 77, flat[38], flat[-1]))
    assert flat[72] <= spread.p95 <= flat[73]
    with pytest.raises(ValueError, match="no errors to summarise"):
        Spread.of(np.zeros((0, 3)))


def test_a_motion_that_turns_tissue_inside_out_is_found():
    mirrored = Linear(np.diag([-1.0, 1.0, 1.0]), np.zeros(3))  # det F = 1 - 2 t
    found = jacobians(mirrored, POINTS, [0.0, 0.25, 0.5, 1.0])
    assert found.folding == 0.5
    assert (found.least, found.worst, found.deviation) == pytest.approx((-1.0, 2.0, 3.5 / 4))
    rest = jacobians(REST, POINTS, [0.3])
    assert (rest.deviation, rest.worst, rest.least, rest.folding) == (0.0, 0.0, 1.0, 0.0)


def test_strain_is_wrong_by_the_difference_of_the_stretches():
    wall = wall_points(Heart(), follow_wall=False, cells=(12, 12, 2))
    found, truth = (Linear(np.diag([s, s, long]), np.zeros(3)) for s, long in ((0.9, 0.8), (0.85, 0.9)))
    error = strain_error(found, truth, wall, [0.0, 1.0])
    assert error.peaks == pytest.approx({"GCS": 5.0, "GRS": 5.0, "GLS": -10.0})
    assert error.curves == pytest.approx({"GCS": 2.5, "GRS": 2.5, "GLS": 5.0})
    assert error.points == pytest.approx({"CS": 2.5, "RS": 2.5, "LS": 5.0})


def test_the_true_motion_of_a_heart_keeps_muscle_and_never_folds():
    heart = Heart()
    wall = wall_points(heart, cells=(12, 12, 2))
    motion = HeartMotion(heart, np.eye(4))
    told = jacobians(motion, wall.points, [0.2, heart.beat.systole])
    assert told.worst < 1e-6
    assert told.folding == 0.0
    assert Spread.of(end_point_errors(motion, REST, wall.points, [heart.beat.systole])).mean > 3.0
