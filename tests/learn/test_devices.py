"""Two processes on two devices learn what one learns."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from drawn import Sure
from safetensors.torch import load_file

from cinecmr.learn.fit import fit
from cinecmr.learn.parallel import World, joined
from cinecmr.learn.recipe import Optimiser, Recipe, Schedule

RECIPE = Recipe(
    {"task": "line"},
    Optimiser(rate=0.05, warmup=2, average=0.5),
    Schedule(8, 4, log_every=2, check_every=4, micro=2, by_epochs=True),
)
SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = [{here!r}]
import torch
torch.set_num_threads(1)
from drawn import Sure
from cinecmr.learn.fit import fit
from test_devices import RECIPE
fit(RECIPE, Sure(), Path({folder!r}))
"""


def started(tmp_path, script):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = tmp_path / "script.py"
    path.write_text(script)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1",
               f"--master-port={port}", str(path)]  # fmt: skip
    quiet = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(command, capture_output=True, text=True, env=quiet, timeout=500)


def test_two_processes_equal_one(tmp_path):
    """Epochs of 7 samples in passes of 2: the last update has two passes of 2 and 1, shared unevenly."""
    told = started(tmp_path, SCRIPT.format(here=str(Path(__file__).parent), folder=str(tmp_path / "two")))
    assert told.returncode == 0, told.stderr[-3000:]
    one = fit(RECIPE, Sure(), tmp_path / "one")
    for name, value in load_file(tmp_path / "two" / "weights.safetensors").items():
        torch.testing.assert_close(value, one.state_dict()[name], rtol=1e-5, atol=1e-6)
    lines = [[json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
             for name in ("one", "two")]  # fmt: skip
    assert len(lines[0]) == len(lines[1]) == 4
    for a, b in zip(*lines, strict=True):
        assert {k: pytest.approx(v, rel=1e-4) for k, v in a.items() if k != "seconds"} == {
            k: v for k, v in b.items() if k != "seconds"
        }


def test_one_process_is_its_own_world():
    with joined("cpu") as world:
        assert world == World(0, 1, "cpu")
        assert world.gathered({"a": 1}) == [{"a": 1}]
