"""What cannot be measured is refused with a code, and a sentence that says what is wrong, where, and what to do."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cinecmr import io
from cinecmr.errors import RefusedInput
from cinecmr.phantom.dicom_files import PLANTED_ID, PLANTED_NAME, write_dicom


def refusal(path, **options) -> RefusedInput:
    with pytest.raises(RefusedInput, match=str(path.name)) as caught:  # the message says where
        io.read(path, **options)
    return caught.value


def test_a_path_that_does_not_exist_is_named(tmp_path):
    assert refusal(tmp_path / "nowhere").code == "no-such-path"


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "study" / "inner").mkdir(parents=True)
    assert refusal(tmp_path / "study").code == "empty"


def test_a_folder_of_text_files_is_refused_with_their_number(tmp_path):
    for name in ("a.txt", "b.dcm"):
        (tmp_path / name).write_text("a letter, longer than the preamble of a DICOM file " * 5)
    told = refusal(tmp_path)
    assert (told.code, "2 not DICOM" in told.message) == ("no-dicom", True)


def test_a_file_cut_within_its_header_is_told_as_truncated(tmp_path, short_ball):
    write_dicom(short_ball.study, tmp_path / "study", faults=["single-frame"])
    (file,) = (tmp_path / "study").rglob("*.dcm")
    whole = file.read_bytes()
    for share in (0.2, 0.5, 0.95):
        file.write_bytes(whole[: int(share * len(whole))])
        assert refusal(tmp_path / "study").code == "truncated"


def test_one_single_frame_is_no_cine(tmp_path, short_ball):
    write_dicom(short_ball.study, tmp_path / "study", faults=["single-frame"])
    told = refusal(tmp_path / "study")
    assert (told.code, "found one frame: not a cine" in told.message) == ("no-cine", True)


def test_long_axes_alone_are_listed_with_their_frames(tmp_path, ball):
    write_dicom(ball.study, tmp_path / "study", faults=["no-sax"])
    told = refusal(tmp_path / "study")
    assert told.code == "no-sax"
    assert told.message.endswith(
        "found LAX 2C (10 frames), LAX 3C (10 frames), LAX 4C (10 frames); name one with --sax SERIES"
    )


def test_a_refused_study_can_still_be_inspected(tmp_path, ball):
    write_dicom(ball.study, tmp_path / "study", faults=["no-sax"])
    seen = io.inspect(tmp_path / "study")
    assert [row.view for row in seen.rows] == ["LAX_2C", "LAX_3C", "LAX_4C"]
    assert seen.refusal is not None
    assert seen.to_table().splitlines()[-1].startswith("would be refused: no short-axis cine in ")
    assert json.loads(seen.to_json())["refusal"]["code"] == "no-sax"


def test_a_named_series_that_is_not_there_is_answered_with_those_that_are(tmp_path, short_ball):
    write_dicom(short_ball.study, tmp_path / "study")
    with pytest.raises(RefusedInput, match=r"no cine series is called 77: there are 1 cine_trufi_retro, 2 cine"):
        io.read(tmp_path / "study", sax="77")


def test_the_user_can_name_the_stack_to_use(tmp_path, short_ball):
    write_dicom(short_ball.study, tmp_path / "study", faults=["repeated-stack"])  # series 501 to 506 are the repeat
    found = io.read(tmp_path / "study", sax="1,2,3,4,5,6")
    assert (found[next(iter(found.views))].data == short_ball.image.data).all()


def test_no_identifier_of_the_header_reaches_study_or_inspection(tmp_path, short_ball):
    write_dicom(short_ball.study, tmp_path / "study", faults=["repeated-slice", "one-truncated"])
    found, seen = io.read(tmp_path / "study"), io.inspect(tmp_path / "study")
    told = f"{found!r} {seen.to_json()} {seen.to_table()}"
    for secret in (PLANTED_NAME, PLANTED_ID, "PLANTED", "19601231"):
        assert secret not in told
    assert found.subject == seen.subject
    assert found.subject.startswith("sub-")
    assert io.inspect(tmp_path / "study", keep_id=True).subject == f"{PLANTED_ID}-ball"


def test_the_input_hash_follows_the_pixels_and_not_the_file_names(tmp_path, short_ball):
    def digest(name, *faults):
        write_dicom(short_ball.study, tmp_path / name, faults=faults)
        return io.read(tmp_path / name).provenance["input_sha256"]

    plain = digest("plain")
    assert digest("renamed", "bare-names") == plain
    assert digest("darker", "repeated-slice") != plain


def test_damaged_headers_are_left_out_or_refused_and_never_crash(tmp_path, short_ball):
    write_dicom(short_ball.study, tmp_path / "study", faults=["single-frame"])
    (file,) = (tmp_path / "study").rglob("*.dcm")
    whole, rng = file.read_bytes(), np.random.default_rng(4)
    told = set()
    for _ in range(80):
        damaged = bytearray(whole)
        for place in rng.integers(132, len(whole) - 1144, 6):
            damaged[place] = rng.integers(256)
        file.write_bytes(bytes(damaged))
        told.add(refusal(tmp_path / "study").code)
    assert {"no-cine", "truncated"} <= told <= {"no-cine", "truncated", "no-dicom", "no-spacing"}
