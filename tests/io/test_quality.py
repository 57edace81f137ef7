"""Pictures that show nothing, and slices that lie in each other, are told before anybody believes what they measure."""

from dataclasses import replace

import numpy as np
import pytest

from cinecmr import io
from cinecmr.anatomy import Contrast, View
from cinecmr.io import nifti
from cinecmr.io.quality import quality_flags

SAX = View.SAX, Contrast.CINE


def changed(study, **changes):
    return replace(study, images={**study.images, SAX: replace(study[View.SAX], **changes)})


def message(flags, code):
    return next(flag.message for flag in flags if flag.code == code)


def test_a_beating_heart_has_no_blank_frame(short_ball):
    assert quality_flags(short_ball.image) == []


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (np.s_[:, :, 2, 4], "frame 4 is black in slice 3"),
        (np.s_[:, :, :, 7:9], "frame 7, 8 is black in all slices"),
        (np.s_[:, :, 1:3, 5], "frame 5 is black in slice 2, 3"),
    ],
)
def test_black_frames_are_named_with_their_slices(scanned, short_ball, where, words):
    data = short_ball.image.data.copy()
    data[where] = 0
    found = scanned(study=changed(short_ball.study, data=data))
    assert message(found.flags, "blank-frames").startswith(words)


def test_a_black_frame_of_a_nifti_file_is_named_too(tmp_path, short_ball):
    data = short_ball.image.data.copy()
    data[..., 4] = 0
    nifti.write_image(tmp_path / "heart.nii.gz", data, short_ball.image.affine, short_ball.image.times)
    assert message(io.read(tmp_path).flags, "blank-frames").startswith("frame 4 is black in all slices")


def test_slices_thicker_than_their_distance_are_flagged_as_a_doubtful_header(scanned, short_ball):
    found = scanned(study=changed(short_ball.study, thickness_mm=13.0))
    assert message(found.flags, "slices-overlap").startswith("slices 13 mm thick lie 10.0 mm from slice to slice")
    assert "slices-overlap" not in {flag.code for flag in scanned(study=short_ball.study).flags}


def test_a_slice_that_is_a_copy_of_another_is_told_and_an_empty_one_is_not(scanned, short_ball):
    data = short_ball.image.data.copy()
    data[:, :, 3] = data[:, :, 2]
    found = scanned(study=changed(short_ball.study, data=data))
    assert message(found.flags, "copied-slice").startswith("slices 3 and 4 show the same picture")
    data[0, 0, 3, 1] += 1
    codes = [flag.code for flag in quality_flags(replace(short_ball.image, data=data))]
    assert "copied-slice" not in codes
    data[:, :, -2:] = 0
    assert "copied-slice" not in [flag.code for flag in quality_flags(replace(short_ball.image, data=data))]
