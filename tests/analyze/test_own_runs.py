"""What a run of one's own left becomes a model that measures, and reads as it learned."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cinecmr.analyze import models
from cinecmr.analyze.importing import Request, bring
from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.learn.recipe import Recipe
from cinecmr.study import Facts, Image, Study
from cinecmr.tasks import teaching
from cinecmr.tasks.published_pieces import kept
from cinecmr.tasks.volume_segmentation import VolumeSegmentation

SETTINGS = teaching.lesson("segmentation", "smoke").settings


def recipe_of(settings):
    """As a run writes it."""
    return Recipe(settings | {"samples": 12, "data": "0123456789"}).as_json()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder of a run, as `cinecmr finetune segmentation` leaves it, and the task with its network."""
    monkeypatch.setenv(models.FOLDER, str(tmp_path / "models"))
    torch.manual_seed(5)
    task = VolumeSegmentation(SETTINGS)
    network = task.network().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3)
    folder = tmp_path / "0a1b2c3d4e"
    folder.mkdir()
    save_file(dict(network.state_dict()), folder / "weights.safetensors")
    save_file({"optimiser": torch.zeros(1)}, folder / "checkpoint.safetensors")
    (folder / "recipe.json").write_text(json.dumps(recipe_of(SETTINGS.as_json())))
    return folder, task, network


def an_image(missing=()):
    data = np.random.default_rng(2).random((40, 36, 5, 2)).astype(np.float32)
    data[:, :, list(missing)] = 0
    return Image(data, np.diag([5.0, 5.0, 20.0, 1.0]), np.array([0.0, 0.4]), missing_slices=missing)


def test_a_run_is_asked_as_it_learned_and_keeps_one_heart(run):
    folder, task, network = run
    card = bring(Request(str(folder)), say=lambda _: None)
    assert card.name == "run-0a1b2c3d4e"
    assert card.codes == {0: "BACKGROUND", 1: "RV", 2: "MYO", 3: "LV"}
    image, told = an_image(), []
    found = models.load(card.name).segment(image, told.append)
    with torch.inference_mode():
        truth = task.predict(network, Study("x", {(View.SAX, Contrast.CINE): image}, Facts()))
    labels = truth.labels[View.SAX, Contrast.CINE]
    assert len(np.unique(labels)) > 2
    for t in range(2):
        np.testing.assert_array_equal(found[..., t], kept(labels[..., t], "largest"))
    assert told == [0.5, 1.0]
    half = models.load(card.name, precision="bf16").segment(image)
    assert (half == found).mean() > 0.9


def test_a_missing_slice_is_bridged_for_a_run_too_and_stays_unseen(run):
    folder, task, network = run
    name = bring(Request(str(folder / "weights.safetensors")), say=lambda _: None).name
    image = an_image(missing=(2,))
    found = models.load(name).segment(image)
    assert (found[:, :, 2] == Structure.UNSEEN).all()
    whole = image.data.copy()
    whole[:, :, 2] = (whole[:, :, 1] + whole[:, :, 3]) / 2
    study = Study("x", {(View.SAX, Contrast.CINE): Image(whole, image.affine, image.times)}, Facts())
    with torch.inference_mode():
        labels = task.predict(network, study).labels[View.SAX, Contrast.CINE]
    seen = [0, 1, 3, 4]
    np.testing.assert_array_equal(found[:, :, seen, 0], kept(labels[..., 0], "largest")[:, :, seen])


def refused(folder, match, **settings):
    told = SETTINGS.as_json() | settings
    (folder / "recipe.json").write_text(json.dumps(recipe_of(told)))
    with pytest.raises(RefusedInput, match=match) as reason:
        bring(Request(str(folder)), say=lambda _: None)
    assert reason.value.code == "foreign-weights"


def test_a_run_that_draws_no_labels_of_a_cine_is_refused(run):
    folder, _, _ = run
    refused(folder, "a run of RegressionSettings draws no labels", task="RegressionSettings")
    refused(folder, "the run read cine, lge together", contrasts=["cine", "lge"])
    refused(folder, "no weights of this network: .* has shape", structures=[1, 2])
    (folder / "recipe.json").write_text("{")
    with pytest.raises(RefusedInput, match=r"weights\.safetensors: Expecting property name"):
        bring(Request(str(folder)), say=lambda _: None)
