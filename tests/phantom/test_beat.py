"""The beat: when the heart contracts."""

import numpy as np
import pytest

from cinecmr.phantom.beat import Beat

BEATS = [Beat(), Beat(0.6, 0.45, 0.05), Beat(1.2, 0.28, 0.35), Beat(kick=0.0)]


@pytest.mark.parametrize("beat", BEATS)
def test_the_heart_rests_at_the_r_wave_and_is_smallest_at_systole(beat):
    assert float(beat.activation(0.0)) == 0.0
    assert float(beat.activation(beat.systole)) == pytest.approx(1.0, abs=1e-12)
    assert beat.activation(np.linspace(0, 1, 500)).max() <= 1.0


@pytest.mark.parametrize("beat", BEATS)
def test_contraction_only_grows_until_systole(beat):
    early = beat.activation(np.linspace(0, beat.systole, 200))
    assert np.all(np.diff(early) > 0)


@pytest.mark.parametrize("beat", BEATS)
def test_filling_never_contracts_again(beat):
    late = beat.activation(np.linspace(beat.systole, 0.9999, 300))
    assert np.all(np.diff(late) <= 1e-12) or beat.kick < 0.03
    assert np.all((late >= 0) & (late <= 1))


def test_every_beat_is_the_same():
    moments = np.linspace(0, 0.99, 37)
    np.testing.assert_allclose(Beat().activation(moments + 3), Beat().activation(moments), atol=1e-12)


def test_a_larger_atrial_kick_leaves_more_filling_to_the_end_of_diastole():
    before_the_kick = 0.78
    weak, strong = (Beat(kick=kick).activation(before_the_kick) for kick in (0.05, 0.35))
    assert strong == pytest.approx(7 * weak, rel=0.02)


def test_the_right_ventricle_is_smallest_later_by_its_delay():
    beat = Beat(rv_delay=0.05)
    moments = np.linspace(0, 1, 2001)
    late = moments[np.argmax(beat.activation(moments, beat.rv_delay))]
    assert late == pytest.approx(beat.systole + 0.05, abs=0.001)


def test_a_systole_that_fills_the_cycle_is_refused():
    with pytest.raises(ValueError, match=r"0\.25 to 0\.55, got 0\.8"):
        Beat(systole=0.8)


def test_a_cycle_of_three_seconds_is_refused():
    with pytest.raises(ValueError, match=r"0\.3 to 2 s, got 3"):
        Beat(rr_s=3.0)
