"""Peaks, rates and smoothing against curves and maps whose answers are known."""

import numpy as np
import pytest

from cinecmr.measure.strain_curves import line_strain, peak, rate, smooth_within, spread
from cinecmr.phantom.heart import Heart
from cinecmr.phantom.motion import HeartMotion


def test_a_peak_between_two_frames_is_found():
    times = np.arange(20) / 20
    curve = -18.0 + 200 * (times - 0.363) ** 2
    found = peak(curve[3:12], times[3:12])
    assert found.value == pytest.approx(-18.0, abs=1e-9)
    assert found.time == pytest.approx(0.363, abs=1e-9)


def test_a_curve_without_values_has_no_peak():
    assert np.isnan(peak(np.full(5, np.nan), np.arange(5.0)).value)


def test_the_rate_of_a_wave_is_its_derivative_over_the_whole_cycle():
    times = np.arange(50) / 50
    found = rate(-20 * np.sin(np.pi * times) ** 2, np.mod(times + 0.3, 1.0) - 0.3, 0.8)
    moved = np.mod(times + 0.3, 1.0)
    order = np.argsort(moved)
    values = (-20 * np.sin(np.pi * times) ** 2)[order]
    slow = np.array([(values[(i + 1) % 50] - values[i - 1]) / (2 * 0.02 * 0.8) for i in range(50)])
    np.testing.assert_allclose(found[order], slow)
    np.testing.assert_allclose(rate(-20 * np.sin(np.pi * times) ** 2, times, 1.0),
                               -20 * np.pi * np.sin(2 * np.pi * times), atol=0.25)  # fmt: skip


def test_smoothing_leaves_an_even_wall_as_it_is_and_averages_as_the_slow_formula():
    mask = np.zeros((9, 9, 2), bool)
    mask[3:6, 3:6] = True
    even = smooth_within(np.where(mask, 40.0, -7.0), mask, (1.0, 1.0, 0.0))
    np.testing.assert_allclose(even[mask], 40.0)
    assert np.isnan(even[~mask]).all()
    values = np.random.default_rng(1).normal(0, 1, mask.shape)
    found = smooth_within(values, mask, (1.0, 1.0, 0.0))
    x, y = np.meshgrid(np.arange(9), np.arange(9), indexing="ij")
    kernel = np.exp(-((x - 4) ** 2 + (y - 4) ** 2) / 2) * mask[..., 0]
    assert found[4, 4, 0] == pytest.approx((kernel * values[..., 0]).sum() / kernel.sum(), rel=1e-3)


def test_a_line_up_the_wall_shortens_as_the_heart_does():
    heart = Heart()
    motion = HeartMotion(heart, np.eye(4))
    radius = 0.5 * (heart.lv.endo + heart.lv.epi)
    line = np.column_stack([np.full(20, radius), np.zeros(20), np.linspace(0.5, 0.6, 20) * heart.lv.length])
    short = np.linalg.norm((motion.gradient(line[10:11], heart.beat.systole) @ [0, 0, 1.0]), axis=1)
    found = line_strain(motion, line, [0.0, heart.beat.systole])
    assert found[0] == 0
    assert found[1] == pytest.approx(100 * (short[0] - 1), abs=1.0)


def test_segments_that_shorten_together_have_no_spread_and_late_ones_have_theirs():
    shares = np.arange(50) / 50
    delays = np.array([0.0] * 8 + [0.1] * 8)
    curves = np.stack([-20 * np.sin(np.pi * np.clip((shares - late) / 0.7, 0, 1)) ** 2 for late in delays], axis=1)
    together = spread(curves[:, [0] * 16], shares)
    assert (together.deviation, together.span, together.segments) == (0.0, 0.0, 16)
    apart = spread(curves, shares)
    assert apart.span == pytest.approx(0.1, abs=0.003)
    assert apart.deviation == pytest.approx(delays.std(ddof=1), abs=0.003)


def test_segments_that_hardly_shorten_or_stretch_do_not_count_and_too_few_tell_nothing():
    shares = np.arange(20) / 20
    curve = -15 * np.sin(np.pi * shares)
    curves = np.stack([*[curve] * 12, curve / 10, -curve, np.full(20, np.nan), curve * 0], axis=1)
    assert spread(curves, shares).segments == 12
    few = spread(curves[:, 1:], shares)
    assert few.segments == 11
    assert np.isnan(few.deviation)
