"""Enhanced multi-frame objects (rows D20 to D25 of what DICOM cine does) against their classic twin, pixel by pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest

from cinecmr import io
from cinecmr.anatomy import Contrast, View
from cinecmr.errors import RefusedInput
from cinecmr.phantom.dicom_files import write_dicom


def objects(folder):
    return [pydicom.dcmread(path) for path in sorted(folder.rglob("*.dcm"))]


def codes(study) -> set[str]:
    return {flag.code for flag in study.flags}


@pytest.mark.parametrize(("vendor", "files"), [("philips-enhanced", 4), ("siemens-xa", 9), ("legacy-converted", 4)])
def test_d20_d21_enhanced_objects_are_the_study_that_their_classic_twin_is(tmp_path, ball, same_images, vendor, files):
    write_dicom(ball.study, tmp_path / "dicom", vendor=vendor)
    written = objects(tmp_path / "dicom")
    assert len(written) == files
    assert {int(ds.NumberOfFrames) for ds in written} == ({10} if vendor == "siemens-xa" else {10, 60})
    found = io.read(tmp_path / "dicom")
    same_images(found, ball.study)
    assert codes(found) == set()
    assert found.provenance["files_used"] == str(files)
    key = "TriggerTime" if vendor == "legacy-converted" else "NominalCardiacTriggerDelayTime"
    assert found.provenance["phase_key"] == key
    assert found[View.SAX].rr_ms == pytest.approx(800)


@pytest.mark.parametrize("fault", ["dimension-order-swapped", "dimension-order-contradicts", "no-dimension-values"])
def test_d20_whatever_the_dimension_indices_say_geometry_and_times_decide(scanned, short_ball, same_images, fault):
    same_images(scanned(fault, vendor="philips-enhanced"), short_ball.study)


def test_d20_swapped_indices_are_really_written_swapped(tmp_path, short_ball):
    def first_two(*faults):
        write_dicom(short_ball.study, tmp_path / "-".join(faults), vendor="philips-enhanced", faults=faults)
        (ds,) = objects(tmp_path / "-".join(faults))
        pointers = [int(item.DimensionIndexPointer) & 0xFFFF for item in ds.DimensionIndexSequence]
        return pointers, list(ds.PerFrameFunctionalGroupsSequence[1].FrameContentSequence[0].DimensionIndexValues)

    assert first_two("no-rr") == ([0x9056, 0x9057, 0x9128], [1, 1, 2])
    assert first_two("dimension-order-swapped") == ([0x9056, 0x9128, 0x9057], [1, 1, 2])
    assert first_two("dimension-order-contradicts") == ([0x9056, 0x9057, 0x9128], [1, 2, 1])


@pytest.mark.parametrize("fault", ["shuffled", "dimension-order-contradicts"])
def test_d20_without_times_the_index_that_walks_through_each_slice_orders_the_frames(scanned, short_ball, fault):
    found = scanned("no-trigger-time", "no-clock", fault, vendor="philips-enhanced")
    np.testing.assert_allclose(found[View.SAX].data, short_ball.image.data, atol=1e-3)
    assert found.provenance["phase_key"] == "TemporalPositionIdentifier"
    assert "phase-key-fallback" in codes(found)


def test_d20_trigger_delays_with_ties_are_not_believed_in_enhanced_objects_either(scanned, short_ball):
    found = scanned("tied-trigger-time", vendor="philips-enhanced")
    np.testing.assert_allclose(found[View.SAX].data, short_ball.image.data, atol=1e-3)
    told = next(flag.message for flag in found.flags if flag.code == "phase-key-fallback")
    assert "NominalCardiacTriggerDelayTime has ties" in told


@pytest.mark.parametrize("fault", ["missing-phase", "slow-beat", "missing-slice", "inverted", "signed-with-slope"])
def test_what_befalls_classic_files_is_mended_alike_in_enhanced_objects(tmp_path, short_ball, fault):
    for vendor in ("philips", "philips-enhanced"):
        write_dicom(short_ball.study, tmp_path / vendor, vendor=vendor, faults=[fault])
    classic, enhanced = io.read(tmp_path / "philips"), io.read(tmp_path / "philips-enhanced")
    np.testing.assert_array_equal(enhanced[View.SAX].data, classic[View.SAX].data)
    np.testing.assert_allclose(enhanced[View.SAX].affine, classic[View.SAX].affine, atol=1e-6)
    np.testing.assert_allclose(enhanced[View.SAX].times, classic[View.SAX].times, atol=1e-9)
    assert codes(enhanced) == codes(classic)


def test_d22_a_position_that_stands_only_in_the_shared_group_is_that_of_all_frames(tmp_path, ball, same_images):
    write_dicom(ball.study, tmp_path / "dicom", vendor="siemens-xa", faults=["shared-place"])
    for ds in objects(tmp_path / "dicom"):
        assert "PlanePositionSequence" in ds.SharedFunctionalGroupsSequence[0]
        assert "PlanePositionSequence" not in ds.PerFrameFunctionalGroupsSequence[0]
    same_images(io.read(tmp_path / "dicom"), ball.study)


@pytest.mark.parametrize(
    ("fault", "words"),
    [("no-frame-place", "no position or orientation"), ("frame-groups-lost", "no place of each frame")],
)
def test_d22_frames_that_do_not_say_where_they_lie_are_refused_never_put_at_an_invented_place(scanned, fault, words):
    with pytest.raises(RefusedInput, match=words) as refusal:
        scanned(fault, vendor="philips-enhanced")
    assert refusal.value.code == "no-cine"


def test_d22_a_position_outside_all_groups_is_not_taken_for_that_of_every_frame(tmp_path, short_ball):
    write_dicom(short_ball.study, tmp_path / "dicom", vendor="philips-enhanced", faults=["no-frame-place"])
    (path,) = (tmp_path / "dicom").rglob("*.dcm")
    ds = pydicom.dcmread(path)
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    ds.save_as(path)
    with pytest.raises(RefusedInput, match="no position or orientation"):
        io.read(tmp_path / "dicom")


def test_d23_short_axis_enhanced_and_long_axes_classic_make_one_study(tmp_path, ball, same_images):
    write_dicom(ball.study, tmp_path / "dicom", faults=["mixed-objects"])
    counts = sorted(int(ds.get("NumberOfFrames", 1)) for ds in objects(tmp_path / "dicom"))
    assert counts == [1] * 30 + [10] * 6
    same_images(io.read(tmp_path / "dicom"), ball.study)


def test_d23_what_is_stored_as_classic_and_as_enhanced_is_read_once(tmp_path, ball, same_images):
    write_dicom(ball.study, tmp_path / "dicom", vendor="philips", faults=["stored-twice"])
    found = io.read(tmp_path / "dicom")
    same_images(found, ball.study)
    assert "repeated-slices" not in codes(found)
    left = [row for row in io.inspect(tmp_path / "dicom").rows if not row.used]
    assert len(left) == 4
    assert {row.reason.split(",")[-1] for row in left} == {" stored again in enhanced form"}
    assert sum(row.files for row in left) == 4


def test_d23_an_enhanced_repeat_with_other_pictures_is_a_repeat_and_not_a_copy(tmp_path, short_ball):
    write_dicom(short_ball.study, tmp_path / "dicom" / "a", vendor="philips")
    write_dicom(short_ball.study, tmp_path / "dicom" / "b", vendor="philips-enhanced", faults=["repeated-stack"])
    assert "repeated-slices" in codes(io.read(tmp_path / "dicom"))


def test_d24_a_classic_export_in_no_order_is_sorted_by_place_and_time(scanned, short_ball, same_images):
    same_images(scanned("scrambled-export"), short_ball.study)


@pytest.mark.parametrize("fault", ["mosaic", "mosaic-private"])
def test_d25_slices_tiled_into_one_picture_are_refused_by_name(scanned, tmp_path, fault):
    with pytest.raises(RefusedInput, match="mosaic pictures") as refusal:
        scanned(fault)
    assert refusal.value.code == "mosaic"
    (row,) = io.inspect(tmp_path / "dicom").rows
    assert row.reason.startswith("mosaic: several slices tiled")


def test_d46_an_object_of_somebody_else_is_refused_too(scanned):
    with pytest.raises(RefusedInput, match="files of 2 patients"):
        scanned("second-patient", vendor="philips-enhanced")


def test_no_identifier_reaches_the_inspection_of_enhanced_objects(tmp_path, short_ball):
    write_dicom(short_ball.study, tmp_path / "dicom", vendor="philips-enhanced")
    seen = io.inspect(tmp_path / "dicom")
    assert "PLANTED" not in seen.to_json() + seen.to_table()
    assert seen.rows[0].files == 1


def test_a_fault_of_enhanced_objects_needs_a_vendor_that_writes_them(tmp_path, short_ball):
    with pytest.raises(ValueError, match=r"'shared-place' is one of enhanced objects: choose a vendor of siemens-xa"):
        write_dicom(short_ball.study, tmp_path / "dicom", vendor="siemens", faults=["shared-place"])


@pytest.mark.parametrize("vendor", ["siemens", "siemens-xa", "ge", "philips-enhanced"])
def test_d33_tagged_late_and_t2_images_of_one_visit_are_left_out_with_their_reasons(tmp_path, short_ball, vendor):
    cine = short_ball.image
    still = {"data": cine.data[..., :1], "times": cine.times[:1]}
    others = {
        (View.SAX, Contrast.TAGGED): replace(cine, contrast=Contrast.TAGGED),
        (View.SAX, Contrast.LGE): replace(cine, contrast=Contrast.LGE, **still),
        (View.SAX, Contrast.T2): replace(cine, contrast=Contrast.T2, **still),
    }
    visit = replace(short_ball.study, images={**others, **short_ball.study.images})
    write_dicom(visit, tmp_path / "dicom", vendor=vendor)
    found = io.read(tmp_path / "dicom")
    np.testing.assert_allclose(found[View.SAX].data, cine.data, atol=1e-3)
    assert found.views == (View.SAX,)
    left = {row.description.split()[-1]: row.reason for row in io.inspect(tmp_path / "dicom").rows if not row.used}
    assert left == {
        "TAG": "tagging",
        "LGE": "late enhancement or another inversion still",
        "STIR": "one frame: not a cine",
    }
