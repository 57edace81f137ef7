"""A study cannot harm another: in its own process, with an end to its time and memory."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from cinecmr.cohort.isolation import Bench, Child
from cinecmr.cohort.one import LABELS, Settings, folder_of
from cinecmr.errors import RefusedInput

pytestmark = pytest.mark.skipif(os.name != "posix", reason="uses pipes with names, and signals")
KEY = bytes(range(32)).hex()


def settings(**more):
    return Settings(models=LABELS, **more)


def request(hearts, out, name="Smith^John_0", **more):
    folder = hearts.folder / name
    return {"name": f"study-{name[-1]}", "paths": [str(folder)], "site": "Leeds", "said": [], "out": str(out),
            "key": KEY, "labels": str(folder / "sax_gt.nii.gz")} | more  # fmt: skip


ENDLESS = """
import sys, time
sys.addaudithook(lambda event, found: event == "open" and "endless_9" in str(found[0]) and time.sleep(600))
"""


@pytest.fixture
def endless(hearts, tmp_path, monkeypatch):
    """A cohort of two, and a third study whose files never end."""
    made = hearts(2)
    shutil.copytree(made.folder / next(iter(made.ml)), made.folder / "endless_9")
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(ENDLESS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "slow"))
    return made


def test_one_process_measures_study_after_study(hearts, tmp_path):
    made, bench = hearts(2), Bench()
    results = [bench.measure(request(made, tmp_path / "out", name), settings()) for name in made.ml]
    bench.close()
    for result, ml in zip(results, made.ml.values(), strict=True):
        assert result["state"] in ("done", "flagged"), result
        assert result["row"]["LVEDV_ml"] == pytest.approx(ml, rel=0.02)
        assert result["row"]["site"] == "Leeds"
        assert result["peak_mb"] > 10
    assert {path.name for path in folder_of(tmp_path / "out", "study-0").iterdir()} == {"findings.json", "picture.png"}


def test_a_study_that_takes_too_long_ends_and_the_next_is_measured(endless, tmp_path):
    bench, limit = Bench(), settings(time_limit_s=25.0)
    started = time.monotonic()
    hung = bench.measure(request(endless, tmp_path / "out", "endless_9"), settings(time_limit_s=1.0))
    assert (hung["state"], hung["cause"], hung["attempts"]) == ("failed", "time-limit", 1)
    assert time.monotonic() - started < 120
    assert bench.measure(request(endless, tmp_path / "out"), limit)["state"] in ("done", "flagged")
    bench.close()


def test_a_study_that_takes_too_much_memory_ends(hearts, tmp_path):
    bench = Bench()
    found = bench.measure(request(hearts(1), tmp_path / "out"), settings(memory_limit_mb=5.0))
    bench.close()
    assert (found["state"], found["cause"]) == ("failed", "memory-limit")
    assert found["peak_mb"] > 5


def test_a_process_that_is_killed_again_and_again_is_entered_as_such(endless, tmp_path, monkeypatch):
    made = []

    class Mortal(Child):
        def measure(self, asked):
            made.append(self)
            threading.Timer(0.5, os.kill, (self._process.pid, signal.SIGKILL)).start()
            return super().measure(asked)

    monkeypatch.setattr("cinecmr.cohort.isolation.Child", Mortal)
    found = Bench().measure(request(endless, tmp_path / "out", "endless_9"), settings())
    assert (found["state"], found["cause"], found["attempts"]) == ("failed", "process-died", 3)
    assert len(made) == 3


@pytest.mark.parametrize("deaths", [2, 3])
def test_a_process_that_is_killed_while_it_begins_is_begun_three_times(hearts, tmp_path, monkeypatch, deaths):
    begun = []

    class Frail(Child):
        def _tell(self, content):
            if len(begun) < deaths:
                begun.append(self._process.pid)
                self._process.kill()
            super()._tell(content)

    monkeypatch.setattr("cinecmr.cohort.isolation.Child", Frail)
    bench, asked = Bench(), request(hearts(1), tmp_path / "out")
    if deaths == 3:
        with pytest.raises(RefusedInput, match="ended before the model was loaded"):
            bench.measure(asked, settings())
        return
    found = bench.measure(asked, settings())
    bench.close()
    assert (found["state"] in ("done", "flagged"), found["attempts"]) == (True, 1)


def test_a_process_whose_worker_is_gone_goes_too_and_takes_its_unpacked_files_along(endless, tmp_path):
    child = Child(settings())
    asking = threading.Thread(target=child.measure, args=(request(endless, tmp_path, "endless_9"),))
    asking.start()
    time.sleep(0.5)
    scratch = Path(child._scratch)
    assert scratch.is_dir()
    child._process.stdin.close()  # what happens when the worker is killed
    asking.join(60)
    assert child._process.poll() == 0
    assert not scratch.exists()


def test_a_model_that_cannot_be_loaded_is_refused_before_any_study():
    with pytest.raises(RefusedInput, match="no model 'nobody'"):
        Child(Settings(models="nobody"))
