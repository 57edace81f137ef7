"""Label maps in ACDC's layout: what is written reads back, and groups are told by file or number."""

import nibabel as nib
import numpy as np
import pytest

from cinecmr.anatomy import Disease
from cinecmr.datasets import label_maps
from cinecmr.errors import RefusedInput

AFFINE = np.diag([1.5, 1.4, -10.0, 1.0])


def codes(seed=0):
    return np.random.default_rng(seed).integers(0, 4, (6, 5, 3)).astype(np.uint8)


def test_a_written_subject_reads_back_with_its_group(tmp_path):
    labels = {"ED": codes(1), "ES": codes(2)}
    label_maps.write_labels(tmp_path, "heart7", Disease.INFARCT, labels, AFFINE)
    (case,) = label_maps.cases(tmp_path)
    assert (case.subject, case.disease) == ("heart7", Disease.INFARCT)
    for phase, truth in labels.items():
        found, affine = label_maps.read_labels(case.labels[phase])
        np.testing.assert_array_equal(found, truth)
        np.testing.assert_allclose(affine, AFFINE, atol=1e-5)


@pytest.mark.parametrize(
    ("subject", "disease"),
    [
        ("patient001", Disease.DCM),
        ("patient020", Disease.DCM),
        ("patient021", Disease.HCM),
        ("patient041", Disease.INFARCT),
        ("patient080", Disease.NORMAL),
        ("patient100", Disease.ABNORMAL_RV),
        ("patient101", None),
        ("patient000", None),
        ("somebody", None),
    ],
)
def test_without_a_file_the_number_tells_the_group(tmp_path, subject, disease):
    assert label_maps.group_of(subject, tmp_path) is disease


def test_the_file_wins_over_the_number(tmp_path):
    (tmp_path / "Info.cfg").write_text("ED: 1\nES: 12\nGroup: RV\nHeight: 170\n")
    assert label_maps.group_of("patient001", tmp_path) is Disease.ABNORMAL_RV


def test_a_flat_folder_of_label_maps_is_taken_too_and_other_files_are_passed_over(tmp_path):
    for name in ("b_ED.nii.gz", "b_ES.nii.gz", "a_1_ED.nii", "atlas.nii.gz"):
        nib.save(nib.Nifti1Image(codes(), AFFINE), tmp_path / name)
    found = label_maps.cases(tmp_path)
    assert [case.subject for case in found] == ["a_1", "b"]
    assert set(found[0].labels) == {"ED"}
    assert found[1].labels["ES"].name == "b_ES.nii.gz"


def test_codes_stored_as_numbers_a_hair_off_are_taken_and_others_refused(tmp_path):
    path = tmp_path / "x_ED.nii.gz"
    nib.save(nib.Nifti1Image(codes(3).astype(np.float32) * np.float32(1.0001), AFFINE), path)
    np.testing.assert_array_equal(label_maps.read_labels(path)[0], codes(3))
    for wrong in (codes() + np.uint8(2), codes() * np.float32(0.5)):
        nib.save(nib.Nifti1Image(wrong, AFFINE), path)
        with pytest.raises(RefusedInput, match="not a label map of one frame"):
            label_maps.read_labels(path)


def test_a_folder_without_label_maps_says_how_they_are_named(tmp_path):
    with pytest.raises(RefusedInput, match=r"SUBJECT/SUBJECT_ED_gt\.nii\.gz"):
        label_maps.cases(tmp_path)
