"""Stills after contrast agent, and of water: what is bright, what is dark, and that labels lie on it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from cinecmr.anatomy import Disease, Structure
from cinecmr.phantom import late
from cinecmr.phantom.chest import Chest, Tissue
from cinecmr.phantom.heart import Heart, Person
from cinecmr.phantom.scanner import BLOOD, Exposure, Look, Scanner
from cinecmr.phantom.scar import EVERYWHERE, Patch, Scar
from cinecmr.phantom.scene import Scene
from cinecmr.phantom.shape import Region

CLEAN = Scanner(snr=1e6, blur=0.3, shading=0.0, banding=0.0, slice_mm=6.0)
LOOK = Look(CLEAN.signals(), np.zeros(len(Tissue), np.float32), flow=0.0)
AREA = Region(2.6, 0.5, 0.9, 0.4, 1.0)
OLD = Scar((Patch(AREA, (0.0, 0.8), edge=(0.15, 0.4)),))
FRESH = Scar(
    (
        Patch(AREA, edge=(0.02, 0.06), code=Structure.OEDEMA),
        *OLD.patches,
        Patch(AREA, (0.2, 0.6), 0.4, (0.4, 0.6), Structure.NO_REFLOW),
    )
)
UP = np.array([0.0, 0.0, 1.0], np.float32)


def a_slice(scar, disease=Disease.INFARCT, size=64, step=1.7):
    heart = Heart(Person(disease=disease), scar=scar)
    time = late.moment(heart)
    grid = (np.arange(size, dtype=np.float32) - size / 2) * step
    x, y = np.meshgrid(grid + 10, grid, indexing="ij")
    height = 0.5 * heart.lv.base(float(heart.beat.activation(time)))
    points = np.stack([x, y, np.full_like(x, height)], axis=-1)
    scene = Scene(heart, Chest(papillary=(), trabecula_left=0.0), time)
    labels = late.scar_labels(heart.reader_labels(points, scene.surfaces), scene, points)
    return scene, points, labels


def seen(how, scar, disease=Disease.INFARCT, **options):
    """Mean of the inner pixels of every label of a noiseless slice."""
    scene, points, labels = a_slice(scar, disease)
    picture = how(scene, Exposure(points, UP, CLEAN, LOOK, np.random.default_rng(0)), **options)
    assert picture.shape == labels.shape
    inner = {code: ndimage.binary_erosion(labels == code) for code in map(Structure, np.unique(labels))}
    return {code: float(np.median(picture[where])) for code, where in inner.items() if where.any()}


@pytest.mark.parametrize(("t1", "wait", "repeat"), [(460, 300, 1700), (260, 300, 1500), (1500, 500, 1800)])
def test_recovery_is_the_steady_state_of_inversions(t1, wait, repeat):
    """Inversion after inversion on one magnetisation until nothing changes."""
    before = 1.0
    for _ in range(200):
        at_readout = 1 - (1 + before) * np.exp(-wait / t1)
        before = 1 - (1 - at_readout) * np.exp(-(repeat - wait) / t1)
    assert late.recovered(t1, wait, repeat) == pytest.approx(at_readout, abs=1e-9)


def test_after_contrast_scar_is_bright_blood_fair_and_muscle_dark():
    found = seen(late.lge, OLD)
    assert found[Structure.MYO] < 0.05
    assert found[Structure.LV] == pytest.approx(1.0, abs=0.02)
    assert found[Structure.SCAR] > 1.3 * found[Structure.LV]


def test_a_core_without_reflow_stays_dark_within_bright_scar():
    found = seen(late.lge, FRESH, psir=True)
    assert found[Structure.NO_REFLOW] < late.PSIR_ZERO - 0.2
    assert found[Structure.MYO] == pytest.approx(late.PSIR_ZERO, abs=0.05)
    assert found[Structure.SCAR] > late.PSIR_ZERO + 1
    magnitude = seen(late.lge, FRESH)
    assert magnitude[Structure.NO_REFLOW] < 0.4 * magnitude[Structure.SCAR]


def test_a_wrong_inversion_time_is_seen():
    early, late_ = (seen(late.lge, OLD, psir=True, late_ms=by)[Structure.MYO] for by in (-60.0, 60.0))
    assert early < late.PSIR_ZERO - 0.1
    assert late_ > late.PSIR_ZERO + 0.1
    assert seen(late.lge, OLD, late_ms=-60.0)[Structure.MYO] > 0.1  # the magnitude cannot tell early from late


def test_amyloid_darkens_blood_and_brightens_the_wall():
    ring = Scar((Patch(Region(0.0, 0.5, EVERYWHERE, EVERYWHERE, 0.0), (0.0, 0.7)),))
    found = seen(late.lge, ring, Disease.AMYLOID)
    assert found[Structure.LV] < 0.35
    assert found[Structure.SCAR] > 2 * found[Structure.LV]


def test_water_is_bright_where_the_infarct_is_fresh():
    found = seen(late.t2, FRESH)
    assert found[Structure.OEDEMA] > 1.35 * found[Structure.MYO]
    assert found[Structure.SCAR] > 1.3 * found[Structure.MYO]
    assert found[Structure.NO_REFLOW] < 1.2 * found[Structure.MYO]
    assert found[Structure.LV] < 0.5 * found[Structure.MYO]  # black blood


def test_an_old_scar_holds_no_more_water_than_muscle():
    found = seen(late.t2, OLD)
    assert found[Structure.SCAR] == pytest.approx(found[Structure.MYO], rel=0.02)


def test_fat_is_nulled_in_t2_weighting_and_bright_after_contrast():
    heart = Heart(scar=FRESH)
    water, agent = late.t2_signals(heart, CLEAN).tissues, late.late_signals(heart, CLEAN).tissues
    assert water[Tissue.FAT] < 0.02 * water[Tissue.MYOCARDIUM]
    assert agent[Tissue.FAT] > agent[Tissue.BLOOD_LEFT]


@pytest.mark.parametrize("field", [1.5, 3.0])
@pytest.mark.parametrize("rr", [0.6, 1.2])
def test_muscle_is_nulled_at_every_heart_rate_and_field(field, rr):
    heart = Heart(scar=FRESH)
    heart = replace(heart, beat=replace(heart.beat, rr_s=rr))
    signals = late.late_signals(heart, replace(CLEAN, field_t=field))
    assert abs(signals.muscle) < 1e-6
    assert signals.kinds[Structure.SCAR] > signals.tissues[Tissue.BLOOD_LEFT] > 0 > signals.kinds[Structure.NO_REFLOW]
    assert len({float(signals.tissues[tissue]) for tissue in BLOOD}) == 1


def test_stills_are_taken_when_the_heart_hardly_moves():
    heart = Heart()
    about = heart.beat.activation(late.moment(heart) + np.array([-0.03, 0.0, 0.03]))
    systole = heart.beat.activation(0.5 * heart.beat.systole + np.array([-0.03, 0.0, 0.03]))
    assert np.ptp(about) < 0.15 * np.ptp(systole)


def test_labels_of_a_stack_of_stills_hold_the_scars_volume():
    heart = Heart(Person(disease=Disease.INFARCT), scar=FRESH)
    scene = Scene(heart, Chest(), late.moment(heart))
    grid = np.arange(-40, 40, 1.0, dtype=np.float32)
    points = np.stack(np.meshgrid(grid, grid, np.arange(1, 95, 2.0, dtype=np.float32), indexing="ij"), axis=-1)
    labels = late.scar_labels(heart.labels_on(points, scene.surfaces), scene, points)
    for code, volume in FRESH.volume_ml(heart).items():
        assert (labels == code).sum() * 2.0 / 1000 == pytest.approx(volume, rel=0.05)


def test_labels_without_scar_are_as_they_were():
    scene, points, labels = a_slice(None)
    np.testing.assert_array_equal(labels, scene.heart.reader_labels(points, scene.surfaces))
