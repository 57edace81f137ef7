"""The parts of reading against slow formulas: even spacing, phases, resampling in time, views by angle."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinecmr.anatomy import View
from cinecmr.io import frames, sifting, views
from cinecmr.io.planes import lattice


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(3, 14),
    step=st.floats(5, 20),
    start=st.floats(-200, 200),
    seed=st.integers(0, 10**6),
    lost=st.integers(0, 11),
)
def test_even_spacing_is_found_in_any_order_with_jitter_and_one_slice_lost(count, step, start, seed, lost):
    rng = np.random.default_rng(seed)
    number = np.arange(count)
    if count >= 6 and 1 <= lost < count - 1:
        number = np.delete(number, lost)
    where = start + number * step + rng.uniform(-0.03, 0.03, len(number)) * step
    shuffle = rng.permutation(len(number))
    found = lattice(where[shuffle])
    assert found.step == pytest.approx(step, rel=0.05)
    assert np.array_equal(np.array(found.index), number[shuffle])
    assert found.missing == tuple(sorted(set(range(count)) - set(number.tolist())))


def test_a_slice_half_way_is_off_the_lattice_and_does_not_halve_the_step():
    found = lattice(np.array([0, 10, 20, 25, 30, 40.0]))
    assert (round(found.step, 6), found.index) == (10, (0, 1, 2, -1, 3, 4))


def test_resampling_in_time_follows_a_curve_around_the_beat():
    own, wanted = np.arange(40) / 40, (np.arange(25) + 0.3) / 25
    data = np.cos(2 * np.pi * own)[None, None].astype(np.float32)
    found = frames.resample(data, own, wanted, periodic=True)
    np.testing.assert_allclose(found[0, 0], np.cos(2 * np.pi * wanted), atol=0.01)


def test_resampling_an_open_beat_holds_its_ends():
    data = np.array([1.0, 2.0, 4.0], np.float32)[None, None]
    found = frames.resample(data, np.array([0.2, 0.4, 0.6]), np.array([0.0, 0.3, 0.9]), periodic=False)
    np.testing.assert_allclose(found[0, 0], [1.0, 1.5, 4.0])


def header(**keys: float) -> SimpleNamespace:
    return SimpleNamespace(keys=keys, uid=str(keys))


def run(*headers: SimpleNamespace, rr_ms: float | None = 800) -> SimpleNamespace:
    return SimpleNamespace(headers=headers, frames=len(headers), rr_ms=rr_ms)


def test_the_percentage_of_the_cycle_comes_before_trigger_time():
    members = [header(NominalPercentageOfCardiacPhase=p, TriggerTime=-p) for p in (50.0, 0.0, 25.0, 75.0)]
    timing = frames.order([run(*members)])
    np.testing.assert_allclose(timing.planes[0].phases, [0, 0.25, 0.5, 0.75])
    assert timing.key == "NominalPercentageOfCardiacPhase"


def test_a_key_must_hold_for_all_slices_of_a_stack():
    good = [header(TriggerTime=80.0 * t, InstanceNumber=float(t)) for t in range(10)]
    tied = [header(TriggerTime=80.0 * (t // 2), InstanceNumber=float(-t)) for t in range(10)]
    timing = frames.order([run(*good), run(*tied)])
    assert timing.key == "InstanceNumber"
    assert [h.keys["InstanceNumber"] for h in timing.planes[1].headers] == [float(t - 9) for t in range(10)]
    assert ("TriggerTime", "has ties") in timing.rejected


def test_without_any_key_the_order_is_refused_and_each_key_answered_for():
    with pytest.raises(frames.RefusedInput, match=r"TriggerTime: the same in all frames; .*InstanceNumber: absent"):
        frames.order([run(*[header(TriggerTime=0.0) for _ in range(10)])])


@pytest.mark.parametrize(("interval", "rr"), [(800.0, 800.0), (None, 800.0)])
def test_the_beat_is_stated_or_follows_from_the_trigger_times(interval, rr):
    timing = frames.order([run(*[header(TriggerTime=20 + 40.0 * t) for t in range(20)], rr_ms=interval)])
    assert timing.planes[0].rr_ms == pytest.approx(rr)
    assert frames.coverage(timing.planes[0]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("cine_trufi 4CH", View.LAX_4C),
        ("sBTFE 4-chamber", View.LAX_4C),
        ("HLA", View.LAX_4C),
        ("2_ch_cine", View.LAX_2C),
        ("Vierkammerblick 3CV", View.LAX_3C),
        ("cine 14ch coil", None),
        ("short axis", None),
    ],
)
def test_words_that_name_a_view(text, view):
    named = [v for v in views.CUTS if views.is_named(SimpleNamespace(first=SimpleNamespace(description=text)), v)]
    assert named == ([view] if view else [])


@pytest.mark.parametrize(
    ("text", "hit"), [("local_cine", False), ("cine_loc", True), ("stage 2", False), ("sax TAG", True)]
)
def test_words_match_whole_words_only(text, hit):
    assert bool(sifting.words(text) & {"loc", "tag"}) == hit
