"""SEG and SR made of a study: equal to what was measured when read back, on the source's own grid, and valid."""

import json
import shutil
import socket
import subprocess
import time
import urllib.request

import numpy as np
import pydicom
import pytest

from cinecmr import io
from cinecmr.analyze import dicom_out
from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.io.dicom_source import DicomSource, dicom_source
from cinecmr.phantom.dicom_files import PLANTED_ID, PLANTED_NAME, write_dicom
from cinecmr.study import Findings, Flag, Measurement, Severity

pytest.importorskip("highdicom", reason="highdicom is not installed (extra: dicom)")
from cinecmr.io.dicom_seg import read_seg
from cinecmr.io.dicom_sr import OWN, read_sr

VALIDATOR, ARCHIVE = shutil.which("dciodvfy"), shutil.which("Orthanc")


def measured(labels):
    """Findings of every kind that a report can hold."""
    who = "labels of net@0000"
    flags = (
        Flag("slice-gap", Severity.FLAG, "gap 11.7 mm between slices: a long sentence that does not fit into a code"),
        Flag("basal-slice-excluded-by-rule", Severity.NOTE, "48 % of the ring"),
    )
    return Findings(
        labels={(View.SAX, Contrast.CINE): labels},
        measurements={
            "LVEDV": Measurement(131.23456789, "ml", "at its largest", who, (124.0, 139.5), 0),
            "LVEDVi": Measurement(131.23456789 / 1.83, "ml/m2", "per m2", who, frame=0),
            "LVESV": Measurement(1 / 3, "ml", "at its smallest", who, frame=4),
            "RVESV": Measurement(70.0, "ml", "at its smallest", who, frame=5),
            "LVEF": Measurement(58.1, "%", "SV / EDV", who),
            "LVM": Measurement(101.2, "g", "at ED", who, frame=0),
            "SVdiff": Measurement(-2.5, "ml", "LV - RV", who),
            "HR": Measurement(75.0, "bpm", "60000 / R-R", who),
            "CI": Measurement(3.1, "l/min/m2", "CO / BSA", who),
        },
        cycle={"LV_ED": 0, "LV_ES": 4, "RV_ED": 0, "RV_ES": 5},
        flags=flags,
    )


def drawn(image):
    """Labels that tell every turn and every mirror image from the true place, in all slices that were acquired."""
    labels = np.zeros(image.data.shape, np.uint8)
    z, t = image.data.shape[2:]
    for frame in range(t):
        for k in range(z):
            labels[2 : 6 + k, 3:9, k, frame] = Structure.LV
            labels[7 + k : 14, 3:5, k, frame] = Structure.MYO
            labels[2:4, 10 : 12 + frame % 3, k, frame] = Structure.RV
    labels[:, :, 0] = 0
    labels[:, :, list(image.missing_slices)] = Structure.UNSEEN
    return labels


@pytest.fixture(scope="module")
def written(ball, tmp_path_factory):
    """A study as DICOM, read, and its objects."""

    def make(vendor, faults=(), **options):
        folder, out = tmp_path_factory.mktemp("dicom"), tmp_path_factory.mktemp("out")
        write_dicom(ball.study, folder, vendor=vendor, faults=faults)
        image = io.read(folder)[View.SAX]
        source = dicom_source(folder, image, **options)
        found = measured(drawn(image))
        dicom_out.write(out, found, source)
        return folder, out / "dicom", image, source, found

    return make


@pytest.fixture(scope="module", params=["siemens", "ge", "philips-enhanced"])
def objects(request, written):
    return written(request.param)


def test_the_labels_of_every_phase_read_back_equal_on_the_grid_of_the_source(objects):
    _, out, _, source, found = objects
    labels = found.labels[View.SAX, Contrast.CINE]
    assert sorted(path.name for path in out.glob("seg*")) == [f"seg_frame_00{t}.dcm" for t in (0, 4, 5)]
    for frame in (0, 4, 5):
        np.testing.assert_array_equal(read_seg(out / f"seg_frame_00{frame}.dcm", source), labels[..., frame])


def pictures(folder):
    """Every picture of the source by its name: position, orientation, spacing and trigger time."""
    found = {}
    for path in folder.rglob("*.dcm"):
        ds = pydicom.dcmread(path)
        groups = ds.get("PerFrameFunctionalGroupsSequence")
        for number, one in enumerate(groups or [ds], 1):
            place = one.PlanePositionSequence[0] if groups else one
            found[ds.SOPInstanceUID, number if groups else None] = np.array(place.ImagePositionPatient, float)
    return found


def test_every_plane_names_a_picture_of_the_source_that_lies_at_the_same_place(objects):
    folder, out, *_ = objects
    there = pictures(folder)
    ds = pydicom.dcmread(out / "seg_frame_004.dcm")
    series = {item.ReferencedSOPInstanceUID for one in ds.ReferencedSeriesSequence
              for item in one.ReferencedInstanceSequence}  # fmt: skip
    for group in ds.PerFrameFunctionalGroupsSequence:
        (named,) = group.DerivationImageSequence[0].SourceImageSequence
        place = there[named.ReferencedSOPInstanceUID, named.get("ReferencedFrameNumber")]
        np.testing.assert_allclose(np.array(group.PlanePositionSequence[0].ImagePositionPatient, float), place)
        assert named.SpatialLocationsPreserved == "YES"
        assert named.ReferencedSOPInstanceUID in series


def test_the_frames_of_end_systole_are_those_of_its_trigger_time(objects):
    folder, out, image, *_ = objects
    named = pydicom.dcmread(out / "seg_frame_004.dcm").PerFrameFunctionalGroupsSequence[0]
    (one,) = named.DerivationImageSequence[0].SourceImageSequence
    for path in folder.rglob("*.dcm"):
        ds = pydicom.dcmread(path)
        if ds.SOPInstanceUID != one.ReferencedSOPInstanceUID:
            continue
        if "PerFrameFunctionalGroupsSequence" in ds:
            frame = ds.PerFrameFunctionalGroupsSequence[one.ReferencedFrameNumber - 1]
            delay = frame.CardiacSynchronizationSequence[0].NominalCardiacTriggerDelayTime
        else:
            delay = ds.TriggerTime
        assert float(delay) == pytest.approx(1000 * image.times[4], abs=1.0)


def test_the_numbers_of_the_report_are_those_of_the_findings_with_ucum_units(objects):
    _, out, _, _, found = objects
    units = {"bpm": "/min"}
    expected = {name: (m.value, units.get(m.unit, m.unit)) for name, m in found.measurements.items()}
    assert read_sr(out / "sr.dcm") == expected


def items(ds):
    for item in ds.get("ContentSequence", []):
        yield item
        yield from items(item)


def test_an_indexed_volume_is_marked_so_and_never_looks_like_the_volume(objects):
    ds = pydicom.dcmread(objects[1] / "sr.dcm")
    numbers = [item for item in items(ds) if item.ValueType == "NUM" and "MeasuredValueSequence" in item]
    edv = [item for item in numbers if item.ConceptNameCodeSequence[0].CodeValue == "8821-1"]
    derivations = [[i.ConceptCodeSequence[0].CodeValue for i in items(one)
                    if i.ConceptNameCodeSequence[0].CodeValue == "121401"] for one in edv]  # fmt: skip
    assert sorted(derivations) == [[], ["125313"]]


def test_a_number_names_the_segmentation_it_was_read_from(objects):
    _, out, *_ = objects
    seg = pydicom.dcmread(out / "seg_frame_005.dcm", stop_before_pixels=True)
    ds = pydicom.dcmread(out / "sr.dcm")
    (rvesv,) = [item for item in items(ds) if item.ValueType == "NUM"
                and item.ConceptNameCodeSequence[0].CodeValue == "8824-5"]  # fmt: skip
    named = [i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for i in items(rvesv) if i.ValueType == "IMAGE"]
    assert named == [seg.SOPInstanceUID]


def test_every_flag_travels_with_the_numbers(objects):
    ds = pydicom.dcmread(objects[1] / "sr.dcm")
    told = [item.ConceptCodeSequence[0] for item in items(ds)
            if item.ValueType == "CODE" and item.ConceptNameCodeSequence[0].CodingSchemeDesignator == OWN]  # fmt: skip
    codes = [code.get("CodeValue") or code.LongCodeValue for code in told]
    assert codes == ["slice-gap", "basal-slice-excluded-by-rule"]
    assert told[0].CodeMeaning.startswith("flag: gap 11.7 mm")


def test_an_interval_stands_in_the_report_as_uncertainty_to_both_sides(objects):
    ds = pydicom.dcmread(objects[1] / "sr.dcm")

    found = {item.ConceptNameCodeSequence[0].CodeMeaning: float(item.MeasuredValueSequence[0].FloatingPointValue)
             for item in items(ds) if item.ValueType == "NUM"
             and "uncertainty" in item.ConceptNameCodeSequence[0].CodeMeaning.lower()}  # fmt: skip
    assert sorted(found.values()) == pytest.approx([131.23456789 - 124.0, 139.5 - 131.23456789])


def test_the_person_is_a_hash_unless_asked_otherwise(written):
    for keep, name in ((False, "sub-"), (True, PLANTED_NAME)):
        _, out, *_ = written("siemens", keep_id=keep)
        for path in out.iterdir():
            data = path.read_bytes()
            assert (PLANTED_ID.encode() in data) is keep
            assert (PLANTED_NAME.encode() in data) is keep
        ds = pydicom.dcmread(out / "sr.dcm")
        assert str(ds.PatientName).startswith(name)
        assert bool(ds.PatientBirthDate) is keep


def test_objects_belong_to_the_study_of_their_source(objects):
    folder, out, *_ = objects
    first = pydicom.dcmread(next(folder.rglob("*.dcm")), stop_before_pixels=True)
    for path in out.glob("*.dcm"):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        assert ds.StudyInstanceUID == first.StudyInstanceUID
        assert ds.SeriesInstanceUID != first.SeriesInstanceUID
        if ds.Modality == "SEG":
            assert ds.FrameOfReferenceUID == first.FrameOfReferenceUID


def test_a_slice_that_was_shifted_on_the_scanner_says_that_its_pixels_were_resampled(written):
    _, out, _, source, found = written("siemens", ["mixed-matrix"])
    assert sum(not plane.aligned for plane in source.planes if plane) >= 1
    labels = found.labels[View.SAX, Contrast.CINE]
    np.testing.assert_array_equal(read_seg(out / "seg_frame_000.dcm", source), labels[..., 0])
    said = {group.DerivationImageSequence[0].SourceImageSequence[0].SpatialLocationsPreserved
            for group in pydicom.dcmread(out / "seg_frame_000.dcm").PerFrameFunctionalGroupsSequence}  # fmt: skip
    assert said == {"YES", "NO"}


def test_a_slice_that_was_never_acquired_has_no_plane_and_reads_back_as_unseen(written):
    _, out, image, source, found = written("siemens", ["missing-slice"])
    (gone,) = image.missing_slices
    assert source.planes[gone] is None
    again = read_seg(out / "seg_frame_000.dcm", source)
    assert (again[:, :, gone] == Structure.UNSEEN).all()
    np.testing.assert_array_equal(again, found.labels[View.SAX, Contrast.CINE][..., 0])


def test_what_is_kept_for_later_corrections_reads_back_equal(objects):
    _, out, _, source, _ = objects
    assert DicomSource.model_validate_json((out / "source.json").read_text()) == source


def test_a_study_that_is_not_dicom_is_refused_before_anything_is_measured(ball):
    with pytest.raises(RefusedInput, match="not read from DICOM"):
        dicom_out.prepare("phantom", ball.study)


def test_objects_of_an_earlier_run_are_removed_and_nothing_else(written):
    _, out, *_ = written("siemens")
    (out / "notes.txt").write_text("mine")
    dicom_out.remove(out.parent)
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


@pytest.mark.skipif(VALIDATOR is None, reason="dciodvfy is not installed (Debian package: dicom3tools)")
def test_the_validator_of_the_standard_finds_no_error(objects):
    for path in sorted(objects[1].glob("*.dcm")):
        told = subprocess.run([VALIDATOR, str(path)], capture_output=True, text=True, timeout=60, check=False)
        errors = [line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error")]
        assert errors == [], path.name


@pytest.fixture
def archive(tmp_path):
    """A running Orthanc that answers on this computer only; a function that asks it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"HttpPort": port, "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "Plugins": [],
                "DicomServerEnabled": False, "StorageDirectory": str(tmp_path / "db"),
                "IndexDirectory": str(tmp_path / "db")}  # fmt: skip
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    command = [ARCHIVE, str(tmp_path / "orthanc.json")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(path, data=None):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return answer.read()

    try:
        for _ in range(300):
            try:
                ask("/system")
                break
            except OSError:
                time.sleep(0.2)
        yield ask
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.skipif(ARCHIVE is None, reason="no Orthanc on this machine (Debian package: orthanc)")
def test_an_archive_files_the_objects_beside_their_pictures_and_gives_them_back_unchanged(written, archive):
    folder, out, *_ = written("siemens", keep_id=True)
    first = next(folder.rglob("*.dcm"))
    archive("/instances", first.read_bytes())
    for path in sorted(out.glob("*.dcm")):
        stored = json.loads(archive("/instances", path.read_bytes()))
        assert stored["Status"] == "Success"
        assert archive(f"/instances/{stored['ID']}/file") == path.read_bytes()
    assert len(json.loads(archive("/patients"))) == 1
    (study,) = json.loads(archive("/studies"))
    series = [json.loads(archive(f"/series/{one}")) for one in json.loads(archive(f"/studies/{study}"))["Series"]]
    assert sorted(one["MainDicomTags"]["Modality"] for one in series) == ["MR", "SEG", "SR"]
