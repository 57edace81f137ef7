"""Label maps for many images: where they go, on which grid, and what happens to a bad file."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cinecmr.analyze.segment_files import beats, note_model, plan, segment_all
from cinecmr.errors import RefusedInput


class Bright:
    """Calls everything above the mean LV: a heart small enough to check."""

    source = "bright"

    def segment(self, image, progress=None):
        return np.where(image.data > image.data.mean(), 3, 0).astype(np.uint8)


def save(path: Path, shape: tuple[int, ...], seed: int = 0) -> Path:
    data = np.random.default_rng(seed).integers(0, 1000, shape).astype(np.int16)
    affine = np.array([[-1.4, 0, 0.5, 3], [0.1, -1.4, 0, 4], [0, 0.2, 9.5, 5], [0, 0, 0, 1]])
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm", "sec")
    if len(shape) == 4:
        image.header["pixdim"][4] = 0.04
    nib.save(image, path)
    return path


def test_every_image_gets_labels_of_its_own_name_and_grid(tmp_path):
    images = [save(tmp_path / "a.nii.gz", (20, 18, 6)), save(tmp_path / "b.nii", (16, 20, 5, 9), 1)]
    said: list[str] = []
    assert segment_all(plan(images, tmp_path / "out"), Bright(), say=said.append) == 0
    for image in images:
        given, labels = nib.load(image), nib.load(tmp_path / "out" / image.name)
        assert (labels.shape, labels.get_data_dtype()) == (given.shape, np.uint8)
        np.testing.assert_array_equal(labels.affine, given.affine)
        data = np.asarray(given.dataobj)
        np.testing.assert_array_equal(np.asarray(labels.dataobj), np.where(data > data.mean(), 3, 0))
    assert [line.split()[0] for line in said] == ["[1/2]", "[2/2]"]


def test_one_image_may_go_to_a_file_of_another_name(tmp_path):
    image = save(tmp_path / "a.nii.gz", (20, 18, 6))
    assert plan([image], tmp_path / "labels.nii.gz") == [(image, tmp_path / "labels.nii.gz")]


def test_a_bad_file_is_reported_and_the_rest_go_on(tmp_path):
    images = [tmp_path / "text.nii.gz", tmp_path / "absent.nii.gz", save(tmp_path / "heart.nii.gz", (20, 18, 6))]
    images[0].write_text("not an image")
    said: list[str] = []
    assert segment_all(plan(images, tmp_path / "out"), Bright(), say=said.append) == 2
    assert "text.nii.gz" in said[0]
    assert "refused" in said[0]
    assert "absent.nii.gz" in said[1]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["heart.nii.gz"]


class Frames(Bright):
    """Calls every pixel by the number of frames it was shown; the first frame's by one more."""

    def segment(self, image, progress=None):
        labels = np.full(image.data.shape, image.frames, np.uint8)
        labels[..., 0] += 1
        return labels


@pytest.mark.parametrize("apart", [False, True])
def test_both_phases_of_one_heart_are_read_together_unless_asked(tmp_path, apart):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    images = [
        save(tmp_path / "a" / "one_ES.nii.gz", (20, 18, 6)),
        save(tmp_path / "a" / "one_ED.nii.gz", (20, 18, 6), 1),
        save(tmp_path / "b" / "two_ED.nii.gz", (20, 18, 6), 2),
        save(tmp_path / "b" / "three_ES.nii.gz", (20, 18, 6), 3),
    ]
    said: list[str] = []
    assert segment_all(plan(images, tmp_path / "out"), Frames(), apart=apart, say=said.append) == 0
    found = {path.name: np.unique(nib.load(path).dataobj).tolist() for path in (tmp_path / "out").iterdir()}
    together = {"one_ED.nii.gz": [3], "one_ES.nii.gz": [2]}
    alone = {f"{name}.nii.gz": [2] for name in ("one_ED", "one_ES", "two_ED", "three_ES")}
    assert found == (alone if apart else alone | together)
    assert sum("read with its other phase" in line for line in said) == (0 if apart else 2)
    assert nib.load(tmp_path / "out" / "one_ED.nii.gz").shape == (20, 18, 6)


def test_names_tell_what_belongs_together():
    names = ("x_ED.nii", "x_ES.nii", "ED.nii", "y_EDV.nii", "z_ES.nii", "z_ES.nii.gz", "z_ED.nii")
    pairs = [(Path(name), Path("out") / name) for name in names]
    assert [[image.name for image, _ in group] for group in beats(pairs)] == [
        ["x_ED.nii", "x_ES.nii"],
        ["ED.nii"],
        ["y_EDV.nii"],
        ["z_ES.nii"],
        ["z_ES.nii.gz"],
        ["z_ED.nii"],
    ]


def test_phases_on_other_grids_and_unreadable_ones_are_read_alone(tmp_path):
    images = [save(tmp_path / f"{name}.nii.gz", (20, 18, z)) for name, z in (("a_ED", 6), ("a_ES", 7), ("b_ED", 6))]
    images.append(tmp_path / "b_ES.nii.gz")
    images[-1].write_text("not an image")
    said: list[str] = []
    assert segment_all(plan(images, tmp_path / "out"), Frames(), say=said.append) == 1
    found = {path.name: np.unique(nib.load(path).dataobj).tolist() for path in (tmp_path / "out").iterdir()}
    assert found == {"a_ED.nii.gz": [2], "a_ES.nii.gz": [2], "b_ED.nii.gz": [2]}
    assert [line.split()[0] for line in said] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    assert "b_ES.nii.gz" in said[3]


def test_an_input_is_never_overwritten(tmp_path):
    image = save(tmp_path / "a.nii.gz", (20, 18, 6))
    for out in (tmp_path, image, tmp_path / "x" / ".."):
        with pytest.raises(RefusedInput, match="would overwrite an image"):
            plan([image], out)


def test_two_images_of_one_name_do_not_overwrite_each_other(tmp_path):
    with pytest.raises(RefusedInput, match="have one name and would both write"):
        plan([tmp_path / "a" / "ED.nii.gz", tmp_path / "b" / "ED.nii.gz"], tmp_path / "out")


def test_many_images_do_not_go_into_one_file(tmp_path):
    with pytest.raises(RefusedInput, match="is one file for 2 images"):
        plan([tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"], tmp_path / "labels.nii.gz")


def test_a_folder_of_label_maps_names_the_model_that_made_them(tmp_path):
    note_model(tmp_path, Bright())
    told = json.loads((tmp_path / "provenance.json").read_text())
    assert (told["model"], told["weights_sha256"]) == ("bright", None)
    note_model(tmp_path / "labels.nii.gz", Bright())
    assert [path.name for path in tmp_path.iterdir()] == ["provenance.json"]
