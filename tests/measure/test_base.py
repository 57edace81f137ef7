"""The mitral plane between slices, against a bowl whose plane is known."""

import numpy as np
import pytest

from cinecmr.measure.base import Base, find_base

SPACING = 10.0


def beating_bowl(base_mm: float, descent_mm: float, frames: int = 20, slices: int = 13, squeeze: float = 0.65):
    """(z, t) areas, apex first, of a tube that narrows and shortens; and the true plane (t,) in slices."""
    e = np.sin(np.pi * np.arange(frames) / frames) ** 2
    plane = (base_mm - descent_mm * e) / SPACING
    z = np.arange(slices)[:, None]
    radius = 25 * (1 + (squeeze - 1) * e)[None, :] * np.sqrt(np.clip((z + 0.5) / 4, 0, 1))
    return np.where(z < plane[None, :], np.pi * radius**2, 0.0), plane


@pytest.mark.parametrize("base_mm", np.linspace(84, 94, 6))
def test_the_plane_is_found_closer_than_the_nearest_slice(base_mm):
    counts, plane = beating_bowl(base_mm, descent_mm=13.0)
    base = find_base(counts, SPACING)
    assert np.abs(base.height - plane).max() < 0.3
    assert ((base.height >= base.top) & (base.height <= base.top + 1)).all()


def test_over_many_placings_the_error_is_half_that_of_whole_slices():
    by_slice, by_plane = [], []
    for base_mm in np.linspace(80, 100, 41):
        counts, plane = beating_bowl(base_mm, descent_mm=13.0)
        base = find_base(counts, SPACING)
        by_slice.append(abs(base.top[0] + 0.5 - plane[0]))
        by_plane.append(abs(base.height[0] - plane[0]))
    assert np.mean(by_plane) < 0.5 * np.mean(by_slice)


def test_the_order_of_the_slices_does_not_matter():
    counts, _ = beating_bowl(88.0, 13.0)
    there, back = find_base(counts, SPACING), find_base(counts[::-1], SPACING)
    np.testing.assert_allclose(there.added(counts), back.added(counts[::-1]))


def test_what_is_added_is_never_more_than_half_the_basal_slice():
    counts, _ = beating_bowl(91.0, 30.0)
    base = find_base(counts, SPACING)
    top = counts[base.top, np.arange(counts.shape[1])]
    assert (np.abs(base.added(counts)) <= 0.5 * top + 1e-9).all()


def test_nothing_is_claimed_of_too_few_frames_or_an_open_stack():
    counts, _ = beating_bowl(88.0, 13.0)
    assert find_base(counts[:, :7], SPACING) is None
    assert find_base(counts[:9], SPACING) is None  # the ventricle goes on beyond the last slice
    missing = counts.copy()
    missing[:, 3] = np.nan
    assert find_base(missing, SPACING) is None


def test_the_hinges_of_the_long_axis_tell_the_plane_whatever_the_breath_holds_offset():
    """Slices of a cylinder: one counts while its centre lies below the plane."""
    true = 8.3 - 1.6 * np.sin(np.pi * np.arange(20) / 20) ** 2
    counts = 100.0 * (np.arange(12)[:, None] < true)
    for offset_mm in (-5.0, 0.0, 5.0):
        for order in (1, -1):
            own = true if order == 1 else 11 - true
            tapered = np.clip(np.arange(1, 13)[:, None] / 5, 0, 1) * counts  # narrower towards the apex
            base = find_base(tapered[::order], SPACING, own - order * offset_mm / SPACING)
            np.testing.assert_allclose(base.height, true, atol=0.16)
            assert base.offset_mm == pytest.approx(offset_mm, abs=0.16 * SPACING)
            whole = tapered[::order].sum(axis=0) + base.added(tapered[::order])
            exact = 100.0 * (true + 0.5) - 200.0  # four slices at the apex hold 2 slices' worth less
            np.testing.assert_allclose(whole, exact, atol=17)


def test_slices_above_the_hinges_do_not_count_and_those_below_them_do():
    seen = np.full(10, 6.5)
    counts = np.repeat(np.array([20.0, 60, 80, 90, 100, 100, 100, 0, 0, 0])[:, None], 10, axis=1)
    counts[7, 3] = 100.0  # for one frame the labels take a slice of the atrium along
    base = find_base(counts, 8.0, seen)
    assert base.offset_mm == pytest.approx(0.0, abs=2.0)
    volume = counts.sum(axis=0) + base.added(counts)
    assert volume[3] == pytest.approx(volume[2], abs=1e-6)


def test_hinges_that_contradict_the_slices_are_left_out():
    true = 8.3 - 1.6 * np.sin(np.pi * np.arange(20) / 20) ** 2
    counts = np.clip(np.arange(1, 13)[:, None] / 5, 0, 1) * (np.arange(12)[:, None] < true)
    base = find_base(counts, SPACING, true - 4.0)
    assert base.offset_mm is None
    np.testing.assert_array_equal(base.height, find_base(counts, SPACING).height)


@pytest.mark.parametrize("apex_first", [True, False])
def test_slices_below_the_plane_are_those_that_lie_there_from_face_to_face(apex_first):
    base = Base(apex_first, np.array([5, 4]), np.array([5.6, 4.4]))
    told = [base.below(t, 7)[:: 1 if apex_first else -1].tolist() for t in (0, 1)]
    assert told == [[True] * 6 + [False], [True] * 4 + [False] * 3]
