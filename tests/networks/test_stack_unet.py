"""The network: shapes, sizes, and which slices see which."""

import pytest
import torch

from cinecmr.networks.stack_unet import NeighbourMix, StackUNet, StackUNetConfig

TINY = StackUNetConfig(widths=(4, 8, 8), mixing_from=1)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return StackUNet(TINY)


def awake(network):
    """The same network with neighbour mixing switched on, as training would."""
    for mix in network.mix.values():
        torch.nn.init.normal_(mix.mix.weight, std=0.2)
    return network


@pytest.mark.parametrize(("slices", "x", "y"), [(1, 8, 8), (3, 32, 16), (5, 12, 20)])
def test_every_pixel_of_every_slice_gets_a_score_for_every_class(network, slices, x, y):
    assert network(torch.randn(2, 1, slices, x, y)).shape == (2, 4, slices, x, y)


def test_other_channels_and_classes_are_a_setting():
    network = StackUNet(StackUNetConfig(channels_in=3, classes=2, widths=(4, 4), mixing_from=5))
    assert network(torch.randn(1, 3, 2, 8, 8)).shape == (1, 2, 2, 8, 8)
    assert len(network.mix) == 0


def test_a_size_that_does_not_halve_is_refused(network):
    assert network.multiple == 4
    with pytest.raises(ValueError, match="multiple of 4 pixels, got 30 x 32"):
        network(torch.randn(1, 1, 3, 30, 32))


def test_one_level_is_no_u_net():
    with pytest.raises(ValueError, match=r"two levels or more, got widths \(8,\)"):
        StackUNetConfig(widths=(8,))


def seen_by(network, slice_number, slices=5):
    """Slices whose pixels the answer in one slice depends on."""
    stack = torch.randn(1, 1, slices, 16, 16, requires_grad=True)
    network(stack)[:, :, slice_number].square().sum().backward()
    return [z for z in range(slices) if stack.grad[0, 0, z].abs().max() > 0]


def test_an_untrained_network_reads_each_slice_alone(network):
    assert seen_by(network, 2) == [2]


def test_with_mixing_a_slice_sees_one_neighbour_a_level(network):
    assert seen_by(awake(network), 2) == [0, 1, 2, 3, 4]  # two mixing levels reach two slices
    one_level = awake(StackUNet(StackUNetConfig(widths=(4, 8, 8), mixing_from=2)))
    assert seen_by(one_level, 2) == [1, 2, 3]
    assert seen_by(one_level, 0) == [0, 1]


def test_two_stacks_of_a_batch_never_mix(network):
    awake(network).eval()
    one, other = torch.randn(2, 1, 1, 3, 16, 16)
    together = network(torch.cat([one, other]))
    torch.testing.assert_close(together[:1], network(one), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together[1:], network(other), atol=1e-5, rtol=1e-4)


def test_mixing_adds_the_slices_on_either_side_and_nothing_beyond_the_ends():
    mix = NeighbourMix(1)
    with torch.no_grad():
        mix.mix.weight.copy_(torch.tensor([10.0, 0.0, 100.0]).view(1, 3, 1, 1))  # before, itself, after
    levels = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1)
    assert mix(levels, 3).flatten().tolist() == [1 + 200, 2 + 10 + 300, 3 + 20]


def test_every_weight_learns(network):
    network(torch.randn(1, 1, 3, 16, 16)).square().sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert without == []


def test_the_order_of_the_slices_matters_to_a_network_that_mixes(network):
    awake(network).eval()
    stack = torch.randn(1, 1, 4, 16, 16)
    assert not torch.allclose(network(stack.flip(2)).flip(2), network(stack), atol=1e-3)
