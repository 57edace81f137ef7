"""Which part of a wall is seen in systole: a tube of muscle whose slices lose their ring as the base comes down."""

from dataclasses import dataclass

import numpy as np
import pytest

from cinecmr.anatomy import Structure
from cinecmr.errors import RefusedInput
from cinecmr.measure.wall import wall_points
from cinecmr.motion.evidence import REACH_MM, surfaces
from cinecmr.motion.seen import FAR_MM, NOWHERE, seen, without_unseen
from cinecmr.motion.shell import Shell


@dataclass
class Down:
    """The base comes down by so many mm at half of the cycle, the apex stays; heights from 0 to `length`."""

    mm: float
    length: float

    def displacement(self, points, time):
        """See `study.Motion`."""
        way = np.zeros_like(points)
        way[:, 2] = -self.mm * np.sin(np.pi * time) * points[:, 2] / self.length
        return way


def tube(gap, descent):
    """Labels of 6 slices and 8 frames: a slice whose plane lies above the base in a frame shows no ring."""
    x, y = np.meshgrid(np.arange(40) - 16, np.arange(40) - 20, indexing="ij")
    away = np.hypot(x, y)
    ring = np.select([away < 7, away < 11, (away < 16) & (x > 0)], [Structure.LV, Structure.MYO, Structure.RV], 0)
    labels = np.zeros((40, 40, 6, 8), np.uint8)
    base = 4.5 * gap  # at end-diastole
    for t in range(8):
        size = 1 - 0.1 * (t == 4)
        now = np.where(away < 7 * size, Structure.LV, np.where(away < 7, Structure.MYO, ring))
        for z in range(6):
            if z * gap <= base - descent * np.sin(np.pi * t / 8):
                labels[:, :, z, t] = now
    return labels, np.diag([2.0, 2.0, gap, 1.0]), np.arange(8) / 8, Down(descent, base)


def test_slices_that_stand_close_show_the_base_wherever_it_goes():
    labels, affine, shares, motion = tube(8.0, 12.0)
    wall = wall_points(labels[..., 0], affine)
    there = seen(motion, wall, labels, affine, shares)
    assert there.all()
    same, flags = without_unseen(wall, there)
    assert same is wall
    assert flags == ()


def test_a_base_that_comes_down_into_a_wide_gap_is_not_seen_and_its_segments_are_left_out():
    labels, affine, shares, motion = tube(18.0, 10.0)
    wall = wall_points(labels[..., 0], affine)
    there = seen(motion, wall, labels, affine, shares)
    now = wall.points[:, 2] * (1 - 10.0 / 81.0)
    np.testing.assert_array_equal(there, now <= 3 * 18.0 + FAR_MM)
    less, (flag,) = without_unseen(wall, there)
    assert flag.code == "strain-not-seen"
    assert flag.message.startswith("segments 1, 2, 3, 4, 5, 6: in systole")
    assert len(less) == there.sum()
    assert set(less.segments) == set(wall.segments) - {1, 2, 3, 4, 5, 6} | {NOWHERE}
    assert (less.segments == NOWHERE).sum() == (there & (wall.segments <= 6)).sum() > 0


def test_a_wall_of_which_nothing_is_seen_is_refused():
    labels, affine, _, _ = tube(8.0, 12.0)
    wall = wall_points(labels[..., 0], affine)
    with pytest.raises(RefusedInput, match="no slice shows a whole ring"):
        without_unseen(wall, np.zeros(len(wall), bool))


def test_without_labels_of_systole_nothing_is_left_out():
    labels, affine, shares, motion = tube(18.0, 10.0)
    labels[..., 1:] = Structure.UNSEEN
    wall = wall_points(labels[..., 0], affine)
    assert seen(motion, wall, labels, affine, shares).all()


@pytest.mark.parametrize(("gap", "beyond"), [(6.0, 3.0), (18.0, REACH_MM)])
def test_faces_are_known_half_a_slice_beyond_the_highest_ring_but_no_further_than_the_eye_may_follow(gap, beyond):
    labels, affine, _, _ = tube(gap, 10.0)
    shell = Shell.of(labels[..., 0], affine, (3, 2, 1))
    found = surfaces(labels, affine, shell, 0, 200, 1.0)
    top = shell.frame.local(np.array([[0.0, 0.0, 4 * gap]]))[0, 2]
    assert found.high[0] == pytest.approx(top + beyond)
