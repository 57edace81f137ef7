"""The command that makes the shipped model, on a training of seconds."""

import json

import numpy as np
import pytest
import torch

from cinecmr.analyze import models
from cinecmr.datasets import synthetic
from cinecmr.datasets.synthetic import PoolRecipe
from cinecmr.experiments.shipped import NAME, Shipped, last_scores, train
from cinecmr.learn.recipe import Optimiser, Schedule
from cinecmr.networks.stack_unet import StackUNetConfig
from cinecmr.phantom.stacks import StackRecipe
from cinecmr.study import Image
from cinecmr.tasks.segmentation import SegmentationSettings

SHIPPED = Shipped(
    PoolRecipe(subjects=4, moments=2, per_shard=2, stack=StackRecipe(pixels=16, slices=3)),
    Optimiser(warmup=2),
    Schedule(updates=4, log_every=2, check_every=4),
    settings=SegmentationSettings(StackUNetConfig(widths=(4, 8)), (2, 3), held_out=2),
)


def rings(seed, recipe, moments):
    """Stands in for the phantom: a cavity in a ring, elsewhere in every stack."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(recipe.pixels), np.arange(recipe.pixels), indexing="ij")
    pairs = []
    for _ in range(moments):
        r = np.hypot(x - rng.uniform(6, 9), y - rng.uniform(6, 9))
        plane = np.select([r < 3, r < 5, x > 12], [3, 2, 1]).astype(np.uint8)
        labels = np.repeat(plane[None], recipe.slices, axis=0)
        pairs.append((np.array([90, 160, 40, 240], np.uint8)[labels], labels))
    return pairs


@pytest.fixture
def trained(tmp_path, monkeypatch):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(synthetic, "training_stacks", rings)
    told = []
    train(tmp_path, SHIPPED, workers=1, say=told.append)
    yield tmp_path, told
    torch.set_num_threads(threads)


def test_training_leaves_weights_and_a_card_that_belong_together(trained, monkeypatch):
    folder, _ = trained
    monkeypatch.setattr(models, "_shelf", lambda: folder)
    model = models.load(NAME)
    image = Image(np.random.default_rng(0).random((20, 24, 3, 1)), np.diag([2.0, 2.0, 9.0, 1.0]), np.zeros(1))
    assert model.segment(image).shape == (20, 24, 3, 1)
    assert model.card.network["widths"] == [4, 8]
    assert model.card.parameters == sum(v.numel() for v in model.reader.network.state_dict().values())


def test_the_card_says_all_that_decides_the_weights(trained):
    card = models.Card.model_validate_json((trained[0] / f"{NAME}.json").read_text())
    assert card.recipe["schedule"]["updates"] == 4
    assert card.recipe["objective"]["pool"]["subjects"] == 4
    assert "subjects 0 to 3, 2 stacks each" in card.trained_on[0]
    assert "no real image" in card.trained_on[0]
    assert card.scores[0].data == "last 2 stacks of the pool, never trained on"
    assert card.scores[0].figures.keys() == {"dice_rv", "dice_myo", "dice_lv"}
    assert card.codes == {0: "BACKGROUND", 1: "RV", 2: "MYO", 3: "LV"}
    assert set(card.made) == {"commit", "device", "seconds", "torch", "python", "date"}


def test_training_tells_how_far_it_is(trained):
    _, told = trained
    assert told[:2] == ["synthetic hearts: shard 1 of 2", "synthetic hearts: shard 2 of 2"]
    assert told[2].startswith("update 2 of 4  loss ")
    assert "dice_lv" in told[3]
    assert told[3].endswith("0 min left")


def test_a_finished_training_publishes_the_same_weights_and_scores_again(trained):
    folder, _ = trained
    before = json.loads((folder / f"{NAME}.json").read_text())
    train(folder, SHIPPED, workers=1, say=lambda line: None)
    after = json.loads((folder / f"{NAME}.json").read_text())
    for entry in ("sha256", "scores", "recipe", "network"):
        assert after[entry] == before[entry], entry
    assert after["scores"][0]["figures"]


def test_the_scores_of_a_run_are_those_of_its_last_check(tmp_path):
    lines = [
        {"dice_lv": 0.4, "dice_loss": 0.6, "loss": 1},
        {"dice_lv": 0.7, "loss": 1},
        {"dice_loss": 0.3, "loss": 0.5},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert last_scores(tmp_path / "log.jsonl") == {"dice_lv": 0.7}
