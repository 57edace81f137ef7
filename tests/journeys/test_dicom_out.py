"""From a DICOM folder to objects an archive can hold, through the installed command."""

import json

import nibabel as nib
import numpy as np
import pytest

from cinecmr import io
from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.io.dicom_source import DicomSource
from cinecmr.io.nifti import write_labels

pytest.importorskip("highdicom", reason="highdicom is not installed (extra: dicom)")


@pytest.fixture(scope="module")
def drawn(small_study, small_dicom, tmp_path_factory):
    """The true labels of the small study on the grid on which its DICOM files are read."""
    image = io.read(small_dicom)[View.SAX]
    labels = small_study[1].labels[View.SAX, Contrast.CINE]
    if np.linalg.det(image.affine[:3, :3]) * np.linalg.det(small_study[0][View.SAX].affine[:3, :3]) < 0 or (
        image.affine[:3, 2] @ small_study[0][View.SAX].affine[:3, 2] < 0
    ):
        labels = labels[:, :, ::-1]
    path = tmp_path_factory.mktemp("drawn") / "labels.nii.gz"
    write_labels(path, labels, image.affine, image.times)
    return path


def test_the_report_the_labels_and_the_objects_say_the_same(cinecmr, small_dicom, drawn, tmp_path):
    from cinecmr.io.dicom_seg import read_seg
    from cinecmr.io.dicom_sr import UNITS, read_sr

    ended = cinecmr("analyze", small_dicom, "--out", tmp_path, "--labels", drawn, "--dicom")
    assert ended.code in (0, 4), ended.err
    findings = json.loads((tmp_path / "findings.json").read_text())
    told = {name: (m["value"], UNITS[m["unit"]]) for name, m in findings["measurements"].items()}
    assert read_sr(tmp_path / "dicom" / "sr.dcm") == told
    source = DicomSource.model_validate_json((tmp_path / "dicom" / "source.json").read_text())
    labels = np.asarray(nib.load(tmp_path / "labels_sax.nii.gz").dataobj)
    frames = sorted(set(findings["cycle"].values()))
    names = [f"seg_frame_{frame:03d}.dcm" for frame in frames]
    assert sorted(path.name for path in (tmp_path / "dicom").glob("seg*")) == names
    for frame, name in zip(frames, names, strict=True):
        expected = np.where(labels[..., frame] > Structure.LV, 0, labels[..., frame])
        np.testing.assert_array_equal(read_seg(tmp_path / "dicom" / name, source), expected)

    again = cinecmr("analyze", small_dicom, "--out", tmp_path, "--labels", drawn)
    assert again.code in (0, 4), again.err
    assert not (tmp_path / "dicom").exists()  # they would contradict a report they do not belong to


def test_objects_of_a_study_without_dicom_files_are_refused_with_what_to_do(cinecmr, tmp_path):
    ended = cinecmr("analyze", "phantom", "--out", tmp_path, "--dicom")
    assert ended.code == 3
    assert "give the DICOM folder, or leave --dicom out" in ended.err
    assert "no-dicom-source" in ended.err
