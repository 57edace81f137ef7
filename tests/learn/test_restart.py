"""Runs that are killed as `kill -9` does, wherever they stand, and disks that are full: nothing is lost."""

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from drawn import Line
from safetensors import SafetensorError

from cinecmr.errors import RefusedInput
from cinecmr.learn import checkpoint
from cinecmr.learn.fit import fit, in_use
from cinecmr.learn.recipe import Optimiser, Recipe, Schedule, Stopping

STOPPING = Stopping("negative_error", patience=50)
RECIPE = Recipe(
    {"task": "line"},
    Optimiser(rate=0.05, warmup=2, average=0.5),
    Schedule(14, 4, log_every=1, check_every=4, micro=3, by_epochs=True),
    stopping=STOPPING,
)
PLACES = ("update", "checkpoint", "log")
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{here!r}]
import torch
torch.set_num_threads(1)
from drawn import Line
from cinecmr.learn import checkpoint, fit as loop
from test_restart import RECIPE

write, append, saves = checkpoint.save_file, loop._append, [0]

def half_written(tensors, target, metadata=None):
    saves[0] += 1
    write(tensors, target, metadata)
    if saves[0] == 2:
        whole = Path(target).read_bytes()
        Path(target).write_bytes(whole[: len(whole) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

def half_a_line(path, line):
    if line["update"] == 7:
        path.open("a").write('{{"loss": 0.1, "upd')
        os.kill(os.getpid(), signal.SIGKILL)
    append(path, line)

def run(where, folder):
    if where == "checkpoint":
        checkpoint.save_file = half_written
    if where == "log":
        loop._append = half_a_line
    kill = (lambda line: line["update"] == 11 and os.kill(os.getpid(), signal.SIGKILL)) if where == "update" else None
    loop.fit(RECIPE, Line(), folder, kill)

for where in {places}:  # one start of torch for all
    if os.fork() == 0:
        run(where, Path(sys.argv[1]) / where)
        os._exit(0)
    print(where, os.waitstatus_to_exitcode(os.wait()[1]))
"""


def lines(folder):
    told = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in told]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody killed."""
    folder = tmp_path_factory.mktemp("whole")
    torch.set_num_threads(1)
    return fit(RECIPE, Line(), folder), lines(folder)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder with a run for each place, killed there."""
    folder, script = tmp_path_factory.mktemp("killed"), KILLED.format(here=str(Path(__file__).parent), places=PLACES)
    told = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True)
    assert told.stdout.splitlines() == [f"{where} {-signal.SIGKILL}" for where in PLACES], told.stderr
    return folder


@pytest.mark.parametrize("where", PLACES)
def test_a_run_killed_anywhere_goes_on_to_the_last_digit(killed, whole, where):
    folder = killed / where
    assert not (folder / "weights.safetensors").exists()
    torch.manual_seed(4711)
    resumed = fit(RECIPE, Line(), folder)
    network, curve = whole
    assert lines(folder) == curve
    for name, value in network.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    assert not list(folder.glob(".writing-*"))


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), SafetensorError("I/O error: No space left (os error 28)")]
)
def test_a_full_disk_is_told_and_the_last_checkpoint_stays(tmp_path, monkeypatch, error, whole):
    write, saves = checkpoint.save_file, []

    def full(tensors, target, metadata=None):
        saves.append(target)
        if len(saves) == 2:
            target.write_bytes(b"half")
            raise error
        write(tensors, target, metadata=metadata)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", full)
        with pytest.raises(RefusedInput, match="make room and start it again") as refused:
            fit(RECIPE, Line(), tmp_path)
    assert refused.value.code == "disk-full"
    fit(RECIPE, Line(), tmp_path)
    assert lines(tmp_path) == whole[1]


def test_a_real_limit_on_what_may_be_written_is_told(tmp_path):
    """The kernel itself refuses: files may not grow beyond a kilobyte, so no checkpoint fits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(RefusedInput, match="could not be written"):
            fit(RECIPE, Line(), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_other_errors_of_the_disk_keep_their_own_name(tmp_path):
    with pytest.raises(PermissionError, match="no"), checkpoint.full_disk_told(tmp_path):
        raise PermissionError(13, "no")


def test_a_folder_that_another_run_is_writing_is_refused_and_left_alone(tmp_path):
    begun = []

    def meanwhile(line):
        if line["update"] == 6:
            kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
            assert in_use(tmp_path)
            with pytest.raises(RefusedInput, match="another process trains into") as refusal:
                fit(RECIPE, Line(), tmp_path)
            assert refusal.value.code == "run-in-use"
            assert {path: path.read_bytes() for path in tmp_path.iterdir()} == kept
            begun.append(line)

    fit(RECIPE, Line(), tmp_path, meanwhile)
    assert begun
    assert not in_use(tmp_path)
    assert not in_use(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_run_that_failed_lets_go_of_its_folder(tmp_path):
    def fail(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(RECIPE, Line(), tmp_path, fail)
    assert not in_use(tmp_path)
    fit(RECIPE, Line(), tmp_path)
