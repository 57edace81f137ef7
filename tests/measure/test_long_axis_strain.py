"""Border lengths of drawn cavities whose length is known in closed form."""

import numpy as np
import pytest
from scipy.special import ellipe

from cinecmr.anatomy import Structure
from cinecmr.measure.long_axis_strain import border_lengths, global_strain, strain_curve

SPACING = 1.25


def half_ellipse(wide, long, turn=0.3, size=140):
    """Labels (x, y) of a cavity cut across its middle, and its two hinges in mm: half axes `wide` and `long`, mm."""
    at = (np.indices((size, size)).reshape(2, -1).T - (size - 1) / 2) * SPACING
    c, s = np.cos(turn), np.sin(turn)
    u, v = at @ np.array([c, s]), at @ np.array([-s, c])
    inside = ((u / wide) ** 2 + (v / long) ** 2 < 1) & (v < 0)
    middle = np.array([(size - 1) / 2] * 2) * SPACING
    ends = [middle + wide * np.array([c, s]), middle - wide * np.array([c, s])]
    return np.where(inside, Structure.LV, 0).astype(np.uint8).reshape(size, size), np.array([[*e, 0.0] for e in ends])


def half_perimeter(wide, long):
    return 2 * long * ellipe(1 - (wide / long) ** 2)


def drawn(*sizes):
    planes, ends = zip(*(half_ellipse(*size) for size in sizes), strict=True)
    return np.stack(planes, axis=-1)[:, :, None], np.diag([SPACING, SPACING, 8.0, 1.0]), np.stack(ends)


def test_the_border_of_half_an_ellipse_is_as_long_as_its_perimeter():
    sizes = [(25.0, 75.0), (20.0, 65.0), (14.0, 60.0)]
    found = border_lengths(*drawn(*sizes))
    for length, size in zip(found, sizes, strict=True):
        assert length == pytest.approx(half_perimeter(*size), rel=0.025)


def test_a_cavity_that_shrinks_alike_all_over_has_that_strain():
    lengths = border_lengths(*drawn((25.0, 75.0), (20.0, 60.0)))
    assert strain_curve(lengths, lengths[0])[1] == pytest.approx(-20.0, abs=0.6)
    told = global_strain({"2C": lengths, "4C": lengths}, {"LV_ED": 0, "LV_ES": 1}, "test")["GLS"]
    assert told.value == pytest.approx(-20.0, abs=0.6)
    assert (told.unit, told.frame) == ("%", 1)
    assert told.method.endswith("mean of 2C and 4C")


def test_a_finer_grid_gives_the_same_length():
    labels, affine, ends = drawn((25.0, 75.0))
    fine = np.kron(labels[:, :, 0, 0], np.ones((2, 2), np.uint8))[:, :, None, None]
    half = np.diag([SPACING / 2, SPACING / 2, 8.0, 1.0])
    half[:2, 3] = -SPACING / 4
    assert border_lengths(fine, half, ends)[0] == pytest.approx(border_lengths(labels, affine, ends)[0], rel=0.02)


def test_where_a_hinge_is_unknown_or_no_cavity_is_seen_there_is_no_strain():
    labels, affine, ends = drawn((25.0, 75.0), (20.0, 60.0))
    ends[1, 0] = np.nan
    assert np.isnan(border_lengths(labels, affine, ends)[1])
    assert np.isnan(border_lengths(np.zeros_like(labels), affine, ends)).all()
    cycle = {"LV_ED": 0, "LV_ES": 1}
    assert global_strain({"2C": border_lengths(labels, affine, ends)}, cycle, "test") == {}
    assert global_strain({"2C": np.ones(2)}, {"LV_ED": 0}, "test") == {}


def test_ends_of_other_frames_are_refused():
    labels, affine, ends = drawn((25.0, 75.0))
    with pytest.raises(ValueError, match=r"ends of a valve must be \(1, 2, 3\), got \(2, 2, 3\)"):
        border_lengths(labels, affine, np.concatenate([ends, ends]))
