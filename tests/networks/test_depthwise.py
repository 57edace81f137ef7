"""A depthwise convolution learns what the library's learns, by gradients that are convolutions."""

from itertools import product

import pytest
import torch
from torch import nn

from cinecmr.networks._depthwise import depthwise

SIZES = {2: (7, 4), 3: (6, 5, 3)}
LIBRARY = {2: nn.Conv2d, 3: nn.Conv3d}


def pair(dims, kernel, dtype=torch.float64):
    torch.manual_seed(0)
    ours = depthwise(dims, 4, kernel).to(dtype)
    theirs = LIBRARY[dims](4, 4, kernel, padding=kernel // 2, groups=4).to(dtype)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def learned(layer, features):
    """Answer, and gradients of a loss that weighs every voxel otherwise."""
    features = features.clone().requires_grad_()
    made = layer(features)
    (made * torch.linspace(-1, 2, made.numel(), dtype=made.dtype).reshape(made.shape)).sum().backward()
    return made.detach(), features.grad, layer.weight.grad, layer.bias.grad


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
def test_answers_and_gradients_are_the_librarys(dims, kernel, batch, last):
    ours, theirs = pair(dims, kernel)
    features = torch.randn(batch, *SIZES[dims], 4, dtype=torch.float64).movedim(-1, 1)
    features = features if last else features.contiguous()
    for found, known in zip(learned(ours, features), learned(theirs, features), strict=True):
        torch.testing.assert_close(found, known, rtol=1e-12, atol=1e-12)


def test_the_weights_gradient_is_the_slow_sum_over_voxels():
    ours, _ = pair(3, 3)
    features = torch.randn(2, 4, 4, 3, 2, dtype=torch.float64)
    made = ours(features)
    change = torch.randn_like(made)
    (found,) = torch.autograd.grad(made, ours.weight, change)
    slow = torch.zeros_like(found)
    for n, c, x, y, z in product(*map(range, features.shape)):
        for a, b, d in product(range(3), repeat=3):
            i, j, k = x + a - 1, y + b - 1, z + d - 1
            if 0 <= i < 4 and 0 <= j < 3 and 0 <= k < 2:
                slow[c, 0, a, b, d] += change[n, c, x, y, z] * features[n, c, i, j, k]
    torch.testing.assert_close(found, slow)


@pytest.mark.parametrize("dims", [2, 3])
def test_gradients_are_those_of_small_steps(dims):
    ours, _ = pair(dims, 3)
    features = torch.randn(2, 4, *SIZES[dims], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ours, features)


def test_mixed_precision_differs_from_single_by_rounding_and_keeps_gradients_single():
    ours, theirs = pair(3, 5, torch.float32)
    features = torch.randn(2, 4, 9, 8, 3)
    exact = learned(theirs, features)
    with torch.autocast("cpu", torch.bfloat16):
        found = learned(ours, features)
    assert found[0].dtype == torch.bfloat16
    assert found[1].dtype == found[2].dtype == found[3].dtype == torch.float32
    for one, known in zip(found, exact, strict=True):
        assert float((one.float() - known).norm() / known.norm()) < 0.01


def test_what_needs_no_gradient_gets_none():
    ours, theirs = pair(2, 3)
    features = torch.randn(1, 4, 5, 5, dtype=torch.float64)
    with torch.no_grad():
        assert ours(features).grad_fn is None
    for layer in (ours, theirs):
        layer.weight.requires_grad_(False)
        made = layer(features)
        made.sum().backward()
        assert layer.weight.grad is None
    assert torch.equal(ours.bias.grad, theirs.bias.grad)


def test_gradients_of_gradients_are_refused_and_not_wrong():
    ours, _ = pair(2, 3)
    features = torch.randn(1, 4, 5, 5, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(ours(features).square().sum(), features, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        first.sum().backward()


def test_parameters_have_the_librarys_names():
    ours, theirs = pair(3, 5)
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="odd"):
        depthwise(2, 4, 2)
