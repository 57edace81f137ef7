"""Published Video Swin weights come in under any of three names, and foreign ones do not."""

import json
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import load_file, save_file

from cinecmr.networks.video_swin import TINY, VideoSwin, VideoSwinConfig
from cinecmr.networks.video_swin_weights import other_name, published_tensors

SMALL = VideoSwinConfig(width=4, depths=(1, 2), heads=(1, 2), patch=(1, 2, 2), window=(2, 3, 3))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return VideoSwin(SMALL).eval()


def checkpoint(network, naming="official", prefix="backbone."):
    """The network as a published file would hold it, with a head and index tables."""
    state = OrderedDict((prefix + (other_name(n, naming) or n), t.clone()) for n, t in network.state_dict().items())
    state[f"{prefix}layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(18, 18, dtype=torch.int64)
    state["cls_head.fc_cls.weight"] = torch.zeros(400, 8)
    return {"meta": {"epoch": 30}, "state_dict": state}


def test_every_name_is_that_of_the_published_map(fixture_file):
    rows = json.loads(fixture_file("cc_cmr/key_map.json").read_text("utf-8"))["map"]
    assert len(rows) == 183
    for row in rows:
        assert other_name(row["official"], "torchvision") == row["torchvision_swin3d"]
        assert other_name(row["official"], "monai") == row["monai_swin_unetr"]
        assert other_name(row["official"], "official") == row["official"]


@pytest.mark.parametrize("naming", ["official", "torchvision", "monai"])
def test_weights_under_any_names_give_the_same_features(network, naming):
    taken = published_tensors(checkpoint(network, naming, prefix=""), SMALL)
    other = VideoSwin(SMALL).eval()
    other.load_state_dict(taken.tensors, strict=True)
    clip = torch.randn(1, 3, 4, 12, 12)
    torch.testing.assert_close(other(clip), network(clip), atol=0, rtol=0)


def test_the_full_list_of_published_names_is_taken_whole(fixture_file):
    name = "cc_cmr/swin_tiny_patch244_window877_manifest.json"
    told = json.loads(fixture_file(name).read_text("utf-8"))["kinetics400"]
    with torch.device("meta"):
        state = {name: torch.empty(entry["shape"]) for name, entry in told.items()}
    taken = published_tensors({"state_dict": state}, TINY)
    assert len(taken.tensors) == 171
    assert len(taken.dropped) == 14  # 12 index tables and the head's weight and bias


def test_a_published_pickle_becomes_safetensors_once_and_loads_again(network, tmp_path):
    torch.save(checkpoint(network), tmp_path / "published.pth")
    read = torch.load(tmp_path / "published.pth", weights_only=True)
    taken = published_tensors(read, SMALL)
    assert taken.dropped == ("layers.0.blocks.0.attn.relative_position_index", "cls_head.fc_cls.weight")
    save_file(taken.tensors, tmp_path / "swin.safetensors")
    other = VideoSwin(SMALL)
    other.load_state_dict(load_file(tmp_path / "swin.safetensors"), strict=True)
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor, atol=0, rtol=0)


def test_weights_of_another_size_say_which_tensor_differs(network):
    with pytest.raises(ValueError, match=r"patch_embed\.proj\.weight has shape .*4, 3, 1, 2, 2\), needs \(96, 3, 2, 4"):
        published_tensors(checkpoint(network), VideoSwinConfig(depths=(1, 2), heads=(3, 6)))


def test_weights_of_another_network_say_what_is_missing_and_what_is_too_much(network):
    state = checkpoint(network)["state_dict"]
    del state["backbone.norm.bias"]
    state["backbone.conv1.weight"] = torch.zeros(3)
    with pytest.raises(ValueError, match=r"1 missing, such as norm.bias; 1 unexpected, such as conv1\.weight"):
        published_tensors(state, SMALL)


@pytest.mark.parametrize(
    ("content", "message"),
    [({"meta": {}}, "holds no tensors"), ({"state_dict": 3}, "no table of tensors but int")],
)
def test_a_file_without_weights_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        published_tensors(content)
