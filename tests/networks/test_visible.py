"""A stem over seen patches only answers and learns as the whole stem does."""

import pytest
import torch

from cinecmr.networks.fill import fill
from cinecmr.networks.mae import MaskedAutoencoder
from cinecmr.networks.multiview import MultiViewConfig, ViewShape
from cinecmr.networks.visible import regrouped, voxels_of

SHAPES = {"sax": ViewShape((48, 32, 3), 2), "lax_4c": ViewShape((64, 32), 2)}


def autoencoder(**more):
    # as many channels as patches are seen: a mix-up of the two would show
    config = MultiViewConfig(SHAPES, (4, 6), 2, width=16, depth=1, heads=2, **more)
    network = MaskedAutoencoder(config, decoder_width=8, decoder_depth=1, decoder_heads=2)
    fill(network, "B")
    return network


def whole(network):
    for stem in network.enc_down_dict.values():
        stem.seen_only = False
    return network


def test_voxels_of_a_patch_are_those_that_lie_in_it():
    number = torch.arange(8 * 4 * 3).reshape(8, 4, 3)  # 4 x 2 x 3 patches of 2 x 2 x 1 voxels
    seen = torch.tensor([[0, 4, 23]])
    found = voxels_of(seen, (4, 2, 3), 2)[0].reshape(3, 2, 2)
    for patch, (x, y, z) in zip(found, ((0, 0, 0), (0, 1, 1), (3, 1, 2)), strict=True):
        assert torch.equal(patch, number[2 * x : 2 * x + 2, 2 * y : 2 * y + 2, z])


def test_rows_are_regrouped_as_a_convolution_reads_them():
    image = torch.arange(2 * 3 * 8 * 8.0).reshape(2, 3, 8, 8)
    layer = torch.nn.Conv2d(3, 5, 4, stride=4)
    rows = image.movedim(1, -1).reshape(2, 1, 64, 3)
    found = torch.nn.functional.linear(regrouped(rows, 4), layer.weight.flatten(1), layer.bias)
    torch.testing.assert_close(found[:, 0].transpose(1, 2).reshape(2, 5, 2, 2), layer(image), rtol=1e-5, atol=1e-4)


def test_mixed_precision_changes_predictions_by_rounding_only():
    generator = torch.Generator().manual_seed(0)
    images = {view: torch.rand(2, 2, *shape.size, generator=generator) for view, shape in SHAPES.items()}
    network = autoencoder()
    hidden = network.hide(images, 0.5, torch.Generator().manual_seed(1))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        mixed = network(images, hidden)
    with torch.no_grad():
        exact = network(images, hidden)
    for view in images:
        assert mixed[view].dtype == torch.bfloat16
        torch.testing.assert_close(mixed[view].float(), exact[view], rtol=0.1, atol=0.1)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_predictions_and_gradients_equal_those_of_the_whole_stem(checkpointing):
    generator = torch.Generator().manual_seed(0)
    images = {view: torch.rand(3, 2, *shape.size, generator=generator) for view, shape in SHAPES.items()}
    found = []
    for network in (autoencoder(checkpointing=checkpointing), whole(autoencoder())):
        hidden = network.hide(images, 0.5, torch.Generator().manual_seed(1))
        drawn = network(images, hidden)
        network.loss(drawn, images, hidden)[0].backward()
        found.append((drawn, {name: p.grad for name, p in network.named_parameters()}))
    (drawn, gradients), (drawn_whole, gradients_whole) = found
    for view in images:
        torch.testing.assert_close(drawn[view], drawn_whole[view], rtol=1e-4, atol=1e-5)
    for name, gradient in gradients_whole.items():
        if gradient is not None:
            torch.testing.assert_close(gradients[name], gradient, rtol=1e-3, atol=1e-5, msg=name)
    assert sum(g is not None for g in gradients.values()) == sum(g is not None for g in gradients_whole.values())
