"""Video Swin: equal to the published network on clips of every awkward size, and what its windows see."""

import dataclasses
import hashlib
import json
import zlib

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cinecmr.networks.video_swin import (
    BASE,
    TINY,
    PatchMerging,
    SwinBlock,
    VideoSwin,
    VideoSwinConfig,
    layout,
    relative_position_index,
    seam_mask,
)

SMALL = VideoSwinConfig(width=8, depths=(2, 2, 2, 2), heads=(1, 2, 4, 8), sliced_bias=True)
SMALLEST = VideoSwinConfig(width=4, depths=(1, 2), heads=(1, 2), patch=(1, 2, 2), window=(2, 3, 3))
CLIPS = {
    "cine25": (1, 3, 25, 56, 56),
    "lge6": (1, 3, 6, 56, 56),
    "odd13": (1, 3, 13, 60, 36),
    "full32": (1, 3, 32, 56, 56),
}


@pytest.fixture(scope="session")
def told(fixture_file):
    return json.loads(fixture_file("cc_cmr/vst_parity.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def expected(fixture_file):
    return load_file(fixture_file("cc_cmr/vst_parity_outputs.safetensors"))


@pytest.fixture(scope="session")
def clip():
    """The input of a case, drawn by its name."""

    def draw(case):
        numbers = np.random.Generator(np.random.PCG64(zlib.crc32(f"input:{case}".encode())))
        return torch.from_numpy(numbers.standard_normal(CLIPS[case]).astype(np.float32))

    return draw


@pytest.mark.parametrize("case", CLIPS)
def test_features_equal_those_of_the_published_network(filled, expected, clip, case):
    network = filled(VideoSwin(SMALL), "sharp").eval().double()
    with torch.no_grad():
        found = network.feature_map(clip(case).double())
        pooled = network(clip(case).double())
    torch.testing.assert_close(found, expected[f"sharp/feature_map/{case}"], atol=1e-9, rtol=0)
    torch.testing.assert_close(pooled, expected[f"sharp/pooled/{case}"], atol=1e-9, rtol=0)


def test_single_precision_stays_within_its_noise(filled, expected, clip):
    with torch.no_grad():
        sharp = filled(VideoSwin(SMALL), "sharp").eval().feature_map(clip("odd13"))
        brief = filled(VideoSwin(SMALL), "brief").eval().feature_map(clip("lge6"))
    torch.testing.assert_close(sharp.double(), expected["sharp/feature_map/odd13"], atol=5e-5, rtol=0)
    torch.testing.assert_close(brief.double(), expected["brief/feature_map/lge6"], atol=1e-5, rtol=0)


def test_every_stage_equals_that_of_the_published_network(filled, expected, clip, told):
    network = filled(VideoSwin(SMALL), "sharp").eval().double()
    with torch.no_grad():
        stages = network.stages(clip("cine25").double())
    shapes = told["report"]["brief/stage_shapes/cine25"][1:]
    for number, (stage, (n, c, t, x, y)) in enumerate(zip(stages, shapes, strict=True)):
        assert stage.shape == (n, t, x, y, c)
        mean = stage.abs().mean((1, 2, 3))
        torch.testing.assert_close(mean, expected[f"sharp/stage{number}_mean_abs/cine25"], atol=1e-9, rtol=0)


def test_one_shifted_block_and_one_merging_equal_the_published_ones(filled, expected):
    block = filled(SwinBlock(8, 2, (2, 3, 3), (1, 1, 1)), "sharp", "block.").double()
    merge = filled(PatchMerging(8), "sharp", "merge.").double()
    with torch.no_grad():
        torch.testing.assert_close(block(expected["block/input"].double()), expected["block/output"], atol=1e-9, rtol=0)
        torch.testing.assert_close(merge(expected["merge/input"].double()), expected["merge/output"], atol=1e-9, rtol=0)


@pytest.mark.parametrize("window", [(2, 3, 3), (8, 7, 7), (3, 7, 7)])
def test_the_index_of_relative_positions_is_the_published_one(told, window):
    index = relative_position_index(window)
    facts = told["relative_position_index"]["x".join(map(str, window))]
    assert list(index.shape) == facts["shape"]
    assert hashlib.sha256(index.numpy().astype("<i8").tobytes()).hexdigest() == facts["sha256_int64_le"]


def masks_of_every_window(sizes, window, shift):
    plan = layout(sizes, window, shift)
    n = int(np.prod(plan.window))
    found = torch.zeros(int(np.prod(plan.counts)), n, n)
    for group in plan.groups:
        if group.regions is not None:
            found[list(group.windows)] = seam_mask(group.regions, found)
    return found


def test_the_few_masks_are_those_of_every_window(expected, told):
    mask = expected["attn_mask/dims4x6x6_win2x3x3_shift1x1x1"]
    torch.testing.assert_close(masks_of_every_window((4, 6, 6), (2, 3, 3), (1, 1, 1)), mask.float(), atol=0, rtol=0)
    facts = told["report"]["attn_mask_16x14x14"]
    large = masks_of_every_window((16, 14, 14), (8, 7, 7), (4, 3, 3))
    assert list(large.shape) == facts["shape"]
    assert int((large == facts["value"]).sum()) == facts["n_blocked"]


def test_the_number_of_masks_does_not_grow_with_the_clip():
    assert len(layout((16, 56, 56), (8, 7, 7), (4, 3, 3)).groups) == 8
    assert len(layout((16, 56, 56), (8, 7, 7), (0, 0, 0)).groups) == 1
    assert len(layout((8, 56, 56), (8, 7, 7), (4, 3, 3)).groups) == 4  # time is one window, so it has no seam


# the base network is published with a head of 400 classes
@pytest.mark.parametrize(("config", "count"), [(TINY, 27_850_470), (BASE, 88_048_984 - 400 * 1025)])
def test_published_sizes_have_the_published_number_of_parameters(config, count):
    with torch.device("meta"):
        assert sum(p.numel() for p in VideoSwin(config).parameters()) == count


def test_the_tiny_network_has_the_published_names_and_shapes(fixture_file):
    name = "cc_cmr/swin_tiny_patch244_window877_manifest.json"
    told = json.loads(fixture_file(name).read_text("utf-8"))["kinetics400"]
    wanted = {n.removeprefix("backbone."): e["shape"] for n, e in told.items() if n.startswith("backbone.")}
    with torch.device("meta"):
        network = VideoSwin(TINY)
    found = {n: list(t.shape) for n, t in (*network.named_parameters(), *network.named_buffers())}
    assert found == wanted
    assert len(found) == 183
    assert len(network.state_dict()) == 171  # indices follow from the window and are never stored


def test_a_clip_that_is_short_in_time_alone_is_looked_up_rightly_either_way():
    torch.manual_seed(0)
    published = SwinBlock(4, 2, (2, 3, 3), (0, 0, 0), sliced=True)
    ours = SwinBlock(4, 2, (2, 3, 3), (0, 0, 0))
    torch.nn.init.normal_(published.attn.relative_position_bias_table)
    ours.load_state_dict(published.state_dict())
    brief, narrow = torch.randn(1, 1, 6, 6, 4), torch.randn(1, 2, 2, 6, 4)
    torch.testing.assert_close(published(brief), ours(brief))
    assert not torch.allclose(published(narrow), ours(narrow), atol=1e-3)


def test_in_a_small_window_each_pair_gets_the_bias_of_its_own_distance():
    attention = SwinBlock(4, 1, (2, 3, 3), (0, 0, 0)).attn
    with torch.no_grad():
        attention.relative_position_bias_table.copy_(torch.arange(75.0)[:, None])
        bias = attention._bias((2, 2, 2))[0]
    places = list(np.ndindex(2, 2, 2))
    for i, query in enumerate(places):
        for j, key in enumerate(places):
            t, x, y = (q - k for q, k in zip(query, key, strict=True))
            assert bias[i, j].item() == (t + 1) * 25 + (x + 2) * 5 + (y + 2)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 7, 5), (4, 12, 13)])
def test_a_clip_of_any_size_gives_one_vector(shape):
    network = VideoSwin(SMALLEST).eval()
    assert network(torch.randn(2, 3, *shape)).shape == (2, 8)
    assert network.feature_map(torch.randn(2, 3, *shape)).shape == (2, 8, shape[0], *(-(-n // 4) for n in shape[1:]))


def test_samples_of_a_batch_never_mix():
    torch.manual_seed(0)
    network = VideoSwin(SMALLEST).eval()
    one, other = torch.randn(2, 1, 3, 4, 14, 14)
    torch.testing.assert_close(network(torch.cat([one, other])), torch.cat([network(one), network(other)]))


def test_every_weight_learns(without_gradient):
    torch.manual_seed(0)
    network = VideoSwin(SMALLEST)
    assert without_gradient(network, network(torch.randn(3, 3, 5, 14, 14))) == []


def test_computing_blocks_again_changes_no_gradient(same_gradients_computed_again):
    torch.manual_seed(0)
    same_gradients_computed_again(
        lambda again: VideoSwin(dataclasses.replace(SMALLEST, drop_path=0.0, checkpointing=again)),
        torch.randn(1, 3, 4, 12, 12),
    )


def test_blocks_are_skipped_more_often_the_deeper_they_lie():
    with torch.device("meta"):
        network = VideoSwin(TINY)
    rates = [block.drop_path.rate for stage in network.layers for block in stage.blocks]
    np.testing.assert_allclose(rates, np.linspace(0, 0.1, 12))


def test_half_precision_gives_nearly_the_same_features():
    torch.manual_seed(0)
    network = VideoSwin(SMALLEST).eval()
    image = torch.randn(1, 3, 4, 12, 12)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = network(image)
    torch.testing.assert_close(half.float(), network(image), atol=0.05, rtol=0.05)


def test_a_clip_that_does_not_fit_is_refused_by_what_it_has():
    with pytest.raises(ValueError, match="built for 3 channels, the image has 1"):
        VideoSwin(SMALLEST)(torch.zeros(1, 1, 4, 12, 12))
    with pytest.raises(ValueError, match=r"takes \(batch, channel, t, x, y\), got 4 axes"):
        VideoSwin(SMALLEST)(torch.zeros(1, 3, 12, 12))


def test_heads_that_do_not_share_the_channels_are_refused():
    with pytest.raises(ValueError, match="stage 1: 16 channels do not share out to 3 heads"):
        VideoSwinConfig(width=8, depths=(1, 1), heads=(2, 3))
    with pytest.raises(ValueError, match=r"depths \(1, 1\) and heads \(2,\)"):
        VideoSwinConfig(width=8, depths=(1, 1), heads=(2,))
