"""The seven-level U-Net: equal to the published one at every scale, before and after learning."""

import json

import pytest
import torch
from safetensors.torch import load_file

from cinecmr.networks.ssp_unet import SSPEncoder, SSPUNet, SSPUNetConfig

TINY = SSPUNetConfig(widths=(4, 8, 16, 16))
PUBLISHED = SSPUNetConfig()


def entries(network):
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


@pytest.fixture
def published(fixture_file):
    """The tiny network with its stored weights, and everything it should give."""
    tensors = load_file(fixture_file("ssp/unet_tiny.safetensors"))
    network = SSPUNet(TINY)
    weights = {name.removeprefix("weight/"): t for name, t in tensors.items() if name.startswith("weight/")}
    network.load_state_dict(weights, strict=True)
    return network, tensors


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_scores_equal_those_of_the_published_network_at_every_scale(published, mode):
    network, tensors = published
    found = network.train(mode == "train")(tensors["input"])
    assert len(found) == 3
    for scale, scores in enumerate(found):
        torch.testing.assert_close(scores, tensors[f"{mode}/output{scale}"], atol=1e-5, rtol=1e-5)


def test_the_fill_rule_gives_the_stored_weights(published, filled):
    network, _ = published
    for name, tensor in filled(SSPUNet(TINY), "ssp").state_dict().items():
        torch.testing.assert_close(tensor, network.state_dict()[name], atol=0, rtol=0, msg=name)


def dice_and_cross_entropy(scores, labels):
    """The published loss at one scale, written slowly: soft Dice of each class but background, and cross entropy."""
    cross_entropy = torch.nn.functional.cross_entropy(scores, labels)
    shares, truth = scores.softmax(1), torch.nn.functional.one_hot(labels, 4).movedim(-1, 1).float()
    both, sizes = (shares * truth).sum((2, 3)), (shares + truth).sum((2, 3))
    return cross_entropy, 1 - ((2 * both + 1e-5) / (sizes + 1e-5))[:, 1:].mean()


def test_three_steps_of_learning_end_where_the_published_code_ends(published):
    network, tensors = published
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.99, nesterov=True, weight_decay=3e-5)
    for step in range(3):
        weights = torch.tensor([1.0, 0.5, 0.25]) / 1.75
        total = 0
        for scale, scores in enumerate(network.train()(tensors["input"])):
            one_hot = torch.nn.functional.one_hot(tensors["labels"].long(), 4).movedim(-1, 1).float()
            small = torch.nn.functional.interpolate(one_hot, scores.shape[2:], mode="nearest-exact").argmax(1)
            total = total + weights[scale] * sum(dice_and_cross_entropy(scores, small)) / 2
        assert total.item() == pytest.approx(tensors["sgd/loss_total_ce_dice"][step, 0].item(), rel=1e-4)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    for name, wanted in tensors.items():
        if name.startswith("sgd/after3/"):
            found = network.state_dict()[name.removeprefix("sgd/after3/")]
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_the_full_network_scores_as_the_published_one(fixture_file, filled):
    tensors = load_file(fixture_file("ssp/unet_full.safetensors"))
    network = filled(SSPUNet(PUBLISHED), "ssp").train()
    with torch.no_grad():
        found = network(tensors["input"])
    assert [s.shape[2] for s in found] == [128, 64, 32, 16, 8, 4]
    for scale, scores in enumerate(found):
        crop = scores[:, :, :16, :16]
        torch.testing.assert_close(crop, tensors[f"output{scale}/crop"], atol=2e-4, rtol=2e-4)
        spread = torch.stack([scores.mean(), scores.std()])
        torch.testing.assert_close(spread, tensors[f"output{scale}/mean_std"], atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize(
    ("kind", "config", "count"),
    [
        ("unet_segmentation", PUBLISHED, 33_474_840),
        ("unet_mim", SSPUNetConfig(classes=1, outputs=1), 33_468_833),
    ],
)
def test_published_sizes_have_the_published_names_shapes_and_counts(fixture_file, kind, config, count):
    told = json.loads(fixture_file("ssp/unet_manifest.json").read_text("utf-8"))[kind]
    with torch.device("meta"):
        network = SSPUNet(config)
    assert entries(network) == {e["name"]: tuple(e["shape"]) for e in told["entries"]}
    assert sum(p.numel() for p in network.parameters()) == count == told["n_parameters"]


def test_the_encoder_alone_has_the_names_that_contrastive_training_saves():
    with torch.device("meta"):
        encoder, network = SSPEncoder(1, PUBLISHED.widths), SSPUNet(PUBLISHED)
    assert sum(p.numel() for p in encoder.parameters()) == 14_158_944
    alone = {f"encoder.{name}": shape for name, shape in entries(encoder).items()}
    assert len(alone) == 98
    assert alone.items() <= entries(network).items()


@pytest.mark.parametrize("outputs", [1, 2, 3, None])
def test_outputs_are_counted_from_full_resolution(outputs):
    found = SSPUNet(SSPUNetConfig(widths=TINY.widths, outputs=outputs)).eval()(torch.randn(1, 1, 16, 24))
    assert [tuple(s.shape) for s in found] == [(1, 4, 16 >> i, 24 >> i) for i in range(outputs or 3)]


@pytest.mark.parametrize("outputs", [1, None])
def test_every_weight_learns(without_gradient, outputs):
    torch.manual_seed(0)
    network = SSPUNet(SSPUNetConfig(widths=TINY.widths, outputs=outputs))
    found = network(torch.randn(2, 1, 16, 16))
    assert without_gradient(network, torch.cat([s.flatten() for s in found])) == []


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 1, 20, 16), "axis x has 20 voxels; it must be a multiple of 8: 16 or 24 fit"),
        ((1, 1, 16, 9), "axis y has 9 voxels; it must be a multiple of 8: 8 or 16 fit"),
        ((1, 1, 4, 16), "axis x has 4 voxels; the network needs 8 or more"),
        ((1, 3, 16, 16), "built for 1 channels, the image has 3"),
        ((1, 1, 16, 16, 2), r"takes \(batch, channel, x, y\), got 5 axes"),
    ],
)
def test_an_image_that_does_not_fit_is_refused_by_axis(shape, message):
    with pytest.raises(ValueError, match=message):
        SSPUNet(TINY)(torch.zeros(shape))


def test_sizes_that_make_no_u_net_are_refused():
    with pytest.raises(ValueError, match=r"two levels or more, got widths \(8,\)"):
        SSPUNetConfig(widths=(8,))
    with pytest.raises(ValueError, match=r"outputs is from 1 to 6 .* or None for all, got 7"):
        SSPUNetConfig(outputs=7)
