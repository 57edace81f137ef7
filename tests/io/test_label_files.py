"""Label maps keep the grid of their image."""

import nibabel as nib
import numpy as np
import pytest

from cinecmr.errors import RefusedInput
from cinecmr.io.label_files import read_labels, write_labels_like

OBLIQUE = np.array([[1.2, 0.3, -2, 10], [-0.3, 1.2, 1, -50], [0.4, 0.1, 9.6, 30], [0, 0, 0, 1.0]])


def save(path, data, affine=OBLIQUE):
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return path


@pytest.mark.parametrize("shape", [(6, 5, 4), (6, 5, 4, 3), (6, 5, 4, 1)])
def test_a_label_map_has_the_shape_affine_and_codes_of_its_image(tmp_path, shape):
    template = save(tmp_path / "heart.nii.gz", np.zeros(shape, np.int16))
    labels = np.random.default_rng(0).integers(0, 4, (*shape, 1)[:4] if len(shape) == 3 else shape).astype(np.uint8)
    write_labels_like(tmp_path / "labels.nii.gz", labels, template)
    found, image = nib.load(tmp_path / "labels.nii.gz"), nib.load(template)
    assert (found.shape, found.get_data_dtype()) == (shape, np.uint8)
    np.testing.assert_array_equal(found.affine, image.affine)
    assert found.header["sform_code"] == image.header["sform_code"]
    assert found.header["qform_code"] == image.header["qform_code"]
    np.testing.assert_array_equal(np.asarray(found.dataobj).reshape(labels.shape), labels)


def test_labels_of_another_shape_are_not_written(tmp_path):
    template = save(tmp_path / "heart.nii.gz", np.zeros((6, 5, 4), np.int16))
    with pytest.raises(ValueError, match=r"do not fit heart\.nii\.gz"):
        write_labels_like(tmp_path / "labels.nii.gz", np.zeros((6, 5, 3, 1), np.uint8), template)
    assert not (tmp_path / "labels.nii.gz").exists()


@pytest.mark.parametrize("turn", ["LPS", "RAS", "ASR", "IPL"])
def test_labels_an_editor_has_turned_come_back_onto_the_image(tmp_path, tiny_heart, turn):
    upright = nib.Nifti1Image(tiny_heart.labels, tiny_heart.image.affine)
    start = nib.orientations.io_orientation(upright.affine)
    change = nib.orientations.ornt_transform(start, nib.orientations.axcodes2ornt(turn))
    nib.save(upright.as_reoriented(change), tmp_path / "edited.nii.gz")
    np.testing.assert_array_equal(read_labels(tmp_path / "edited.nii.gz", tiny_heart.image), tiny_heart.labels)


def test_labels_of_another_grid_are_refused(tmp_path, tiny_heart):
    shifted = tiny_heart.image.affine.copy()
    shifted[2, 3] += 10
    for data, affine in ((tiny_heart.labels, shifted), (tiny_heart.labels[..., 0], tiny_heart.image.affine)):
        save(tmp_path / "other.nii.gz", data, affine)
        with pytest.raises(RefusedInput, match="give labels drawn on that image"):
            read_labels(tmp_path / "other.nii.gz", tiny_heart.image)


def test_codes_that_are_no_structure_are_refused_with_the_codes(tmp_path, tiny_heart):
    save(tmp_path / "odd.nii.gz", tiny_heart.labels + np.uint8(40), tiny_heart.image.affine)
    with pytest.raises(RefusedInput, match="holds 40, 41, 42, 43; labels are 0 background"):
        read_labels(tmp_path / "odd.nii.gz", tiny_heart.image)


def test_a_file_that_is_no_image_is_refused(tmp_path, tiny_heart):
    (tmp_path / "text.nii.gz").write_text("not an image")
    with pytest.raises(RefusedInput, match="cannot be read as NIfTI labels"):
        read_labels(tmp_path / "text.nii.gz", tiny_heart.image)
