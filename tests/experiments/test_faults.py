"""The corrupted corpus: faults do what they say, and what came of a study is judged by its numbers and its words."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cinecmr import io
from cinecmr.errors import RefusedInput
from cinecmr.experiments import faults
from cinecmr.experiments.fault_kinds import FILES, NIFTI, PICTURES, kinds
from cinecmr.experiments.faults import Ended, Row, command, judged, markdown, off, plan, summary
from cinecmr.phantom.dicom_words import WORDS

ROW = Row(3, 0, "noise", "words", "")


def findings(flags=(), **values):
    return {
        "flags": [{"code": code, "severity": severity, "message": f"of {code}"} for code, severity in flags],
        "measurements": {name: {"value": value} for name, value in values.items()},
    }


HEALTHY = findings([("slice-gap", "flag")], LVEDV=120.0, LVESV=50.0, LVEF=58.0, RVEF=30.0)


def outcome(code=0, said="", found=None):
    return judged(ROW, Ended(code, said, 1.0), HEALTHY, found or {})


def test_numbers_are_off_beyond_a_tenth_and_five_ml_or_beyond_five_points():
    found = findings(LVEDV=132.5, LVESV=55.0, LVEF=52.5, RVEF=35.0)
    assert list(off(HEALTHY, found)) == ["LVEDV +10 %", "LVEF -6 points"]


def test_a_wrong_number_without_a_new_flag_is_silent_and_with_one_it_is_told():
    wrong = {"LVEDV": 60.0, "LVESV": 50.0, "LVEF": 17.0}
    assert outcome(4, found=findings([("slice-gap", "flag")], **wrong)).outcome == "silent"
    assert outcome(4, found=findings([("no-heart-rate", "note")], **wrong)).outcome == "silent"
    assert outcome(4, found=findings([("no-sex", "flag")], **wrong)).outcome == "silent"  # speaks of the person
    told = outcome(4, found=findings([("area-jump", "flag")], **wrong))
    assert (told.outcome, told.flags, told.message) == ("flagged", ("area-jump",), "of area-jump")


def test_a_flag_counts_as_new_where_it_speaks_of_another_slice_and_not_where_its_figures_alone_differ():
    def torn(z, share):
        return {"code": "rv-torn", "severity": "flag", "message": f"the RV at ES: slice {z} lies {share} % off"}

    healthy = {**HEALTHY, "flags": [torn(3, 56)]}
    for flag, outcome_ in ((torn(3, 53), "silent"), (torn(4, 56), "flagged")):
        found = {**findings(LVEDV=60.0), "flags": [flag]}
        assert judged(ROW, Ended(4, "", 1.0), healthy, found).outcome == outcome_


def test_right_refused_withheld_failed_and_endless():
    assert outcome(0, found=findings(LVEDV=121.0)).outcome == "right"
    assert outcome(4, found=findings([("implausible", "refuse")], HR=60.0)).outcome == "withheld"
    refused = outcome(3, "refused: 2 patients in /a/b/c lie here  [several-patients]\n")
    assert (refused.outcome, refused.flags) == ("refused", ("several-patients",))
    assert refused.message == "2 patients in ... lie here"
    assert outcome(1, "error: list index out of range").outcome == "error"
    assert outcome(-11, "").outcome == "error"
    assert outcome(None).outcome == "too long"


def test_the_page_names_what_must_not_be():
    rows = [replace(ROW, outcome="right"), replace(ROW, number=4, outcome="silent", off=("LVEDV -50 %",))]
    assert summary(rows)[-1] == "not as it must be: noise (study 4)"
    assert "none of them" in summary(rows[:1])[-1]
    assert "| 4 | noise | words | silent |  | LVEDV -50 % |  |" in markdown({}, rows)


def test_every_fault_of_the_phantom_is_in_the_corpus_and_two_hundred_studies_hold_them_all():
    known = kinds()
    assert set(WORDS) | set(PICTURES) | set(FILES) | set(NIFTI) <= set(known)
    assert {name for _, name, _ in plan(200)} == set(known)
    assert [number for number, name, _ in plan(200, "noise")] == [n for n, name, _ in plan(200) if name == "noise"]
    with pytest.raises(RefusedInput, match="no fault 'nose'"):
        plan(200, "nose")


@pytest.fixture
def written(tmp_path, tiny_heart):
    """Write the tiny heart with a fault and read it back."""

    def go(name):
        kinds()[name].write(tiny_heart.study, tmp_path / name, tiny_heart.study, 1, (0, 6))
        return tmp_path / name

    return go


def test_pictures_are_changed_as_told_and_nothing_else(tiny_heart):
    image, middle = tiny_heart.image, tiny_heart.image.slices // 2
    whole = np.rint(image.data)

    def changed(name):
        return PICTURES[name][1](image, np.random.default_rng(0), image)

    found = changed("swapped-slices").data
    np.testing.assert_array_equal(found[:, :, middle - 1], whole[:, :, middle + 1])
    np.testing.assert_array_equal(found[:, :, middle + 1], whole[:, :, middle - 1])
    rest = [z for z in range(image.slices) if abs(z - middle) != 1]
    np.testing.assert_array_equal(found[:, :, rest], whole[:, :, rest])
    np.testing.assert_allclose(changed("small-pixels").spacing, image.spacing * [0.65, 0.65, 1])
    late = changed("no-basal-third")
    first = image.slices // 3
    np.testing.assert_array_equal(late.data, image.data[:, :, first:])
    np.testing.assert_allclose(late.affine @ [1, 2, 0, 1], image.affine @ [1, 2, first, 1])


@pytest.mark.parametrize(
    ("name", "code"), [("files-of-text", "no-dicom"), ("one-file", "no-cine"), ("no-files", "empty"),
                       ("nifti-cut", "unreadable-nifti")],
)  # fmt: skip
def test_files_that_cannot_be_read_are_refused_by_name(written, name, code):
    with pytest.raises(RefusedInput, match=r"\w") as refusal:
        io.read(written(name))
    assert refusal.value.code == code


def test_a_command_runs_in_a_process_of_its_own_and_is_ended_in_time(tmp_path):
    ended = command(["analyze", str(tmp_path / "nothing"), "--out", str(tmp_path / "out")], tmp_path / "log", 120)
    assert ended.code == 3
    assert "[no-such-path]" in ended.said
    assert command(["analyze", "phantom", "--out", str(tmp_path / "out")], tmp_path / "log", 0.2).code is None


def test_rows_that_are_done_are_not_done_again(tmp_path, monkeypatch):
    asked = []

    def judge(self, number, name, kind):
        asked.append(number)
        return Row(number, 0, name, kind.words, "silent" if number == 2 and len(asked) < 4 else "right")

    monkeypatch.setattr(faults.Corpus, "judge", judge)
    monkeypatch.setattr(faults, "preload", lambda: None)
    list(faults.run(tmp_path, 4))
    list(faults.run(tmp_path, 5))
    assert asked == [0, 1, 2, 3, 2, 4]  # what was not as it must be is looked at again
    rows = json.loads((tmp_path / "faults.json").read_text())["studies"]
    assert [row["outcome"] for row in rows] == ["right"] * 5
