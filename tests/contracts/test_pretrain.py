"""What every method of pre-training owes: it learns from four synthetic hearts, repeats itself, and starts a task."""

from functools import partial

import numpy as np
import pytest
import torch

from cinecmr.datasets import Case
from cinecmr.learn.fit import fit
from cinecmr.learn.recipe import Weights
from cinecmr.learn.start import WEIGHTS, begin
from cinecmr.networks.convvit import ConvViT
from cinecmr.phantom.study import synthetic_study
from cinecmr.pretrain import mae
from cinecmr.pretrain.pool import gather

# A method is given as: (cases, folder) -> (its tiniest objective, a recipe of 20 updates), and a network of a task
# that starts from its weights.


def _mae(cases, folder):
    plan = mae.plan("smoke")
    entries = gather(cases, plan.settings.grids(), folder, plan.frames)
    return mae.MAE(entries, entries[:1], plan.settings), plan.recipe(entries, seed=1)


def _mae_task():
    return ConvViT(mae.plan("smoke").settings.config(), 2)


METHODS = {"mae": (_mae, _mae_task)}


@pytest.fixture(scope="module")
def hearts():
    """Four synthetic hearts, two frames each."""
    made = [synthetic_study(seed, frames=8, matrix=(40, 40)) for seed in range(4)]
    return [Case(f"heart{n}", partial(lambda pair: pair, pair), person=f"heart{n}") for n, pair in enumerate(made)]


@pytest.fixture(scope="module", params=METHODS)
def learned(request, hearts, tmp_path_factory):
    """A method after 20 updates: its name, objective, recipe, network, and what the log said."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp(request.param)
    objective, recipe = METHODS[request.param][0](hearts, folder / "pool")
    told = []
    network = fit(recipe, objective, folder / "run", told.append)
    return request.param, objective, recipe, network, told, folder


def test_the_loss_falls_in_twenty_updates(learned):
    _, _, recipe, _, told, _ = learned
    assert recipe.schedule.updates == 20
    first, last = (np.mean([line["loss"] for line in part]) for part in (told[:3], told[-3:]))
    assert last < 0.9 * first


def test_the_same_seed_gives_the_same_loss(learned, tmp_path):
    _, objective, recipe, _, told, _ = learned
    seen = []

    class EnoughError(Exception):
        pass

    def stop(line):
        seen.append(line["loss"])
        if len(seen) == 3:
            raise EnoughError("three lines")

    with pytest.raises(EnoughError, match="three lines"):
        fit(recipe, objective, tmp_path, stop)
    assert seen == [line["loss"] for line in told[:3]]


def test_a_task_starts_from_what_was_learned(learned):
    name, _, _, network, _, folder = learned
    weights = folder / "run" / WEIGHTS
    task = METHODS[name][1]()
    before = {k: v.clone() for k, v in task.state_dict().items()}
    begin(task, objective=None, start=Weights.of(weights), folder=folder)
    shared = network.state_dict()
    taken = [k for k, v in task.state_dict().items() if k in shared and torch.equal(v, shared[k])]
    changed = [k for k in taken if not torch.equal(before[k], shared[k])]
    assert any(k.startswith("encoder.blocks.") for k in changed)
    assert any(k.startswith("enc_down_dict.") for k in changed)
    assert all(torch.equal(v, before[k]) for k, v in task.state_dict().items() if "pred_head" in k)
