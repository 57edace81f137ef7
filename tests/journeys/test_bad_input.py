"""Input that cannot be measured: each ends with exit code 3, a reason, and what to do; never with a traceback."""

import shutil

import nibabel as nib
import numpy as np
import pytest

from cinecmr.anatomy import Contrast, View
from cinecmr.study import Study


def refused(cinecmr, tmp_path, study, *words):
    """Analyze it, and return the message of the refusal."""
    ended = cinecmr("analyze", study, "--out", tmp_path / "out", *words)
    assert ended.code == 3, ended.err
    assert ended.err.startswith("refused: ")
    assert "Traceback" not in ended.err
    assert not (tmp_path / "out").exists(), "nothing may be written of a study that was refused"
    return ended.err


def test_a_folder_that_does_not_exist(cinecmr, tmp_path):
    assert "no file or folder" in refused(cinecmr, tmp_path, tmp_path / "nowhere")


def test_an_empty_folder(cinecmr, tmp_path):
    (tmp_path / "study").mkdir()
    assert "study" in refused(cinecmr, tmp_path, tmp_path / "study")


def test_a_folder_of_text_files(cinecmr, tmp_path):
    (tmp_path / "study").mkdir()
    for name in ("notes.txt", "IM0001", "a.dcm"):
        (tmp_path / "study" / name).write_text("not an image\n" * 50)
    assert "DICOM" in refused(cinecmr, tmp_path, tmp_path / "study")


def test_a_truncated_dicom(cinecmr, tmp_path, small_dicom):
    (tmp_path / "study").mkdir()
    first = next(path for path in sorted(small_dicom.rglob("*")) if path.is_file())
    whole = first.read_bytes()
    (tmp_path / "study" / "cut.dcm").write_bytes(whole[: len(whole) * 2 // 3])
    assert "truncated" in refused(cinecmr, tmp_path, tmp_path / "study").lower()


def test_one_single_frame(cinecmr, tmp_path, small_dicom):
    (tmp_path / "study").mkdir()
    shutil.copy(next(path for path in sorted(small_dicom.rglob("*")) if path.is_file()), tmp_path / "study")
    assert "frame" in refused(cinecmr, tmp_path, tmp_path / "study")


def test_long_axis_only(cinecmr, tmp_path, small_study):
    from cinecmr.phantom.dicom_files import write_dicom

    study = small_study[0]
    images = {key: image for key, image in study.images.items() if key[0] is not View.SAX}
    write_dicom(Study(study.subject, images, study.facts), tmp_path / "study", seed=3)
    assert "short-axis" in refused(cinecmr, tmp_path, tmp_path / "study")


def test_two_patients_in_one_folder(cinecmr, tmp_path, small_dicom):
    from cinecmr.phantom.dicom_files import write_dicom
    from cinecmr.phantom.study import synthetic_study

    other, _ = synthetic_study(4, frames=8, matrix=(48, 48), long_axis=False)
    shutil.copytree(small_dicom, tmp_path / "study" / "a")
    write_dicom(other, tmp_path / "study" / "b", seed=4)
    assert "patient" in refused(cinecmr, tmp_path, tmp_path / "study")


def test_a_nifti_with_zero_spacing(cinecmr, tmp_path):
    image = nib.Nifti1Image(np.ones((16, 16, 6, 10), np.int16), None)
    image.header["pixdim"][1:4] = 0
    image.header["sform_code"] = image.header["qform_code"] = 0
    nib.save(image, tmp_path / "study.nii.gz")
    assert "spacing" in refused(cinecmr, tmp_path, tmp_path / "study.nii.gz")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--height", "1.72"), "height 1.72 cm is not between 50 and 250 cm"),
        (("--weight", "1"), "weight 1 kg is not between 2 and 400 kg"),
        (("--labels", "nowhere.nii.gz"), "no label file nowhere.nii.gz"),
        (("--models", "no-such-model"), "no model 'no-such-model'"),
    ],
)
def test_an_option_that_cannot_be(cinecmr, tmp_path, small_dicom, words, message):
    assert message in refused(cinecmr, tmp_path, small_dicom, *words)


@pytest.mark.parametrize(
    ("words", "message"),
    [(("--ed", 8), "--ed 8 is not a frame of this study: it has 8"), (("--ed", 3, "--es", 3), "both frame 3")],
)
def test_a_frame_that_cannot_be(cinecmr, tmp_path, small_study, words, message):
    from cinecmr.io.nifti import write_image, write_labels

    study, truth = small_study
    image = study[View.SAX]
    write_image(tmp_path / "heart.nii.gz", image.data, image.affine, image.times)
    write_labels(tmp_path / "labels.nii.gz", truth.labels[View.SAX, Contrast.CINE], image.affine, image.times)
    labels = ("--labels", tmp_path / "labels.nii.gz")
    assert message in refused(cinecmr, tmp_path, tmp_path / "heart.nii.gz", *labels, *words)


def test_words_the_command_does_not_know_are_a_usage_error(cinecmr, tmp_path):
    for words in (("analyse", "x"), ("analyze", "x"), ("analyze", "x", "--out", tmp_path, "--sex", "Q")):
        ended = cinecmr(*words)
        assert ended.code == 2
        assert "Usage:" in ended.err
