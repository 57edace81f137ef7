"""Atria over the beat, against their closed-form volumes and the ventricles they fill."""

from dataclasses import replace

import numpy as np
import pytest

from cinecmr.anatomy import Disease, Structure
from cinecmr.phantom.atria import AORTA_ANGLE, bulging, draw_atria, mitral_share, reservoir
from cinecmr.phantom.beat import Beat
from cinecmr.phantom.population import draw_heart
from cinecmr.phantom.shape import THETAS, directions

GROUPS = (Disease.NORMAL, Disease.DCM, Disease.HCM, Disease.ABNORMAL_RV)


@pytest.fixture(scope="module")
def people():
    hearts = [draw_heart(np.random.default_rng((3, n)), disease) for n, disease in enumerate(GROUPS)]
    return [(heart, draw_atria(np.random.default_rng((4, n)), heart)) for n, heart in enumerate(hearts)]


def grid(heart, step=2.0):
    """Points all around both atria, (..., 3)."""
    top = heart.lv.length
    axes = np.arange(-70, 150, step), np.arange(-90, 80, step), np.arange(top - 60, top + 85, step)
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)


@pytest.mark.parametrize("number", range(len(GROUPS)))
@pytest.mark.parametrize("phase", ["full", "empty"])
def test_atrial_voxels_hold_what_the_closed_form_says_and_share_none_with_the_ventricles(people, number, phase):
    heart, atria = people[number]
    time = 0.0 if phase == "empty" else heart.beat.systole + 0.02
    surfaces, points = heart.surfaces(time), grid(heart)
    ventricles = heart.labels_on(points, surfaces)
    labels = ventricles.copy()
    atria.label(labels, points, heart, surfaces, time)
    np.testing.assert_array_equal(labels[ventricles > 0], ventricles[ventricles > 0])
    for structure, volume in atria.volumes_ml(heart, surfaces, time).items():
        counted = (labels == structure).sum() * 2.0**3 / 1000
        assert counted == pytest.approx(volume, rel=0.01), structure


def test_an_atrium_holds_what_the_beat_asks_for(people):
    for heart, atria in people:
        for time in (0.0, 0.2, 0.45, 0.8):
            found = atria.volumes_ml(heart, heart.surfaces(time), time)
            assert found[Structure.LA] == pytest.approx(atria.left.volume_ml(heart.beat, time), rel=1e-6)
            right = atria.right.volume_ml(heart.beat, time, heart.beat.rv_delay)
            assert found[Structure.RA] == pytest.approx(right, rel=1e-6)


def test_no_atrium_empties_more_than_its_ventricle_ejects(people):
    for heart, atria in people:
        large, small = (heart.volumes_ml(t) for t in (0.0, heart.beat.systole))
        for one, side in ((atria.left, Structure.LV), (atria.right, Structure.RV)):
            assert 0 < one.largest - one.smallest < large[side] - small[side]


def test_the_atria_are_largest_at_end_systole_and_smallest_at_end_diastole():
    times = np.linspace(0, 1, 400, endpoint=False)
    for systole in (0.28, 0.36, 0.5):
        curve = reservoir(Beat(systole=systole), times)
        assert curve[0] == pytest.approx(0, abs=1e-9)
        assert times[np.argmax(curve)] == pytest.approx(systole + 0.02, abs=0.02)
        assert np.all((curve >= 0) & (curve <= 1))


def test_without_a_kick_the_conduit_empties_the_atrium_alone():
    diastasis = 0.75
    assert reservoir(Beat(kick=0.0), diastasis) == pytest.approx(0, abs=0.02)
    assert reservoir(Beat(kick=0.19), diastasis) == pytest.approx(0.42, abs=0.02)
    assert reservoir(Beat(kick=0.38), diastasis) == pytest.approx(0.84, abs=0.04)


def test_the_bulge_is_solved_from_the_volume():
    """A dome of one radius all round, integrated level by level."""
    annulus, form, height = np.full(THETAS, 18.0), np.ones(THETAS), 45.0
    grown = bulging(annulus, form, height, 80.0)
    share = (np.arange(20000) + 0.5) / 20000
    radius = 18.0 * (1 - share) + grown * 2 * np.sqrt(share * (1 - share))
    assert (np.pi * radius**2).mean() * height / 1000 == pytest.approx(80.0, rel=1e-5)
    assert bulging(annulus, form, height, 1.0) == 0.0  # less than the cone over the valve


def test_the_aortic_root_takes_its_sector_from_the_mitral_valve():
    share = mitral_share(np.full(THETAS, 25.0), 12.0)
    beside = np.abs(np.angle(np.exp(1j * (directions() - AORTA_ANGLE))))
    assert share[np.argmin(beside)] < 0.2
    assert np.all(share[beside > 1.4] > 0.99)


def test_the_right_atrium_keeps_its_border_on_the_septum(people):
    """It grows and shrinks, but on the side of the left atrium it stays where it is."""
    heart, atria = people[0]
    for time in (0.0, heart.beat.systole):
        _, right = atria.domes(heart, heart.surfaces(time), time)
        top = right.plane[0] + 0.5 * right.height
        y = right.centre[1] + 0.5 * right.drift[1]
        line = np.stack([np.arange(0, 120, 0.1), np.full(1200, y), np.full(1200, top)], axis=-1).astype(np.float32)
        inside = line[right.holds(line), 0]
        assert inside.min() - 0.5 * right.drift[0] == pytest.approx(atria.septum, abs=1.0)


def test_the_atria_of_a_leaking_right_heart_and_of_a_stiff_left_one_are_large():
    def mean(disease, side):
        found = []
        for n in range(5):
            heart = draw_heart(np.random.default_rng((8, n)), disease)
            atria = draw_atria(np.random.default_rng((9, n)), heart)
            found.append(getattr(atria, side).largest / heart.person.bsa_m2)
        return np.mean(found)

    normal = {side: mean(Disease.NORMAL, side) for side in ("left", "right")}
    assert normal["left"] == pytest.approx(40, abs=6)  # Maceira 2010, ml/m2
    assert normal["right"] == pytest.approx(52, abs=8)  # Maceira 2013
    assert mean(Disease.DCM, "left") > 1.2 * normal["left"]
    assert mean(Disease.ABNORMAL_RV, "right") > 1.2 * normal["right"]


def test_the_roof_hardly_moves_while_the_valve_comes_down(people):
    heart, atria = people[0]
    ed, es = (atria.domes(heart, heart.surfaces(t), t)[0] for t in (0.0, heart.beat.systole))
    descent = ed.plane[0] - es.plane[0]
    roof = (ed.plane[0] + ed.height) - (es.plane[0] + es.height)
    assert descent > 8
    assert 0 < roof < 0.2 * descent


def test_an_atrium_twice_as_large_holds_its_volume_too(people):
    heart, atria = people[0]
    left = replace(atria.left, largest=180.0)
    surfaces = heart.surfaces(heart.beat.systole + 0.02)
    found = replace(atria, left=left).volumes_ml(heart, surfaces, heart.beat.systole + 0.02)
    assert found[Structure.LA] == pytest.approx(180.0, rel=1e-3)
