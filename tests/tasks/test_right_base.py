"""A sliver goes from any frame; in systole the right ventricle ends where it is widest, unless it is dilated."""

import numpy as np
import pytest

from cinecmr.anatomy import Structure
from cinecmr.tasks.right_base import systolic, without_outflow

SIZE = 64
X, Y = np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij")
SLICES = 7


def frame(cavity=10, first_right=0, widths=(8, 10, 10, 9, 8, 6, 4)):
    """Base first; the left ventricle in every slice, the right one from a slice on, as wide as told."""
    labels = np.zeros((SIZE, SIZE, SLICES), np.uint8)
    for z, width in enumerate(widths):
        if z >= first_right:
            labels[np.hypot(X - 20, Y - 32) < width, z] = Structure.RV
        labels[np.hypot(X - 44, Y - 32) < 14, z] = Structure.MYO
        labels[np.hypot(X - 44, Y - 32) < cavity, z] = Structure.LV
    return labels


def beat(*frames):
    return np.stack(frames, axis=-1)


def right(labels):
    return (labels == Structure.RV).any(axis=(0, 1))


@pytest.mark.parametrize("way", [1, -1])
def test_a_smaller_last_slice_goes_in_systole_alone(way):
    wide_end = (3, 4, 4, 4, 3, 2, 1)  # muscle of the left ventricle, so that base and apex can be told
    labels = beat(frame(11), frame(10), frame(6), frame(7), frame(11))
    for z, less in enumerate(wide_end[::-1]):
        labels[: 2 + less, :2, z] = Structure.MYO
    found = without_outflow(labels[:, :, ::way])[:, :, ::way]
    assert right(found)[0].tolist() == [True, True, False, False, True]
    assert right(found)[1:].all()
    others = labels != Structure.RV
    assert np.array_equal(found[others], labels[others])


def test_a_base_that_is_widest_where_it_ends_stands():
    labels = beat(frame(11), frame(6, widths=(11, 10, 10, 9, 8, 6, 4)))
    assert np.array_equal(without_outflow(labels), labels)


def test_one_that_ends_below_the_left_already_stands():
    labels = beat(frame(11), frame(6, first_right=1, widths=(0, 8, 10, 9, 8, 6, 4)))
    assert np.array_equal(without_outflow(labels), labels)


@pytest.mark.parametrize(("top", "stands"), [(7.5, True), (6.5, False)])  # areas of 0.56 and 0.42 of the next
def test_a_sliver_goes_from_any_frame(top, stands):
    labels = beat(frame(11, widths=(top, 10, 10, 9, 8, 6, 4)), frame(11))
    found = right(without_outflow(labels))
    assert found[0].tolist() == [stands, True]
    assert found[1:].all()


def test_two_slices_tell_no_sliver():
    labels = beat(frame(11, first_right=5, widths=(0, 0, 0, 0, 0, 3, 8)))
    assert np.array_equal(without_outflow(labels), labels)


def test_a_base_that_was_lower_in_diastole_comes_down_all_the_same():
    diastole = frame(11, first_right=1, widths=(0, 11, 10, 9, 8, 6, 4))
    labels = beat(diastole, frame(6, first_right=1, widths=(0, 8, 9, 9, 8, 6, 4)), diastole)
    found = right(without_outflow(labels))
    assert found[1].tolist() == [True, False, True]
    assert found[2:].all()


def test_a_dilated_ventricle_stands():
    widths = (12.5, 13, 13, 13, 13, 12, 11)
    dilated = beat(frame(11, widths=widths), frame(6, widths=widths))
    assert np.array_equal(without_outflow(dilated), dilated)
    less = beat(frame(11), frame(6, widths=tuple(0.7 * width for width in widths)))
    assert right(without_outflow(less))[0].tolist() == [True, False]


def test_systole_is_what_is_nearer_to_the_smallest_cavity():
    assert systolic(beat(frame(11), frame(9), frame(8), frame(6), frame(10))).tolist() == [
        False,
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(("cavity", "closed"), [(6, True), (8, True), (9, False), (11, False)])
def test_a_frame_alone_is_told_by_its_wall(cavity, closed):
    assert closed == ((cavity / 14) ** 2 < 0.37)
    assert systolic(beat(frame(cavity))).tolist() == [closed]
    assert systolic(beat(frame(cavity), frame(cavity))).tolist() == [closed, closed]


@pytest.mark.parametrize("gone", [Structure.RV, Structure.LV])
def test_frames_without_a_ventricle_stand(gone):
    labels = beat(frame(11), frame(6))
    labels[labels == gone] = Structure.BACKGROUND
    assert np.array_equal(without_outflow(labels), labels)
    assert not systolic(np.zeros((8, 8, 3, 2), np.uint8)).any()
