"""The two-dimensional baseline: loss and rates as published, labels back on the heart's own grid."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from cinecmr.anatomy import Structure
from cinecmr.errors import RefusedInput
from cinecmr.learn.fit import fit
from cinecmr.learn.recipe import Recipe, Schedule
from cinecmr.learn.slice_geometry import Geometry
from cinecmr.learn.slices import by_frame, slices_of
from cinecmr.networks.ssp_unet import SSPUNetConfig
from cinecmr.study import Findings, Image, Study
from cinecmr.tasks.deep_supervision import deep_loss, halving, shrunk, soft_dice
from cinecmr.tasks.slice_reading import Ensemble, keep_largest, labels_of_slices
from cinecmr.tasks.slice_segmentation import (
    PRESETS,
    SAX,
    SliceSegmentation,
    SliceSettings,
    descent,
    updates_of,
)

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "ssp"
GRID = Geometry(pixels=32, spacing_mm=2.0, shift=4.0)
TINY = SSPUNetConfig(widths=(4, 8, 8))


@pytest.fixture(scope="module")
def given():
    return load_file(FIXTURES / "segmentation_loss.safetensors")


def tiny(preset="sound", **changed):
    base = PRESETS[preset]
    geometry = replace(base.geometry, pixels=32, spacing_mm=2.0, shift=4.0)
    return replace(base, **{"network": TINY, "geometry": geometry, **changed})


@pytest.fixture
def slices(tiny_heart):
    return slices_of("anna", tiny_heart.image, tiny_heart.labels, frames=(0, 4))


def test_the_loss_of_every_scale_and_their_sum_are_the_published_ones(given):
    outputs = [given[f"logits{i}"].clone().requires_grad_() for i in range(3)]
    labels = given["labels"]
    for scale, scores in enumerate(outputs):
        small = shrunk(labels, scores.shape[2:])
        assert torch.equal(small, given[f"expected/labels_scale{scale}"])
        entropy, overlap = deep_loss([scores], labels, [1.0])
        found = torch.stack([(entropy + overlap) / 2, entropy, overlap])
        torch.testing.assert_close(found, given[f"expected/scale{scale}"], atol=1e-5, rtol=1e-5)
    entropy, overlap = deep_loss(outputs, labels, halving(3))
    total = (entropy + overlap) / 2
    total.backward()
    torch.testing.assert_close(
        torch.stack([total, entropy, overlap]), given["expected/total_ce_dice"], atol=1e-5, rtol=1e-5
    )
    for scale, scores in enumerate(outputs):
        torch.testing.assert_close(scores.grad, given[f"expected/grad{scale}"], atol=1e-5, rtol=1e-5)


def test_dice_over_the_batch_is_that_of_all_slices_laid_side_by_side():
    torch.manual_seed(0)
    scores, labels = torch.randn(3, 4, 6, 6), torch.randint(0, 4, (3, 6, 6))
    wide = torch.cat(list(scores), 2)[None], torch.cat(list(labels), 1)[None]
    torch.testing.assert_close(soft_dice(scores, labels, over_batch=True), soft_dice(*wide))


def test_a_slice_without_a_heart_costs_nothing_in_a_batch_and_much_alone():
    labels = torch.zeros(2, 8, 8, dtype=torch.long)
    labels[0, 2:6, 2:6] = 1
    labels[0, 3:5, 3:5] = 2
    labels[0, 6:, 6:] = 3
    scores = 9 * nn.functional.one_hot(labels, 4).movedim(-1, 1).float()
    assert soft_dice(scores, labels, over_batch=True) < 0.01
    assert soft_dice(scores, labels) > 0.45


def test_rates_and_numbers_of_updates_are_the_published_ones():
    told = load_file(FIXTURES / "intensity_schedules.safetensors")["schedule/poly_0.01_1000"].numpy()
    rate = descent("published", updates_per_epoch=7)
    np.testing.assert_allclose([rate.rate_at(7 * e + 6, 7000) for e in range(1000)], told, rtol=1e-6)
    assert descent("published", fine_tuning=True).rate == 0.005
    assert [updates_of(n) for n in (6738, 1151, 582, 349, 231)] == [210_000, 35_000, 18_000, 10_000, 7_000]


def test_the_optimiser_is_the_published_one():
    made = descent("published").optimiser(SliceSegmentation.network(_Plain()))
    assert isinstance(made, torch.optim.SGD)
    (group,) = made.param_groups
    assert (group["lr"], group["momentum"], group["nesterov"], group["weight_decay"]) == (0.01, 0.99, True, 3e-5)


class _Plain:
    settings = SliceSettings(network=TINY, geometry=GRID)


class Oracle(nn.Module):
    """Answers with the code that a pixel's brightness stands for."""

    def __init__(self, bright):
        super().__init__()
        self.bright = nn.Parameter(torch.tensor(bright)[None, :, None, None])

    def forward(self, images):
        return (-((images - self.bright) ** 2),)


def painted(labels, affine, frames=2):
    """A cine whose brightness is its labels, and the standardised brightness of each code."""
    data = np.repeat(labels[..., :1], frames, axis=3).astype(np.float32) + 1
    image = Image(data, affine, np.arange(frames) * 0.1)
    low = data.min()
    told = (data - low).mean(), (data - low).std(ddof=1)
    return image, [(code + 1 - low - told[0]) / told[1] for code in range(4)]


@pytest.mark.parametrize("flip", [1, -1])
def test_labels_come_back_on_the_hearts_own_grid(tiny_heart, flip):
    affine = np.diag([1.5, 2.5, 10.0 * flip, 1.0])
    image, bright = painted(tiny_heart.labels, affine)
    found = labels_of_slices(Oracle(bright), image, Geometry(pixels=64, spacing_mm=1.25).still())
    truth = np.repeat(tiny_heart.labels[..., :1], 2, axis=3)
    assert found.shape == image.data.shape
    assert (found == truth).mean() > 0.985
    for structure in (Structure.RV, Structure.LV):
        both = ((found == structure) & (truth == structure)).sum()
        assert 2 * both / ((found == structure).sum() + (truth == structure).sum()) > 0.93


def test_frames_not_asked_for_and_slices_never_acquired_stay_unseen(tiny_heart):
    image, bright = painted(tiny_heart.labels, np.diag([2.0, 2.0, 10.0, 1.0]), frames=3)
    gap = Image(image.data, image.affine, image.times, missing_slices=(2,))
    found = labels_of_slices(Oracle(bright), gap, GRID.still(), frames=[1])
    assert (found[..., [0, 2]] == Structure.UNSEEN).all()
    assert (found[:, :, 2, 1] == Structure.UNSEEN).all()
    assert (found[:, :, [0, 1, 3, 4, 5, 6, 7], 1] != Structure.UNSEEN).all()


class Lv(nn.Module):
    """Sees the left ventricle everywhere."""

    def __init__(self):
        super().__init__()
        self.scores = nn.Parameter(torch.tensor([0.0, 0, 0, 1])[None, :, None, None])

    def forward(self, images):
        return (self.scores.expand(len(images), 4, *images.shape[2:]),)


def test_beyond_the_networks_field_there_is_background(tiny_heart):
    found = labels_of_slices(Lv(), tiny_heart.image, Geometry(16, 2.0).still(), frames=[0])[..., 0]
    assert (found[8:24, 8:24] == Structure.LV).all()
    found[8:24, 8:24] = Structure.BACKGROUND
    assert (found == Structure.BACKGROUND).all()


def test_a_field_that_visits_all_of_a_large_slice_labels_all_of_it(tiny_heart):
    affine = np.diag([2.0, 2.0, 10.0, 1.0])  # 64 mm, under a field of 32 mm
    image, bright = painted(tiny_heart.labels, affine)
    whole = labels_of_slices(Oracle(bright), image, Geometry(64, 1.0).still())
    visited = labels_of_slices(Oracle(bright), image, Geometry(32, 1.0).still(), sliding=True)
    middle = labels_of_slices(Oracle(bright), image, Geometry(32, 1.0).still())
    assert (visited == whole).mean() > 0.99
    assert (middle == whole).mean() < 0.97
    assert (visited[[0, -1]] != Structure.UNSEEN).all()


def test_the_middle_of_the_field_counts_more_than_its_edge(tiny_heart):
    class Edge(nn.Module):
        """Sees RV in the left half of its field and LV in the right half, whatever lies there."""

        def __init__(self):
            super().__init__()
            self.codes = nn.Parameter(torch.arange(4.0))

        def forward(self, images):
            scores = torch.zeros(len(images), 4, *images.shape[2:])
            half = images.shape[2] // 2
            scores[:, 1, :half], scores[:, 3, half:] = 1, 1
            return (scores,)

    image = tiny_heart.image  # 32 x 32 pixels of 2 mm; fields of 32 mm begin at 0, 16 and 32 mm
    found = labels_of_slices(Edge(), image, Geometry(16, 2.0).still(), frames=[0], sliding=True)[..., 0]
    bell = np.exp(-((np.arange(16) - 7.5) ** 2) / (2 * 2.0**2))
    left, right = np.zeros(32), np.zeros(32)
    for first in (0, 8, 16):
        left[first : first + 8] += bell[:8]
        right[first + 8 : first + 16] += bell[8:]
    expected = np.where(right > left, Structure.LV, Structure.RV)
    agree = (found == expected[:, None, None]).all(axis=(1, 2))
    assert agree.sum() >= 30  # of 32 columns; at a tie bicubic reading decides


def test_a_slice_within_the_field_is_labelled_as_ever(tiny_heart):
    image, bright = painted(tiny_heart.labels, np.diag([2.0, 2.0, 10.0, 1.0]))
    plain, sliding = (labels_of_slices(Oracle(bright), image, GRID.still(), sliding=s) for s in (False, True))
    assert np.array_equal(plain, sliding)


def test_labels_come_back_through_splines_to_the_hearts_own_grid(tiny_heart):
    image, bright = painted(tiny_heart.labels, np.diag([1.5, 2.5, 10.0, 1.0]))
    found = labels_of_slices(Oracle(bright), image, Geometry(pixels=64, spacing_mm=1.25).still(), spline=True)
    truth = np.repeat(tiny_heart.labels[..., :1], 2, axis=3)
    assert (found == truth).mean() > 0.98


def test_an_ensemble_answers_with_the_mean_of_its_networks_shares():
    class Fixed(nn.Module):
        def __init__(self, shares):
            super().__init__()
            self.shares = torch.tensor(shares)[None, :, None, None]

        def forward(self, images):
            return (self.shares.log().expand(len(images), -1, *images.shape[2:]), None)

    networks = [Fixed([0.7, 0.3]), Fixed([0.1, 0.9])]
    (found,) = Ensemble(networks)(torch.zeros(2, 1, 3, 3))
    assert found.shape == (2, 2, 3, 3)
    assert found.exp()[0, :, 0, 0].tolist() == pytest.approx([0.4, 0.6])


def test_mirrored_answers_of_a_network_that_mirrors_nothing_are_its_own(tiny_heart):
    image, bright = painted(tiny_heart.labels, np.diag([2.0, 2.0, 10.0, 1.0]))
    plain, mirrored = (labels_of_slices(Oracle(bright), image, GRID.still(), mirrored=m) for m in (False, True))
    assert (plain == mirrored).mean() > 0.995


def test_only_the_largest_part_of_a_structure_is_kept():
    labels = np.zeros((6, 6, 3), np.uint8)
    labels[1:3, 1:3] = Structure.LV
    labels[5, 5, 0] = Structure.LV
    labels[4, 1, 2] = Structure.RV
    keep_largest(labels)
    assert (labels == Structure.LV).sum() == 12
    assert (labels == Structure.RV).sum() == 1


def test_truth_against_truth_scores_perfect_and_unlabelled_frames_do_not_count(tiny_heart):
    labels = np.where(np.arange(12) % 4 == 0, tiny_heart.labels, Structure.UNSEEN).astype(np.uint8)
    truth = Findings(labels={SAX: labels})
    assert set(SliceSegmentation.score(truth, truth).values()) == {1.0}
    worse = labels.copy()
    worse[..., 0][worse[..., 0] == Structure.RV] = Structure.BACKGROUND
    scores = SliceSegmentation.score(Findings(labels={SAX: worse}), truth)
    assert scores["dice_rv"] == pytest.approx(2 / 3)
    assert scores["dice_lv"] == 1


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_learns_a_heart_and_labels_it(preset, slices, tiny_heart, tmp_path):
    objective = SliceSegmentation(slices, slices[2:5], tiny(preset))
    lines = []
    recipe = Recipe(objective.settings.as_json(), replace(descent(preset), rate=0.02), Schedule(20, 6, 5, 20))
    network = fit(recipe, objective, tmp_path / "run", lines.append)
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert set(lines[-1]) >= {"dice", "dice_rv", "dice_myo", "dice_lv", "cross_entropy", "dice_loss"}
    study = Study("anna", {SAX: tiny_heart.image})
    found = objective.predict(network, study, [0]).labels[SAX]
    assert found.shape == tiny_heart.labels.shape
    assert np.isin(found[..., 0], (0, 1, 2, 3)).all()


def test_images_and_codes_of_a_batch_stay_together(slices):
    painted_slices = [replace(s, pixels=s.labels.astype(np.float32)) for s in slices]
    objective = SliceSegmentation(painted_slices, settings=tiny(intensity=PRESETS["sound"].intensity.off()))
    images, codes = objective.batch(np.random.default_rng(0), 6)
    told = painted_slices[0].intensities
    drawn = (images * told.deviation + told.mean)[:, 0].round()
    assert images.shape == (6, 1, 32, 32)
    assert (drawn == codes).float().mean() > 0.93


def test_without_augmentation_slices_are_shown_as_they_are(slices):
    objective = SliceSegmentation(slices, settings=tiny("official", augment=False))
    shown = objective.made([slices[3]], None)
    one = SliceSegmentation(slices[3:4], settings=tiny("official", augment=False)).batch(np.random.default_rng(5), 1)
    assert torch.equal(shown[0], one[0])
    assert objective.settings.geometry.still().centring == "field"


def test_a_third_of_the_nnunet_batch_shows_a_heart(slices):
    empty = [replace(s, labels=np.zeros_like(s.labels)) for s in slices for _ in range(8)]
    objective = SliceSegmentation([*empty, slices[3]], settings=tiny("nnunet"))
    objective.settings = replace(objective.settings, augment=False)
    shown = [objective.batch(np.random.default_rng(seed), 6)[1].flatten(1).any(1).sum() for seed in range(5)]
    assert min(shown) >= 2


def test_nnunet_standardises_each_frame_by_itself(slices):
    framed = by_frame(slices)
    for frame in (0, 4):
        stack = np.stack([s.pixels for s in framed if s.frame == frame])
        told = next(s.intensities for s in framed if s.frame == frame)
        assert told.mean == pytest.approx(stack.mean(), rel=1e-5)
        assert told.highest == stack.max()


def test_nnunet_brings_slices_to_the_grids_spacing_before_anything_else(slices):
    objective = SliceSegmentation(slices, slices[:1], settings=tiny("nnunet"))
    assert {s.spacing for s in (*objective.slices, *objective.held)} == {(2.0, 2.0)}
    assert {s.spacing for s in SliceSegmentation(slices, settings=tiny()).slices} == {slices[0].spacing}


def test_a_batch_of_one_learns_unless_batch_norm_has_one_number_left(slices):
    objective = SliceSegmentation(slices[3:4], settings=tiny())
    network = objective.network().train()
    assert torch.isfinite(objective.loss(network, objective.batch(np.random.default_rng(0), 1)).total)
    least = tiny(geometry=replace(GRID, pixels=4, spacing_mm=16.0))
    objective = SliceSegmentation(slices[3:4], settings=least)
    network = objective.network()
    objective.loss(network.train(), objective.batch(np.random.default_rng(0), 2)).total.backward()
    with pytest.raises(ValueError, match=r"one image of 4 x 4 pixels .* give a batch of 2 or more, or larger images"):
        objective.loss(network.train(), objective.batch(np.random.default_rng(0), 1))
    with torch.no_grad():
        assert network.eval()(objective.batch(np.random.default_rng(0), 1)[0])[0].shape == (1, 4, 4, 4)


def test_sizes_that_do_not_halve_are_refused_with_those_that_do():
    with pytest.raises(
        ValueError, match=r"100 pixels do not halve .* 7 levels; give a multiple of 64, such as 64 or 128"
    ):
        SliceSettings(geometry=Geometry(pixels=100))
    with pytest.raises(ValueError, match=r"such as 64$"):
        SliceSettings(geometry=Geometry(pixels=32))


def test_a_crop_larger_than_the_image_learns_and_labels_every_pixel(slices, tiny_heart):
    wide = tiny(geometry=replace(GRID, pixels=64, spacing_mm=4.0, shift=2.0))  # 256 mm around images of a fraction
    objective = SliceSegmentation(slices, settings=wide)
    images, codes = objective.made(slices[:4], None)
    assert codes[:, 0, 0].tolist() == [0, 0, 0, 0]
    dark = [-s.intensities.mean / s.intensities.deviation for s in slices[:4]]
    assert images[:, 0, 0, 0].tolist() == pytest.approx(dark, rel=1e-4)
    found = objective.predict(objective.network(), Study("anna", {SAX: tiny_heart.image}), [0]).labels[SAX]
    assert (found[..., 0] != Structure.UNSEEN).all()


def test_one_slice_of_one_subject_can_be_learned_from_and_labelled(slices, tiny_heart):
    objective = SliceSegmentation(slices[3:4], settings=tiny("nnunet"))
    network = objective.network().train()
    objective.loss(network, objective.batch(np.random.default_rng(0), 3)).total.backward()
    one = tiny_heart.image
    alone = Image(one.data[:, :, 3:4], one.affine, one.times)
    found = objective.predict(network, Study("anna", {SAX: alone}), [0]).labels[SAX]
    assert found.shape == alone.data.shape
    assert (found[..., 0] != Structure.UNSEEN).all()


def test_he_weights_and_instance_norms_are_what_they_say(slices):
    torch.manual_seed(0)
    network = SliceSegmentation(slices, settings=tiny(he=True, instance_norm=True)).network()
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
    conv = network.encoder.enc_blocks[2].conv2
    assert conv.bias.abs().max() == 0
    assert conv.weight.std().item() == pytest.approx(np.sqrt(2 / (1 + 0.01**2) / (8 * 9)), rel=0.1)


def test_pre_trained_weights_are_taken_over_and_outputs_are_not(slices):
    objective = SliceSegmentation(slices, settings=tiny())
    torch.manual_seed(1)
    left, fresh = objective.network().state_dict(), objective.network()
    own = {n: t.clone() for n, t in fresh.state_dict().items()}
    objective.begin(fresh, left)
    for name, tensor in fresh.state_dict().items():
        assert torch.equal(tensor, own[name] if "output" in name else left[name])


@pytest.mark.parametrize("from_teacher", [True, False])
def test_the_teachers_encoder_is_taken_where_it_is_wanted(slices, from_teacher):
    objective = SliceSegmentation(slices, settings=tiny(from_teacher=from_teacher))
    network = objective.network()
    encoder = {n: torch.zeros_like(t) for n, t in network.state_dict().items() if n.startswith("encoder.")}
    objective.begin(network, {**encoder, **{f"teacher.{n}": t + 1 for n, t in encoder.items()}})
    assert network.encoder.enc_blocks[0].conv1.weight.unique().item() == float(from_teacher)


def test_weights_of_another_width_are_refused(slices):
    objective = SliceSegmentation(slices, settings=tiny())
    with pytest.raises(ValueError, match="no weight has the name and shape"):
        objective.begin(objective.network(), {"encoder.enc_blocks.0.conv1.weight": torch.zeros(5, 1, 3, 3)})


def test_what_cannot_be_learned_from_is_refused(slices):
    with pytest.raises(RefusedInput, match="no slice to learn from"):
        SliceSegmentation([])
    with pytest.raises(RefusedInput, match="slices of anna have no labels"):
        SliceSegmentation([slices[0].without_labels()])
    with pytest.raises(RefusedInput, match="no slice to learn from shows RV, MYO or LV"):
        SliceSegmentation([replace(s, labels=np.zeros_like(s.labels)) for s in slices])
    with pytest.raises(
        ValueError, match=r"100 pixels do not halve .* 7 levels; give a multiple of 64, such as 64 or 128"
    ):
        SliceSettings(geometry=Geometry(pixels=100))
    with pytest.raises(ValueError, match="foreground is a share"):
        SliceSettings(foreground=2)


def test_the_coarsest_output_is_left_out_where_nnunet_leaves_it_out():
    assert halving(6)[-1] == pytest.approx(0.0159, abs=1e-4)
    assert halving(6, coarsest=False)[-1] == 0
    assert sum(halving(6, coarsest=False)) == pytest.approx(1)
    assert halving(1, coarsest=False) == (1.0,)
