"""Scar lies where its disease puts it, moves with the wall, and keeps its volume."""

from dataclasses import replace

import numpy as np
import pytest

from cinecmr.anatomy import Disease, Structure
from cinecmr.phantom.heart import Heart, Person
from cinecmr.phantom.motion import forward
from cinecmr.phantom.scar import EVERYWHERE, Patch, Scar, draw_scar
from cinecmr.phantom.shape import LeftVentricle, Region, RightVentricle, Ripple

THETA = np.linspace(-np.pi, np.pi, 96, endpoint=False, dtype=np.float32)[None, :]
SHARE = np.linspace(0.1, 0.95, 30, dtype=np.float32)[:, None]
AREA = Region(0.6, 0.5, 0.9, 0.3, 1.0)
CURVED = LeftVentricle(
    tilt=(0.08, -0.05), ripple=Ripple((0.03, 0.02), (2, 3), (0.4, 2.0), (1.0, -2.0)), still=(AREA,), squeeze_slope=0.1
)
INFARCT = Scar(
    (
        Patch(AREA, edge=(0.06, 0.10), code=Structure.OEDEMA),
        Patch(AREA, (0.0, 0.8), edge=(0.15, 0.5)),
        Patch(AREA, (0.1, 0.5), 0.25, (0.5, 0.75), Structure.NO_REFLOW),
    )
)
HEART = Heart(lv=CURVED, bend=(2.0, -1.0), scar=INFARCT)


def ill(disease, severity=1.0, **parts):
    return Heart(person=Person(disease=disease, severity=severity), **parts)


def infarct(rng):
    where = Region(rng.uniform(-3, 3), rng.uniform(0.3, 0.7), rng.uniform(0.6, 1.2), rng.uniform(0.22, 0.45), 1.0)
    return ill(Disease.INFARCT, lv=LeftVentricle(still=(where,)))


def test_transmurality_is_the_share_of_a_ray_that_is_scar():
    depths = (np.arange(2000, dtype=np.float32) + 0.5) / 2000
    codes = INFARCT.layers(THETA[..., None], SHARE[..., None], depths)
    counted = ((codes == Structure.SCAR) | (codes == Structure.NO_REFLOW)).mean(axis=-1)
    np.testing.assert_allclose(INFARCT.transmurality(THETA, SHARE), counted, atol=2e-3)
    at_centre = INFARCT.transmurality(np.float32([0.6]), np.float32([0.5]))
    assert at_centre == pytest.approx(0.8, abs=1e-6)


def test_a_ray_through_the_infarct_meets_scar_then_living_wall():
    endo, epi = (float(r[0]) for r in CURVED.reference_radii(np.float32([0.6]), np.float32([45.0])))
    shift = [float(s) for s in HEART.axis_shift(np.float32(45.0))]
    shares = np.array([-0.1, 0.02, 0.3, 0.7, 0.9, 1.1])
    r = endo + shares * (epi - endo)
    points = np.stack([shift[0] + r * np.cos(0.6), shift[1] + r * np.sin(0.6), np.full(6, 45.0)], axis=-1)
    s = Structure
    expected = [0, s.SCAR, s.NO_REFLOW, s.SCAR, s.OEDEMA, 0]
    np.testing.assert_array_equal(INFARCT.codes(points, HEART), expected)


@pytest.mark.parametrize("time", [0.0, 0.36])
def test_volumes_are_those_of_points_counted_at_any_moment(time):
    """Counted in a cloud of random points, in diastole and, after the wall has moved, in systole."""
    rng = np.random.default_rng(0)
    low, high = np.array([-45.0, -45.0, 0.0]), np.array([45.0, 45.0, 96.0])
    codes = INFARCT.codes(rng.uniform(low, high, (400_000, 3)), HEART, time)
    per_point = np.prod(high - low) / 1000 / len(codes)
    for code, volume in INFARCT.volume_ml(HEART).items():
        assert volume > 1.0
        assert (codes == code).sum() * per_point == pytest.approx(volume, rel=0.06)


def test_changed_wall_goes_where_the_motion_takes_it():
    rng = np.random.default_rng(1)
    theta, z, depth = rng.uniform(-3, 3, 4000), rng.uniform(12, 75, 4000), rng.uniform(0.02, 0.98, 4000)
    endo, epi = CURVED.reference_radii(theta, z)
    dx, dy = HEART.axis_shift(z)
    r = endo + depth * (epi - endo)
    points = np.stack([dx + r * np.cos(theta), dy + r * np.sin(theta), z], axis=-1)
    before, after = INFARCT.codes(points, HEART), INFARCT.codes(forward(HEART, points, 0.3), HEART, 0.3)
    assert {0, Structure.SCAR, Structure.NO_REFLOW, Structure.OEDEMA} == set(np.unique(before))
    assert (before == after).mean() > 0.998  # points on a border may fall either way by rounding


def contraction(heart):
    return np.broadcast_to(heart.lv.squeeze_factor(THETA, SHARE, 1.0), (30, 96)).ravel()


def correlation(heart, scar):
    return np.corrcoef(contraction(heart), scar.transmurality(THETA, SHARE).ravel())[0, 1]


def test_an_infarct_is_deepest_where_the_wall_contracts_least():
    for seed in range(8):
        rng = np.random.default_rng(seed)
        heart = infarct(rng)
        scar = draw_scar(heart, rng)
        assert scar.linked
        assert correlation(heart, scar) > 0.7  # healthy wall, too, contracts less at the base


def test_without_the_link_scar_says_nothing_about_contraction():
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        heart = infarct(rng)
        found.append(correlation(heart, draw_scar(heart, rng, linked=False)))
    assert abs(np.mean(found)) < 0.15
    assert np.std(found) > 0.2  # each heart by itself may agree by chance


def test_less_contraction_left_means_deeper_scar():
    depths = []
    for amount in (0.80, 0.92, 0.97, 1.05):
        heart = ill(Disease.INFARCT, lv=LeftVentricle(still=(replace(AREA, amount=amount),)))
        depths.append(draw_scar(heart, np.random.default_rng(3)).transmurality(THETA, SHARE).max())
    assert np.all(np.diff(depths) > 0)
    assert depths[-1] == 1.0


def test_a_core_without_reflow_lies_within_scar_and_scar_within_oedema():
    seen = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        patches = {patch.code: patch.bounds(THETA, SHARE) for patch in draw_scar(infarct(rng), rng).patches}
        if Structure.NO_REFLOW not in patches:
            continue
        seen += 1
        (core_in, core_out), (scar_in, scar_out) = patches[Structure.NO_REFLOW], patches[Structure.SCAR]
        core = core_out > core_in
        assert (scar_in <= core_in)[core].all()
        assert (scar_out > core_out)[core].all()
        swollen = patches[Structure.OEDEMA][1]
        assert swollen[scar_out > 0].min() == 1.0
        assert ((swollen > 0) & (scar_out == 0)).any()
    assert seen > 3


def test_healthy_hearts_have_no_scar_and_the_mildest_of_an_illness_neither():
    assert draw_scar(ill(Disease.NORMAL), np.random.default_rng(0)) is None
    assert all(draw_scar(ill(disease, 0.0), np.random.default_rng(0)) is None for disease in Disease)


def test_dilated_hearts_scar_in_the_middle_of_the_septum_the_more_the_less_they_eject():
    def found(squeeze):
        heart = ill(Disease.DCM, lv=LeftVentricle(squeeze=squeeze, shortening=0.95))
        return [draw_scar(heart, np.random.default_rng(seed)) for seed in range(40)]

    weak, fair = found(0.97), found(0.82)
    assert sum(scar is not None for scar in weak) > sum(scar is not None for scar in fair)
    for scar in filter(None, weak):
        rims = scar.layers(THETA[..., None], SHARE[..., None], np.float32([0.05, 0.95]))
        assert not rims.any()
        column = scar.transmurality(THETA, SHARE).sum(axis=0)
        assert abs(np.average(THETA[0], weights=column)) < 0.7


def test_amyloid_lies_all_round_from_within_and_deeper_at_the_base():
    scar = draw_scar(ill(Disease.AMYLOID, 0.8), np.random.default_rng(2))
    base, apex = (scar.transmurality(THETA[0], np.float32(share)) for share in (0.85, 0.15))
    assert base.min() > 0.2
    assert base.mean() > 1.5 * apex.mean()
    assert scar.layers(THETA[0], np.float32(0.85), np.float32(0.01)).all()


def test_right_ventricular_dysplasia_scars_the_free_wall_that_fails():
    failing = Region(0.5, 0.7, 0.35, 0.2, 1.1)
    heart = ill(Disease.ARVC, rv=RightVentricle(still=(failing,)))
    scar = next(s for s in (draw_scar(heart, np.random.default_rng(i)) for i in range(20)) if len(s.patches) == 1)
    rng = np.random.default_rng(0)
    points = rng.uniform((0, -70, 0), (90, 70, 95), (200_000, 3))
    codes = scar.codes(points, heart)
    within = points[codes == Structure.SCAR]
    assert len(within) > 100
    np.testing.assert_array_equal(heart.labels(within, 0.0), Structure.BACKGROUND)  # wall, not cavity
    assert np.abs(np.arctan2(within[:, 1], within[:, 0]) - 0.5).max() < 0.6
    volume = 90 * 140 * 95 / 1000 / len(points) * len(within)
    assert scar.volume_ml(heart, right=True)[Structure.SCAR] == pytest.approx(volume, rel=0.15)
    assert scar.volume_ml(heart)[Structure.SCAR] == 0


def test_thick_hearts_scar_at_the_insertions_or_in_the_middle_of_the_wall():
    thick = Region(0.3, 0.6, 0.9, 0.4, 0.8)
    found = [draw_scar(ill(Disease.HCM, lv=LeftVentricle(thick=(thick,))), np.random.default_rng(s)) for s in range(30)]
    some = [scar for scar in found if scar]
    assert 8 < len(some) < 29
    for scar in some:
        assert not scar.layers(THETA[..., None], SHARE[..., None], np.float32([0.03])).any()
        assert scar.transmurality(THETA, SHARE).mean() < 0.15


def test_a_patch_outside_the_wall_is_refused():
    everywhere = Region(0.0, 0.5, EVERYWHERE, EVERYWHERE, 0.0)
    with pytest.raises(ValueError, match="depth runs from and to shares of the wall"):
        Patch(everywhere, (0.2, 1.2))
    with pytest.raises(ValueError, match="edge holds two rising weights"):
        Patch(everywhere, edge=(0.7, 0.3))
