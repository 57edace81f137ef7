"""Files that are passed on tell nobody who was imaged; pictures that may are held back."""

import csv
import shutil
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pydicom
import pytest
from planted import found_in, plant

from cinecmr import io
from cinecmr.anatomy import Contrast, View
from cinecmr.errors import RefusedInput
from cinecmr.io.confidentiality import actions
from cinecmr.io.deidentify import share
from cinecmr.phantom.dicom_files import write_dicom


@pytest.fixture(scope="module")
def written(tmp_path_factory, short_ball):
    """A study as DICOM, with identifiers planted; and the words."""
    folder = tmp_path_factory.mktemp("written")
    image = short_ball.image  # with the noise that every picture has
    noisy = image.data + np.random.default_rng(1).integers(0, 200, image.data.shape, dtype=np.int16)
    images = {(View.SAX, Contrast.CINE): replace(image, data=noisy)}
    write_dicom(replace(short_ball.study, images=images), folder, seed=3)
    return folder, plant(folder)


@pytest.fixture
def ward(written, tmp_path):
    """A copy of it in the folder of a person."""
    return shutil.copytree(written[0], tmp_path / "ward" / "Qwertzman^Ada"), written[1]


def test_of_fifty_identifiers_none_is_in_the_copies(ward, tmp_path):
    folder, words = ward
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found = share(folder, tmp_path / "out", tmp_path / "private")
    assert found.written == len(before)
    assert not found.quarantined
    assert found_in([folder], words), "the search finds what is there"
    assert found_in([tmp_path / "out"], words) == []
    assert {path: path.read_bytes() for path in before} == before, "sources are only read"
    first = pydicom.dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert first.PatientIdentityRemoved == "YES"
    assert [code.CodeValue for code in first.DeidentificationMethodCodeSequence] == ["113100"]
    (row,) = csv.DictReader((tmp_path / "private" / "names.csv").read_text().splitlines())
    assert (row["name"], row["identifier"]) == (str(first.PatientID), "Zq00Xk")


def test_the_copy_is_still_the_same_heart(ward, tmp_path):
    folder, _ = ward
    share(folder, tmp_path / "out", tmp_path / "private", characteristics=True)
    told, copied = io.read(folder), io.read(tmp_path / "out")
    np.testing.assert_array_equal(copied[View.SAX].data, told[View.SAX].data)
    np.testing.assert_allclose(copied[View.SAX].affine, told[View.SAX].affine)
    np.testing.assert_allclose(copied[View.SAX].times, told[View.SAX].times)
    assert copied.subject != told.subject
    assert copied.facts.height_m == told.facts.height_m


def test_equal_uids_become_equal_ones_and_without_the_key_nobody_gets_them_back(ward, tmp_path):
    folder, _ = ward
    for name in ("one", "two"):
        share(folder, tmp_path / name, tmp_path / "private")
    share(folder, tmp_path / "three", tmp_path / "another")
    uids = [
        sorted(str(pydicom.dcmread(path).SOPInstanceUID) for path in (tmp_path / name).rglob("*.dcm"))
        for name in ("one", "two", "three")
    ]
    assert uids[0] == uids[1]
    assert not set(uids[0]) & set(uids[2])
    assert len(set(uids[0])) == len(uids[0])
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids[0])


def held(folder, tmp_path, change):
    """Why a file is held back after a change to it, and that it was not written."""
    path = next(path for path in sorted(folder.rglob("*")) if path.is_file())
    ds = pydicom.dcmread(path)
    change(ds)
    alone = tmp_path / "alone"
    alone.mkdir()
    ds.save_as(alone / "x.dcm")
    found = share(alone, tmp_path / "out", tmp_path / "private")
    assert found.written == 0
    assert not list((tmp_path / "out").rglob("*.dcm"))
    (row,) = csv.DictReader((tmp_path / "private" / "quarantine.csv").read_text().splitlines())
    assert row["file"] == "x.dcm"
    return row["reason"]


def burn(ds):
    pixels = ds.pixel_array.copy()
    pixels[2, 1:30] = 4095  # a stroke of one letter
    ds.PixelData = pixels.tobytes()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda ds: setattr(ds, "BurnedInAnnotation", "YES"), "burned in"),
        (lambda ds: setattr(ds, "ImageType", ["DERIVED", "SECONDARY"]), "secondary capture"),
        (lambda ds: setattr(ds, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.7"), "secondary capture"),
        (lambda ds: setattr(ds, "Modality", "SR"), "not a picture"),
        (lambda ds: delattr(ds, "PixelData"), "not a picture"),
        (lambda ds: setattr(ds, "PixelData", b"\0\0"), "cannot be decoded"),
        (burn, "bright strokes"),
    ],
)
def test_a_picture_that_may_show_writing_is_held_back(ward, tmp_path, change, reason):
    assert reason in held(ward[0], tmp_path, change)


def test_ages_of_ninety_and_more_are_one_age(ward, tmp_path):
    folder, _ = ward
    for path in (path for path in folder.rglob("*") if path.is_file()):
        ds = pydicom.dcmread(path)
        ds.PatientAge = "101Y"
        ds.save_as(path)
    share(folder, tmp_path / "out", tmp_path / "private", characteristics=True)
    copy = pydicom.dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert copy.PatientAge == "090Y"
    assert [code.CodeValue for code in copy.DeidentificationMethodCodeSequence] == ["113100", "113108"]


def test_copies_are_never_written_among_the_sources(ward, tmp_path):
    with pytest.raises(RefusedInput, match="lies within"):
        share(ward[0], ward[0] / "out", tmp_path / "private")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RefusedInput, match="no DICOM file in"):
        share(tmp_path / "empty", tmp_path / "out", tmp_path / "private")


@pytest.mark.parametrize(
    ("tag", "action"),
    [("00100010", "Z"), ("00080050", "Z"), ("00081030", "X"), ("0020000D", "U"), ("00080023", "Z/D"),
     ("00080022", "X/Z"), ("0008002A", "X/Z/D"), ("00181400", "X/D"), ("00120081", "D"), ("00081140", "X/Z/U*")],
)  # fmt: skip
def test_the_table_says_what_the_standard_does(tag, action):
    text = (files("cinecmr.io") / "confidentiality.csv").read_text("utf-8")
    assert {row["tag"]: row["action"] for row in csv.DictReader(text.splitlines())}[tag] == action
    assert len(actions()) > 600


def drawn(folder, path):
    """The short axis of a folder, and where labels of the ball in it were written."""
    from cinecmr.io.nifti import write_labels

    image = io.read(folder)[View.SAX]
    inside = image.data > 600
    labels = np.where(inside, 3, 0).astype(np.uint8)
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        labels[np.roll(inside, step, axis) & ~inside] = 2
    write_labels(path, labels, image.affine, image.times)
    return image, path


def test_of_fifty_identifiers_none_is_in_what_a_cohort_writes_of_the_original(ward, tmp_path):
    from cinecmr.cohort import qc, table
    from cinecmr.cohort.ledger import Ledger, Outcome
    from cinecmr.cohort.one import Settings, measure

    folder, words = ward
    image, labels = drawn(folder, tmp_path / "labels.nii.gz")
    request = {"name": "study-0", "paths": [str(folder)], "site": "", "said": [], "out": str(tmp_path / "out"),
               "key": bytes(32).hex(), "labels": str(labels)}  # fmt: skip
    told = measure(request, Settings(models="labels", keep="report"), None)
    assert told["state"] in ("done", "flagged"), told
    assert told["row"]["slices"] == image.slices
    with Ledger(tmp_path / "out" / "ledger.sqlite") as ledger:
        ledger.record([Outcome("study-0", told["state"], told["cause"], told["row"])])
    table.write(tmp_path / "out")
    qc.write(tmp_path / "out")
    written = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"report.html", "findings.json", "measurements.csv", "picture.png", "table.parquet", "qc.html"} <= written
    assert found_in([tmp_path / "out"], words) == []


@pytest.mark.parametrize("kept", [(), ("--keep-id",)], ids=["hashed", "kept"])
def test_of_fifty_identifiers_none_is_in_page_sheet_seg_sr_or_what_is_printed(ward, tmp_path, capfd, caplog, kept):
    pytest.importorskip("highdicom", reason="highdicom is not installed (extra: dicom)")
    pytest.importorskip("pypdf", reason="pypdf is not installed (extra: dev)")
    from cinecmr.analyze import pdf
    from cinecmr.cli import main

    try:
        pdf.library()
        sheet = ("--pdf",)
    except RefusedInput:
        sheet = ()
    folder, words = ward
    _, labels = drawn(folder, tmp_path / "labels.nii.gz")
    out = tmp_path / "out"
    with pytest.raises(SystemExit, match=r"^[04]$"):
        main(["analyze", str(folder), "--out", str(out), "--labels", str(labels), "--dicom", *sheet, *kept])
    written = {path.name for path in out.rglob("*") if path.is_file()}
    assert {"report.html", "findings.json", "measurements.csv", "sr.dcm", "source.json", "study.npz"} <= written
    assert any(name.startswith("seg_frame_") for name in written)
    assert ("report.pdf" in written) == bool(sheet)
    told = capfd.readouterr()
    (tmp_path / "printed").mkdir()
    (tmp_path / "printed" / "printed.txt").write_text(told.out + told.err + caplog.text)
    found = {word for word, _ in found_in([out, tmp_path / "printed"], words)}
    if kept:  # the search would have found them: the identifier is asked for, and is there
        assert "Zq00Xk" in found
    else:
        assert found == set()
