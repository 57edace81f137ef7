"""A refused study never stands beside the report of another."""

from __future__ import annotations

import json

import pytest

from cinecmr.analyze.stale import OUTPUTS, REFUSAL, setting_aside
from cinecmr.errors import RefusedInput


@pytest.fixture
def reported(tmp_path):
    """A folder with all outputs of an earlier run, and a file of the user's."""
    for name in (*OUTPUTS, "notes.txt"):
        (tmp_path / name).write_text(f"earlier {name}")
    return tmp_path


def refuse(out):
    with pytest.raises(RefusedInput, match="two patients in /ward/somebody") as refusal, setting_aside(out):
        raise RefusedInput("several-patients", "two patients in /ward/somebody")
    return refusal.value


def test_earlier_results_are_moved_aside_and_none_is_lost(reported):
    told = refuse(reported)
    (aside,) = reported.glob("earlier-*")
    assert told.code == "several-patients"
    assert told.message.endswith(f"the results of an earlier run are now in {aside}")
    assert {path.name for path in reported.iterdir()} == {aside.name, REFUSAL, "notes.txt"}
    assert {path.name: path.read_text() for path in aside.iterdir()} == {name: f"earlier {name}" for name in OUTPUTS}


def test_the_refusal_names_its_code_and_nobody(reported):
    refuse(reported)
    written = (reported / REFUSAL).read_text()
    assert json.loads(written)["refused"] == "several-patients"
    assert "somebody" not in written


def test_two_refusals_in_a_row_keep_what_the_first_set_aside(reported):
    refuse(reported)
    refuse(reported)
    assert len(list(reported.glob("earlier-*"))) == 1
    (reported / "report.html").write_text("another")
    refuse(reported)
    assert sorted(p.read_text() for p in reported.glob("earlier-*/report.html")) == ["another", "earlier report.html"]


def test_a_fresh_folder_and_corrected_labels_alone_are_left_as_they_are(tmp_path):
    refuse(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "labels_sax.nii.gz").write_text("drawn by hand")
    refuse(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["labels_sax.nii.gz"]


def test_an_error_sets_earlier_results_aside_too_and_stays_that_error(reported):
    with pytest.raises(OSError, match="the disk is full"), setting_aside(reported):
        raise OSError("the disk is full")
    assert not (reported / "report.html").exists()
    assert not (reported / REFUSAL).exists()


def test_a_run_that_succeeds_takes_an_old_refusal_away_and_leaves_its_own_report(reported):
    (reported / REFUSAL).write_text("{}")
    with setting_aside(reported):
        (reported / "report.html").write_text("new")
    assert (reported / "report.html").read_text() == "new"
    assert not (reported / REFUSAL).exists()
    assert not list(reported.glob("earlier-*"))
