"""What the multi-view networks promise: nothing leaks, everything learns, and what does not fit is named."""

import numpy as np
import pytest
import torch
from torch import Tensor

from cinecmr.networks.convunetr import ConvUNetR
from cinecmr.networks.convvit import ConvViT
from cinecmr.networks.fill import fill
from cinecmr.networks.mae import MaskedAutoencoder
from cinecmr.networks.multiview import MultiViewConfig, ViewShape, split, take
from cinecmr.networks.patches import patchify

close = torch.testing.assert_close
SHAPES = {"sax": ViewShape((32, 32, 2)), "lax_4c": ViewShape((64, 32))}
SMALL = {"stem_widths": (4, 6), "stem_blocks": 1, "width": 16, "depth": 2, "heads": 2}
WIDTHS = (4, 4, 6, 6, 8)


def config(views=("sax", "lax_4c"), channels=1, **more):
    return MultiViewConfig({view: ViewShape(SHAPES[view].size, channels) for view in views}, **SMALL | more)


def filled(network):
    fill(network, "B")
    return network.eval()


def images(views=("sax", "lax_4c"), batch=2, channels=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {view: torch.rand(batch, channels, *SHAPES[view].size, generator=generator) for view in views}


def autoencoder(**more):
    return filled(MaskedAutoencoder(config(**more), decoder_width=8, decoder_depth=2, decoder_heads=2))


def half_hidden(network, given, seed=1):
    return network.hide(given, 0.5, torch.Generator().manual_seed(seed))


def voxels_of(hidden, view):
    """(batch, 1, x, y[, z]) bool: hidden patches as voxels."""
    patch = (16, 16, 1)[: len(SHAPES[view].size)]
    grid = [n // p for n, p in zip(SHAPES[view].size, patch, strict=True)]
    spread = hidden.reshape(len(hidden), 1, *grid)
    for axis in (2, 3):
        spread = spread.repeat_interleave(16, axis)
    return spread


@torch.no_grad()
def test_what_is_hidden_never_reaches_the_prediction():
    network, given = autoencoder(), images()
    hidden = half_hidden(network, given)
    repainted = {view: torch.where(voxels_of(hidden[view], view), 7 * image, image) for view, image in given.items()}
    assert all((repainted[view] != given[view]).any() for view in given)
    close(network(repainted, hidden), network(given, hidden), atol=0, rtol=0)


@torch.no_grad()
def test_one_seen_patch_of_one_view_reaches_the_prediction_of_the_other():
    network, given = autoencoder(), images()
    hidden = half_hidden(network, given)
    patch = patchify(torch.arange(64 * 32.0).reshape(1, 1, 64, 32), (16, 16))[
        0, split(hidden["lax_4c"], 8, "").seen[0, 0]
    ]
    repainted = {view: image.clone() for view, image in given.items()}
    repainted["lax_4c"][0].view(-1)[patch.long()] = 0.0
    before, after = network(given, hidden)["sax"], network(repainted, hidden)["sax"]
    assert (before[0] != after[0]).all(1).any()
    close(before[1], after[1], atol=0, rtol=0)


def test_the_share_of_hidden_patches_is_kept_in_every_sample_and_view():
    network = autoencoder()
    hidden = network.hide(images(batch=40), 0.7, torch.Generator().manual_seed(0))
    assert {view: mask.shape[1] for view, mask in hidden.items()} == {"sax": 8, "lax_4c": 8}
    for mask in hidden.values():
        assert mask.sum(1).tolist() == [8 - int(8 * 0.3)] * 40
        assert len({tuple(row) for row in mask.tolist()}) > 10
        assert mask.float().mean(0).min() > 0.5
    again = network.hide(images(batch=40), 0.7, torch.Generator().manual_seed(0))
    assert all((again[view] == mask).all() for view, mask in hidden.items())


@pytest.mark.parametrize("share", [-0.1, 1.0, 1.5])
def test_a_share_that_is_no_share_is_refused(share):
    with pytest.raises(ValueError, match=r"share of hidden patches is from 0 up to but not including 1, got"):
        autoencoder().hide(images(), share)


@torch.no_grad()
def test_the_order_in_which_views_are_given_changes_nothing():
    network, given = autoencoder(), images()
    hidden = half_hidden(network, given)
    turned = dict(reversed(given.items()))
    assert list(turned) != list(given)
    found, truth = network(turned, hidden), network(given, hidden)
    for view in given:
        close(found[view], truth[view], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_any_of_the_views_is_enough_for_the_autoencoder():
    network, given = autoencoder(), images(("lax_4c",))
    assert network(given, half_hidden(network, given))["lax_4c"].shape == (2, 4, 256)
    summary, tokens = network.features(given)
    assert summary.shape == (2, 1, 16)
    assert {view: part.shape for view, part in tokens.items()} == {"lax_4c": (2, 8, 16)}


def patch_by_patch(network, predicted, given, hidden, inside=None):
    """The loss written again, one patch at a time."""
    means = []
    for view, image in given.items():
        errors = []
        for sample in range(len(image)):
            patches = patchify(image, network.config.patch(view))[sample].numpy()
            kept = (
                np.ones_like(patches) if inside is None else patchify(inside[view], network.config.patch(view))[sample]
            )
            numbers = np.flatnonzero(hidden[view][sample].numpy())
            for row, number in enumerate(numbers):
                squared = (predicted[view][sample, row].numpy() - patches[number]) ** 2
                errors.extend(squared[np.asarray(kept)[number] > 0])
        means.append(np.mean(errors))
    return np.mean(means)


@torch.no_grad()
def test_views_count_equally_in_the_loss_and_padding_only_where_it_is_asked_for():
    network, given = autoencoder(), images()
    hidden = {"sax": half_hidden(network, given)["sax"], "lax_4c": network.hide(given, 0.3)["lax_4c"]}
    predicted = network(given, hidden)
    total, parts = network.loss(predicted, given, hidden)
    assert total.item() == pytest.approx(patch_by_patch(network, predicted, given, hidden), rel=1e-5)
    assert total.item() == pytest.approx((parts["sax"].item() + parts["lax_4c"].item()) / 2)
    inside = {view: torch.ones_like(image) for view, image in given.items()}
    inside["sax"][..., 1] = 0
    inside["lax_4c"][:, :, 40:] = 0
    total, _ = network.loss(predicted, given, hidden, inside)
    assert total.item() == pytest.approx(patch_by_patch(network, predicted, given, hidden, inside), rel=1e-5)


@torch.no_grad()
def test_a_view_that_hides_nothing_leaves_the_loss():
    network, given = autoencoder(), images()
    hidden = half_hidden(network, given)
    hidden["lax_4c"] = torch.zeros_like(hidden["lax_4c"])
    total, parts = network.loss(network(given, hidden), given, hidden)
    assert list(parts) == ["sax"]
    assert total == parts["sax"]
    nothing = {view: torch.zeros_like(mask) for view, mask in hidden.items()}
    with pytest.raises(ValueError, match="nothing to learn: no patch of sax, lax_4c is hidden"):
        network.loss(network(given, nothing), given, nothing)


@torch.no_grad()
def test_a_perfect_prediction_reconstructs_the_image_at_no_loss():
    network, given = autoencoder(), images()
    hidden = half_hidden(network, given)
    perfect = {view: network.target(view, image, hidden[view]) for view, image in given.items()}
    assert network.loss(perfect, given, hidden)[0] == 0
    for view, image in given.items():
        close(network.reconstruct(view, perfect[view], image, hidden[view]), image, atol=0, rtol=0)
        wrong = network.reconstruct(view, perfect[view] + 1, image, hidden[view])
        close(wrong - image, voxels_of(hidden[view], view).float())


def learned(network, total):
    """Names of parameters that a loss reaches."""
    network.zero_grad()
    total.backward()
    return {n for n, p in network.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}


def weighed(answers):
    """A loss on which every answer has a different pull."""
    parts = answers.values() if isinstance(answers, dict) else [answers]
    return sum((part * torch.randn(part.shape, generator=torch.Generator().manual_seed(3))).sum() for part in parts)


def fixed(network):
    """Parameters that are never learned: tables of positions."""
    return {name for name, _ in network.named_parameters() if name.endswith("pos_embed")}


def test_every_weight_of_the_autoencoder_learns_but_the_tables_of_positions():
    network, given = autoencoder(), images()
    hidden = half_hidden(network, given)
    total, _ = network.loss(network(given, hidden), given, hidden)
    everything = {name for name, _ in network.named_parameters()}
    assert learned(network, total) == everything - fixed(network)
    assert len(fixed(network)) == 4


@pytest.mark.parametrize("build", [lambda c: ConvViT(c, 3), lambda c: ConvUNetR(c, 3, WIDTHS)])
def test_every_weight_of_a_fine_tuned_network_learns_but_the_tables_of_positions(build):
    network = filled(build(config()))
    everything = {name for name, _ in network.named_parameters()}
    assert learned(network, weighed(network(images()))) == everything - fixed(network)


@pytest.mark.parametrize(
    "build",
    [lambda c: ConvViT(c, 3), lambda c: ConvUNetR(c, 3, WIDTHS, dropout=0.0), lambda c: MaskedAutoencoder(c, 8, 2, 2)],
)
def test_gradient_checkpointing_changes_no_answer_and_no_gradient(build):
    found = []
    for checkpointing in (False, True):
        network = filled(build(config(checkpointing=checkpointing))).train()
        given = images()
        answers = (
            network(given, half_hidden(network, given)) if isinstance(network, MaskedAutoencoder) else network(given)
        )
        weighed(answers).backward()
        found.append((answers, {n: p.grad for n, p in network.named_parameters() if p.requires_grad}))
    close(found[1], found[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_norm_over_one_channel_hides_the_image_from_all_but_the_shortcut():
    given = images(("lax_4c",))["lax_4c"]
    for image_norm, sees in ((True, False), (False, True)):
        block = filled(ConvUNetR(config(("lax_4c",)), 3, WIDTHS, image_norm=image_norm)).dec_image_conv_block_dict[
            "lax_4c"
        ]
        branch = block(given) - block.shortcut(given)
        other = block(1 - given) - block.shortcut(1 - given)
        assert bool((branch - other).abs().max() > 1e-3) is sees


@torch.no_grad()
def test_label_scores_and_answers_come_for_other_sizes_than_the_nominal():
    given = {"sax": torch.rand(1, 1, 64, 32, 3), "lax_4c": torch.rand(1, 1, 32, 96)}
    scores = filled(ConvUNetR(config(), 3, WIDTHS))(given)
    assert {view: part.shape for view, part in scores.items()} == {"sax": (1, 3, 64, 32, 3), "lax_4c": (1, 3, 32, 96)}
    given = {"sax": torch.rand(1, 1, 48, 16, 1), "lax_4c": torch.rand(1, 1, 16, 80)}
    assert filled(ConvViT(config(), 5))(given).shape == (1, 5)


@torch.no_grad()
def test_every_head_is_heard_once_in_the_mean():
    network, given = filled(ConvViT(config(), 5)), images()
    summary, tokens = network.features(given)
    heads = [network.pred_head_dict[view](tokens[view].mean(1)) for view in tokens]
    close(network(given, "patch"), sum(heads) / 2)
    close(network(given, "cls"), network.pred_head_dict["cls"](summary[:, 0]))
    close(network(given), (sum(heads) + network.pred_head_dict["cls"](summary[:, 0])) / 3)
    with pytest.raises(ValueError, match="no reduce 'mean': there are all, patch, cls"):
        network(given, "mean")


# norms over four channels, as here, amplify rounding: the published ones have 32 channels and more
@pytest.mark.parametrize(
    ("build", "share"), [(lambda c: ConvViT(c, 3), 0.02), (lambda c: ConvUNetR(c, 3, WIDTHS), 0.12)]
)
@torch.no_grad()
def test_sixteen_bit_brain_floats_give_nearly_the_same_answers(build, share):
    network, given = filled(build(config())), images()
    exact = network(given)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(given)
    exact, rough = (list(a.values()) if isinstance(a, dict) else [a] for a in (exact, rough))
    for a, b in zip(exact, rough, strict=True):
        assert b.dtype == torch.bfloat16
        assert 0 < (a - b.float()).norm() < share * a.norm()


NETWORKS = {
    "autoencoder": lambda: MaskedAutoencoder(config(), 8, 2, 2),
    "convvit": lambda: ConvViT(config(), 3),
    "convunetr": lambda: ConvUNetR(config(), 3, WIDTHS),
}


def shaped(**sizes: tuple[int, ...]) -> dict[str, Tensor]:
    return {view: torch.zeros(size) for view, size in sizes.items()}


GOOD = {"sax": (1, 1, 32, 32, 2), "lax_4c": (1, 1, 64, 32)}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"lax_9c": (1, 1, 64, 32)}, "no view 'lax_9c' in this network: it reads sax, lax_4c"),
        ({"sax": (1, 2, 32, 32, 2)}, r"view sax must be \(batch, 1, x, y, z\), got shape \(1, 2, 32, 32, 2\)"),
        ({"lax_4c": (1, 1, 64, 32, 1)}, r"view lax_4c must be \(batch, 1, x, y\), got shape \(1, 1, 64, 32, 1\)"),
        ({"sax": (2, 1, 32, 32, 2)}, r"as many samples each, got \{'sax': 2, 'lax_4c': 1\}"),
        ({"sax": (1, 1, 32, 40, 2)}, r"view sax has 40 voxels along y, .* a multiple of (16|32): pad or crop to 32 or"),
        ({"lax_4c": (1, 1, 9, 32)}, r"view lax_4c has 9 voxels along x, .* of (16|32): pad or crop to (16|32)$"),
    ],
)  # fmt: skip
def test_an_image_that_does_not_fit_is_named_with_its_view_and_axis(name, wrong, told):
    with pytest.raises(ValueError, match=told):
        NETWORKS[name]().encode(shaped(**{**GOOD, **wrong}))


@pytest.mark.parametrize("name", ["convvit", "convunetr"])
def test_a_fine_tuned_network_needs_all_its_views(name):
    with pytest.raises(ValueError, match="image of view lax_4c is missing: this network reads sax, lax_4c"):
        NETWORKS[name]()(shaped(sax=GOOD["sax"]))


def test_the_autoencoder_needs_a_view_at_its_own_size_and_matching_hidden_patches():
    network = NETWORKS["autoencoder"]()
    with pytest.raises(ValueError, match="image of view sax is missing"):
        network({}, {})
    with pytest.raises(ValueError, match="view lax_4c has 32 voxels along x; this autoencoder reads 64 only"):
        network.features(shaped(lax_4c=(1, 1, 32, 32)))
    given = shaped(**GOOD)
    hidden = {view: torch.zeros(1, 8, dtype=torch.bool) for view in given}
    with pytest.raises(ValueError, match="hidden patches are given for sax, images for sax, lax_4c"):
        network(given, {"sax": hidden["sax"]})
    with pytest.raises(ValueError, match=r"view lax_4c: hidden patches must be \(batch, 8\) bool, got \(1, 9\)"):
        network(given, hidden | {"lax_4c": torch.zeros(1, 9, dtype=torch.bool)})
    with pytest.raises(
        ValueError, match=r"view sax: hidden patches must be \(batch, 8\) bool, got \(1, 8\) torch.uint8"
    ):
        network(given, hidden | {"sax": torch.zeros(1, 8, dtype=torch.uint8)})
    uneven = torch.tensor([[True] * 3 + [False] * 5, [True] * 4 + [False] * 4])
    with pytest.raises(ValueError, match=r"the same number of patches, got \[3, 4\]"):
        network(shaped(sax=(2, 1, 32, 32, 2)), {"sax": uneven})


def test_seen_and_hidden_tokens_are_told_apart_in_order():
    seen, hidden = split(torch.tensor([[True, False, False, True], [False, True, True, False]]), 4, "tokens")
    assert seen.tolist() == [[1, 2], [0, 3]]
    assert hidden.tolist() == [[0, 3], [1, 2]]
    tokens = torch.arange(4.0)[None, :, None].expand(1, 4, 2)
    assert take(tokens, seen)[..., 1].tolist() == [[1, 2], [0, 3]]


@pytest.mark.parametrize(
    ("views", "told"),
    [
        ({}, "needs one view or more"),
        ({"sax": ViewShape((32,))}, r"2 \(x, y\) or 3 \(x, y, z\) spatial axes, not 1"),
        ({"sax": ViewShape((32, 30, 2))}, "view sax has 30 voxels along y, which must be a multiple of 16"),
    ],
)
def test_a_network_of_impossible_views_is_refused(views, told):
    with pytest.raises(ValueError, match=told):
        MultiViewConfig(views)


def test_a_decoder_needs_a_width_for_every_source():
    with pytest.raises(ValueError, match=r"needs 5 widths, finest first, got \(4, 8\)"):
        ConvUNetR(config(), 3, (4, 8))


def test_a_view_called_like_the_class_tokens_head_is_refused():
    with pytest.raises(ValueError, match="a view cannot be called 'cls'"):
        ConvViT(MultiViewConfig({"cls": ViewShape((32, 32))}, **SMALL), 3)
