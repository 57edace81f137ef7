"""Exit codes and messages of the command line, without any heavy work behind them."""

import os

import pytest

from cinecmr import cli
from cinecmr.analyze import models, pipeline, run
from cinecmr.cli.shared import progress
from cinecmr.errors import RefusedInput
from cinecmr.study import Flag, Severity


def ends(capsys, *words: str):
    """Exit code, what was printed, what was said."""
    with pytest.raises(SystemExit) as end:
        cli.main(list(words))
    told = capsys.readouterr()
    return end.value.code or 0, told.out, told.err


@pytest.fixture
def ready(monkeypatch, tiny_heart, tiny_model):
    """`analyze` finds a tiny study and a model that knows its labels."""
    monkeypatch.setattr(run, "take", lambda *_, **__: (tiny_heart.study, None))
    monkeypatch.setattr(run, "segmenter", lambda *_: tiny_model)
    monkeypatch.setattr(pipeline, "right_flags", lambda *_: [])  # its right ventricle ends as no heart's does
    return tiny_model


def test_a_refusal_ends_with_three_and_its_code(capsys, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise RefusedInput("no-sax", "no short-axis cine in x; name one with --sax")

    monkeypatch.setattr(run, "take", refuse)
    code, _, said = ends(capsys, "analyze", "x", "--out", str(tmp_path))
    assert (code, said) == (3, "refused: no short-axis cine in x; name one with --sax  [no-sax]\n")


def test_a_fault_ends_with_one_and_shows_its_place_only_when_asked(capsys, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise OSError("the disk is full")

    monkeypatch.setattr(run, "take", fail)
    code, _, said = ends(capsys, "analyze", "x", "--out", str(tmp_path))
    assert (code, said.splitlines()[0]) == (1, "error: the disk is full")
    with pytest.raises(OSError, match="the disk is full"):
        cli.main(["analyze", "x", "--out", str(tmp_path), "--debug"])


def test_a_stop_by_the_user_is_not_an_error(capsys, monkeypatch, tmp_path):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "take", stop)
    assert ends(capsys, "analyze", "x", "--out", str(tmp_path)) == (130, "", "")


def test_an_analysis_with_notes_only_is_done(capsys, ready, monkeypatch, tmp_path):
    from cinecmr.measure import checks

    monkeypatch.setattr(checks, "pair_flags", lambda _: [Flag("a-note", Severity.NOTE, "worth knowing")])
    code, out, _ = ends(capsys, "analyze", "x", "--out", str(tmp_path))
    assert code == 0, out
    assert out.startswith("DONE\n")
    assert "a-note: worth knowing" in out


def test_an_analysis_with_a_flag_ends_with_four_and_has_written_everything(capsys, ready, monkeypatch, tmp_path):
    from cinecmr.measure import checks

    monkeypatch.setattr(checks, "pair_flags", lambda _: [Flag("a-flag", Severity.FLAG, "look again")])
    code, out, _ = ends(capsys, "analyze", "x", "--out", str(tmp_path))
    assert code == 4
    assert out.startswith("DONE WITH 1 FLAG\n")
    assert (tmp_path / "report.html").is_file()
    assert str(tmp_path / "report.html") in out


def test_help_is_for_people_and_usage_errors_end_with_two(capsys):
    code, out, _ = ends(capsys, "analyze", "--help")
    assert code == 0
    for option in (
        "--height",
        "--weight",
        "--sex",
        "--age",
        "--ed",
        "--es",
        "--sax",
        "--rr-ms",
        "--models",
        "--labels",
    ):
        assert option in out
    assert ends(capsys, "analyze")[0] == 2
    assert ends(capsys, "analyze", "x", "--out", "y", "--rr-ms", "20")[0] == 2


@pytest.mark.parametrize(("own", "then"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(own, then, monkeypatch):
    monkeypatch.setattr(os, "environ", {} if own is None else {"OMP_WAIT_POLICY": own})
    monkeypatch.setattr(cli, "app", lambda _: None)
    cli.main(["doctor"])
    assert os.environ == {"OMP_WAIT_POLICY": then}


def test_models_are_listed_and_an_unknown_card_is_refused(capsys):
    assert ends(capsys, "models")[0] == 0
    code, _, said = ends(capsys, "models", "card", "nobody")
    assert code == 3
    assert "no model 'nobody': there are lax-unet, sax-unet" in said


def test_the_doctor_names_what_is_missing(capsys, monkeypatch):
    monkeypatch.setattr(models, "names", list)
    code, out, _ = ends(capsys, "doctor")
    assert code == 1
    assert "MISSING  no weights in the package" in out
    assert "ok       python 3" in out


def test_the_doctor_is_content_where_everything_is_there(capsys, monkeypatch, tiny_model):
    tiny_model.source = "sax-unet@00000000"
    monkeypatch.setattr(models, "names", lambda: ["sax-unet"])
    monkeypatch.setattr(models, "load", lambda name: tiny_model)
    code, out, _ = ends(capsys, "doctor")
    assert code == 0
    assert "MISSING" not in out
    assert "weights sax-unet@00000000" in out
    assert "GB free for unpacking" in out


def test_the_doctor_says_how_to_get_what_only_some_commands_need(monkeypatch):
    from cinecmr import doctor

    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "distributed" else object())
    told = dict(doctor._extras())
    assert told["distributed: cohorts (pip install 'cinecmr[cluster]')"] is False
    assert told["highdicom: DICOM SEG and SR"] is True


def test_the_progress_line_stays_out_of_logs(capsys):
    assert progress("finding the heart") is None  # nothing here is a terminal
