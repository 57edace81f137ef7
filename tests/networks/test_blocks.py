"""The blocks that networks share, against slow formulas written again."""

import itertools
import math

import pytest
import torch

from cinecmr.networks._blocks import ChannelNorm, ConvNormAct, ConvResBlock, DropPath, MaskedConvBlock, conv, norm
from cinecmr.networks.fill import fill
from cinecmr.networks.patches import patch_grid, patchify, unpatchify
from cinecmr.networks.positions import resized_table, sincos_table
from cinecmr.networks.vit import Attention, Block, Decoder, Encoder

close = torch.testing.assert_close
pytestmark = pytest.mark.usefixtures("no_gradients")


@pytest.fixture
def no_gradients():
    with torch.no_grad():
        yield


def filled(module):
    fill(module, "B")
    return module.eval()


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("size", "patch"), [((4, 6), (2, 3)), ((4, 6, 3), (2, 2, 1)), ((2, 2, 4), (1, 2, 2))])
def test_patches_are_counted_with_the_last_axis_fastest_and_channels_fastest_inside(size, patch):
    image = rand(2, 3, *size)
    found = patchify(image, patch)
    grid = patch_grid(size, patch)
    for row, corner in enumerate(itertools.product(*(range(n) for n in grid))):
        values = []
        for inner in itertools.product(*(range(n) for n in patch)):
            place = [c * p + i for c, p, i in zip(corner, patch, inner, strict=True)]
            values += [image[(slice(None), channel, *place)] for channel in range(3)]
        close(found[:, row], torch.stack(values, 1), atol=0, rtol=0)
    close(unpatchify(found, patch, grid), image, atol=0, rtol=0)


@pytest.mark.parametrize(
    ("size", "patch", "told"),
    [
        ((30, 32), (16, 16), "image has 30 voxels along x, which must be a multiple of 16: pad or crop to 16 or 32"),
        ((32, 5), (16, 16), "image has 5 voxels along y, which must be a multiple of 16: pad or crop to 16$"),
        ((32, 32, 3), (16, 16, 2), "image has 3 voxels along z, which must be a multiple of 2: pad or crop to 2 or 4"),
        ((32, 0), (16, 16), "image has 0 voxels along y"),
        ((32, 32), (16, 16, 1), "image has 2 spatial axes, patches of 16 x 16 x 1 need 3"),
    ],
)
def test_an_image_that_patches_do_not_fill_is_named_by_axis(size, patch, told):
    with pytest.raises(ValueError, match=told):
        patchify(torch.zeros(1, 1, *size), patch)


def test_patches_that_do_not_fill_the_grid_are_refused():
    with pytest.raises(ValueError, match="5 patches of 4 values do not fill a grid of 2 x 2 patches of 2 x 2 voxels"):
        unpatchify(torch.zeros(1, 5, 4), (2, 2), (2, 2))


@pytest.mark.parametrize(("grid", "width"), [((3, 5), 24), ((2, 3, 4), 26)])
def test_every_patch_has_the_sines_and_cosines_of_its_own_place(grid, width):
    table = sincos_table(grid, width)
    share = width // len(grid) // 2 * 2
    assert table.shape == (1, math.prod(grid), width)
    for row, place in enumerate(itertools.product(*(range(n) for n in grid))):
        y_first = (place[1], place[0], *place[2:])
        wanted = []
        for index in y_first:
            angles = [index * 10000 ** (-2 * i / share) for i in range(share // 2)]
            wanted += [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
        wanted += [0.0] * (width - len(wanted))
        close(table[0, row], torch.tensor(wanted), atol=1e-6, rtol=0)


def test_a_table_too_narrow_for_its_axes_is_refused():
    with pytest.raises(ValueError, match="positions on 3 axes needs 6 columns or more, got 5"):
        sincos_table((2, 2, 2), 5)


@pytest.mark.parametrize(("grid", "wanted"), [((2, 3), (4, 6)), ((2, 3, 2), (3, 3, 5))])
def test_a_resized_table_keeps_what_is_the_same_everywhere_and_its_trend_along_an_axis(grid, wanted):
    same = torch.full((1, math.prod(grid), 4), 0.7)
    close(resized_table(same, grid, wanted), torch.full((1, math.prod(wanted), 4), 0.7))
    assert resized_table(same, grid, grid) is same
    trend = torch.arange(float(grid[1]))[None, :].expand(grid[0], -1)
    trend = trend.reshape(*grid[:2], *(1 for _ in grid[2:])).expand(grid).reshape(1, -1, 1)
    found = resized_table(trend, grid, wanted).reshape(wanted)
    along_y = found.mean(dim=(0, *range(2, len(wanted))))
    close(found, along_y.reshape(1, -1, *(1 for _ in grid[2:])).expand(wanted), atol=1e-5, rtol=0)
    assert (along_y.diff() >= 0).all()
    assert along_y.mean().item() == pytest.approx((grid[1] - 1) / 2, abs=1e-5)


def test_attention_weighs_values_by_how_well_queries_meet_keys():
    attention, queries, keys = filled(Attention(6, 2)), rand(1, 3, 6), rand(1, 4, 6, seed=1)
    q, (k, v) = attention.q(queries)[0], attention.kv(keys)[0].split(6, -1)
    heads = []
    for part in (slice(0, 3), slice(3, 6)):
        weights = torch.exp(q[:, part] @ k[:, part].T / math.sqrt(3))
        heads.append(weights / weights.sum(1, keepdim=True) @ v[:, part])
    close(attention(queries, keys)[0], attention.proj(torch.cat(heads, 1)))
    close(attention(queries), attention(queries, queries))
    with pytest.raises(ValueError, match="4 heads do not share 6 channels equally"):
        Attention(6, 4)


def test_keys_from_outside_enter_a_block_as_they_are():
    block, queries, keys = filled(Block(6, 2)), rand(1, 3, 6), rand(1, 4, 6, seed=1)
    seen = queries + block.attn(block.norm1(queries), keys)
    close(block(queries, keys), seen + block.mlp(block.norm2(seen)))
    own = queries + block.attn(block.norm1(queries), block.norm1(queries))
    close(block(queries), own + block.mlp(block.norm2(own)))


def test_questions_to_the_decoder_do_not_hear_one_another():
    decoder, questions, keys = filled(Decoder(6, 2, 2)), rand(1, 5, 6), rand(1, 4, 6, seed=1)
    close(decoder(questions[:, 1:4], keys, 2), decoder(questions, keys, 5)[:, 2:4])
    assert (decoder(questions[:, 1:4], None, 2) - decoder(questions, None, 5)[:, 2:4]).abs().max() > 1e-3


def test_the_encoder_puts_its_class_token_first():
    encoder = filled(Encoder(6, 0, 2))
    tokens = rand(2, 3, 6)
    found = encoder(tokens)
    assert found.shape == (2, 4, 6)
    close(found[:, 1:], encoder.norm(tokens))
    close(found[:, 0], encoder.norm(encoder.cls_token)[:, 0].expand(2, -1))


@pytest.mark.parametrize("size", [(4, 3), (4, 3, 2)])
def test_a_norm_over_channels_leaves_each_voxel_with_mean_0_and_variance_1(size):
    features = 5 + 3 * rand(2, 7, *size)
    found = ChannelNorm(7)(features)
    centred = features - features.mean(1, keepdim=True)
    close(found, centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt())


def test_norms_by_name_are_those_of_torch():
    features = rand(2, 8, 4, 3)
    close(norm("group", 2, 8)(features), torch.nn.functional.group_norm(features, 8, eps=1e-6))
    close(norm("instance", 2, 8)(features), torch.nn.functional.instance_norm(features, eps=1e-6))
    assert list(norm("instance", 3, 8).parameters()) == []
    with pytest.raises(ValueError, match="no norm 'batch': there are layer, instance, group"):
        norm("batch", 2, 8)
    with pytest.raises(ValueError, match=r"2 \(x, y\) or 3 \(x, y, z\) spatial axes, not 4"):
        conv(4, 1, 1, 3)


def test_convolution_then_norm_then_gelu():
    block, features = filled(ConvNormAct(conv(2, 3, 5, 3))), rand(1, 3, 6, 4)
    normed = block.norm(block.conv(features))
    close(block(features), normed * (1 + torch.erf(normed / math.sqrt(2))) / 2)


@pytest.mark.parametrize(("dims", "channels_out"), [(2, 3), (3, 5)])
def test_a_residual_block_adds_what_two_convolutions_make_to_its_input(dims, channels_out):
    block, features = filled(ConvResBlock(dims, 3, channels_out, dropout=0.5)), rand(1, 3, *(5, 4, 3)[:dims])
    gelu = torch.nn.functional.gelu
    changed = block.conv2(gelu(block.norm2(block.conv1(gelu(block.norm1(features))))))
    close(block(features), changed + (features if channels_out == 3 else block.shortcut(features)))
    assert (len(list(block.shortcut.parameters())) == 0) is (channels_out == 3)


@pytest.mark.parametrize("size", [(9, 8), (9, 8, 3)])
def test_hidden_voxels_never_reach_seen_ones(size):
    block, features = filled(MaskedConvBlock(len(size), 4)), rand(1, 4, *size)
    visible = (rand(1, 1, *size, seed=5) > 0.5).float()
    other = torch.where(visible.bool(), features, 9.0)
    seen = visible.bool().expand_as(features)
    close(block(features, visible)[seen], block(other, visible)[seen], atol=0, rtol=0)
    assert (block(features) - block(other))[seen].abs().max() > 0.01
    close(block(features, torch.ones_like(visible)), block(features))


def test_a_masked_block_reaches_two_voxels_along_every_axis():
    block, features = filled(MaskedConvBlock(3, 2)), rand(1, 2, 7, 7, 7)
    moved = features.clone()
    moved[0, :, 3, 3, 3] += torch.tensor([1.0, -1.0])
    reached = (block(moved) - block(features)).abs().amax((0, 1)) > 0
    wanted = torch.zeros(7, 7, 7, dtype=torch.bool)
    wanted[1:6, 1:6, 1:6] = True
    assert torch.equal(reached, wanted)


def test_dropped_paths_are_whole_samples_and_keep_the_mean():
    torch.manual_seed(0)
    branch = torch.ones(4000, 2, 3)
    dropped = DropPath(0.25).train()(branch)
    per_sample = dropped.flatten(1)
    assert (per_sample == per_sample[:, :1]).all()
    assert sorted({round(v, 4) for v in per_sample[:, 0].tolist()}) == [0.0, 1.3333]
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)
    close(DropPath(0.25).eval()(branch), branch)
    with pytest.raises(ValueError, match="drop_path is a share from 0 up to but not including 1, got 1"):
        DropPath(1)
