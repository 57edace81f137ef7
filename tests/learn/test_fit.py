"""The training loop: it learns, it goes on exactly where it was killed, it refuses what is not its own."""

import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from cinecmr.learn.augment import Intensity
from cinecmr.learn.fit import fit, learning_rate
from cinecmr.learn.objective import Loss
from cinecmr.learn.recipe import Optimiser, Recipe, Schedule
from cinecmr.networks.stack_unet import StackUNetConfig
from cinecmr.tasks.segmentation import SegmentationSettings, StackSegmentation


def rings(stacks=6, size=16):
    """Bright cavity in a dark ring in grey surroundings, a little elsewhere in every stack."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    labels = np.zeros((stacks, 4, size, size), np.uint8)
    for n in range(stacks):
        r = np.hypot(x - rng.uniform(6, 9), y - rng.uniform(6, 9))
        labels[n, :, r < 6] = 2
        labels[n, :, r < 4] = 3
        labels[n, :, (r >= 6) & (x > 10)] = 1
    grey = np.array([90, 160, 40, 240], np.uint8)[labels]
    return grey, labels


def objective():
    settings = SegmentationSettings(StackUNetConfig(widths=(4, 8, 8)), (2, 4), Intensity(chance=0.2), held_out=2)
    return StackSegmentation(*rings(), settings)


def recipe(updates=10, **schedule):
    whole = {"updates": updates, "batch": 2, "log_every": 1, "check_every": 5} | schedule
    return Recipe({"task": "rings"}, Optimiser(rate=2e-2, warmup=2, average=0.8), Schedule(**whole))


def log(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def test_rings_are_learned_in_forty_updates(tmp_path):
    fit(recipe(40, check_every=40), objective(), tmp_path)
    lines = log(tmp_path)
    first, last = (np.mean([line["loss"] for line in part]) for part in (lines[:4], lines[-4:]))
    assert last < 0.7 * first
    assert lines[-1]["dice_lv"] > 0.5
    assert [line["update"] for line in lines] == list(range(1, 41))


class KilledError(Exception):
    pass


def killed_at(update):
    def progress(line):
        if line["update"] == update:
            raise KilledError

    return progress


@pytest.mark.parametrize("killed", [5, 8])
def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path, killed):
    whole = fit(recipe(), objective(), tmp_path / "whole")
    with pytest.raises(KilledError):
        fit(recipe(), objective(), tmp_path / "killed", killed_at(killed))
    torch.manual_seed(999)  # a new process stands elsewhere in torch's random numbers
    resumed = fit(recipe(), objective(), tmp_path / "killed")
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    assert log(tmp_path / "killed") == log(tmp_path / "whole")


def test_a_log_line_cut_short_by_the_kill_is_written_again(tmp_path):
    with pytest.raises(KilledError):
        fit(recipe(), objective(), tmp_path, killed_at(7))
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"loss": 1.2, "upd')
    fit(recipe(), objective(), tmp_path)
    assert [line["update"] for line in log(tmp_path)] == list(range(1, 11))


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = fit(recipe(), objective(), tmp_path)
    told = []
    again = fit(recipe(), objective(), tmp_path, told.append)
    assert told == []
    for name, value in first.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_a_folder_of_another_recipe_is_refused(tmp_path):
    fit(recipe(2), objective(), tmp_path)
    with pytest.raises(ValueError, match="holds a run of another recipe"):
        fit(recipe(3), objective(), tmp_path)
    assert [line["update"] for line in log(tmp_path)] == [1, 2]


class OneWeight:
    """Descends a parabola; the loss is not a number from one update on."""

    def __init__(self, bad_from=10**9):
        self.bad_from, self.seen = bad_from, 0

    def network(self):
        return torch.nn.Linear(1, 1, bias=False)

    def batch(self, rng, size):
        return torch.as_tensor(rng.normal(1, 0.1, (size, 1)), dtype=torch.float32)

    def loss(self, network, batch):
        self.seen += 1
        scale = math.nan if self.seen > self.bad_from else 1.0
        return Loss((network(batch) - 3 * batch).square().mean() * scale, {})

    def check(self, network):
        return {"weight": float(network.weight.detach())}


def test_a_loss_that_is_no_number_stops_the_run_before_it_spoils_the_weights(tmp_path):
    with pytest.raises(ValueError, match="the loss is nan at update 6; lower the learning rate"):
        fit(recipe(), OneWeight(bad_from=5), tmp_path)
    assert (tmp_path / "checkpoint.safetensors").exists()
    told = []
    fit(recipe(), OneWeight(), tmp_path, told.append)
    assert told[0]["update"] == 6
    assert all(math.isfinite(line["loss"]) for line in told)


def test_the_seed_decides_the_run(tmp_path):
    def weights(seed, name):
        return float(fit(replace(recipe(4), seed=seed), OneWeight(), tmp_path / name).weight.detach())

    assert weights(1, "a") == weights(1, "b")
    assert weights(1, "a2") != weights(2, "c")


def test_the_weights_returned_are_the_running_average_and_the_check_sees_them(tmp_path):
    told = []
    network = fit(recipe(6, check_every=6), OneWeight(), tmp_path, told.append)
    assert float(network.weight.detach()) == pytest.approx(told[-1]["weight"], rel=1e-6)


def test_the_average_forgets_its_first_weights_soon(tmp_path):
    network = fit(recipe(200, log_every=50, check_every=200), OneWeight(), tmp_path)
    assert float(network.weight.detach()) < 3.2
    assert float(network.weight.detach()) > 0.5


def test_the_learning_rate_warms_up_and_falls_to_nothing():
    one = Recipe({}, Optimiser(rate=0.4, warmup=4), Schedule(updates=104))
    assert [learning_rate(one, u) for u in range(4)] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert learning_rate(one, 54) == pytest.approx(0.2)
    assert learning_rate(one, 103) == pytest.approx(0.4 * 0.5 * (1 + math.cos(math.pi * 0.99)))
    later = [learning_rate(one, u) for u in range(4, 104)]
    assert all(a > b for a, b in pairwise(later))


def test_a_recipe_is_named_by_all_that_decides_its_result():
    keys = {
        recipe().key,
        recipe(11).key,
        replace(recipe(), seed=1).key,
        replace(recipe(), objective={"task": "discs"}).key,
        replace(recipe(), optimiser=Optimiser(rate=2e-2)).key,
    }
    assert len(keys) == 5
    assert recipe().key == recipe().key


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Optimiser(rate=0.0), "rate must be above 0"),
        (lambda: Optimiser(average=1.0), r"average in \[0, 1\), got 0\.002 and 1\.0"),
        (lambda: Schedule(batch=0), "must be 1 or more"),
        (lambda: Schedule(log_every=20, check_every=50), "check_every must be a multiple of log_every, got 50 and 20"),
    ],
)
def test_settings_that_train_nothing_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
