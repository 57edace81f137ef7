"""Overlap and distances, against closed forms and a slow formula."""

import numpy as np
import pytest

from cinecmr.anatomy import Structure
from cinecmr.evaluate.overlap import asd, dice, hd95

LV = Structure.LV


def ball(radius: float, shift: int = 0, size: int = 24) -> np.ndarray:
    x, y, z = np.meshgrid(*[np.arange(size) - size / 2] * 3, indexing="ij")
    return np.where((x - shift) ** 2 + y**2 + z**2 <= radius**2, LV, 0).astype(np.uint8)


def slow_distances(found, truth, spacing):
    """Every surface voxel against every other, written without erosion or distance maps."""

    def surface(region):
        padded = np.pad(region, 1)
        points = []
        for index in np.argwhere(region):
            i = index + 1
            steps = [np.eye(3, dtype=int)[axis] * sign for axis in range(3) for sign in (-1, 1)]
            if not all(padded[tuple(i + step)] for step in steps):
                points.append(index * spacing)
        return np.array(points)

    a, b = surface(found == LV), surface(truth == LV)
    distance = np.linalg.norm(a[:, None] - b[None], axis=2)
    return distance.min(axis=1), distance.min(axis=0)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.2, 1.4, 8.0)])
def test_surface_distances_are_those_of_the_slow_formula(spacing):
    rng = np.random.default_rng(3)
    found, truth = (np.where(rng.random((9, 8, 5)) < 0.4, LV, 0).astype(np.uint8) for _ in range(2))
    there, back = slow_distances(found, truth, np.array(spacing))
    assert hd95(found, truth, LV, spacing) == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
    assert asd(found, truth, LV, spacing) == pytest.approx(np.concatenate([there, back]).mean())


def test_a_heart_compared_with_itself_is_perfect():
    heart = ball(8)
    assert (dice(heart, heart, LV), hd95(heart, heart, LV, (1, 1, 1)), asd(heart, heart, LV, (1, 1, 1))) == (1, 0, 0)


def test_dice_of_two_shifted_boxes_is_the_share_they_have_in_common():
    found, truth = np.zeros((2, 20, 4, 4), np.uint8)
    found[2:12], truth[5:15] = LV, LV
    assert dice(found, truth, LV) == pytest.approx(0.7)
    assert hd95(found, truth, LV, (2.0, 1.0, 1.0)) == pytest.approx(6.0)


def test_a_larger_ball_lies_one_millimetre_out():
    assert asd(ball(9), ball(8), LV, (1, 1, 1)) == pytest.approx(1.0, abs=0.25)


def test_a_structure_absent_from_both_is_perfect_and_from_one_is_missed():
    empty, heart = ball(-1.0) * 0, ball(6)
    assert (dice(empty, empty, LV), hd95(empty, empty, LV, (1, 1, 1)), asd(empty, empty, LV, (1, 1, 1))) == (1, 0, 0)
    for found, truth in ((empty, heart), (heart, empty)):
        assert dice(found, truth, LV) == 0
        assert hd95(found, truth, LV, (1, 1, 1)) == float("inf")
        assert asd(found, truth, LV, (1, 1, 1)) == float("inf")


def test_what_nobody_looked_at_is_not_scored():
    truth, found = ball(7), ball(7)
    truth[:, :, 14:] = Structure.UNSEEN
    found[:, :, 14:] = LV
    assert dice(found, truth, LV) == 1.0
    assert dice(found, ball(7), LV) < 0.9


def test_other_structures_do_not_count():
    truth = ball(7)
    assert dice(np.where(truth == 0, Structure.MYO, truth), truth, LV) == 1.0


def test_labels_of_different_shape_cannot_be_compared():
    with pytest.raises(ValueError, match="differ in shape"):
        dice(ball(3), ball(3)[:-1], LV)
