"""Residual networks: equal to the published ones in two and three dimensions."""

import pytest
import torch

from cinecmr.networks.resnet import ResNet, ResNetConfig

CASES = ("resnet50_3d", "resnet18_3d", "resnet50_2d", "resnet18_2d")
KINDS = {
    "resnet50_3d_acdc_sax": (ResNetConfig(3, 2, 5), 46_187_269),
    "resnet50_2d_mnms2_lax_4c": (ResNetConfig(2, 2, 6), 23_517_190),
    "resnet50_2d_landmark_coordinate_lax_4c": (ResNetConfig(2, 1, 6), 23_514_054),
}
TINY = {dims: ResNetConfig(dims, 2, 5, depth, (4, 4, 6, 8)) for dims, depth in ((2, 50), (3, 18))}


@pytest.mark.parametrize("rule", ["A", "B"])
@pytest.mark.parametrize("case", CASES)
def test_answers_equal_those_of_the_published_network(answers_as_recorded, case, rule):
    def make(made):
        widths = tuple(made["layer_inplanes"])
        return ResNet(ResNetConfig(int(case[-2]), made["in_chans"], made["out_chans"], made["depth"], widths))

    answers_as_recorded(make, case, rule)


@pytest.mark.parametrize("kind", KINDS)
def test_published_sizes_have_the_published_names_shapes_and_counts(has_published_names, kind):
    config, count = KINDS[kind]
    has_published_names(lambda: ResNet(config), kind, count)


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_a_network_of_some_depth_has_so_many_layers_with_weights(depth):
    with torch.device("meta"):
        network = ResNet(ResNetConfig(2, depth=depth))
    weighted = [n for n, p in network.named_parameters() if p.ndim > 1 and "downsample" not in n]
    assert len(weighted) == depth


@pytest.mark.parametrize("dims", [2, 3])
def test_any_size_gives_one_answer_a_sample(dims):
    network = ResNet(TINY[dims]).eval()
    for size in ((1, 1, 1), (33, 47, 3), (64, 20, 16)):
        image = torch.randn(2, 2, *size[:dims])
        assert network(image).shape == (2, 5)
        assert network.features(image).shape[2:] == tuple(-(-n // 32) for n in size[:dims])


@pytest.mark.parametrize("dims", [2, 3])
def test_every_weight_learns(without_gradient, dims):
    torch.manual_seed(0)
    network = ResNet(TINY[dims])
    assert without_gradient(network, network(torch.randn(3, 2, *(40, 40, 6)[:dims]))) == []


def test_an_image_that_does_not_fit_is_refused_by_what_it_has():
    with pytest.raises(ValueError, match="built for 2 channels, the image has 1"):
        ResNet(TINY[3])(torch.zeros(1, 1, 40, 40, 6))
    with pytest.raises(ValueError, match=r"takes \(batch, channel, x, y, z\), got 4 axes"):
        ResNet(TINY[3])(torch.zeros(1, 2, 40, 40))


def test_training_on_one_tiny_image_says_why_it_cannot_be():
    network = ResNet(TINY[2])
    with pytest.raises(ValueError, match="one image of 32 x 32 voxels leaves batch norm a single value"):
        network(torch.zeros(1, 2, 32, 32))
    assert network(torch.zeros(1, 2, 33, 32)).shape == (1, 5)


def test_sizes_that_make_no_residual_network_are_refused():
    with pytest.raises(ValueError, match="no residual network of depth 20: there are 18, 34, 50, 101"):
        ResNetConfig(depth=20)
    with pytest.raises(ValueError, match=r"2 \(x, y\) or 3 \(x, y, z\) spatial axes, not 1"):
        ResNetConfig(dims=1)
