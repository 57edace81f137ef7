"""The fold over the stages, with labels that are known."""

from dataclasses import replace

import numpy as np
import pytest

from cinecmr.analyze.pipeline import SAX_CINE, STAGES, Context, analyze, measure_volumes
from cinecmr.anatomy import Contrast, Landmark, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.measure.base import find_base
from cinecmr.study import Findings, Flag, Severity, Study


def with_image(heart, **changes) -> Study:
    return replace(heart.study, images={SAX_CINE: replace(heart.image, **changes)})


def codes(found: Findings) -> set[str]:
    return {flag.code for flag in found.flags}


def test_true_labels_give_the_volumes_counted_voxel_by_voxel(tiny_heart, tiny_model):
    found = analyze(tiny_heart.study, tiny_model)
    counts = (tiny_heart.labels == Structure.LV).sum(axis=(0, 1)).astype(float)
    base = find_base(counts, float(tiny_heart.image.spacing[2]))
    pool = (counts.sum(axis=0) + base.added(counts)) * 0.04
    assert found.measurements["LVEDV"].value == pytest.approx(pool.max())
    assert found.measurements["LVESV"].value == pytest.approx(pool.min())
    assert found.measurements["LVEF"].value == pytest.approx(100 * (1 - pool.min() / pool.max()))
    assert (found.cycle["LV_ED"], found.cycle["LV_ES"], found.cycle["RV_ES"]) == (0, 4, 5)
    assert found.measurements["LVEDV"].source == "labels of drawn-by-hand"
    assert found.measurements["HR"].value == pytest.approx(60000 / 900)
    np.testing.assert_allclose(found.curves["LV"], pool)
    # on eight slices of few pixels the RV tapers in steps
    assert {flag.code for flag in found.flags if flag.severity is not Severity.NOTE} <= {"rv-torn"}


def test_every_stage_adds_and_none_replaces(tiny_heart, tiny_model):
    context, found = Context(tiny_model), Findings()
    for stage in STAGES:
        found |= stage(tiny_heart.study, found, context)
    again = STAGES[0](tiny_heart.study, found, context)
    assert not again.labels
    with pytest.raises(ValueError, match=r"measurements .* found twice"):
        found | measure_volumes(tiny_heart.study, found, context)


def test_a_missing_slice_is_bridged_whatever_the_model_says_of_it(tiny_heart, tiny_model):
    study = with_image(tiny_heart, missing_slices=(3,))
    tiny_model.labels = tiny_heart.labels.copy()
    tiny_model.labels[:, :, 3] = Structure.RV  # a model makes anything of an empty slice
    found = analyze(study, tiny_model)
    area = (tiny_heart.labels[..., 0] == Structure.LV).sum(axis=(0, 1))
    bridged = (area.sum() - area[3] + (area[2] + area[4]) / 2) * 0.04
    half_a_slice = 0.5 * area.max() * 0.04  # the mitral plane may lie so far from the basal slice's face
    assert found.measurements["LVEDV"].value == pytest.approx(bridged, abs=half_a_slice)
    assert found.measurements["LVEDV"].value != pytest.approx(area.sum() * 0.04 - area[3] * 0.04, rel=0.01)
    assert (found.labels[SAX_CINE][:, :, 3] == Structure.UNSEEN).all()
    assert "missing-slice" in codes(found)


def test_two_missing_neighbours_withhold_every_volume_but_not_the_labels(tiny_heart, tiny_model):
    found = analyze(with_image(tiny_heart, missing_slices=(3, 4)), tiny_model)
    assert "missing-neighbours" in codes(found)
    assert set(found.measurements) == {"HR", "BSA"}
    assert SAX_CINE in found.labels


def test_a_heart_without_a_right_ventricle_still_gives_the_left(tiny_heart, tiny_model):
    tiny_model.labels = np.where(tiny_heart.labels == Structure.RV, 0, tiny_heart.labels).astype(np.uint8)
    found = analyze(tiny_heart.study, tiny_model)
    assert "LVEF" in found.measurements
    assert not any(name.startswith("RV") for name in found.measurements)
    assert [flag.severity for flag in found.flags if flag.code == "not-found"] == [Severity.REFUSE]


def test_a_heart_without_muscle_has_volumes_and_no_mass(tiny_heart, tiny_model):
    tiny_model.labels = np.where(tiny_heart.labels == Structure.MYO, 0, tiny_heart.labels).astype(np.uint8)
    found = analyze(tiny_heart.study, tiny_model)
    assert "LVEF" in found.measurements
    assert "LVM" not in found.measurements
    assert "LVMi" not in found.measurements
    assert "implausible" in codes(found)


def test_a_still_gives_static_numbers_only(tiny_heart, tiny_model):
    still = with_image(tiny_heart, data=tiny_heart.image.data[..., :1], times=np.zeros(1), rr_ms=None)
    tiny_model.labels = tiny_heart.labels[..., :1]
    found = analyze(still, tiny_model)
    assert {name for name in found.measurements if not name.endswith("i")} == {"LVEDV", "LVM", "LVWT", "RVEDV", "BSA"}
    assert set(found.segments) == {"wall_thickness_ed_mm"}
    assert "too-few-frames" in codes(found)


def test_the_wall_is_measured_by_segment_and_its_insertion_points_at_every_frame(tiny_heart, tiny_model):
    found = analyze(tiny_heart.study, tiny_model)
    ed, es = (found.segments[f"wall_thickness_{phase}_mm"] for phase in ("ed", "es"))
    middle = tiny_heart.labels[:, :, 4]
    areas = [[(middle[..., t] == code).sum() * 4 for code in (Structure.LV, Structure.MYO)] for t in (0, 4)]
    round_mm = [np.sqrt((blood + wall) / np.pi) - np.sqrt(blood / np.pi) for blood, wall in areas]
    assert np.nanmean(ed[6:12]) == pytest.approx(round_mm[0], rel=0.15)
    assert np.nanmean(es[6:12]) == pytest.approx(round_mm[1], rel=0.15)
    np.testing.assert_allclose(found.segments["wall_thickening_percent"], 100 * (es / ed - 1))
    thickest = found.measurements["LVWT"]
    assert (thickest.value, thickest.unit, thickest.frame) == (np.nanmax(ed), "mm", 0)
    for name in (Landmark.RV_INSERTION_ANTERIOR, Landmark.RV_INSERTION_INFERIOR):
        assert found.landmarks[name].shape == (12, 3)
        assert np.isfinite(found.landmarks[name][0]).all()


def test_without_a_believable_mass_no_wall_is_told(tiny_heart, tiny_model):
    tiny_model.labels = np.where(tiny_heart.labels == Structure.MYO, 0, tiny_heart.labels).astype(np.uint8)
    found = analyze(tiny_heart.study, tiny_model)
    assert "LVM" not in found.measurements
    assert not found.segments


def test_two_frames_named_by_the_user_give_an_ejection_fraction(tiny_heart, tiny_model):
    pair = with_image(tiny_heart, data=tiny_heart.image.data[..., [0, 4]], times=np.array([0.0, 0.3]))
    tiny_model.labels = tiny_heart.labels[..., [0, 4]]
    found = analyze(pair, tiny_model, ed=0, es=1)
    pool = (tiny_model.labels == Structure.LV).sum(axis=(0, 1, 2))
    assert found.measurements["LVEF"].value == pytest.approx(100 * (1 - pool[1] / pool[0]))


def test_a_pair_of_stills_named_ed_and_es_gives_an_ejection_fraction(tiny_heart, tiny_model):
    pair = with_image(tiny_heart, data=tiny_heart.image.data[..., [0, 4]], times=np.array([0.0, 0.3]))
    pair = replace(pair, flags=(Flag("two-frames", Severity.FLAG, "a_ED and a_ES are read as two frames"),))
    tiny_model.labels = tiny_heart.labels[..., [0, 4]]
    found = analyze(pair, tiny_model)
    assert (found.cycle["LV_ED"], found.cycle["RV_ES"]) == (0, 1)
    assert "LVEF" in found.measurements
    assert any("given by the names of the files" in flag.message for flag in found.flags)


def test_flags_of_reading_come_first_and_are_not_said_again(tiny_heart, tiny_model):
    said = Flag("no-indexing", Severity.FLAG, "no height in the header")
    study = replace(tiny_heart.study, facts=replace(tiny_heart.study.facts, height_m=None), flags=(said,))
    found = analyze(study, tiny_model)
    assert found.flags[0] == said
    assert [flag.code for flag in found.flags].count("no-indexing") == 1
    assert "LVEDVi" not in found.measurements


def test_labels_without_a_heart_are_refused(tiny_heart, tiny_model):
    tiny_model.labels = np.zeros_like(tiny_heart.labels)
    with pytest.raises(RefusedInput, match="no left ventricle was found"):
        analyze(tiny_heart.study, tiny_model)


def test_a_study_without_short_axis_is_refused_with_what_there_is(tiny_heart, tiny_model):
    long_axis = replace(tiny_heart.image, view=View.LAX_4C)
    study = Study("x", {(View.LAX_4C, Contrast.CINE): long_axis})
    with pytest.raises(RefusedInput, match="found long axis, four-chamber"):
        analyze(study, tiny_model)


def test_a_model_that_answers_on_another_grid_is_an_error(tiny_heart, tiny_model):
    tiny_model.labels = tiny_heart.labels[:-1]
    with pytest.raises(ValueError, match="drawn-by-hand gave labels"):
        analyze(tiny_heart.study, tiny_model)


def test_the_progress_of_the_model_is_passed_on(tiny_heart, tiny_model):
    heard: list[float] = []
    analyze(tiny_heart.study, tiny_model, progress=heard.append)
    assert heard[-1] == 1.0
