"""End-diastole and end-systole, from curves whose answer is known."""

import numpy as np
import pytest

from cinecmr.errors import RefusedInput
from cinecmr.measure.cycle import MIN_FRAMES, ed_and_es, find_cycle, spikes
from cinecmr.study import Severity


def beat(frames: int = 25, ed: int = 0, es: int = 9, edv: float = 120.0, esv: float = 50.0) -> np.ndarray:
    """A smooth closed curve with its largest value at `ed` and its smallest at `es`."""
    phase = (np.arange(frames) - ed) % frames
    turn = (es - ed) % frames
    down = np.where(phase <= turn, phase / turn, 1 - (phase - turn) / (frames - turn))
    return edv - (edv - esv) * (1 - np.cos(np.pi * down)) / 2


def codes(flags) -> list[str]:
    return [flag.code for flag in flags]


@pytest.mark.parametrize("frames", [8, 10, 20, 25, 50])
@pytest.mark.parametrize("ed", [0, 1, -2])
def test_the_largest_and_smallest_cavity_are_found_wherever_the_cycle_starts(frames, ed):
    curve = beat(frames, ed % frames, (ed + frames // 3) % frames)
    assert ed_and_es(curve) == (ed % frames, (ed + frames // 3) % frames)
    assert not spikes(curve).any()


def test_the_two_ventricles_have_their_own_end_systole():
    cycle, flags = find_cycle({"LV": beat(es=9), "RV": beat(es=11)}, np.arange(25) * 0.036, 900.0)
    assert cycle == {"LV_ED": 0, "LV_ES": 9, "RV_ED": 0, "RV_ES": 11}
    assert flags == ()


@pytest.mark.parametrize("wrong", [0.0, 250.0])
def test_one_badly_labelled_frame_becomes_neither_ed_nor_es(wrong):
    curve = beat()
    curve[16] = wrong
    cycle, flags = find_cycle({"LV": curve}, np.arange(25) * 0.036, 900.0)
    assert cycle == {"LV_ED": 0, "LV_ES": 9}
    assert codes(flags) == ["curve-outlier"]
    assert "frame 16" in flags[0].message


def test_a_basal_slice_that_counts_in_one_frame_only_is_no_outlier():
    curve = beat(edv=300, esv=280)
    curve[0] += 36.0  # 12 % of a large ventricle, twice its stroke volume
    cycle, flags = find_cycle({"LV": curve}, np.arange(25) * 0.036, 900.0)
    assert cycle == {"LV_ED": 0, "LV_ES": 9}
    assert flags == ()


def test_with_few_frames_the_kick_of_the_atrium_is_no_outlier():
    curve = np.array([101.9, 77.5, 56.8, 45.8, 45.8, 75.3, 75.9, 83.4])  # the RV of a synthetic heart, 8 frames
    assert ed_and_es(curve) == (0, 3)
    assert not spikes(curve).any()


def test_frames_nobody_looked_at_are_not_chosen():
    curve = beat()
    curve[[0, 9]] = np.nan
    cycle, _ = find_cycle({"LV": curve}, np.arange(25) * 0.036, 900.0)
    assert cycle["LV_ED"] in (1, 24)
    assert cycle["LV_ES"] in (8, 10)


def test_a_curve_nobody_looked_at_has_no_end_diastole():
    with pytest.raises(ValueError, match="without a single seen frame"):
        ed_and_es(np.full(25, np.nan))


def test_the_users_frames_win_over_the_curve_and_are_noted():
    cycle, flags = find_cycle({"LV": beat(), "RV": beat(es=11)}, np.arange(25) * 0.036, 900.0, ed=24, es=8)
    assert cycle == {"LV_ED": 24, "LV_ES": 8, "RV_ED": 24, "RV_ES": 8}
    assert [(flag.code, flag.severity) for flag in flags] == [("frames-given", Severity.NOTE)]
    assert "ED (frame 24) and ES (frame 8)" in flags[0].message


@pytest.mark.parametrize(
    ("ed", "es", "message"), [(25, None, "--ed 25 is not a frame"), (None, -1, "--es -1"), (3, 3, "both frame 3")]
)
def test_frames_that_cannot_be_are_refused(ed, es, message):
    with pytest.raises(RefusedInput, match=message):
        find_cycle({"LV": beat()}, np.arange(25) * 0.036, 900.0, ed=ed, es=es)


@pytest.mark.parametrize("frames", [1, 2, 5, MIN_FRAMES - 1])
def test_too_few_frames_show_no_end_systole(frames):
    cycle, flags = find_cycle({"LV": np.linspace(120, 60, frames)}, np.arange(frames) * 0.1, 900.0)
    assert cycle == {"LV_ED": 0}
    assert [(flag.code, flag.severity) for flag in flags] == [("too-few-frames", Severity.REFUSE)]


def test_two_frames_are_enough_when_the_user_knows_them():
    cycle, flags = find_cycle({"LV": np.array([60.0, 120.0])}, np.arange(2) * 0.3, ed=1, es=0)
    assert cycle == {"LV_ED": 1, "LV_ES": 0}
    assert codes(flags) == ["frames-given"]


def test_a_cut_off_diastole_is_flagged_by_its_time_and_by_its_curve():
    whole, times = beat(), np.arange(25) * 0.036
    cycle, flags = find_cycle({"LV": whole[:20]}, times[:20], 900.0)
    assert cycle == {"LV_ED": 0, "LV_ES": 9}
    assert codes(flags) == ["curve-not-closed", "diastole-incomplete"]
    assert "80 %" in flags[1].message
    assert find_cycle({"LV": whole}, times, 900.0)[1] == ()


def test_a_heart_that_does_not_move_has_no_function():
    cycle, flags = find_cycle({"LV": np.full(25, 80.0)}, np.arange(25) * 0.036, 900.0)
    assert cycle["LV_ED"] == cycle["LV_ES"]
    assert [(flag.code, flag.severity) for flag in flags] == [("ed-equals-es", Severity.REFUSE)]
