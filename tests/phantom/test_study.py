"""A whole synthetic visit, its labels against its volumes."""

import numpy as np
import pytest

from cinecmr.anatomy import Contrast, Disease, Landmark, Structure, View
from cinecmr.geometry import plane_normal, voxel_volume_ml
from cinecmr.measure.hinges import TRICUSPID
from cinecmr.phantom.heart import Heart
from cinecmr.phantom.population import draw_heart
from cinecmr.phantom.study import synthetic_study, truth
from cinecmr.phantom.views import LONG_AXIS

SAX = (View.SAX, Contrast.CINE)


@pytest.fixture(scope="module")
def visit():
    return synthetic_study(3, Disease.NORMAL, matrix=(48, 48), frames=3)


def centroid_line(study, labels, frame=0):
    """Centres of the left cavity in the slices where a reader sees it, patient mm, (n, 3), and the stack's normal."""
    affine = study[View.SAX].affine
    cavity = labels[SAX][..., frame] == Structure.LV
    centres = []
    for z in range(cavity.shape[2]):
        at = np.argwhere(cavity[:, :, z])
        if len(at) > 15:
            centres.append(affine[:3, :3] @ [*at.mean(axis=0), z] + affine[:3, 3])
    return np.array(centres), plane_normal(affine)


def test_labels_hold_the_volumes_the_geometry_says(visit):
    study, known = visit
    ml = voxel_volume_ml(study[View.SAX].affine)
    for frame in range(3):
        labels = known.labels[SAX][..., frame]
        for name, structure in (("LV", Structure.LV), ("RV", Structure.RV)):
            assert (labels == structure).sum() * ml == pytest.approx(known.curves[name][frame], rel=0.12, abs=4)
    muscle = 1.05 * (known.labels[SAX][..., known.cycle["LV_ED"]] == Structure.MYO).sum() * ml
    assert muscle == pytest.approx(known.measurements["LVM"].value, rel=0.15)


def test_measurements_agree_with_each_other_and_with_the_curves(visit):
    _, known = visit
    value = {name: m.value for name, m in known.measurements.items()}
    for side in ("LV", "RV"):
        assert value[f"{side}EDV"] == known.curves[side].max() == known.curves[side][known.cycle[f"{side}_ED"]]
        assert value[f"{side}ESV"] == known.curves[side].min() == known.curves[side][known.cycle[f"{side}_ES"]]
        assert value[f"{side}SV"] == pytest.approx(value[f"{side}EDV"] - value[f"{side}ESV"])
        assert value[f"{side}EF"] == pytest.approx(100 * value[f"{side}SV"] / value[f"{side}EDV"])
    ventricles = {f"{s}{v}" for s in ("LV", "RV") for v in ("EDV", "ESV", "SV", "EF")} | {"LVM", "MAPSE"}
    assert set(value) == ventricles | {f"{s}{v}" for s in ("LA", "RA") for v in ("Vmax", "Vmin", "EF")}
    assert {m.source for m in known.measurements.values()} == {"phantom"}


def test_the_truth_of_a_heart_is_its_curve_and_nothing_else():
    heart, times = Heart(), np.linspace(0, 1, 20, endpoint=False)
    known = truth(heart, times)
    curve = heart.curves(times)[Structure.LV]
    assert known.cycle["LV_ED"] == 0
    assert abs(times[known.cycle["LV_ES"]] - heart.beat.systole) <= 0.025
    np.testing.assert_array_equal(known.curves["LV"], curve)
    assert known.measurements["LVM"].value == pytest.approx(1.05 * heart.volumes_ml(0.0)[Structure.MYO])


def test_every_long_axis_plane_holds_the_axis_of_the_left_ventricle(visit):
    study, known = visit
    centres, normal = centroid_line(study, known.labels)
    for view in LONG_AXIS:
        affine = study[view].affine
        plane = plane_normal(affine)
        off = (centres - affine[:3, 3]) @ plane
        assert np.abs(off).mean() < 5, view
        assert abs(plane @ normal) < np.sin(np.radians(12)), view


def test_four_chambers_show_both_ventricles_and_two_chambers_the_left_alone(visit):
    _, known = visit
    four, two = (known.labels[view, Contrast.CINE] for view in (View.LAX_4C, View.LAX_2C))
    assert (four == Structure.RV).sum() > 20
    assert (two == Structure.LV).sum() > 20
    assert (two == Structure.RV).sum() < 0.3 * (four == Structure.RV).sum()


def test_the_stack_reaches_from_above_the_base_to_below_the_apex(visit):
    _, known = visit
    left = (known.labels[SAX][..., 0] >= Structure.MYO).any(axis=(0, 1))
    assert not left[0]
    assert not left[-1]
    assert left.sum() >= 6


def test_times_are_a_beat_in_seconds(visit):
    study, _ = visit
    for view in study.views:
        image = study[view]
        assert image.frames == 3
        np.testing.assert_allclose(image.times, np.arange(3) / 3 * image.rr_ms / 1000)
        assert 400 < image.rr_ms < 1500


def test_the_person_and_machine_are_known_and_the_name_is_no_ones(visit):
    study, _ = visit
    facts = study.facts
    assert None not in (
        facts.height_m,
        facts.weight_kg,
        facts.age_y,
        facts.sex,
        facts.vendor,
        facts.model,
        facts.field_t,
    )
    assert study.subject == "phantom-00003"
    assert study.provenance["disease"] == "normal"


def test_left_lies_to_the_left_and_the_apex_below_and_in_front(visit):
    """Patient RAS: from base to apex the axis runs to the left, forwards and down; the right ventricle lies right."""
    study, known = visit
    image = study[View.SAX]
    at = {s: np.argwhere(known.labels[SAX][..., 0] == s) for s in (Structure.LV, Structure.RV)}
    patient = {s: image.affine[:3, :3] @ p.mean(axis=0) + image.affine[:3, 3] for s, p in at.items()}
    to_right = patient[Structure.RV] - patient[Structure.LV]
    assert to_right[0] > 10  # in RAS x grows towards the patient's right
    per_slice = (known.labels[SAX][..., 0] == Structure.LV).sum(axis=(0, 1))
    inside = np.flatnonzero(per_slice)
    half = len(inside) // 2
    apical_last = per_slice[inside[:half]].sum() > per_slice[inside[half:]].sum()
    towards_apex = image.affine[:3, 2] * (1 if apical_last else -1)
    assert towards_apex[0] < 0
    assert towards_apex[1] > 0
    assert towards_apex[2] < 0


def test_a_seed_makes_the_same_study_again(visit):
    study, known = visit
    again, known_again = synthetic_study(3, Disease.NORMAL, matrix=(48, 48), frames=3)
    for key, image in study.images.items():
        np.testing.assert_array_equal(image.data, again.images[key].data)
        np.testing.assert_array_equal(image.affine, again.images[key].affine)
        np.testing.assert_array_equal(known.labels[key], known_again.labels[key])
    assert dict(known.measurements) == dict(known_again.measurements)


def test_another_seed_is_another_person():
    one, other = (
        synthetic_study(seed, Disease.NORMAL, matrix=(16, 16), frames=1, long_axis=False)[0] for seed in (1, 2)
    )
    assert one.facts != other.facts
    assert one.views == (View.SAX,)


def test_pixels_are_what_dicom_can_hold(visit):
    data = visit[0][View.SAX].data
    assert data.dtype == np.int16
    assert data.min() >= 0
    assert data.max() <= 4095
    assert np.percentile(data, 99.5) > 800


def test_progress_rises_to_one():
    told = []
    study, _ = synthetic_study(5, Disease.NORMAL, matrix=(16, 16), frames=2, long_axis=False, progress=told.append)
    assert told == pytest.approx(np.arange(1, study[View.SAX].slices + 1) / study[View.SAX].slices)


def test_the_study_holds_the_heart_its_seed_draws(visit):
    heart = draw_heart(np.random.default_rng((7, 3)), Disease.NORMAL)
    assert visit[1].measurements["LVEDV"].value == pytest.approx(heart.volumes_ml(0.0)[Structure.LV])


def test_every_view_has_labels_and_the_long_axis_shows_atria(visit):
    study, known = visit
    assert set(known.labels) == set(study.images)
    for key, image in study.images.items():
        assert known.labels[key].shape == image.data.shape
    assert {4, 5} <= set(np.unique(known.labels[View.LAX_4C, Contrast.CINE]))
    assert 4 in known.labels[View.LAX_2C, Contrast.CINE]
    assert set(np.unique(known.labels[SAX])) == {0, 1, 2, 3}


def test_atria_are_measured_and_fill_while_the_ventricles_empty(visit):
    _, known = visit
    value = {name: m.value for name, m in known.measurements.items()}
    for side in ("LA", "RA"):
        assert value[f"{side}Vmax"] == known.curves[side].max()
        assert value[f"{side}Vmin"] == known.curves[side].min() == known.curves[side][0]
        assert value[f"{side}EF"] == pytest.approx(100 * (1 - value[f"{side}Vmin"] / value[f"{side}Vmax"]))
    assert np.corrcoef(known.curves["LA"], known.curves["LV"])[0, 1] < -0.5


def test_mapse_is_how_far_the_mitral_plane_falls(visit):
    study, known = visit
    heart = draw_heart(np.random.default_rng((7, 3)), Disease.NORMAL)
    low = min(heart.lv.base(float(heart.beat.activation(t))) for t in study[View.SAX].times / heart.beat.rr_s)
    assert known.measurements["MAPSE"].value == pytest.approx(heart.lv.length - low, abs=1.0)


def test_landmarks_and_motion_are_known_at_every_frame(visit):
    study, known = visit
    assert set(known.landmarks) == set(Landmark) - set(TRICUSPID)
    assert {points.shape for points in known.landmarks.values()} == {(study[View.SAX].frames, 3)}
    start = known.landmarks[Landmark.APEX_4C][:1]
    np.testing.assert_allclose(known.motion.displacement(start, 0.0), 0, atol=1e-6)


@pytest.fixture(scope="module")
def twice():
    """The same person on two days."""
    recipe = {"matrix": (32, 32), "frames": 4, "long_axis": False}
    return [synthetic_study(11, Disease.DCM, rescan=number, **recipe) for number in (0, 1)]


def test_a_rescan_finds_the_same_volumes_in_another_picture(twice):
    (first, known), (second, again) = twice
    for name in ("LVEDV", "LVESV", "LVM", "RVEDV", "LAVmax"):
        assert known.measurements[name].value == again.measurements[name].value, name
    assert first.subject == second.subject
    assert (first.provenance["rescan"], second.provenance["rescan"]) == ("0", "1")
    assert first[View.SAX].rr_ms != second[View.SAX].rr_ms
    assert second[View.SAX].rr_ms == pytest.approx(first[View.SAX].rr_ms, rel=0.13)
    assert not np.allclose(first[View.SAX].affine, second[View.SAX].affine, atol=0.5)


def test_voxels_of_a_rescan_repeat_within_what_slices_allow(twice):
    counted = []
    for study, known in twice:
        counted.append(
            (known.labels[SAX] == Structure.LV).sum(axis=(0, 1, 2)) * voxel_volume_ml(study[View.SAX].affine)
        )
    np.testing.assert_allclose(counted[0], counted[1], rtol=0.15)
    assert not np.array_equal(counted[0], counted[1])


def test_a_negative_rescan_is_refused():
    with pytest.raises(ValueError, match="rescan counts further visits"):
        synthetic_study(1, rescan=-1)


def test_other_contrasts_change_nothing_in_the_cine():
    recipe = {"matrix": (24, 24), "frames": 2, "long_axis": False}
    alone, known = synthetic_study(8, Disease.INFARCT, **recipe)
    both, more = synthetic_study(8, Disease.INFARCT, contrasts=tuple(Contrast), **recipe)
    np.testing.assert_array_equal(alone[View.SAX].data, both[View.SAX].data)
    np.testing.assert_array_equal(known.labels[SAX], more.labels[SAX])
    assert both[View.SAX, Contrast.TAGGED].data.shape == (24, 24, 3, 2)
    for still in (Contrast.LGE, Contrast.T2):
        image = both[View.SAX, still]
        assert image.frames == 1
        np.testing.assert_array_equal(image.affine, both[View.SAX].affine)
        labels = more.labels[View.SAX, still]
        scar = np.isin(labels, (Structure.SCAR, Structure.NO_REFLOW))
        assert 0 < scar.sum() < (labels == Structure.MYO).sum() + scar.sum()
    bright = both[View.SAX, Contrast.LGE].data
    found = more.labels[View.SAX, Contrast.LGE]
    assert np.median(bright[found == Structure.SCAR]) > 1.5 * np.median(bright[found == Structure.MYO])


def test_tagged_slices_lie_at_base_middle_and_apex_of_the_same_heart(visit):
    study, known = synthetic_study(
        3, Disease.NORMAL, matrix=(32, 32), frames=1, long_axis=False, contrasts=(Contrast.TAGGED,)
    )
    image = study[View.SAX, Contrast.TAGGED]
    assert study.views == ()
    heart = draw_heart(np.random.default_rng((7, 3)), Disease.NORMAL)
    assert image.spacing[2] == pytest.approx(0.25 * heart.lv.length, rel=0.2)
    labels = known.labels[View.SAX, Contrast.TAGGED][..., 0]
    assert all((labels[:, :, z] == Structure.MYO).sum() > 5 for z in range(3))
    assert known.measurements["LVEDV"] == visit[1].measurements["LVEDV"]
