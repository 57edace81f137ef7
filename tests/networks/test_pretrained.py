"""Where fine-tuning starts from, and what is said of weights and kinds that do not fit."""

import subprocess
import sys

import pytest
import torch

from cinecmr.networks import published
from cinecmr.networks.convunetr import ConvUNetR
from cinecmr.networks.convvit import ConvViT
from cinecmr.networks.fill import drawn, fill
from cinecmr.networks.kinds import KINDS, PublishedConfig, build, read_config
from cinecmr.networks.mae import MaskedAutoencoder
from cinecmr.networks.multiview import MultiViewConfig, ViewShape
from cinecmr.networks.pretrained import differences, start_from

SMALL = {"stem_widths": (4, 6), "stem_blocks": 1, "width": 16, "depth": 1, "heads": 2}
FIRST = "enc_down_dict.sax.conv_blocks.0.patch_embed.conv.weight"


def config(*views, channels=1, size=(32, 32, 2), **more):
    return MultiViewConfig({view: ViewShape(size, channels) for view in views}, **SMALL | more)


@pytest.fixture
def pretrained():
    network = MaskedAutoencoder(config("sax", "other"), 8, 1, 2)
    fill(network, "B")
    return network.state_dict()


def test_stems_encoder_and_fusion_are_taken_and_the_rest_is_fresh(pretrained):
    network = ConvViT(config("sax"), 3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    started = start_from(network, pretrained)
    after = network.state_dict()
    assert all(torch.equal(after[name], pretrained[name]) for name in started.loaded)
    assert all(torch.equal(after[name], before[name]) for name in started.fresh)
    assert {name.split(".")[0] for name in started.loaded} == {"enc_down_dict", "enc_fusion_dict", "encoder"}
    assert {name.split(".")[0] for name in started.fresh} == {"enc_down_dict", "pred_head_dict"}
    assert set(started.loaded) | set(started.fresh) == set(after)
    assert set(started.loaded) | set(started.dropped) == set(pretrained)
    assert started.tiled == ()


def test_a_decoder_of_labels_has_no_use_for_fusion(pretrained):
    started = start_from(ConvUNetR(config("sax"), 3, (4, 4, 6, 6, 8)), pretrained)
    assert not any("fusion" in name for name in started.loaded)
    assert "encoder.cls_token" in started.loaded


@pytest.mark.parametrize("share", [False, True])
def test_ed_and_es_both_get_the_pretrained_channel(pretrained, share):
    network = ConvViT(config("sax", channels=2), 3)
    started = start_from(network, pretrained, share_channels=share)
    assert started.tiled == (FIRST,)
    weight = network.state_dict()[FIRST]
    for channel in range(2):
        torch.testing.assert_close(weight[:, channel : channel + 1], pretrained[FIRST] * (0.5 if share else 1))


def test_images_may_have_another_size_than_in_pretraining(pretrained):
    network = ConvViT(config("sax", size=(64, 32, 3)), 3)
    start_from(network, pretrained)
    assert network({"sax": torch.zeros(1, 1, 64, 32, 3)}).shape == (1, 3)


def test_what_was_loaded_can_be_kept_from_learning(pretrained):
    network = ConvViT(config("sax"), 3)
    started = start_from(network, pretrained, freeze=True)
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert learning == set(started.fresh) - {"enc_down_dict.sax.pos_embed"}
    assert learning == {f"pred_head_dict.{head}.{part}" for head in ("sax", "cls") for part in ("weight", "bias")}


@pytest.mark.parametrize(
    ("views", "more", "change", "told"),
    [
        (("sax", "lax_9c"), {}, None, "have no view lax_9c: they have sax, other"),
        (
            ("sax",),
            {"width": 32},
            None,
            r"patch_embed.proj.weight has shape \(16, 24\) in the .* weights, here \(32, 24\)",
        ),
        (("sax",), {}, "encoder.norm.weight", "lack 1 of .* tensors, such as encoder.norm.weight"),
        (("sax",), {"stem_widths": (8, 6)}, None, r"has shape \(4, 1, 4, 4, 1\) in .* here \(8, 1, 4, 4, 1\)"),
    ],
)
def test_pretrained_weights_that_do_not_fit_are_refused_and_change_nothing(pretrained, views, more, change, told):
    network = ConvViT(config(*views, **more), 3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ValueError, match=told):
        start_from(network, {name: tensor for name, tensor in pretrained.items() if name != change})
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_weights_of_another_network_altogether_are_refused():
    with pytest.raises(ValueError, match="have no view sax: they are not of a multi-view network"):
        start_from(ConvViT(config("sax"), 3), {"conv1.weight": torch.zeros(1)})


def test_channels_that_do_not_repeat_evenly_are_refused():
    two = MaskedAutoencoder(config("sax", channels=2), 8, 1, 2).state_dict()
    with pytest.raises(
        ValueError, match=r"has shape \(4, 2, 4, 4, 1\) in the pre-trained weights, here \(4, 3, 4, 4, 1\)"
    ):
        start_from(ConvViT(config("sax", channels=3), 3), two)


def test_differences_between_a_file_and_a_network_are_told():
    network = torch.nn.Linear(3, 2)
    assert not differences(network, network.state_dict())
    assert str(differences(network, network.state_dict())) == "none"
    found = differences(network, {"weight": torch.zeros(2, 4), "fc.bias": torch.zeros(2)})
    assert found
    assert found.missing == ("bias",)
    assert found.unexpected == ("fc.bias",)
    assert found.misshapen == (("weight", (2, 4), (2, 3)),)
    assert str(found) == (
        "1 missing, such as bias; 1 unexpected, such as fc.bias; weight has shape (2, 4), needs (2, 3)"
    )


def test_the_rule_that_fills_weights_knows_a_weight_by_its_name():
    one, other = torch.nn.Linear(40, 50), torch.nn.Linear(40, 50)
    fill(one, "B")
    fill(other, "B")
    assert torch.equal(one.weight, other.weight)
    assert one.weight.std().item() == pytest.approx(40**-0.5, rel=0.1)
    fill(other, "A")
    assert other.weight.std().item() == pytest.approx(0.02, rel=0.1)
    torch.testing.assert_close(other.weight / 0.02, one.weight * 40**0.5)
    norm = torch.nn.BatchNorm1d(50)
    fill(norm, "B")
    assert norm.running_var.min() > 1
    assert 0 <= drawn("x", (3, 4)).min() < drawn("x", (3, 4)).max() < 1
    with pytest.raises(ValueError, match="no rule 'C' to fill weights by: there are A and B"):
        fill(one, "C")


def test_settings_of_a_published_kind_can_be_changed():
    with torch.device("meta"):
        network = published("seg_lax_4c", views=("lax_2c", "lax_4c"), out_chans=7, grad_ckpt=True)
        small = published("unet_2d_lax_4c", chans=(4, 8), in_chans=2)
    assert network.pred_head_dict["lax_2c"].weight.shape == (7, 32, 1, 1)
    assert network.encoder.checkpointing
    assert small.state_dict()["encoder.in_conv.conv.weight"].shape == (4, 2, 3, 3)


@pytest.mark.parametrize(
    ("kind", "more", "told"),
    [
        ("seg_sxa", {}, r"no published network 'seg_sxa' \(did you mean seg_sax\?\): there are pretrain_mae, seg_sax"),
        (
            "seg_sax",
            {"outchans": 3},
            r"seg_sax has no setting 'outchans' \(did you mean out_chans\?\): there are chans",
        ),
        ("seg_sax", {"views": ("sax", "lax_1c")}, "no view 'lax_1c': there are sax, lax_2c, lax_3c, lax_4c"),
        (
            "seg_sax",
            {"sizes": {"sax": (192, 190, 16)}},
            "view sax has 190 voxels along y, which must be a multiple of 16",
        ),
        ("seg_sax", {"out_chans": 0}, "convunetr needs out_chans"),
        ("seg_sax", {"name": "segmenter"}, "no published network is called 'segmenter': there are mae, convunetr"),
        ("unet_3d_sax", {"views": ("sax", "lax_2c")}, "unet reads one view, got sax, lax_2c"),
        ("seg_sax", {"drop_path": 1.0}, "drop_path is a share from 0 up to but not including 1, got 1.0"),
    ],
)
def test_a_kind_or_a_setting_that_does_not_exist_is_named_with_what_does(kind, more, told):
    with torch.device("meta"), pytest.raises(ValueError, match=told):
        published(kind, **more)


YAML = {
    "model": {"name": "convvit", "views": "lax_4c", "n_frames": 2, "out_chans": None, "convvit": {"drop_path": 0.2}},
    "data": {"lax": {"patch_size": [64, 64], "in_chans": 1}, "class_column": "sex", "sex": ["M", "F"]},
    "grad_ckpt": True,
}


def test_a_configuration_file_is_read_down_to_its_settings():
    config = read_config(YAML)
    assert config == PublishedConfig(
        "convvit", ("lax_4c",), 2, n_frames=2, sizes={"lax_4c": (64, 64)}, drop_path=0.2, grad_ckpt=True
    )
    with torch.device("meta"):
        assert build(config).enc_down_dict["lax_4c"].pos_embed.shape == (1, 16, 768)
    regression = {**YAML, "data": {"regression_column": "ef", "ef": {"mean": 50, "std": 10}}}
    assert read_config(regression).out_chans == 1
    assert read_config(regression).size("lax_4c") == (256, 256)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"model": None}, "has the sections model and data; this one has not"),
        ({"model": {"name": "gpt", "views": "sax"}}, "no published network is called 'gpt'"),
        (
            {"model": {"name": "convvit", "views": "sax", "convvit": {"size": "huge"}}},
            "published networks have the size base",
        ),
        ({"data": {}}, "convvit needs out_chans"),
    ],
)
def test_a_configuration_file_that_makes_no_network_is_refused(changed, told):
    with pytest.raises(ValueError, match=told):
        read_config({**YAML, **changed})


def test_views_with_different_channels_are_no_published_network():
    data = {"sax": {"in_chans": 3}, "lax": {"in_chans": 1}, "regression_column": "ef"}
    with pytest.raises(ValueError, match=r"as many channels, got \[1, 3\]"):
        read_config({"model": {"name": "convvit", "views": ["sax", "lax_2c"]}, "data": data})


def test_naming_the_room_of_networks_does_not_load_torch():
    code = "import cinecmr.networks, sys; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "False"


def test_published_counts_are_those_of_the_specification():
    wanted = {"pretrain_mae": 125_670_400, "seg_sax": 127_390_694, "cls_cvd_acdc_sax": 89_498_826}
    with torch.device("meta"):
        found = {kind: sum(p.numel() for p in published(kind).parameters()) for kind in wanted}
    assert found == wanted
    assert len(KINDS) == 20
