"""What DICOM cine does in the wild, row by row (D01 ...), on a ball whose volume is known at every frame.

Volumes are compared within 3 %; where the reader must not change a pixel, every pixel is compared.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cinecmr import io
from cinecmr.anatomy import Contrast, View
from cinecmr.errors import RefusedInput
from cinecmr.io import pixels
from cinecmr.phantom.dicom_files import write_dicom
from cinecmr.study import Severity, Study

LONG_AXES = (View.LAX_2C, View.LAX_3C, View.LAX_4C)


def codes(study: Study) -> set[str]:
    return {flag.code for flag in study.flags}


def message(study: Study, code: str) -> str:
    return next(flag.message for flag in study.flags if flag.code == code)


def with_sax(study: Study, **changes: object) -> Study:
    return replace(study, images={**study.images, (View.SAX, Contrast.CINE): replace(study[View.SAX], **changes)})


def test_d01_one_series_for_each_slice_makes_one_stack(tmp_path, ball, same_images):
    write_dicom(ball.study, tmp_path / "dicom")
    found = io.read(tmp_path / "dicom")
    same_images(found, ball.study)
    assert found.flags == ()
    assert (found.provenance["phase_key"], found.provenance["files_used"]) == ("TriggerTime", "90")


def test_d02_wide_spacing_of_thin_slices_is_measured_from_positions_and_flagged(scanned, short_ball, volume):
    affine = short_ball.image.affine @ np.diag([1, 1, 1.77, 1.0])
    found = scanned(study=with_sax(short_ball.study, affine=affine, thickness_mm=6.0))
    assert found[View.SAX].spacing[2] == pytest.approx(17.7, abs=1e-3)
    np.testing.assert_allclose(volume(found[View.SAX]), 1.77 * short_ball.ml, rtol=0.03)
    assert message(found, "slice-gap").startswith("gap 11.7 mm between slices")
    assert "missing-slice" not in codes(found)


def test_d03_positions_win_over_a_contradicting_spacing_tag(scanned, short_ball, volume):
    found = scanned("wrong-spacing-tag")
    np.testing.assert_allclose(volume(found[View.SAX]), short_ball.ml, rtol=0.03)
    assert message(found, "spacing-contradiction").startswith("SpacingBetweenSlices says 5 mm, the positions say 10")


@pytest.mark.parametrize("vendor", ["siemens", "ge", "philips"])
def test_d04_a_tilted_stack_of_many_frames_loads_from_every_vendor(scanned, short_ball, volume, vendor):
    found = scanned(vendor=vendor)
    assert found[View.SAX].data.shape == short_ball.image.data.shape
    np.testing.assert_allclose(volume(found[View.SAX]), short_ball.ml, rtol=0.03)
    assert found[View.SAX].rr_ms == pytest.approx(800)


def test_d05_a_stack_runs_from_base_to_apex_whichever_way_it_was_acquired(scanned, short_ball, same_images):
    image = short_ball.image
    turned = image.affine @ np.diag([1, 1, -1, 1.0])
    turned[:3, 3] = (image.affine @ [0, 0, image.slices - 1, 1])[:3]
    apex_to_base = with_sax(short_ball.study, data=image.data[:, :, ::-1], affine=turned)
    same_images(scanned("apex-first", study=apex_to_base), short_ball.study)


def test_d06_one_missing_slice_stays_unseen_between_its_neighbours(scanned, short_ball, volume):
    found = scanned("missing-slice")
    assert found[View.SAX].missing_slices == (3,)
    assert not found[View.SAX].data[:, :, 3].any()
    np.testing.assert_allclose(found[View.SAX].affine, short_ball.image.affine, atol=0.01)
    np.testing.assert_allclose(volume(found[View.SAX]), short_ball.ml, rtol=0.03)
    assert message(found, "missing-slice").startswith("slice 4 of 6 (base to apex) was not found")


def test_d07_two_missing_neighbours_are_refused(scanned):
    with pytest.raises(RefusedInput, match=r"slices 4 to 5 of 6 .* are missing side by side") as refusal:
        scanned("missing-neighbours")
    assert refusal.value.code == "missing-slices"


def test_d08_a_frame_missing_in_one_slice_is_filled_in_time_not_copied(scanned, short_ball, volume):
    found = scanned("missing-phase")
    np.testing.assert_allclose(volume(found[View.SAX]), short_ball.ml, rtol=0.03)
    between = found[View.SAX].data[:, :, 1, [2, 4]].mean(axis=-1)
    np.testing.assert_allclose(found[View.SAX].data[:, :, 1, 3], between, atol=1.0)
    assert message(found, "missing-phase").startswith("frames are missing; 10 frames in most slices, 9 in slice 2")


def test_d09_a_slice_with_fewer_frames_is_resampled_over_the_beat(scanned, short_ball, volume):
    found = scanned("fewer-frames")
    assert found[View.SAX].frames == 10
    np.testing.assert_allclose(volume(found[View.SAX]), short_ball.ml, rtol=0.03)
    assert "8 in slice 2" in message(found, "frame-counts-differ")


def test_d10_slices_of_slow_beats_are_matched_by_their_share_of_the_beat(scanned, short_ball, volume):
    found = scanned("slow-beat")
    np.testing.assert_allclose(found[View.SAX].data, short_ball.image.data, atol=1e-3)
    assert "800 to 1040 ms" in message(found, "rr-varies")
    assert found[View.SAX].rr_ms == pytest.approx(800)


def test_d11_of_a_slice_acquired_twice_the_later_is_used(scanned, short_ball, tmp_path, same_images):
    same_images(scanned("repeated-slice"), short_ball.study)  # the earlier one is dark
    reasons = [row.reason for row in io.inspect(tmp_path / "dicom").rows if not row.used]
    assert reasons == ["repeat of the slice of series 504: the later one is used"]


def test_d11_two_breath_holds_in_one_series_are_not_read_as_one_long_beat(scanned, short_ball):
    found = scanned("repeated-within-series", vendor="ge")  # one series holds the whole stack, too
    np.testing.assert_allclose(found[View.SAX].data, short_ball.image.data, atol=1e-3)
    assert "repeated-slices" in codes(found)


def test_d12_of_a_stack_acquired_twice_one_whole_stack_is_used(scanned, short_ball):
    found = scanned("repeated-stack")  # the second is brighter by a tenth
    np.testing.assert_array_equal(found[View.SAX].data, short_ball.image.data.astype(int) * 11 // 10)
    assert "repeated-slices" in codes(found)


def test_d12_a_stack_repeated_a_little_beside_the_first_is_not_threaded_into_it(scanned, short_ball, same_images):
    same_images(scanned("shifted-stack"), short_ball.study)


def test_d13_exact_copies_of_files_count_once(scanned, short_ball, same_images):
    found = scanned("duplicates")
    same_images(found, short_ball.study)
    assert message(found, "duplicate-files").startswith("6 files are exact copies")


def test_d14_one_identifier_with_two_pictures_is_refused_and_both_files_named(scanned):
    with pytest.raises(RefusedInput, match=r"(?=.*001/00004\.dcm)(?=.*other/3).*one SOPInstanceUID") as refusal:
        scanned("conflicting-files")
    assert refusal.value.code == "conflicting-files"


def test_d15_frames_without_trigger_time_are_ordered_by_the_next_key(scanned, short_ball):
    found = scanned("no-trigger-time", "no-clock")
    np.testing.assert_allclose(found[View.SAX].data, short_ball.image.data, atol=1e-3)
    assert found.provenance["phase_key"] == "InstanceNumber"
    assert message(found, "phase-key-fallback") == "frames are ordered by InstanceNumber, because TriggerTime absent"
    np.testing.assert_allclose(found[View.SAX].times, short_ball.image.times, atol=1e-3)


@pytest.mark.parametrize(
    ("fault", "why"), [("zero-trigger-time", "the same in all frames"), ("tied-trigger-time", "has ties")]
)
def test_d16_trigger_times_of_zero_or_with_ties_are_not_believed(scanned, short_ball, fault, why):
    found = scanned(fault, vendor="philips")
    np.testing.assert_allclose(found[View.SAX].data, short_ball.image.data, atol=1e-3)
    assert found.provenance["phase_key"] == "TemporalPositionIdentifier"
    assert why in message(found, "phase-key-fallback")


def test_d17_a_trigger_time_that_counts_dynamics_is_not_believed(scanned, short_ball):
    found = scanned("trigger-is-dynamic", vendor="philips")
    np.testing.assert_allclose(found[View.SAX].data, short_ball.image.data, atol=1e-3)
    assert "spans 9000 ms, 11.2 R-R intervals" in message(found, "phase-key-fallback")


@pytest.mark.parametrize("fault", ["reversed-in-time", "shuffled"])
def test_d18_d19_neither_file_names_nor_instance_numbers_order_frames(scanned, short_ball, fault, same_images):
    same_images(scanned(fault), short_ball.study)


def test_d26_a_slice_on_another_matrix_is_resampled_not_stacked(scanned, short_ball):
    found = scanned("mixed-matrix")
    np.testing.assert_allclose(found[View.SAX].data, short_ball.image.data, atol=1.0)
    assert "1 slices (series 6) lie on another pixel grid" in message(found, "mixed-grid")


def test_d30_of_two_planes_called_4ch_the_better_placed_is_used_and_both_listed(tmp_path, ball, same_images):
    write_dicom(ball.study, tmp_path / "dicom", faults=["second-4ch"])
    same_images(io.read(tmp_path / "dicom"), ball.study)
    called = {row.series: row for row in io.inspect(tmp_path / "dicom").rows if "4CH" in row.description}
    assert {series: row.used for series, row in called.items()} == {"7": True, "807": False}
    assert called["807"].reason == "long axis, four-chamber by its place, but series 7 lies better"


@pytest.mark.parametrize("fault", ["no-descriptions", "foreign-descriptions", "trap-descriptions"])
def test_d31_d32_views_are_told_by_geometry_whatever_the_descriptions_say(tmp_path, ball, fault, same_images):
    write_dicom(ball.study, tmp_path / "dicom", faults=[fault, "shuffled"])
    same_images(io.read(tmp_path / "dicom"), ball.study)


def test_d33_d34_what_is_no_cine_is_left_out_with_a_reason_each(scanned, short_ball, tmp_path, same_images):
    same_images(scanned("other-series"), short_ball.study)
    reasons = {row.description: row.reason for row in io.inspect(tmp_path / "dicom").rows if not row.used}
    assert reasons == {
        "localizer": "localiser",
        "PSIR sax": "late enhancement or another inversion still",
        "MOLLI sax": "parametric map: inversion time differs from frame to frame",
        "dynamic sax": "perfusion: one frame a heart beat",
        "ao": "phase contrast",
        "cine sax TAG": "tagging",
        "InlineVF": "derived image (derived, inlinevf)",
        "report": "screenshot or secondary capture",
    }


def test_d34_an_overlay_hidden_in_the_pixels_is_not_seen(scanned, short_ball, same_images):
    same_images(scanned("overlay-in-pixels"), short_ball.study)


def test_d35_five_frames_are_no_cine(scanned):
    with pytest.raises(RefusedInput, match=r"5 frames are too few for a cine \(at least 8\)"):
        scanned("five-frames")


def test_d36_planes_through_outflow_tract_and_aortic_valve_are_not_short_axis(tmp_path, ball, same_images):
    write_dicom(ball.study, tmp_path / "dicom", faults=["outflow"])
    same_images(io.read(tmp_path / "dicom"), ball.study)
    left = [row for row in io.inspect(tmp_path / "dicom").rows if not row.used]
    assert {row.description for row in left} == {"RVOT", "aortic valve"}
    assert all(row.reason.startswith("lies neither in the short-axis stack") for row in left)


def test_d37_three_slices_are_read_and_left_to_measuring_to_refuse(scanned):
    assert scanned("three-slices")[View.SAX].slices == 3


def test_d38_of_several_beats_of_real_time_imaging_one_is_used(scanned, short_ball):
    found = scanned("real-time")
    np.testing.assert_allclose(found[View.SAX].data, short_ball.image.data, atol=1e-3)
    assert "up to 2 beats" in message(found, "several-beats")


def test_d39_a_missing_end_of_diastole_is_flagged(scanned, short_ball):
    found = scanned("prospective")
    assert found[View.SAX].frames == 9
    np.testing.assert_allclose(found[View.SAX].times, short_ball.image.times[:9], atol=1e-4)
    assert message(found, "diastole-incomplete").startswith("the frames cover 90 % of the beat")


def test_d42_a_slice_of_zeros_is_refused(scanned):
    with pytest.raises(RefusedInput, match="all pixels of series 2 are zero") as refusal:
        scanned("empty-slice")
    assert refusal.value.code == "empty-pixels"


@pytest.mark.parametrize("fault", ["inverted", "signed-with-slope"])
def test_d43_blood_is_as_bright_however_pixels_are_stored(scanned, short_ball, fault):
    found = scanned(fault)
    np.testing.assert_allclose(found[View.SAX].data, short_ball.image.data, atol=1.0)
    assert ("inverted-grey" in codes(found)) == (fault == "inverted")


def test_d44_a_truncated_file_is_left_out_and_counted(scanned, short_ball, volume):
    found = scanned("one-truncated")
    assert message(found, "unreadable-file").startswith("1 DICOM files end too early")
    np.testing.assert_allclose(volume(found[View.SAX]), short_ball.ml, rtol=0.03)


def test_d44_nothing_whole_left_is_refused_with_the_count(scanned):
    with pytest.raises(RefusedInput, match="60 of 60 files end too early") as refusal:
        scanned("all-truncated")
    assert refusal.value.code == "truncated"


def test_d45_dicom_is_found_by_content_between_other_files(tmp_path, short_ball, same_images):
    write_dicom(short_ball.study, tmp_path / "dicom", faults=["bare-names"])
    (tmp_path / "dicom" / "DICOMDIR").write_bytes(b"not really an index")
    (tmp_path / "dicom" / "notes.dcm").write_text("a text file with a DICOM name")
    (tmp_path / "dicom" / "DICOM" / "empty").write_bytes(b"")
    (tmp_path / "dicom" / "old.zip").write_bytes(b"PK\x03\x04" + bytes(200))
    found = io.read(tmp_path / "dicom")
    same_images(found, short_ball.study)
    assert found.provenance["files_ignored"] == "4"
    assert io.inspect(tmp_path / "dicom").ignored == {"not DICOM": 3, "zip archive, not opened": 1}


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ("second-patient", "several-patients", "holds files of 2 patients"),
        ("second-study", "several-studies", "holds 2 studies"),
    ],
)
def test_d46_patients_and_studies_are_never_merged(scanned, fault, code, words):
    with pytest.raises(RefusedInput, match=words) as refusal:
        scanned(fault)
    assert refusal.value.code == code
    assert "PLANTED" not in refusal.value.message


def test_d47_series_without_identifiers_are_told_apart_by_geometry(scanned, short_ball, same_images):
    same_images(scanned("no-series-uid"), short_ball.study)


def test_d48_axes_a_little_off_perpendicular_are_mended(scanned, short_ball):
    found = scanned("skew-small")
    axes = found[View.SAX].affine[:3, :2] / found[View.SAX].spacing[:2]
    np.testing.assert_allclose(axes.T @ axes, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(found[View.SAX].affine, short_ball.image.affine, atol=0.01)


def test_d48_axes_far_from_perpendicular_are_refused(scanned):
    with pytest.raises(RefusedInput, match=r"not perpendicular unit vectors \(off by 0\.005\)"):
        scanned("skew-large")


def test_d52_pixel_spacing_in_a_functional_group_is_used(scanned, short_ball, same_images):
    same_images(scanned("spacing-in-groups"), short_ball.study)


def test_d52_a_detectors_spacing_is_not_that_of_the_patient(scanned):
    with pytest.raises(RefusedInput, match="does not state its pixel spacing") as refusal:
        scanned("imager-spacing-only")
    assert refusal.value.code == "no-spacing"


def test_d54_unknown_zero_and_centimetre_facts(tmp_path, short_ball):
    for number, (fault, height, weight) in enumerate(
        [("no-facts", None, None), ("zero-weight", 1.72, None), ("height-in-cm", 1.72, 68.0)]
    ):
        write_dicom(short_ball.study, tmp_path / str(number), faults=[fault])
        found = io.read(tmp_path / str(number))
        assert (found.facts.height_m, found.facts.weight_kg) == (height, weight)
        expected = {"no-facts": {"no-sex"}, "zero-weight": set(), "height-in-cm": {"height-unit"}}[fault]
        assert codes(found) == expected
    assert all(flag.severity is Severity.FLAG for flag in found.flags)


def test_d55_of_a_folder_full_of_other_pictures_only_those_that_are_used_are_decoded(scanned, monkeypatch):
    decoded, read_frame = [], pixels.read_frame

    def counted(header):
        decoded.append(header.path)
        return read_frame(header)

    monkeypatch.setattr(pixels, "read_frame", counted)
    found = scanned("other-series")
    assert len(decoded) == len(set(decoded)) == int(found.provenance["files_used"]) == 60
