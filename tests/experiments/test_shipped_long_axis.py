"""The command that makes the shipped long-axis model, on a training of seconds."""

import json

import numpy as np
import pytest
import torch

from cinecmr.analyze import models
from cinecmr.anatomy import Landmark, View
from cinecmr.datasets.long_axis_frames import FramePool, FrameRecipe
from cinecmr.errors import RefusedInput
from cinecmr.experiments.shipped_long_axis import NAME, ShippedLongAxis, train
from cinecmr.learn.recipe import Optimiser, Schedule
from cinecmr.networks.stack_unet import StackUNetConfig
from cinecmr.study import Image
from cinecmr.tasks.long_axis import LongAxisSettings

SHIPPED = ShippedLongAxis(
    FramePool(subjects=2, moments=1, per_shard=1, frame=FrameRecipe(pixels=32, pixel_mm=6.4)),
    Optimiser(warmup=2),
    Schedule(updates=4, log_every=2, check_every=4),
    settings=LongAxisSettings(StackUNetConfig(classes=10, widths=(4, 8), mixing_from=2), held_out=2),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    threads, folder = torch.get_num_threads(), tmp_path_factory.mktemp("lax")
    torch.set_num_threads(1)
    told = []
    train(folder, SHIPPED, workers=1, say=told.append)
    yield folder, told
    torch.set_num_threads(threads)


def plane(view=View.LAX_4C, slices=1):
    data = np.random.default_rng(0).random((20, 24, slices, 2))
    return Image(data, np.diag([9.0, 9.0, 8.0, 1.0]), np.array([0.0, 0.1]), view)


def test_the_weights_and_their_card_read_a_plane(trained, monkeypatch):
    folder, told = trained
    monkeypatch.setattr(models, "_shelf", lambda: folder)
    model = models.load(NAME)
    labels, marks = model.read(plane())
    assert labels.shape == (20, 24, 1, 2)
    assert {Landmark.APEX_4C, Landmark.TRICUSPID_4C_LATERAL} <= marks.keys()
    assert np.array_equal(model.segment(plane(View.LAX_3C)), model.read(plane(View.LAX_3C))[0])
    with pytest.raises(RefusedInput, match=r"reads one plane \(2C, 3C or 4C\), the image has 5 slices"):
        model.segment(plane(slices=5))
    assert any(line.startswith("synthetic hearts: shard 2 of 2") for line in told)


def test_the_card_says_what_it_learned_from_and_what_it_answers(trained):
    card = models.Card.model_validate_json((trained[0] / f"{NAME}.json").read_text())
    assert (card.family, card.codes[4], card.codes[5]) == ("long-axis", "LA", "RA")
    assert card.recipe["objective"]["pool"]["frame"]["pixel_mm"] == 6.4
    assert card.reading["pixel_mm"] == 6.4
    assert card.reading["pixels"] == 32
    assert "subjects 0 to 1" in card.trained_on[0]
    assert {"dice_lv", "dice_la", "mitral_mm"} <= card.scores[0].figures.keys()


def test_a_finished_training_publishes_the_same_weights_again(trained):
    folder, _ = trained
    before = json.loads((folder / f"{NAME}.json").read_text())
    train(folder, SHIPPED, workers=1, say=lambda line: None)
    after = json.loads((folder / f"{NAME}.json").read_text())
    assert after["sha256"] == before["sha256"]
    assert after["scores"] == before["scores"]


def test_a_short_axis_model_does_not_read_the_long_axis():
    model = models.load("sax-unet")
    with pytest.raises(RefusedInput, match="sax-unet does not read 2C, 3C and 4C views"):
        model.read(plane())
