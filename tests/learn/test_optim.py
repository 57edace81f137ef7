"""Which weights learn how fast, and when a run may stop: against what the published code recorded."""

import json
import math
from pathlib import Path

import pytest
import torch

from cinecmr.learn.optim import Watch, adamw, groups, learning_rate, set_rate, warmed_cosine
from cinecmr.learn.recipe import Optimiser, Recipe, Schedule, Stopping
from cinecmr.networks.kinds import published

FIXTURES = Path(__file__).parents[1] / "fixtures" / "cinema"
VALUES = json.loads((FIXTURES / "values.json").read_text())


@pytest.mark.parametrize("kind", ["seg_sax", "cls_cvd_acdc_sax"])
def test_layer_wise_decay_has_the_recorded_groups(kind):
    told = json.loads((FIXTURES / "lr_decay_groups.json").read_text())["groups"][kind]
    with torch.device("meta"):
        network = published(kind)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    found = groups(network, Optimiser(decay=0.05, layer_decay=0.75, spare_vectors=True))
    by_name = {
        names[id(p)]: (group["lr_scale"], group["weight_decay"], len(group["params"]))
        for group in found
        for p in group["params"]
    }
    wanted = {
        name: (pytest.approx(group["lr_scale"]), group["weight_decay"], len(group["params"]))
        for group in told.values()
        for name in group["params"]
    }
    assert len(found) == len(told)
    assert by_name == wanted


def test_every_group_learns_at_its_own_share_of_the_rate():
    blocks = torch.nn.ModuleDict({"blocks": torch.nn.ModuleList([torch.nn.Linear(2, 2)])})
    network = torch.nn.ModuleDict({"encoder": blocks, "head": torch.nn.Linear(2, 1)})
    optimiser = adamw(network, Optimiser(rate=0.1, decay=0.05, layer_decay=0.5, spare_vectors=True))
    set_rate(optimiser, 0.2)
    told = sorted((group["lr"], group["weight_decay"]) for group in optimiser.param_groups)
    assert told == [(0.1, 0.0), (0.1, 0.05), (0.2, 0.0), (0.2, 0.05)]


def test_one_pass_over_the_weights_steps_as_several_do():
    found = []
    for fused in (False, True):
        torch.manual_seed(0)
        network = torch.nn.Linear(4, 3)
        optimiser = adamw(network, Optimiser(rate=0.1, decay=0.1, fused=fused))
        for number in range(5):
            optimiser.zero_grad()
            network(torch.randn(8, 4, generator=torch.Generator().manual_seed(number))).square().mean().backward()
            optimiser.step()
        found.append(network.weight.detach())
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


def test_without_layers_there_is_one_group_with_everything_even_what_is_frozen():
    network = torch.nn.Linear(3, 2)
    network.bias.requires_grad_(False)
    (group,) = groups(network, Optimiser())
    assert [p.shape for p in group["params"]] == [(2, 3), (2,)]
    (spared,) = groups(network, Optimiser(decay=0.3, spare_vectors=True))
    assert [p.shape for p in spared["params"]] == [(2, 3)]


def test_a_network_without_layers_cannot_decay_by_layers():
    with pytest.raises(ValueError, match=r"needs a transformer with encoder\.blocks"):
        groups(torch.nn.Linear(2, 2), Optimiser(layer_decay=0.5))


def test_the_rate_is_the_recorded_one():
    for moment, wanted in VALUES["lr"]["values"].items():
        assert warmed_cosine(float(moment), 50, 4000, 1e-3, 1e-5) == pytest.approx(wanted, rel=1e-9)


def test_a_recipe_from_zero_follows_the_recorded_rates_update_by_update():
    ten = Recipe({}, Optimiser(1e-3, warmup=500, last_rate=1e-5, from_zero=True), Schedule(updates=40_000))
    for moment, wanted in VALUES["lr"]["values"].items():
        assert learning_rate(ten, int(10 * float(moment))) == pytest.approx(wanted, rel=1e-9)


def test_early_stopping_takes_the_recorded_decisions():
    told = VALUES["early_stopping"]
    watch = Watch(Stopping("error", told["patience"], told["min_delta"], smaller_is_better=True))
    for metric, best, count, improved, stop in told["steps[metric,best,count,improved,stop]"]:
        kept = watch.keeps({"error": metric})
        assert (-watch.best, watch.since, kept, watch.over) == (pytest.approx(best), count, improved, stop)


def test_weights_that_are_worse_than_those_kept_do_not_replace_them():
    watch = Watch(Stopping("dice", patience=9, progress=1e-3))
    scores = (0.5, 0.5008, 0.5005, 0.5009, 0.49)
    assert [watch.keeps({"dice": score}) for score in scores] == [True, True, False, True, False]
    assert (watch.best, watch.kept, watch.since) == (0.5, 0.5009, 4)


def test_a_score_that_is_no_number_is_never_kept_and_wears_patience_out():
    watch = Watch(Stopping("dice", patience=2))
    assert [watch.keeps({"dice": score}) for score in (math.nan, 0.5, math.nan, math.nan)] == [
        False,
        True,
        False,
        False,
    ]
    assert (watch.best, watch.over) == (0.5, True)


def test_a_score_that_no_check_tells_is_named():
    with pytest.raises(ValueError, match="no score 'dice' to stop by: the check tells psnr"):
        Watch(Stopping("dice")).keeps({"psnr": 1.0})
