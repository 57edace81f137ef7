"""What every method of pre-training owes: it learns from four synthetic hearts, repeats itself, and starts a task."""

import inspect
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import cinecmr.pretrain
from cinecmr.anatomy import Contrast, View
from cinecmr.datasets import Case
from cinecmr.learn.fit import fit
from cinecmr.learn.recipe import Optimiser, Recipe, Schedule, Weights
from cinecmr.learn.slice_geometry import Geometry
from cinecmr.learn.slices import slices_of
from cinecmr.learn.start import WEIGHTS, begin
from cinecmr.networks.convvit import ConvViT
from cinecmr.networks.ssp_unet import SSPUNetConfig
from cinecmr.phantom.study import synthetic_study
from cinecmr.pretrain import dino, mae, mim, pcl, simclr
from cinecmr.pretrain.backbone import Backbone
from cinecmr.pretrain.pool import gather
from cinecmr.tasks.slice_segmentation import PRESETS, SliceSegmentation

UPDATES, STEPS = 6, 20
UNET = SSPUNetConfig(widths=(4, 8, 8))
GRID = Geometry(pixels=32, spacing_mm=5.0)

# A method is given as: (cases, folder) -> (its tiniest objective, a recipe of 6 updates); the objective and the network
# of a task that starts from its weights; the share of its first loss that it falls below on one batch.


def _mae(cases, folder):
    plan = mae.plan("smoke")
    entries = gather(cases, plan.settings.grids(), folder, plan.frames)
    return mae.MAE(entries, entries[:1], plan.settings), replace(plan, updates=UPDATES).recipe(entries, seed=1)


def _mae_task():
    return None, ConvViT(mae.plan("smoke").settings.config(), 2)


def _of_slices(method, settings, cases, _):
    slices = []
    for case in cases:
        study, truth = case.load()
        labels = truth.labels[View.SAX, Contrast.CINE]
        slices += [one.without_labels() for one in slices_of(case.subject, study[View.SAX], labels, frames=range(2))]
    objective = method(slices, settings)
    rates = Optimiser(rate=2e-3, warmup=2, average=0.0)
    return objective, Recipe(settings.as_json(), rates, Schedule(UPDATES, 8, 1, UPDATES), seed=1)


def _slice_task():
    task = SliceSegmentation.__new__(SliceSegmentation)
    task.settings = replace(PRESETS["sound"], network=UNET, geometry=GRID)
    return task, task.network()


def _slices(module, method, **settings):
    chosen = replace(module.PRESETS["sound"], backbone=Backbone(unet=UNET), **settings)
    return partial(_of_slices, method, chosen)


METHODS = {
    "mae": (_mae, _mae_task, 0.9),
    "simclr": (_slices(simclr, simclr.SimCLR, geometry=GRID, head=16), _slice_task, 0.98),
    "pcl": (_slices(pcl, pcl.PCL, geometry=GRID, head=16), _slice_task, 0.98),
    "dino": (
        _slices(
            dino, dino.DINO, large=GRID, small=replace(GRID, pixels=16), crops=2, hidden=8, bottleneck=4, answers=16,
            epoch=1, updates=UPDATES,
        ),
        _slice_task,
        0.98,
    ),
    "mim": (_slices(mim, mim.MIM, geometry=GRID, patch=8), _slice_task, 0.95),
}  # fmt: skip


def objectives():
    """Files of the room that define something with a network and a loss."""
    for path in sorted(Path(cinecmr.pretrain.__path__[0]).glob("*.py")):
        module = import_module(f"cinecmr.pretrain.{path.stem}") if path.stem != "__init__" else cinecmr.pretrain
        own = [one for _, one in inspect.getmembers(module, inspect.isclass) if one.__module__ == module.__name__]
        if any(hasattr(one, "network") and hasattr(one, "loss") and not inspect.isabstract(one) for one in own):
            yield path.stem


def test_every_method_of_the_room_keeps_this_contract():
    assert set(objectives()) == set(METHODS)


@pytest.fixture(scope="module")
def hearts():
    """Four synthetic hearts, two frames each."""
    made = [synthetic_study(seed, frames=2, matrix=(40, 40)) for seed in range(4)]
    return [Case(f"heart{n}", partial(lambda pair: pair, pair), person=f"heart{n}") for n, pair in enumerate(made)]


@pytest.fixture(scope="module", params=METHODS)
def learned(request, hearts, tmp_path_factory):
    """A method after six updates: its name, objective, recipe, network, what the log said, and where it lies."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp(request.param)
    objective, recipe = METHODS[request.param][0](hearts, folder / "pool")
    told = []
    network = fit(recipe, objective, folder / "run", told.append)
    return request.param, objective, recipe, network, told, folder


def test_the_loss_of_a_batch_falls_in_twenty_steps(learned):
    name, objective, *_ = learned
    torch.manual_seed(0)
    network, batch = objective.network(), objective.batch(np.random.default_rng(0), 8)
    optimiser, losses = torch.optim.AdamW(network.parameters(), 3e-3), []
    for step in range(STEPS):
        loss = objective.loss(network, batch).total
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        getattr(objective, "after_step", lambda *_: None)(network, step)
    assert losses[-1] < METHODS[name][2] * losses[0]


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
    task, own = METHODS[name][1]()
    before = {k: v.clone() for k, v in own.state_dict().items()}
    begin(own, task, Weights.of(folder / "run" / WEIGHTS), folder)
    left = network.state_dict()
    left |= {k.removeprefix("teacher."): v for k, v in left.items() if k.startswith("teacher.")}  # it teaches the task
    shared = {k for k, v in own.state_dict().items() if k in left and left[k].shape == v.shape}
    changed = {k for k, v in own.state_dict().items() if not torch.equal(v, before[k])}
    encoder = {k for k in shared if k.startswith(("encoder.", "enc_down_dict.")) and left[k].is_floating_point()}
    assert {k.split(".")[0] for k in changed} >= {k.split(".")[0] for k in encoder if "pos_embed" not in k}
    assert all(torch.equal(own.state_dict()[k], left[k] if k in shared else before[k]) for k in changed | encoder)
    assert not any("pred_head" in k or "output" in k for k in changed)
