"""Pre-training, fine-tuning and a table, each killed as by `kill -9`: gone on with, they end as if nothing had been."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cinecmr.experiments.cinema import RAND, UNET
from cinecmr.experiments.cinema.bench import bench
from cinecmr.experiments.run import reproduce
from cinecmr.experiments.ssp.subjects import cases_of
from cinecmr.experiments.table import Column, Row, Table, Training
from cinecmr.learn.start import WEIGHTS
from cinecmr.pretrain.run import pretrain
from cinecmr.tasks.teaching import lesson, teach

TABLE = Table(
    "two", "Two models", ("Model",),
    tuple(Row((model,), Training("segmentation", "acdc", model)) for model in (UNET, RAND)),
    (Column("dice_lv", "Dice LV (%)", 100, higher_is_better=True),), seeds=(0,), source="none",
)  # fmt: skip


def quiet(line):
    del line


def pretraining(data, out):
    pretrain(cases_of(str(data)), out, "smoke", given=["settings.views=sax", "updates=5"], say=quiet)


def fine_tuning(data, out):
    of = lesson("segmentation", "smoke", "unet")
    teach("segmentation", cases_of(str(data)), out, of, given=["updates=5", "patience=0"], say=quiet)


def a_table(data, out):
    reproduce(TABLE, bench("smoke", out, {"acdc": data}, "sound", quiet, updates=5), out, say=quiet)


WORK = {"pretraining": (pretraining, 3), "fine_tuning": (fine_tuning, 4), "a_table": (a_table, 8)}
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{here!r}]
import torch
torch.set_num_threads(1)
from cinecmr.learn import fit as loop
from test_killed import WORK

def run(what, data, out):
    (work, last), append, lines = WORK[what], loop._append, [0]

    def killing(path, line):
        append(path, line)
        lines[0] += 1
        if lines[0] == last:  # written to the log, not yet to the checkpoint
            os.kill(os.getpid(), signal.SIGKILL)

    loop._append = killing
    work(data, out)

for what in WORK:  # one start of torch for all
    if os.fork() == 0:
        run(what, Path(sys.argv[1]), Path(sys.argv[2]) / what)
        os._exit(0)
    print(what, os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six subjects with a bright cavity in a dark ring, ED and ES, 32 x 32 pixels."""
    folder = tmp_path_factory.mktemp("data")
    x, y = np.meshgrid(np.arange(32), np.arange(32), indexing="ij")
    for number in range(6):
        rng, name = np.random.default_rng(number), f"patient{number:03d}"
        r = np.hypot(x - 15 - rng.uniform(0, 2), y - 16)[..., None].repeat(4, 2)
        (folder / name).mkdir()
        for phase, size in (("ED", 7), ("ES", 5)):
            labels = np.select([r < size, r < size + 3, x[..., None] + 0 * r > 26], [3, 2, 1], 0).astype(np.uint8)
            grey = (np.array([10, 90, 40, 120])[labels] + rng.normal(0, 3, labels.shape)).astype(np.float32)
            for end, array in (("", grey), ("_gt", labels)):
                image = nib.Nifti1Image(array, np.diag([6.0, 6.0, 24.0, 1.0]))
                nib.save(image, folder / name / f"{name}_{phase}{end}.nii.gz")
    return folder


def left(out):
    """Weights, logs without the clock, scores and tables, by their path."""
    found = {path.relative_to(out): path.read_bytes() for path in out.rglob(WEIGHTS)}
    for path in out.rglob("log.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.relative_to(out)] = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
    texts = [*out.rglob("*.csv"), *out.rglob("scores*.json"), *out.rglob("summary.json")]
    return found | {path.relative_to(out): path.read_text() for path in texts}


@pytest.fixture(scope="module")
def killed(data, tmp_path_factory):
    """A folder of each work, killed in its midst."""
    folder = tmp_path_factory.mktemp("killed")
    words = [sys.executable, "-c", KILLED.format(here=str(Path(__file__).parent)), str(data), str(folder)]
    told = subprocess.run(words, capture_output=True, text=True)
    ends = [line for line in told.stdout.splitlines() if line.split(" ")[0] in WORK]
    assert ends == [f"{what} {-signal.SIGKILL}" for what in WORK], told.stderr
    return folder


@pytest.mark.parametrize("what", WORK)
def test_what_was_killed_goes_on_to_the_same_weights_and_figures(what, data, killed, tmp_path):
    import torch

    work, _ = WORK[what]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert len(left(killed / what)) < 5
    for folder in (killed / what, tmp_path / "whole"):
        work(data, folder)
    torch.set_num_threads(threads)
    assert left(killed / what) == left(tmp_path / "whole")
    assert [path for path in left(tmp_path / "whole") if path.name == WEIGHTS]
