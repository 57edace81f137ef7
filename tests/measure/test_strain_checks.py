"""What strain no heart has is told: limits, segments that lengthen, levels that disagree."""

from dataclasses import replace

import numpy as np
import pytest

from cinecmr.measure.strain import Strain
from cinecmr.measure.strain_checks import LENGTHENS, strain_flags
from cinecmr.study import Severity, WallPoints


def wall():
    """One point a segment, of equal volume."""
    segments = np.arange(1, 18).astype(np.uint8)
    points = np.zeros((17, 3))
    return WallPoints(points, points, points, points, segments, np.full(17, 0.5), np.ones(17), np.array([0.0, 0, 1]))


def beat(radial=40.0, circumferential=-20.0, longitudinal=-16.0):
    """Strain that all segments share, largest at the second of three frames."""
    course = np.array([0.0, 1.0, 0.4])[:, None]
    rows = (np.broadcast_to(value, 17) * course for value in (radial, circumferential, longitudinal))
    return Strain(wall(), *rows)


@pytest.mark.parametrize("values", [(40.0, -20.0, -16.0), (8.0, -4.0, -3.0), (70.0, -30.0, -25.0)])
def test_healthy_failing_and_trained_hearts_are_believed(values):
    assert strain_flags(beat(*values)) == ()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((40.0, -48.0, -16.0), "GCS is -48 %, outside -35 to 0 %"),
        ((130.0, -20.0, -16.0), "GRS is 130 %"),
        ((40.0, -20.0, 6.0), "GLS is 6 %, outside -30 to 0 %"),
        ((-9.0, -20.0, -16.0), "GRS is -9 %"),
    ],
)
def test_a_global_strain_outside_of_what_hearts_do_is_flagged_with_its_value(values, said):
    (flag,) = strain_flags(beat(*values))
    assert (flag.code, flag.severity) == ("strain-implausible", Severity.FLAG)
    assert said in flag.message


def test_an_infarct_that_bulges_is_believed_and_a_basal_wall_that_lengthens_more_is_not():
    rows = np.full(17, -16.0)
    rows[2] = LENGTHENS - 1
    assert strain_flags(beat(longitudinal=rows)) == ()
    rows[[1, 2]] = 28.0, 46.0
    (flag,) = strain_flags(beat(longitudinal=rows))
    assert "segments 2, 3 lengthen by 10 %" in flag.message


def test_a_base_that_shortens_far_less_than_the_middle_is_flagged_even_where_no_segment_lengthens():
    rows = np.where(np.arange(1, 18) <= 6, 5.0, -18.0)
    (flag,) = strain_flags(beat(longitudinal=rows))
    assert "longitudinal strain is -18 % at the middle and 5 % at the base" in flag.message


def test_segments_that_nobody_saw_are_no_fault():
    whole = beat()
    kept = np.arange(17) >= 6
    names = ("points", "radial", "circumferential", "longitudinal", "segments", "depth", "weights")
    less = replace(whole.wall, **{name: getattr(whole.wall, name)[kept] for name in names})
    part = Strain(less, whole.radial[:, kept], whole.circumferential[:, kept], whole.longitudinal[:, kept])
    assert strain_flags(part) == ()
