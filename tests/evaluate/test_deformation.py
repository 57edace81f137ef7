"""Motions against motions whose difference is known."""

from dataclasses import dataclass

import numpy as np
import pytest

from cinecmr.anatomy import Structure
from cinecmr.evaluate.deformation import (
    Spread,
    end_point_errors,
    jacobians,
    roughness,
    strain_error,
    warped_labels,
    warped_overlaps,
)
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


def test_labels_of_a_shifted_heart_are_brought_back_to_where_they_were(tiny_heart):
    labels = np.stack([tiny_heart.labels[..., 0]] * 2, axis=3)
    labels[..., 1] = np.roll(labels[..., 0], 2, axis=0)
    affine = tiny_heart.image.affine
    shifted = Linear(np.eye(3), np.array([4.0, 0.0, 0.0]))
    back = warped_labels(labels[..., 1], affine, shifted, 1.0)
    assert (back[-2:] == Structure.UNSEEN).all()
    np.testing.assert_array_equal(back[:-2], labels[:-2, ..., 0])
    for motion, perfect in ((shifted, True), (REST, False)):
        found = warped_overlaps(labels, affine, motion, [0.0, 1.0], 0)
        assert list(found) == [1]
        assert (found[1][Structure.MYO].dice == 1.0) == perfect
        assert (found[1][Structure.LV].hd95 < 1e-9) == perfect
    with pytest.raises(ValueError, match="compared with itself"):
        warped_overlaps(labels, affine, REST, [0.0, 1.0], 0, [0, 1])


def test_a_point_on_a_circle_is_as_rough_as_its_chord():
    class Circle:
        def displacement(self, points, time):
            angle = 2 * np.pi * time
            return np.tile([np.cos(angle) - 1, np.sin(angle), 0], (len(points), 1))

    assert roughness(Circle(), POINTS, np.arange(20) / 20) == pytest.approx(2 * (1 - np.cos(np.pi / 10)))
    assert roughness(REST, POINTS, [0.0, 0.5]) == 0
