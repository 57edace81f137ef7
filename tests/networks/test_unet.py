"""CineMA's U-Net: equal to the published one, any size, and which of its weights learn."""

import pytest
import torch

from cinecmr.networks.unet import UNet, UNetConfig

CASES = ("unet_3d", "unet_2d", "unet_2d_oddsize")
KINDS = {
    "unet_3d_sax": (UNetConfig(dead_conv=True), 77_269_188),
    "unet_2d_lax_4c": (UNetConfig(dims=2, dead_conv=True), 26_691_204),
    "unet_2d_landmark_lax_4c": (UNetConfig(dims=2, classes=3, dead_conv=True), 26_691_171),
}
TINY = UNetConfig(widths=(4, 6, 8))


@pytest.mark.parametrize("rule", ["A", "B"])
@pytest.mark.parametrize("case", CASES)
def test_scores_equal_those_of_the_published_network(answers_as_recorded, case, rule):
    def make(made):
        sizes = made["n_dims"], made["in_chans"], made["out_chans"], tuple(made["chans"])
        return UNet(UNetConfig(*sizes, dead_conv=True))

    answers_as_recorded(make, case, rule)


@pytest.mark.parametrize("kind", KINDS)
def test_published_sizes_have_the_published_names_shapes_and_counts(has_published_names, kind):
    config, count = KINDS[kind]
    has_published_names(lambda: UNet(config), kind, count)


@pytest.mark.parametrize("shape", [(8, 4, 1), (13, 9, 3), (16, 23, 2)])
def test_a_stack_of_any_size_keeps_its_size(shape):
    assert UNet(TINY)(torch.randn(1, 1, *shape)).shape == (1, 4, *shape)


def test_every_weight_learns(without_gradient):
    torch.manual_seed(0)
    network = UNet(TINY)
    assert without_gradient(network, network(torch.randn(1, 1, 16, 12, 3))) == []


def test_of_the_published_network_the_first_convolution_of_the_decoder_never_learns(without_gradient):
    torch.manual_seed(0)
    network = UNet(UNetConfig(dims=2, widths=(4, 6, 8), dead_conv=True))
    dead = without_gradient(network, network(torch.randn(2, 1, 16, 12)))
    assert dead == ["decoder.in_conv.conv.weight", "decoder.in_conv.conv.bias"]


def test_computing_blocks_again_changes_no_gradient(same_gradients_computed_again):
    torch.manual_seed(0)
    same_gradients_computed_again(
        lambda again: UNet(UNetConfig(widths=(4, 6, 8), dropout=0.0, checkpointing=again)), torch.randn(1, 1, 8, 8, 2)
    )


def test_slices_are_never_halved_so_one_is_enough():
    assert UNet(TINY).smallest == (8, 4, 1)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 1, 7, 16, 2), "axis x has 7 voxels; the network needs 8 or more"),
        ((1, 1, 16, 3, 2), "axis y has 3 voxels; the network needs 4 or more"),
        ((1, 2, 16, 16, 2), "built for 1 channels, the image has 2"),
        ((1, 1, 16, 16), r"takes \(batch, channel, x, y, z\), got 4 axes"),
    ],
)
def test_an_image_that_does_not_fit_is_refused_by_axis(shape, message):
    with pytest.raises(ValueError, match=message):
        UNet(TINY)(torch.zeros(shape))


def test_sizes_that_make_no_u_net_are_refused():
    with pytest.raises(ValueError, match=r"two levels or more, got widths \(8,\)"):
        UNetConfig(widths=(8,))
    with pytest.raises(ValueError, match=r"2 \(x, y\) or 3 \(x, y, z\) spatial axes, not 4"):
        UNetConfig(dims=4)
