"""What is lost on the way is measured again: a scheduler that goes away, workers that die, a disk that is full."""

import sqlite3
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from cinecmr.cohort import cluster, run
from cinecmr.cohort.ledger import Ledger, events, outcomes
from cinecmr.cohort.one import LABELS, Settings
from cinecmr.errors import RefusedInput


class KilledWorker(Exception):  # noqa: N818
    """As distributed calls it."""


class Future:
    def __init__(self, name):
        self.name, self.status = name, "pending"

    def result(self):
        return {"state": "done", "cause": "", "row": {"LVEDV_ml": 100.0}, "seconds": 1.0, "peak_mb": 1.0, "attempts": 1}

    def exception(self):
        return KilledWorker()


class Cluster:
    """Answers one study at a time; after `lives` answers it is gone, and stays away for `away` tries to come back."""

    def __init__(self, lives=10**6, away=0, deadly=()):
        self.lives, self.away, self.deadly, self.status, self.given = lives, away, deadly, "running", []

    @contextmanager
    def client(self, *_):
        if self.status != "running":
            if self.away > 0:
                self.away -= 1
                raise RefusedInput("no-scheduler", "no scheduler answers")
            self.status, self.lives = "running", 10**6
        yield self

    def nthreads(self):
        return {"worker": 2}

    def submit(self, function, request, *_, **__):
        self.given.append(request["name"])
        return Future(request["name"])

    def wait(self, futures, **_):
        if self.lives == 0:
            self.status = "closed"
            raise OSError("gone")
        self.lives -= 1
        futures[0].status = "error" if futures[0].name in self.deadly else "finished"
        return SimpleNamespace(done={futures[0]})


@pytest.fixture
def go(tmp_path, monkeypatch):
    """Runs ten studies over a cluster; what was said."""
    (tmp_path / "list.txt").write_text("\n".join(f"study{n}" for n in range(10)))
    monkeypatch.setattr(run, "LOOK_S", 0.0)
    monkeypatch.setattr(run, "FULL_DISK_S", 0.0)

    def start(made):
        library = SimpleNamespace(wait=made.wait, client=SimpleNamespace(FutureCancelledError=KeyError))
        monkeypatch.setattr(cluster, "client", made.client)
        monkeypatch.setattr(cluster, "libraries", lambda: (None, library))
        said = []
        task = run.Task(Path(tmp_path / "list.txt"), tmp_path / "out", Settings(models=LABELS))
        told = run.run(task, said.append)
        return told, said, outcomes(tmp_path / "out")

    return start


def test_a_scheduler_that_goes_away_is_waited_for_and_every_study_is_measured_once(go, tmp_path):
    made = Cluster(lives=4, away=2)
    told, said, found = go(made)
    assert told.finished == 10
    assert {one.state for one in found} == {"done"}
    assert any("the scheduler is gone" in line for line in said)
    assert "scheduler-lost" in {what for _, what, _ in events(tmp_path / "out")}
    assert len(made.given) > 10, "what was under way was given again"


def test_a_scheduler_that_stays_away_ends_the_run_with_what_was_done(go, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "LOST_S", 0.02)
    with pytest.raises(RefusedInput, match="did not come back"):
        go(Cluster(lives=4, away=10**9))
    assert sum(one.state == "done" for one in outcomes(tmp_path / "out")) == 4
    told, _, found = go(Cluster())
    assert told.total == 6
    assert {one.state for one in found} == {"done"}


def test_no_scheduler_at_all_is_refused_at_once(go):
    made = Cluster(away=10**9)
    made.status = "closed"
    with pytest.raises(RefusedInput, match="no scheduler answers"):
        go(made)


def test_a_study_that_kills_its_workers_is_entered_and_the_rest_goes_on(go, tmp_path):
    from cinecmr.cohort.studies import listed
    from cinecmr.io.naming import Names, open_key

    names = [e.name for e in listed(tmp_path / "list.txt", Names(open_key(tmp_path / "out-private"))).entries]
    _, _, found = go(Cluster(deadly={names[3]}))
    assert [(one.name, one.cause) for one in found if one.state == "failed"] == [(names[3], "worker-died")]
    assert sum(one.state == "done" for one in found) == 9


def test_while_the_disk_is_full_results_are_kept_and_then_entered(go, monkeypatch):
    true, full = Ledger.record, [3]

    def record(self, results):
        if full[0]:
            full[0] -= 1
            raise sqlite3.OperationalError("database or disk is full")
        true(self, results)

    monkeypatch.setattr(Ledger, "record", record)
    told, said, found = go(Cluster())
    assert told.finished == sum(one.state == "done" for one in found) == 10
    assert sum("make room" in line for line in said) == 1
