"""Rows of what DICOM cine does that lie in the patient and the coding of pixels: D27, D29, D40, D41, D47, D53."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels.decoders.base import get_decoder

from cinecmr import io
from cinecmr.anatomy import View
from cinecmr.errors import RefusedInput
from cinecmr.io.pixels import read_frame
from cinecmr.io.quality import quality_flags
from cinecmr.phantom.dicom_files import write_dicom
from cinecmr.phantom.dicom_syntax import SYNTAXES, can_write

WRITABLE = [name for name in SYNTAXES if can_write(name) is None]


def codes(study) -> set[str]:
    return {flag.code for flag in study.flags}


def message(study, code: str) -> str:
    return next(flag.message for flag in study.flags if flag.code == code)


def test_d27_a_slice_tilted_by_eight_degrees_stays_in_the_stack_and_is_flagged(scanned, short_ball, volume):
    found = scanned("tilted-slice")
    assert found[View.SAX].missing_slices == ()
    np.testing.assert_allclose(found[View.SAX].affine, short_ball.image.affine, atol=0.01)
    np.testing.assert_allclose(volume(found[View.SAX]), short_ball.ml, rtol=0.03)
    assert "tilted to each other by up to 8.0 degrees" in message(found, "tilted-slices")


def test_d27_a_slice_tilted_by_twenty_degrees_is_refused(scanned):
    with pytest.raises(RefusedInput, match=r"slice of series 4 is tilted to the others by 20 degrees") as refusal:
        scanned("badly-tilted-slice")
    assert refusal.value.code == "tilted-slices"


def test_d29_long_axis_cines_keep_their_own_number_of_frames(tmp_path, new_ball):
    study = new_ball(frames=18).study
    write_dicom(study, tmp_path / "dicom", faults=["fewer-long-axis-frames"])
    found = io.read(tmp_path / "dicom")
    assert {view: found[view].frames for view in found.views} == dict.fromkeys(study.views, 18) | {View.LAX_2C: 9}
    two_chamber = study[View.LAX_2C]
    np.testing.assert_allclose(found[View.LAX_2C].times, two_chamber.times[::2], atol=1e-4)
    np.testing.assert_allclose(found[View.LAX_2C].data, two_chamber.data[..., ::2], atol=1e-3)
    assert codes(found) == set()


def test_d40_irregular_beats_are_matched_by_their_share_of_the_beat_and_flagged(scanned, short_ball):
    found = scanned("irregular-beat")
    np.testing.assert_allclose(found[View.SAX].data, short_ball.image.data, atol=1e-3)
    assert "560 to 1120 ms" in message(found, "rr-varies")


@pytest.mark.parametrize("vendor", ["ge", "philips-enhanced"])
@pytest.mark.parametrize("syntax", WRITABLE)
def test_d41_every_coding_without_loss_gives_the_same_pixels(
    scanned, short_ball, same_images, syntax, vendor, tmp_path
):
    found = scanned(syntax=syntax, vendor=vendor)
    np.testing.assert_allclose(found[View.SAX].data, short_ball.image.data, atol=1e-3)
    first = pydicom.dcmread(next((tmp_path / "dicom").rglob("*.dcm")))
    assert first.file_meta.TransferSyntaxUID == SYNTAXES[syntax]


@pytest.mark.parametrize("syntax", [name for name in WRITABLE if name not in ("explicit", "implicit")])
def test_d44_a_cut_file_of_any_coding_is_told_as_truncated(tmp_path, short_ball, syntax):
    write_dicom(short_ball.study, tmp_path / "study", faults=["single-frame"], syntax=syntax)
    (file,) = (tmp_path / "study").rglob("*.dcm")
    whole = file.read_bytes()
    file.write_bytes(whole[:-60])
    with pytest.raises(RefusedInput, match="end too early") as refusal:
        io.read(tmp_path / "study")
    assert refusal.value.code == "truncated"


@pytest.mark.parametrize("name", ["MR_small_RLE", "MR_small_implicit", "MR_small_jp2klossless", "MR_small_bigendian"])
def test_d41_files_that_other_software_coded_hold_the_same_picture(name):
    def picture(file):
        class Header:
            path, frame, rescale, series_number, syntax = get_testdata_file(f"{file}.dcm"), None, None, 1, ""

        return read_frame(Header())[0]

    np.testing.assert_array_equal(picture(name), picture("MR_small"))


@pytest.mark.skipif(get_decoder(SYNTAXES["jpeg-ls"]).is_available, reason="a decoder of JPEG-LS is installed")
def test_d41_a_coding_without_its_decoder_is_refused_and_the_decoder_named(tmp_path, short_ball):
    write_dicom(short_ball.study, tmp_path / "study", faults=["video-coded"])
    for path in (tmp_path / "study").rglob("*.dcm"):
        data = path.read_bytes()
        path.write_bytes(data.replace(b"1.2.840.10008.1.2.4.102\0", b"1.2.840.10008.1.2.4.80\0\0"))
    with pytest.raises(RefusedInput, match=r"JPEG-LS Lossless .* cannot be decoded here: install pyjpegls") as refusal:
        io.read(tmp_path / "study")
    assert refusal.value.code == "undecodable"
    assert io.inspect(tmp_path / "study").refusal[0] == "undecodable"


def test_d41_a_coding_no_decoder_knows_is_refused(scanned):
    with pytest.raises(RefusedInput, match=r"series 1 is stored as MPEG-4 .*: export the study uncompressed"):
        scanned("video-coded")


def test_d41_loss_is_told(scanned, short_ball, same_images):
    found = scanned("said-to-be-lossy")
    same_images(found, short_ball.study)
    assert codes(found) == {"lossy-pixels"}


def test_d47_without_any_identity_of_series_geometry_tells_the_views(tmp_path, ball, same_images):
    write_dicom(ball.study, tmp_path / "dicom", faults=["no-series-identity", "shuffled"])
    same_images(io.read(tmp_path / "dicom"), ball.study)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("metal-artefact", "slice 4 has lost its signal in"),
        ("banding", "slice 4 has lost its signal in"),
        ("dark-slice", "slice 4 is 0.2 times as bright as its neighbours"),
    ],
)
def test_d53_a_spoilt_slice_is_flagged_and_everything_still_read(scanned, short_ball, fault, words):
    found = scanned(fault)
    assert found[View.SAX].data.shape == short_ball.image.data.shape
    assert message(found, "slice-quality").startswith(words)


def test_slices_beside_one_that_was_never_acquired_are_not_judged(short_ball):
    image = replace(short_ball.image, data=short_ball.image.data.copy(), missing_slices=(3,))
    image.data[:, :, 3] = 0
    assert quality_flags(image) == []
    assert [flag.code for flag in quality_flags(replace(image, missing_slices=()))] == ["slice-quality"]
