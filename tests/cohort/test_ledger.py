"""The ledger: nothing that was entered is lost, and nothing that is there is deleted."""

import sqlite3
import time
from contextlib import closing

import pytest

from cinecmr.cohort.ledger import Ledger, Outcome, alone, events, ledgers, outcomes, part_name
from cinecmr.errors import RefusedInput


def one(name, state="done", **more):
    return Outcome(name, state, row={"LVEDV_ml": 140.5}, **more)


def test_a_result_is_read_as_it_was_entered_and_the_rest_waits(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.expect(["study-b", "study-a"])
        ledger.record([one("study-b", seconds=2.5, peak_mb=300.0, attempts=2)])
        ledger.expect(["study-b", "study-c"])
    first, second, third = outcomes(tmp_path)
    assert (first.name, first.state, third.name, third.state) == ("study-a", "waiting", "study-c", "waiting")
    assert (second.state, second.row, second.seconds, second.attempts) == ("done", {"LVEDV_ml": 140.5}, 2.5, 2)


def test_a_ledger_can_be_read_while_it_is_written(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.record([one("study-a")])
        assert [o.state for o in outcomes(tmp_path)] == ["done"]


def test_of_a_study_in_two_ledgers_the_later_result_counts(tmp_path):
    for part, state, at in ((0, "refused", "2026-01-02T00:00:00"), (1, "done", "2026-01-01T00:00:00")):
        with Ledger(tmp_path / part_name((part, 2))) as ledger:
            ledger.record([one("study-a", state, finished=at)])
    assert [o.state for o in outcomes(tmp_path)] == ["refused"]


@pytest.mark.parametrize("what", ["another version", "no ledger"])
def test_a_ledger_that_cannot_be_used_is_set_aside_whole_and_said(tmp_path, what):
    path = tmp_path / "ledger.sqlite"
    if what == "no ledger":
        path.write_bytes(b"half a block of a full disk" * 99)
    else:
        with Ledger(path) as ledger:
            ledger.record([one("study-a")])
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 7")
        connection.close()
    before = path.read_bytes()
    with Ledger(path) as ledger:
        ledger.expect(["study-a"])
    (aside,) = tmp_path.glob("ledger-aside-*.sqlite")
    assert aside.read_bytes() == before
    assert [o.state for o in outcomes(tmp_path)] == ["waiting"]
    ((_, kind, detail),) = events(tmp_path)
    assert kind == "ledger-set-aside"
    assert aside.name in detail


def test_a_run_has_its_ledger_alone_and_leaves_it_when_it_ends(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with alone(path), pytest.raises(RefusedInput, match="another run is at work"), alone(path):
        pass
    with alone(path):
        pass


def test_a_folder_without_a_cohort_is_told_so(tmp_path):
    with pytest.raises(RefusedInput, match="no cohort in"):
        ledgers(tmp_path)
    (tmp_path / "ledger.sqlite").write_bytes(b"damaged" * 99)
    with pytest.raises(RefusedInput, match=r"no ledger in .* is of version 1"):
        ledgers(tmp_path)


@pytest.mark.parametrize("header", [False, True])
def test_a_ledger_that_is_being_made_is_told_from_one_of_another_version(tmp_path, header):
    path = tmp_path / "ledger.sqlite"
    path.touch()
    if header:  # and no table yet
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript("PRAGMA journal_mode = WAL")
    with pytest.raises(RefusedInput, match="only just beginning: ask again"):
        outcomes(tmp_path)


def test_results_that_cannot_all_be_entered_are_not_entered_at_all(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        with pytest.raises(ValueError, match="Out of range float"):
            ledger.record([one("study-a"), Outcome("study-b", "done", row={"LVEF_percent": float("nan")})])
        ledger.record([one("study-c")])
    assert [o.name for o in outcomes(tmp_path)] == ["study-c"]


def test_an_entry_costs_far_less_than_a_study(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.expect(f"study-{n}" for n in range(2000))
        started = time.process_time()
        for n in range(100):
            ledger.record([one(f"study-{n}")])
        assert (time.process_time() - started) / 100 < 0.02
