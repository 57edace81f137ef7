"""Runs over a cohort, by the installed command: stopped in any way, on any number of workers, the table is one."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cinecmr.cohort.ledger import Ledger, Outcome, events, outcomes
from cinecmr.errors import RefusedInput

COMMAND = str(Path(sys.executable).with_name("cinecmr"))
COUNT = 5

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills process groups")


def run(*words, code=0, **more):
    """`cinecmr cohort WORDS`, which must end with that code; what it printed."""
    told = subprocess.run([COMMAND, "cohort", *map(str, words)], capture_output=True, text=True, timeout=400, **more)
    assert told.returncode == code, told.stderr
    return told.stdout + told.stderr


def table(out):
    (path,) = run("table", out, "--out", out / "table.csv").split()
    return Path(path).read_bytes()


@pytest.fixture
def cohort(hearts, tmp_path):
    """Hearts, and what is wrong in every cohort: an empty folder, a broken file, a study listed twice, none there."""
    made = hearts(COUNT)
    (made.folder / "Empty^Jane").mkdir()
    (made.folder / "broken.nii.gz").write_bytes(b"\x1f\x8b no image" * 9)
    made.add("Empty^Jane,1,,,", "broken.nii.gz,0,,,", "Smith^John_0,0,,,", "nowhere,0,,,")
    return made


@pytest.fixture
def words(cohort, tmp_path):
    return (cohort.list, "--models", "labels", "--private", tmp_path / "private")


def so_far(out: Path) -> list[Outcome]:
    """What a run knows; nothing while its ledger is being made."""
    try:
        return outcomes(out)
    except RefusedInput as refusal:
        if refusal.code != "no-cohort":
            raise
        return []


def test_a_run_that_was_killed_and_one_on_a_slurm_array_give_the_table_of_an_undisturbed_one(cohort, words, tmp_path):
    told = run("run", *words, "--out", tmp_path / "whole", "--workers", 1)
    assert "8 studies: " in told
    assert "refused 3" in told
    whole = table(tmp_path / "whole")

    begun = subprocess.Popen(
        [COMMAND, "cohort", "run", *map(str, words), "--out", str(tmp_path / "killed"), "--workers", "2"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        for _ in range(1200):
            time.sleep(0.1)
            if any(one.state != "waiting" for one in so_far(tmp_path / "killed")):
                break
    finally:
        os.killpg(begun.pid, signal.SIGKILL)
        begun.wait()
    left = sum(one.state == "waiting" for one in outcomes(tmp_path / "killed"))
    assert 0 < left < 8, "killed in the middle"
    assert f"{left} to measure" in run("run", *words, "--out", tmp_path / "killed", "--workers", 1)
    assert table(tmp_path / "killed") == whole

    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "sbatch"
    fake.write_text(
        "#!/bin/sh\necho Submitted batch job 7\n"
        'for task in $(sed -n "s/^#SBATCH --array=0-//p" "$1" | xargs seq 0); do\n'
        '  SLURM_ARRAY_TASK_ID=$task sh "$1" >/dev/null 2>&1 || exit 1\ndone\n'
    )
    fake.chmod(0o755)
    path = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    array = ("--slurm", "array", "--chunk", 4, "--slurm-option", "--time=1:00:00", "--workers", 1)
    assert "Submitted batch job 7" in run("run", *words, "--out", tmp_path / "array", *array, env=path)
    assert len(list((tmp_path / "array").glob("ledger-*-of-2.sqlite"))) == 2
    assert table(tmp_path / "array") == whole

    rows = list(csv.DictReader(whole.decode().splitlines()))
    names = dict(csv.reader((tmp_path / "private" / "names.csv").read_text().splitlines()))
    by_folder = {Path(names[row["study"]]).name: row for row in rows}
    for folder, ml in cohort.ml.items():
        assert float(by_folder[folder]["LVEDV_ml"]) == pytest.approx(ml, rel=0.02)
    assert by_folder["nowhere"]["cause"] == "no-such-path"
    for written in (tmp_path / "whole").rglob("*"):
        assert "Smith" not in written.name
        assert not written.is_file() or b"Smith" not in written.read_bytes()
    assert {path.name for path in cohort.folder.iterdir()} == {
        *cohort.ml, "list.csv", "Empty^Jane", "broken.nii.gz",
    }, "nothing is written beside the sources"  # fmt: skip


def test_those_refused_for_one_cause_are_measured_again_and_no_others(cohort, words, tmp_path):
    out = tmp_path / "out"
    run("run", *words, "--out", out, "--workers", 1)
    before = {one.name: one for one in outcomes(out)}
    shutil.copytree(cohort.folder / "Smith^John_1", cohort.folder / "nowhere")
    cohort.list.write_text(cohort.list.read_text().replace("nowhere,0,,,", "nowhere,0,,,nowhere/sax_gt.nii.gz"))
    told = run("run", *words, "--out", out, "--workers", 1, "--only-refused", "no-such-path")
    assert "8 studies, 1 to measure" in told
    changed = [one for one in outcomes(out) if one != before[one.name]]
    assert [before[one.name].cause for one in changed] == ["no-such-path"]
    assert changed[0].row["LVEDV_ml"] == pytest.approx(cohort.ml["Smith^John_1"], rel=0.02)
    rows = list(csv.DictReader(table(out).decode().splitlines()))
    assert sum(bool(row["same_input_as"]) for row in rows) == 1, "the copy is named as one"


def test_results_of_other_options_are_not_mixed_in(words, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "cohort.json").write_text('{"cinecmr": "0.0.1", "weights_sha256": {}, "options": {}}')
    told = run("run", *words, "--out", out, "--workers", 1, code=3)
    assert "holds results of other cinecmr, options" in told
    assert "[cohort-differs]" in told


def test_status_counts_causes_and_says_what_happened_to_the_run(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.expect(["study-a", "study-b", "study-c", "study-d"])
        ledger.record([Outcome("study-a", "refused", "no-sax", seconds=1.0)])
        ledger.record([Outcome("study-b", "failed", "time-limit", seconds=9.0)])
        ledger.record([Outcome("study-c", "done", seconds=2.0, peak_mb=512.0)])
        ledger.note("scheduler-lost", "1 studies left")
    told = run("status", tmp_path)
    assert "4 studies: done 1 | flagged 0 | refused 1 | failed 1 | waiting 1" in told
    assert "refused: no-sax 1" in told
    assert "failed: time-limit 1" in told
    assert "2.0 s a study (median), 9.0 s the longest, 512 MB the most" in told
    assert "scheduler-lost: 1 studies left" in told
    assert [what for _, what, _ in events(tmp_path)] == ["scheduler-lost"]
