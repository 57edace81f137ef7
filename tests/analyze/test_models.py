"""Models with their cards: what is shipped is what is asked."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cinecmr.analyze import models
from cinecmr.analyze.models import Card, Score, checksum
from cinecmr.errors import RefusedInput
from cinecmr.networks.inference import Ready
from cinecmr.networks.stack_unet import StackUNet, StackUNetConfig
from cinecmr.study import Image

NETWORK = {"channels_in": 1, "classes": 4, "widths": [4, 4], "mixing_from": 1}
READING = {"pixel_mm": 4.0, "pixels": 32, "zooms": [0.75], "turns": 1, "locate_frames": 1}


def put(shelf, name="tiny", half=False, **facts):
    """Weights of an untrained network and their card."""
    torch.manual_seed(3)
    network = StackUNet(StackUNetConfig(widths=(4, 4), mixing_from=1))
    weights = shelf / f"{name}.safetensors"
    save_file({k: v.half() if half else v for k, v in network.state_dict().items()}, weights)
    whole = {
        "name": name, "summary": "a tiny one", "task": "Label.", "codes": {0: "BACKGROUND", 3: "LV"},
        "sha256": checksum(weights), "parameters": sum(p.numel() for p in network.parameters()),
        "network": NETWORK, "reading": READING, "recipe": {"seed": 3}, "trained_on": ["nothing"],
        "scores": [Score(data="none", kind="synthetic", figures={"dice_lv": 0.5})], "limits": ["all"],
        "made": {"commit": "0" * 10},
    }  # fmt: skip
    card = Card(**(whole | facts))
    (shelf / f"{name}.json").write_text(card.model_dump_json())
    return card, network


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "_shelf", lambda: tmp_path)
    return tmp_path


def an_image():
    data = np.random.default_rng(0).random((36, 40, 3, 2)).astype(np.float32)
    return Image(data, np.diag([3.0, 3.5, 9.0, 1.0]), np.array([0.0, 0.4]))


def test_a_card_is_read_as_it_was_written(shelf):
    card, _ = put(shelf)
    assert models.names() == ["tiny"]
    assert models.card("tiny") == card
    assert models.card("tiny").codes[3] == "LV"


def test_a_model_labels_an_image_on_its_own_grid_and_names_its_source(shelf):
    card, _ = put(shelf)
    model = models.load("tiny")
    told = []
    labels = model.segment(an_image(), told.append)
    assert labels.shape == (36, 40, 3, 2)
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) <= {0, 1, 2, 3}
    assert told[-1] == 1.0
    assert model.source == f"tiny@{card.sha256[:8]}"
    assert (model.name, model.sha256) == ("tiny", card.sha256)


def test_the_network_of_a_model_is_the_one_that_was_saved(shelf):
    _, network = put(shelf)
    stack = torch.randn(1, 1, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(models.load("tiny").reader.network(stack), network.eval()(stack))


def test_weights_kept_in_half_precision_are_asked_in_full(shelf):
    _, network = put(shelf, half=True)
    found = models.load("tiny").reader.network
    assert all(p.dtype == torch.float32 for p in found.parameters())
    for name, value in network.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value, atol=1e-3, rtol=1e-3)


def test_the_way_a_model_is_asked_stands_on_its_card(shelf):
    put(shelf)
    settings = models.load("tiny").reader.settings
    assert (settings.pixel_mm, settings.pixels, settings.turns, settings.zooms) == (4.0, 32, 1, (0.75,))


def test_a_model_asked_in_half_precision_labels_nearly_alike(shelf):
    put(shelf)
    whole, half = models.load("tiny"), models.load("tiny", precision="bf16")
    assert not isinstance(whole.reader.network, Ready)
    assert half.reader.network.half_precision
    assert (whole.segment(an_image()) == half.segment(an_image())).mean() > 0.95
    with pytest.raises(ValueError, match="no precision 'fp8'"):
        models.load("tiny", precision="fp8").segment(an_image())


def test_changed_weights_are_refused(shelf):
    put(shelf)
    path = shelf / "tiny.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(RefusedInput, match=r"tiny\.safetensors has SHA-256 .* its card says") as refused:
        models.load("tiny")
    assert refused.value.code == "weights-changed"


def test_weights_that_are_not_there_are_refused(shelf):
    put(shelf)
    (shelf / "tiny.safetensors").unlink()
    with pytest.raises(RefusedInput, match=r"weights of tiny are not at tiny\.safetensors; install the package again"):
        models.load("tiny")


def test_a_model_nobody_ships_is_told_with_those_that_are(shelf):
    with pytest.raises(RefusedInput, match="no model 'lax-unet': there are none"):
        models.load("lax-unet")
    put(shelf)
    with pytest.raises(RefusedInput, match="no model 'lax-unet': there are tiny"):
        models.card("lax-unet")


def test_a_name_is_no_path(shelf, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    put(elsewhere, "evil")
    shutil.copytree(elsewhere, shelf / "deeper")
    with pytest.raises(RefusedInput, match="no model 'deeper/evil'"):
        models.load("deeper/evil")


def test_a_card_with_a_line_nobody_knows_is_refused(shelf):
    put(shelf)
    path = shelf / "tiny.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"secret": 1}))
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        models.card("tiny")


def test_the_checksum_is_sha256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert checksum(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_every_shipped_model_has_its_weights_and_says_where_it_fails():
    assert "sax-unet" in models.names()
    for name in models.names():
        model = models.load(name)
        card = model.card
        assert card.name == name
        assert card.parameters == sum(v.numel() for v in model.reader.network.state_dict().values())
        assert any("Research use only" in limit for limit in card.limits)
        assert card.trained_on
        assert card.scores
