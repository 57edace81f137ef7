"""Samples of an update in several passes, epochs that drop nothing, mixed precision, early stopping, other starts."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn import Line, Sure
from safetensors.torch import load_file, save_file
from torch import nn

from cinecmr.errors import RefusedInput
from cinecmr.learn.fit import fit
from cinecmr.learn.loading import ahead, draw, moved, passes, updates_per_epoch
from cinecmr.learn.objective import Loss
from cinecmr.learn.recipe import Optimiser, Recipe, Schedule, Stopping, Weights


def recipe(updates=6, batch=4, micro=0, by_epochs=True, **more):
    schedule = Schedule(updates, batch, log_every=1, check_every=2, micro=micro, by_epochs=by_epochs)
    return Recipe({"task": "line"}, Optimiser(rate=0.05, warmup=1, average=0.0), schedule, **more)


def log(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def close(a, b, tolerance=1e-6):
    for name, value in a.state_dict().items():
        torch.testing.assert_close(b.state_dict()[name], value, rtol=tolerance, atol=tolerance)


def test_an_epoch_shows_every_sample_once_in_an_order_of_its_own():
    per = updates_per_epoch(7, 4)
    epochs = [[n for u in range(e * per, (e + 1) * per) for p in passes(recipe(), Line(), u) for n in p.samples]
              for e in range(3)]  # fmt: skip
    assert all(sorted(seen) == list(range(7)) for seen in epochs)
    assert len({tuple(seen) for seen in epochs}) == 3


def test_the_last_update_of_an_epoch_has_what_is_left_and_every_sample_weighs_the_same():
    cut = [passes(recipe(micro=3), Line(), update) for update in (0, 1)]
    assert [[p.count for p in update] for update in cut] == [[3, 1], [3]]
    assert [[p.share for p in update] for update in cut] == [[0.75, 0.25], [1.0]]


def test_draws_change_from_epoch_to_epoch_and_not_with_the_passes():
    whole, cut = recipe(), recipe(micro=1)
    first, second = (draw(whole, Line(), passes(whole, Line(), u)[0])[0] for u in (0, 2))
    assert not torch.equal(first, second)
    single = torch.cat([draw(cut, Line(), p)[0] for p in passes(cut, Line(), 0)])
    assert torch.equal(first, single)


@pytest.mark.parametrize("micro", [1, 3])
def test_passes_of_any_size_learn_what_the_whole_batch_learns(tmp_path, micro):
    whole = fit(recipe(), Sure(), tmp_path / "whole")
    cut = fit(recipe(micro=micro), Sure(), tmp_path / "cut")
    close(whole, cut)
    losses = [[line["loss"] for line in log(tmp_path / name)] for name in ("whole", "cut")]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_the_slow_loop_written_again_learns_the_same(tmp_path):
    """AdamW by hand: all samples of an update in one pass, seeded as the loop seeds them."""
    made = recipe(updates=4)
    found = fit(made, Sure(), tmp_path)
    torch.manual_seed(0)
    network = Sure().network()
    moments = {n: (torch.zeros_like(p), torch.zeros_like(p)) for n, p in network.named_parameters()}
    for update in range(4):
        order = np.random.default_rng((0, update // 2, 7, 1)).permutation(7)[update % 2 * 4 :][:4]
        x, y = Sure().collate([Sure().sample(int(n), np.random.default_rng((0, update // 2, int(n)))) for n in order])
        network.zero_grad()
        (network(x) - y).square().mean().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        rate = 0.05 if update == 0 else 0.05 * 0.5 * (1 + math.cos(math.pi * (update - 1) / 3))
        with torch.no_grad():
            for name, p in network.named_parameters():
                first, second = moments[name]
                p -= rate * 1e-4 * p
                first.lerp_(p.grad, 0.1)
                second.lerp_(p.grad**2, 0.001)
                p -= rate * (first / (1 - 0.9 ** (update + 1))) / ((second / (1 - 0.999 ** (update + 1))).sqrt() + 1e-8)
    close(network, found, 1e-5)


def test_batches_made_ahead_are_the_same_batches(tmp_path):
    plain = fit(recipe(micro=2), Line(), tmp_path / "plain")
    close(plain, fit(recipe(micro=2), Line(), tmp_path / "ahead", workers=2), 0.0)
    assert log(tmp_path / "plain") == log(tmp_path / "ahead")


def test_a_batch_that_cannot_be_made_is_told_where_it_is_needed():
    def make(n):
        if n == 3:
            raise RefusedInput("not-finite", "sample 3 is broken")
        return n

    assert list(ahead(range(3), make, 2)) == [0, 1, 2]
    with pytest.raises(RefusedInput, match="sample 3 is broken"):
        list(ahead(range(9), make, 2))


def test_epochs_need_samples_by_number(tmp_path):
    class Unnumbered:
        network, batch, loss, check = Line.network, Line.batch, Line.loss, Line.check

    with pytest.raises(ValueError, match="Unnumbered has no size, sample and collate"):
        fit(recipe(), Unnumbered(), tmp_path)


def test_mixed_precision_learns_nearly_the_same_and_keeps_whole_weights(tmp_path):
    seen = []

    class Watching(Sure):
        def loss(self, network, batch):
            seen.append(network(batch[0]).dtype)
            return super().loss(network, batch)

    exact = fit(recipe(), Sure(), tmp_path / "fp32")
    mixed = fit(recipe(precision="bf16"), Watching(), tmp_path / "bf16")
    assert set(seen) == {torch.bfloat16}
    assert {p.dtype for p in mixed.parameters()} == {torch.float32}
    close(exact, mixed, 0.05)


class Told(Sure):
    """Scores as they are told."""

    def __init__(self, scores):
        self.scores = iter(scores)
        self.seen = []

    def check(self, network):
        self.seen.append({k: v.clone() for k, v in network.state_dict().items()})
        return {"score": next(self.scores)}


def test_training_stops_when_patience_ends_and_the_best_weights_are_kept(tmp_path):
    objective = Told([0.1, 0.5, 0.4, math.nan, 0.9])
    found = fit(recipe(20, stopping=Stopping("score", patience=2)), objective, tmp_path)
    assert [line["update"] for line in log(tmp_path)] == list(range(1, 9))
    assert len(objective.seen) == 4
    for name, value in found.state_dict().items():
        assert torch.equal(value, objective.seen[1][name])
    again = fit(recipe(20, stopping=Stopping("score", patience=2)), Told([]), tmp_path)
    close(found, again, 0.0)


def test_a_run_without_any_finite_score_ends_and_keeps_its_last_weights(tmp_path):
    objective = Told([math.nan] * 9)
    found = fit(recipe(20, stopping=Stopping("score", patience=3)), objective, tmp_path)
    assert len(objective.seen) == 3
    for name, value in found.state_dict().items():
        assert torch.equal(value, objective.seen[-1][name])


def test_an_objective_is_asked_after_each_step_and_for_its_groups(tmp_path):
    steps = []

    class Asked(Sure):
        def after_step(self, network, update):
            steps.append(update)
            with torch.no_grad():
                network[0].bias.zero_()

        def parameter_groups(self, network, optimiser):
            return [{"params": list(network[0].parameters()), "weight_decay": 0.0, "lr_scale": 1.0}]

    found = fit(recipe(3), Asked(), tmp_path)
    assert steps == [0, 1, 2]
    assert not found[0].bias.any()
    torch.manual_seed(0)
    close(Asked().network()[2], found[2], 0.0)


def test_a_run_starts_from_another_recipes_weights(tmp_path):
    first = recipe(4)
    before = fit(first, Sure(), tmp_path / first.key)
    second = replace(recipe(1), start=first, optimiser=Optimiser(rate=1e-12, warmup=1))
    close(before, fit(second, Sure(), tmp_path / second.key))
    assert second.key != replace(second, start=None).key
    lone = replace(second, start=recipe(3))
    with pytest.raises(RefusedInput, match="train the recipe this run starts from first"):
        fit(lone, Sure(), tmp_path / "lone")


def test_a_run_starts_from_a_file_and_only_from_that_file(tmp_path):
    path = tmp_path / "given.safetensors"
    given = {k: v + 1 for k, v in Sure().network().state_dict().items()}
    save_file(given, path)
    start = Weights.of(path)
    still = Optimiser(rate=1e-12, warmup=1)
    found = fit(replace(recipe(1), start=start, optimiser=still), Sure(), tmp_path / "run")
    for name, value in given.items():
        torch.testing.assert_close(found.state_dict()[name], value)
    assert str(tmp_path) not in (tmp_path / "run" / "recipe.json").read_text()
    save_file({k: v + 1 for k, v in given.items()}, path)
    with pytest.raises(RefusedInput, match="the recipe starts from") as refused:
        fit(replace(recipe(1), start=start), Sure(), tmp_path / "other")
    assert refused.value.code == "weights-changed"


@pytest.mark.parametrize(
    ("content", "message"), [(b"no tensors", "holds no safetensors"), (None, "cannot start from those weights")]
)
def test_weights_that_do_not_fit_are_refused(tmp_path, content, message):
    path = tmp_path / "given.safetensors"
    if content is None:
        save_file({"a": torch.zeros(2)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(RefusedInput, match=message):
        fit(replace(recipe(1), start=Weights.of(path)), Sure(), tmp_path / "run")


def test_a_finished_run_leaves_its_weights_with_its_name(tmp_path):
    made = recipe(2)
    found = fit(made, Sure(), tmp_path)
    for name, value in load_file(tmp_path / "weights.safetensors").items():
        assert torch.equal(value, found.state_dict()[name])


def test_a_part_that_only_some_updates_have_is_averaged_over_those(tmp_path):
    class Sometimes(Sure):
        def loss(self, network, batch):
            told = super().loss(network, batch)
            return Loss(told.total, {"rare": 2.0} if len(batch[0]) == 1 else {})

    fit(recipe(2, micro=3), Sometimes(), tmp_path)
    assert [line.get("rare") for line in log(tmp_path)] == [2.0, None]


def test_settings_that_came_later_leave_old_names_as_they_were():
    old = Recipe({"task": "rings"}, Optimiser(rate=2e-2, warmup=2, average=0.8), Schedule(10, 2, 1, 5), 3)
    assert old.key == "c7d72e7122"  # as it was before these settings existed
    assert Recipe({"task": "x", "widths": (1, 2)}).key == "28db192b96"
    newer = [
        replace(old, precision="bf16"),
        replace(old, stopping=Stopping("dice")),
        replace(old, start=old),
        replace(old, start=Weights("ab")),
        replace(old, schedule=replace(old.schedule, micro=1)),
        replace(old, optimiser=replace(old.optimiser, layer_decay=0.75)),
    ]
    assert len({old.key, *(one.key for one in newer)}) == 7
    assert replace(old, start=Weights("ab", "here")).key == replace(old, start=Weights("ab", "there")).key


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Schedule(batch=2, micro=3), "micro must be between 1 and batch"),
        (lambda: Stopping("dice", patience=0), "patience must be 1 or more"),
        (lambda: Recipe({}, precision="fp16"), "no precision 'fp16': there are fp32, bf16"),
        (lambda: Optimiser(layer_decay=0.0), "layer_decay in"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_tensors_go_to_the_device_wherever_they_are_held():
    batch = {"a": [torch.zeros(1), (torch.ones(2), "word")], "b": 3}
    there = moved(batch, "meta")
    assert there["a"][0].device.type == there["a"][1][0].device.type == "meta"
    assert (there["a"][1][1], there["b"]) == ("word", 3)
    assert moved(batch, "cpu") is batch
