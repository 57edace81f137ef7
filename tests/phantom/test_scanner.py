"""What the machine makes of tissue, against the physics it stands for."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cinecmr.errors import RefusedInput
from cinecmr.phantom.heart import Heart
from cinecmr.phantom.scanner import MACHINES, PRESETS, Look, Scanner, bssfp, draw_look, expose, machine, slice_signal
from cinecmr.phantom.scene import Tissue


def balanced_steady_state(t1, t2, density, tr, flip_deg):
    """Signal at TE = TR / 2 by playing pulse after pulse on one magnetisation until nothing changes."""
    flip = np.radians(flip_deg)
    magnetisation = np.array([0.0, 0.0, density])
    for number in range(int(8 * t1 / tr)):
        angle = flip if number % 2 == 0 else -flip  # the pulse alternates in phase
        turn = np.array([[1, 0, 0], [0, np.cos(angle), np.sin(angle)], [0, -np.sin(angle), np.cos(angle)]])
        magnetisation = turn @ magnetisation
        echo = abs(magnetisation[1]) * np.exp(-tr / 2 / t2)
        decay = np.array([np.exp(-tr / t2), np.exp(-tr / t2), np.exp(-tr / t1)])
        magnetisation = magnetisation * decay + [0, 0, density * (1 - np.exp(-tr / t1))]
    return echo


@pytest.mark.parametrize(
    ("t1", "t2", "tr", "flip"), [(1550, 250, 3.0, 60), (1000, 48, 3.0, 60), (300, 75, 3.6, 45), (1200, 40, 2.6, 75)]
)
def test_the_signal_is_the_steady_state_of_the_bloch_equations(t1, t2, tr, flip):
    assert bssfp(t1, t2, 0.9, tr, flip) == pytest.approx(balanced_steady_state(t1, t2, 0.9, tr, flip), rel=1e-3)


def test_with_short_tr_the_signal_is_the_textbook_limit():
    t1, t2, flip = 1000.0, 50.0, np.radians(50)
    limit = np.sin(flip) / (1 + np.cos(flip) + (1 - np.cos(flip)) * t1 / t2)
    assert bssfp(t1, t2, 1.0, 0.01, 50) == pytest.approx(limit, rel=1e-3)


@pytest.mark.parametrize("name", MACHINES)
def test_blood_is_brighter_than_muscle_and_muscle_brighter_than_lung_on_every_machine(name):
    signals = machine(name).signals()
    assert len(signals) == len(Tissue)
    assert signals[Tissue.BLOOD_LEFT] > 1.5 * signals[Tissue.MYOCARDIUM]
    assert signals[Tissue.MYOCARDIUM] > 2 * signals[Tissue.LUNG]
    assert signals[Tissue.FAT] > signals[Tissue.MYOCARDIUM]
    assert signals[Tissue.AIR] == 0


class TwoLayers:
    """A scene of two tissues: one below a height, one above."""

    time = 0.0
    heart = Heart()

    def __init__(self, below, above, edge=0.0):
        self.below, self.above, self.edge = below, above, edge

    def layer(self, points):
        return SimpleNamespace(points=points, spots=SimpleNamespace(noise=np.zeros_like(points[..., 0])))

    def paint(self, layer):
        return np.where(layer.points[..., 2] < self.edge, self.below, self.above).astype(np.uint8)

    def grain(self, codes, spots):
        return spots.noise


def still_look(opposed=False):
    return Look(Scanner().signals(), np.zeros(len(Tissue), np.float32), opposed=opposed, flow=0.0)


UP = np.array([0.0, 0.0, 1.0], np.float32)
FLAT = np.zeros((4, 5, 3), np.float32)


@pytest.mark.parametrize(("edge", "share"), [(-4.0, 0.0), (-2.0, 0.25), (0.0, 0.5), (3.0, 0.875), (4.1, 1.0)])
def test_a_slice_that_two_tissues_share_shows_their_mean(edge, share):
    look = still_look()
    scene = TwoLayers(Tissue.MYOCARDIUM, Tissue.BLOOD_LEFT, edge)
    found = slice_signal(scene, FLAT, UP, 8.0, look, samples=400)
    muscle, blood = look.signals[Tissue.MYOCARDIUM], look.signals[Tissue.BLOOD_LEFT]
    np.testing.assert_allclose(found, share * muscle + (1 - share) * blood, atol=0.003 * blood)


def test_a_thin_slice_shows_one_tissue():
    scene = TwoLayers(Tissue.MYOCARDIUM, Tissue.BLOOD_LEFT, 0.5)
    np.testing.assert_allclose(
        slice_signal(scene, FLAT, UP, 0.5, still_look()), still_look().signals[Tissue.MYOCARDIUM]
    )


def test_fat_beside_water_turns_dark_where_they_are_out_of_phase():
    scene = TwoLayers(Tissue.FAT, Tissue.MYOCARDIUM)
    ours, theirs = (still_look(opposed) for opposed in (True, False))
    fat, muscle = ours.signals[Tissue.FAT], ours.signals[Tissue.MYOCARDIUM]
    assert abs(slice_signal(scene, FLAT, UP, 8.0, ours, samples=2)[0, 0]) == pytest.approx(
        abs(muscle - fat) / 2, rel=1e-4
    )
    assert slice_signal(scene, FLAT, UP, 8.0, theirs, samples=2)[0, 0] == pytest.approx((muscle + fat) / 2, rel=1e-4)


def test_a_line_of_black_runs_between_fat_and_muscle():
    machine = Scanner(snr=1e9, shading=0.0, banding=0.0, blur=1.0)
    signal = np.where(np.arange(40)[:, None] < 20, -0.2, 0.1) * np.ones((40, 40))
    picture = expose(
        signal.astype(np.float32), np.zeros((40, 40, 3), np.float32), machine, still_look(), np.random.default_rng(0)
    )
    profile = picture[:, 20]
    assert profile[18:23].min() < 0.2 * profile[35]
    assert profile[:10].min() > profile[35]


def picture_of(level, machine, size=200, seed=0):
    look = still_look()
    signal = np.full((size, size), level * look.signals[Tissue.BLOOD_LEFT], np.float32)
    points = np.zeros((size, size, 3), np.float32)
    return expose(signal, points, machine, look, np.random.default_rng(seed)).astype(float)


@pytest.mark.parametrize("level", [0.0, 0.05, 1.0])
def test_noise_is_rician(level):
    """E[M^2] = A^2 + 2 s^2 and E[M^4] = A^4 + 8 A^2 s^2 + 8 s^4 for amplitude A and noise s."""
    machine = Scanner(snr=12.0, shading=0.0, banding=0.0)
    magnitude, sigma = picture_of(level, machine), 1 / 12
    assert np.mean(magnitude**2) == pytest.approx(level**2 + 2 * sigma**2, rel=0.02)
    assert np.mean(magnitude**4) == pytest.approx(level**4 + 8 * level**2 * sigma**2 + 8 * sigma**4, rel=0.05)


def test_coils_on_the_chest_shine_on_what_is_near_them():
    machine = Scanner(snr=1e9, shading=0.8, banding=0.0, blur=0.01)
    look = replace(still_look(), shading_direction=0.0)
    x = np.linspace(-60, 60, 25, dtype=np.float32)
    points = np.stack(np.broadcast_arrays(x[:, None], 0 * x[None, :], np.float32(0)), axis=-1)
    picture = expose(
        np.full((25, 25), look.signals[Tissue.BLOOD_LEFT]), points, machine, look, np.random.default_rng(0)
    )
    np.testing.assert_allclose(picture[:, 3], np.exp(0.8 * x / 110), rtol=1e-3)


def test_bands_only_take_signal_away():
    waves = np.array([[0.06, 0.03, 0.0, 1.0]] * 3, np.float32)
    look = replace(still_look(), waves=waves)
    x, y = np.meshgrid(np.arange(-80, 80, 2.0), np.arange(-80, 80, 2.0), indexing="ij")
    points = np.stack([x, y, 0 * x], axis=-1).astype(np.float32)
    signal = np.full(x.shape, look.signals[Tissue.BLOOD_LEFT], np.float32)
    pictures = [
        expose(signal, points, Scanner(snr=1e9, shading=0.0, banding=b, blur=0.01), look, np.random.default_rng(0))
        for b in (0.0, 0.4)
    ]
    ratio = pictures[1] / pictures[0]
    assert ratio.min() == pytest.approx(0.6, abs=0.02)
    assert ratio.max() == pytest.approx(1.0, abs=0.001)


def test_flow_modulates_blood_and_leaves_muscle_alone():
    waves = np.array([[0.05, 0.02, 0.0, 0.3]] * 3, np.float32)
    look = replace(still_look(), flow=0.2, waves=waves)
    x, y = np.meshgrid(*2 * [np.arange(-80, 80, 4, np.float32)], indexing="ij")
    points = np.stack([x, y, 0 * x], axis=-1)
    for tissue, varies in ((Tissue.BLOOD_LEFT, True), (Tissue.BLOOD_VESSEL, True), (Tissue.MYOCARDIUM, False)):
        found = slice_signal(TwoLayers(tissue, tissue), points, UP, 8.0, look)
        assert bool(np.ptp(found) > 0.1 * found.mean()) is varies


def test_a_study_has_one_look_and_it_follows_its_seed():
    one, same, other = (draw_look(Scanner(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.signals, same.signals)
    assert not np.array_equal(one.signals, other.signals)
    assert one.signals[Tissue.AIR] == 0
    assert np.all(one.signals >= 0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"field_t": 9.4}, "field_t is 0.5 to 3 T, got 9.4"),
        ({"flip_deg": 0.0}, "flip_deg is 1 to 90 degrees, got 0"),
        ({"tr_ms": 30.0}, "tr_ms is 1.5 to 10 ms, got 30"),
        ({"gap_mm": -2.0}, "gap_mm is 0 to 20 mm, got -2"),
        ({"matrix": (192, 4)}, "matrix is 8 to 1024 pixels, got 4"),
        ({"snr": float("nan")}, "snr is 0.5 to inf times the noise, got nan"),
    ],
)
def test_what_no_machine_can_do_is_refused_with_the_range(wrong, said):
    with pytest.raises(ValueError, match=said):
        Scanner(**wrong)


def test_an_unknown_machine_is_refused_with_the_names_there_are():
    with pytest.raises(RefusedInput, match=r"no scanner 'toshiba': there are siemens-1.5t, .*canon-1.5t"):
        machine("toshiba")


def test_new_machines_leave_those_that_studies_are_drawn_from():
    assert list(PRESETS) == ["siemens-1.5t", "siemens-3t", "philips-1.5t", "ge-1.5t"]
    assert MACHINES.keys() > PRESETS.keys()


def test_a_signed_picture_keeps_its_sign_and_gaussian_noise():
    plain = Scanner(snr=10.0, shading=0.0, banding=0.0)
    signal = np.full((120, 120), -0.02, np.float32)
    points, rng = np.zeros((120, 120, 3), np.float32), np.random.default_rng(0)
    picture = expose(signal, points, plain, still_look(), rng, bright=0.04, signed=True)
    assert picture.mean() == pytest.approx(-0.5, abs=0.003)
    assert picture.std() == pytest.approx(0.1, rel=0.03)
