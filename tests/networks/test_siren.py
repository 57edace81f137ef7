"""The motion field as a function: equal to the published one, and its gradient is the true gradient."""

import json
import zlib

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cinecmr.networks.siren import Siren, SirenConfig

TINY = SirenConfig(widths=(4, 8, 8, 3), omega=5.0)


@pytest.fixture
def published(fixture_file):
    """The filled network, the points, what is expected, and the losses expected."""
    told = json.loads(fixture_file("tagged_prior/fixtures.json").read_text("utf-8"))["siren"]
    expected = load_file(fixture_file("tagged_prior/siren_parity.safetensors"))
    network = Siren()
    for name, tensor in network.state_dict().items():
        draw = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(tuple(tensor.shape))
        tensor.copy_(torch.from_numpy((draw * told["k"][name]).astype(np.float32)))
    points = torch.cat([expected["xyz"], expected["t"]], 1)
    return network, points, expected, told["values"]


def test_displacements_and_gradients_equal_the_published_network(published):
    network, points, expected, _ = published
    found, gradient = network.with_gradient(points)
    torch.testing.assert_close(found, expected["u"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(network(points), expected["u"], atol=1e-5, rtol=1e-5)
    jacobian = torch.eye(3) + gradient
    torch.testing.assert_close(jacobian, expected["jac_phi"], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(torch.det(jacobian), expected["det"], atol=1e-5, rtol=1e-4)


def test_a_loss_on_the_gradient_teaches_the_weights_as_the_published_code_does(published):
    network, points, expected, values = published
    _, gradient = network.with_gradient(points)
    change = torch.det(torch.eye(3) + gradient).clip(0.1, 10)
    folding = change - 1 + 1 / change - 1
    inside = expected["mask"].bool()
    within, beyond = folding[inside].mean(), folding[~inside].mean()
    total = 0.25 * within + 1e-4 * beyond
    assert within.item() == pytest.approx(values["jac_in"], abs=1e-5)
    assert beyond.item() == pytest.approx(values["jac_bg"], abs=1e-5)
    assert total.item() == pytest.approx(values["jac_total"], abs=1e-5)
    total.backward()
    weights = dict(network.named_parameters())
    for name in ("layers.0.weight", "layers.0.bias", "layers.3.weight"):
        wanted = expected[f"grad_jac.{name}"]
        torch.testing.assert_close(weights[name].grad, wanted, atol=1e-4 * wanted.abs().max().item(), rtol=1e-3)
    for name in ("layers.1.weight", "layers.2.weight"):
        assert weights[name].grad.norm().item() == pytest.approx(expected[f"gradnorm.{name}"][0].item(), rel=1e-4)


def test_the_published_size_has_its_published_number_of_parameters():
    assert sum(p.numel() for p in Siren().parameters()) == 133_635


def test_the_gradient_is_that_of_reverse_differentiation():
    torch.manual_seed(0)
    network = Siren(TINY).double()
    points = torch.rand(2, 5, 4, dtype=torch.double, requires_grad=True)
    value, gradient = network.with_gradient(points)
    for k in range(3):
        slow = torch.autograd.grad(value[..., k].sum(), points, retain_graph=True)[0]
        torch.testing.assert_close(gradient[..., k, :], slow[..., :3])
    assert gradient.shape == (2, 5, 3, 3)
    assert network.with_gradient(points, axes=4)[1].shape == (2, 5, 3, 4)


def test_every_layer_starts_within_its_bounds_and_fills_them():
    torch.manual_seed(0)
    network = Siren()
    bounds = (1 / 4, np.sqrt(6 / 256) / 45, np.sqrt(6 / 256) / 45, np.sqrt(6 / 256) / 45)
    for layer, bound in zip(network.layers, bounds, strict=True):
        largest = layer.weight.abs().max().item()
        assert 0.98 * bound < largest <= bound


def test_every_weight_learns_from_displacements(without_gradient):
    torch.manual_seed(0)
    network = Siren(TINY)
    assert without_gradient(network, network(torch.rand(20, 4))) == []


def test_only_the_last_bias_does_not_learn_from_gradients(without_gradient):
    torch.manual_seed(0)
    network = Siren(TINY)
    assert without_gradient(network, network.with_gradient(torch.rand(20, 4))[1]) == ["layers.2.bias"]


def test_points_of_another_dimension_are_refused():
    with pytest.raises(ValueError, match=r"points need 4 coordinates on their last axis, got shape \(7, 3\)"):
        Siren(TINY)(torch.rand(7, 3))
    with pytest.raises(ValueError, match="cannot derive by 5 axes: points have 4 coordinates"):
        Siren(TINY).with_gradient(torch.rand(7, 4), axes=5)


def test_a_siren_without_a_hidden_layer_is_refused():
    with pytest.raises(ValueError, match=r"one hidden layer or more, and output, got \(4, 3\)"):
        SirenConfig(widths=(4, 3))
    with pytest.raises(ValueError, match="omega must be above 0, got 0"):
        SirenConfig(omega=0)
