"""NIfTI keeps its grid; its header is believed only as far as it agrees with itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from cinecmr import io
from cinecmr.anatomy import View
from cinecmr.errors import RefusedInput
from cinecmr.geometry import apply_affine
from cinecmr.io import nifti

if TYPE_CHECKING:
    from pathlib import Path

OBLIQUE = np.array([[1.2, 0.3, -2, 10], [-0.3, 1.2, 1, -50], [0.4, 0.1, 9.6, 30], [0, 0, 0, 1.0]])


@pytest.fixture
def written(tmp_path, short_ball) -> Path:
    image = short_ball.image
    nifti.write_image(tmp_path / "heart.nii.gz", image.data, image.affine, image.times)
    return tmp_path / "heart.nii.gz"


def save(path: Path, shape: tuple[int, ...], *, sform=None, qform=None, pixdim=None, step=None, unit=None) -> Path:
    """A file whose header says exactly what is given."""
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.int16)
    if qform is not None:
        header.set_qform(qform, 1)
    if pixdim is not None:
        header["pixdim"][1:4] = pixdim
    if sform is not None:
        header.set_sform(sform, 1)
    if step is not None:
        header["pixdim"][4] = step
    if unit is not None:
        header.set_xyzt_units("mm", unit)
    header["magic"], header["vox_offset"] = b"n+1", 352
    values = np.arange(np.prod(shape)).astype("<i2")
    path.write_bytes(header.binaryblock + bytes(4) + values.tobytes())
    return path


def codes(flags) -> list[str]:
    return [flag.code for flag in flags]


def test_an_image_comes_back_on_its_grid_with_its_times(written, short_ball):
    image, flags = nifti.read_flagged(written)
    np.testing.assert_array_equal(image.data, short_ball.image.data)
    np.testing.assert_allclose(image.affine, short_ball.image.affine, atol=1e-4)
    np.testing.assert_allclose(image.times, short_ball.image.times, atol=1e-6)
    assert (image.rr_ms, flags) == (pytest.approx(800), ())


def test_a_cine_file_is_a_study(written, short_ball, volume):
    found = io.read(written)
    np.testing.assert_allclose(volume(found[View.SAX]), short_ball.ml, rtol=0.03)
    assert found.provenance["format"] == "NIfTI"


def test_a_scaled_image_is_read_with_its_slope(tmp_path, short_ball):
    values = short_ball.image.data * 0.25 + 3
    image = nib.Nifti1Image(values, short_ball.image.affine)
    image.header.set_data_dtype(np.int16)
    nib.save(image, tmp_path / "scaled.nii")
    np.testing.assert_allclose(nifti.read_image(tmp_path / "scaled.nii").data, values, atol=0.1)


def test_three_axes_become_one_frame(tmp_path):
    assert nifti.read_image(save(tmp_path / "a.nii", (4, 5, 3), sform=OBLIQUE, qform=OBLIQUE)).data.shape == (
        4,
        5,
        3,
        1,
    )


def test_d49_an_identity_sform_beside_a_true_qform_is_ignored(tmp_path):
    true = np.diag([1.5, 1.5, 10.0, 1.0])
    image, flags = nifti.read_flagged(save(tmp_path / "a.nii", (4, 5, 3), sform=np.eye(4), qform=true))
    np.testing.assert_allclose(image.affine, true)
    assert codes(flags) == ["sform-ignored"]


def test_d49_an_identity_sform_alone_takes_its_spacing_from_the_header(tmp_path):
    path = save(tmp_path / "a.nii", (4, 5, 3), sform=np.eye(4), pixdim=(1.5, 1.5, 10))
    image, flags = nifti.read_flagged(path)
    np.testing.assert_allclose(image.spacing, [1.5, 1.5, 10])
    assert codes(flags) == ["sform-ignored"]


def test_d49_a_true_sform_wins_over_another_qform(tmp_path):
    norms = np.linalg.norm(OBLIQUE[:3, :3], axis=0)
    path = save(tmp_path / "a.nii", (4, 5, 3), sform=OBLIQUE, qform=np.diag([*norms, 1.0]))
    image, flags = nifti.read_flagged(path)
    np.testing.assert_allclose(image.affine, OBLIQUE, atol=1e-5)
    assert flags == ()


def test_d49_sizes_that_contradict_each_other_are_flagged(tmp_path):
    path = save(tmp_path / "a.nii", (4, 5, 3), sform=np.diag([2.0, 2, 8, 1]), pixdim=(1.5, 1.5, 10))
    image, flags = nifti.read_flagged(path)
    np.testing.assert_allclose(image.spacing, [2, 2, 8])
    assert codes(flags) == ["spacing-contradiction"]


@pytest.mark.parametrize("pixdim", [(0, 0, 0), (1.5, 1.5, 0), (1.5, np.nan, 8)])
def test_a_voxel_without_size_is_refused(tmp_path, pixdim):
    path = save(tmp_path / "flat.nii", (4, 5, 3), sform=OBLIQUE, pixdim=pixdim)
    with pytest.raises(RefusedInput, match=r"flat\.nii has voxels of .* mm; write the true voxel size") as refusal:
        io.read(path)
    assert refusal.value.code == "bad-spacing"


@pytest.mark.parametrize(
    ("step", "unit", "seconds", "flags"),
    [
        (0.04, "sec", 0.04, []),
        (40, "msec", 0.04, []),
        (40, "unknown", 0.04, ["frame-time-unit"]),
        (40, "sec", 0.04, ["frame-time-unit"]),
        (0.04, "msec", 0.04, ["frame-time-unit"]),
        (0, "sec", 0.05, ["frame-times-unknown"]),
        (3.3, "msec", 0.05, ["frame-times-unknown"]),  # a repetition time, as some converters write
        (1.0, "sec", 0.05, ["frame-times-unknown"]),
    ],
)
def test_d50_the_time_step_is_read_in_the_unit_a_heart_can_have(tmp_path, step, unit, seconds, flags):
    image, found = nifti.read_flagged(save(tmp_path / "a.nii", (4, 5, 3, 20), sform=OBLIQUE, qform=OBLIQUE,
                                           step=step, unit=unit))  # fmt: skip
    np.testing.assert_allclose(image.times, np.arange(20) * seconds, atol=1e-6)
    assert codes(found) == flags
    assert (image.rr_ms is None) == (flags == ["frame-times-unknown"])


def test_d50_the_users_beat_stands_in_for_unknown_times(tmp_path):
    path = save(tmp_path / "a.nii", (4, 5, 3, 20), sform=OBLIQUE, qform=OBLIQUE, step=0, unit="sec")
    found = io.read(path, rr_ms=900)
    np.testing.assert_allclose(found[View.SAX].times, np.arange(20) * 0.045)
    of_times = [
        code for code in codes(found.flags) if code != "blank-frames"
    ]  # the values count up: first frames are black
    assert (found[View.SAX].rr_ms, of_times) == (900, [])


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1, 2)])
def test_d51_a_flipped_file_shows_the_same_heart_in_the_same_place(tmp_path, short_ball, volume, axes):
    image = short_ball.image
    flip = np.eye(4)
    for axis in axes:
        flip[axis, axis], flip[axis, 3] = -1, image.data.shape[axis] - 1
    nifti.write_image(tmp_path / "flipped.nii", np.flip(image.data, axes), image.affine @ flip, image.times)
    found = io.read(tmp_path / "flipped.nii")[View.SAX]
    np.testing.assert_allclose(volume(found), short_ball.ml, rtol=0.03)
    index = np.argwhere(found.data[..., 0] == 1000)[::50]
    there = np.rint(apply_affine(np.linalg.inv(image.affine), apply_affine(found.affine, index))).astype(int)
    assert len(index) > 5
    assert (image.data[(*there.T, 0)] == 1000).all()


@pytest.mark.parametrize("damage", [lambda b: b[:200], lambda b: b[: len(b) // 2], lambda b: b"text" * 400])
def test_a_damaged_file_is_refused(written, damage):
    written.write_bytes(damage(written.read_bytes()))
    with pytest.raises(RefusedInput, match=r"heart\.nii\.gz cannot be read as NIfTI") as refusal:
        io.read(written)
    assert refusal.value.code == "unreadable-nifti"


def test_voxels_that_begin_beyond_any_file_are_refused(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 4), np.int16), np.eye(4)), tmp_path / "far.nii")
    header = bytearray((tmp_path / "far.nii").read_bytes())
    header[108:112] = np.float32(1e22).tobytes()  # vox_offset
    (tmp_path / "far.nii").write_bytes(header)
    with pytest.raises(RefusedInput, match=r"far\.nii cannot be read as NIfTI"):
        io.read(tmp_path / "far.nii")


def test_colours_are_refused(tmp_path):
    rgb = np.zeros((4, 5, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(rgb, np.eye(4)), tmp_path / "colour.nii")
    with pytest.raises(RefusedInput, match=r"colour\.nii holds .* values; give grey values"):
        nifti.read_image(tmp_path / "colour.nii")


def test_voxels_that_hold_no_number_are_zero_and_counted(tmp_path, short_ball):
    data = short_ball.image.data.astype(np.float32)
    data[0, 0, 0, :3] = np.nan
    nifti.write_image(tmp_path / "a.nii", data, short_ball.image.affine, short_ball.image.times)
    found = io.read(tmp_path / "a.nii")
    assert found.flags[0].message == "3 voxels hold no number; read as 0"
    assert not found[View.SAX].data[0, 0, 0].any()


class TestFolder:
    """A folder as data sets come: a cine, its ED and ES frames, labels of each."""

    @pytest.fixture
    def folder(self, tmp_path, short_ball) -> Path:
        image = short_ball.image
        for name, frames in (("s1", slice(None)), ("s1_ED", slice(0, 1)), ("s1_ES", slice(4, 5))):
            for ending in ("", "_gt"):
                path = tmp_path / "s1" / f"{name}{ending}.nii.gz"
                nifti.write_image(path, image.data[..., frames], image.affine, image.times[frames])
        return tmp_path / "s1"

    def test_the_cine_is_used_and_nothing_else(self, folder, short_ball):
        found = io.read(folder)
        np.testing.assert_array_equal(found[View.SAX].data, short_ball.image.data)
        used = {row.series: (row.used, row.reason) for row in io.inspect(folder).rows}
        assert used["s1.nii.gz"] == (True, "short-axis stack")
        assert used["s1_ED.nii.gz"] == (False, "the short-axis cine is another file")
        assert used["s1_gt.nii.gz"] == (False, "labels, by its name")

    def test_ed_and_es_alone_are_two_frames(self, folder, short_ball):
        (folder / "s1.nii.gz").unlink()
        found = io.read(folder)
        np.testing.assert_array_equal(found[View.SAX].data, short_ball.image.data[..., [0, 4]])
        assert codes(found.flags) == ["two-frames"]

    def test_one_still_is_one_frame_and_flagged(self, folder):
        found = io.read(folder / "s1_ED.nii.gz")
        assert (found[View.SAX].frames, codes(found.flags)) == (1, ["single-frame"])

    def test_several_subjects_are_refused_with_their_names(self, folder):
        (folder / "s1.nii.gz").unlink()
        (folder / "s1_ES.nii.gz").rename(folder / "s2_ES.nii.gz")
        with pytest.raises(RefusedInput, match=r"2 images that could be the short axis \(s1_ED\.nii\.gz, s2_ES"):
            io.read(folder)
        assert io.read(folder, sax="s2")[View.SAX].frames == 1

    def test_long_axes_are_told_by_their_names(self, folder, short_ball):
        picture = short_ball.image.data[:, :, :1]
        nifti.write_image(folder / "s1_lax_4ch.nii.gz", picture, short_ball.image.affine, short_ball.image.times)
        assert io.read(folder).views == (View.SAX, View.LAX_4C)

    def test_subjects_are_named_by_a_hash(self, folder):
        assert io.read(folder).subject.startswith("sub-")
        assert io.read(folder, keep_id=True).subject == "s1"
