"""SimCLR, PCL, DINO and MIM: losses equal to the published code, and what a user may get wrong."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cinecmr.errors import RefusedInput
from cinecmr.learn.fit import fit
from cinecmr.learn.losses import info_nce
from cinecmr.learn.recipe import Recipe, Schedule
from cinecmr.learn.slice_geometry import Geometry
from cinecmr.learn.slices import slices_of
from cinecmr.learn.start import begin
from cinecmr.networks.convunetr import ConvUNetR
from cinecmr.networks.multiview import MultiViewConfig, ViewShape
from cinecmr.networks.ssp_unet import SSPUNetConfig
from cinecmr.pretrain import dino, mim, pcl, simclr
from cinecmr.pretrain._contrast import Copies, siblings, similarity
from cinecmr.pretrain._dino_network import DinoHead, distilled
from cinecmr.pretrain.backbone import Backbone, TransformerSize
from cinecmr.pretrain.collapse import CollapseWarning, CollapseWatch, effective_rank, spread
from cinecmr.tasks.slice_segmentation import PRESETS, SliceSegmentation

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "ssp"
TINY = Backbone(unet=SSPUNetConfig(widths=(4, 8, 8)))
VIT = Backbone("vit", vit=TransformerSize(stem_widths=(4, 8), width=16, depth=1, heads=2))
GRID = Geometry(pixels=32, spacing_mm=2.0)
SMALL = replace(dino.DINOSettings().small, pixels=16, spacing_mm=2.0)


def small(name, backbone=TINY, preset="sound"):
    """Settings of a method at a size for tests."""
    if name == "dino":
        large = replace(dino.DINOSettings().large, pixels=32, spacing_mm=2.0)
        return replace(dino.PRESETS[preset], backbone=backbone, large=large, small=SMALL, crops=2, hidden=8,
                       bottleneck=4, answers=16, epoch=4, updates=40)  # fmt: skip
    if name == "mim":
        return replace(mim.PRESETS[preset], backbone=backbone, geometry=GRID, patch=8)
    module = {"simclr": simclr, "pcl": pcl}[name]
    return replace(module.PRESETS[preset], backbone=backbone, geometry=GRID, head=8)


METHODS = {"simclr": simclr.SimCLR, "pcl": pcl.PCL, "dino": dino.DINO, "mim": mim.MIM}
MODULES = {"simclr": simclr, "pcl": pcl, "dino": dino, "mim": mim}


@pytest.fixture
def slices(tiny_heart):
    return [s.without_labels() for s in slices_of("anna", tiny_heart.image, tiny_heart.labels, frames=range(3))]


@pytest.fixture(scope="module")
def contrastive():
    return load_file(FIXTURES / "contrastive.safetensors")


@pytest.fixture(scope="module")
def published_dino():
    return load_file(FIXTURES / "dino.safetensors")


def test_the_loss_of_simclr_and_its_gradient_are_the_published_ones(contrastive):
    features = contrastive["features"].clone().requires_grad_()
    loss = info_nce(similarity(features, 0.1), siblings(16))
    loss.backward()
    torch.testing.assert_close(loss[None], contrastive["simclr/loss"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(features.grad, contrastive["simclr/grad"], atol=1e-5, rtol=1e-5)


def objective_of(name, slices, preset):
    return METHODS[name](slices, small(name, preset=preset))


def test_the_loss_of_pcl_and_its_pairs_are_the_published_ones(contrastive, slices):
    method = objective_of("pcl", slices, "official")
    copies = Copies(torch.zeros(16, 1, 1, 1), contrastive["pcl/slice_nr"], contrastive["pcl/total_nr_slices"])
    torch.testing.assert_close(pcl.heights(*copies[1:], "count")[0], contrastive["pcl/positions"])
    pairs = method.positives(copies)
    assert torch.equal(pairs, contrastive["pcl/positives"].bool())
    features = contrastive["features"].clone().requires_grad_()
    loss = info_nce(similarity(features, 0.1), pairs)
    loss.backward()
    torch.testing.assert_close(loss[None], contrastive["pcl/loss"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(features.grad, contrastive["pcl/grad"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("count", range(5, 17))
def test_pairs_within_a_stack_are_the_published_ones_for_every_number_of_slices(contrastive, slices, count):
    number = torch.arange(count)
    height = pcl.heights(number, torch.full((count,), count), "count")[0]
    near = ((height[:, None] - height[None]).abs() < 0.1).fill_diagonal_(True)
    assert torch.equal(near, contrastive[f"pcl/adjacency/n{count:02d}"].bool())


@pytest.mark.parametrize("count", [2, 5, 9, 14])
def test_in_the_sound_preset_neighbours_of_any_stack_belong_together(slices, count):
    method = objective_of("pcl", slices, "sound")
    number = torch.arange(count).repeat_interleave(2)
    pairs = method.positives(Copies(torch.zeros(2 * count, 1, 1, 1), number, torch.full_like(number, count)))
    apart = (number[:, None] - number[None]).abs()
    assert pairs[apart == 1].all()
    assert not pairs.diagonal().any()
    assert not pairs[apart / (count - 1) > max(0.1, 1 / (count - 1)) + 1e-5].any()


def test_the_only_slice_of_a_stack_belongs_with_its_copy_alone(slices):
    method = objective_of("pcl", slices, "sound")
    number, of = torch.tensor([0, 0, 0, 0, 0, 0]), torch.tensor([1, 1, 1, 1, 8, 8])
    pairs = method.positives(Copies(torch.zeros(6, 1, 1, 1), number, of))
    assert torch.equal(pairs, siblings(6))


@pytest.mark.parametrize("epoch", [0, 15, 99])
def test_the_loss_of_dino_its_gradient_and_centre_are_the_published_ones(published_dino, epoch):
    told = published_dino
    settings = dino.DINOSettings(epoch=20, updates=2000)
    temperature = settings.teacher_temperature(20 * epoch)
    assert temperature == pytest.approx(told["teacher_temperature_schedule"][epoch].item(), rel=1e-5)
    student = told["student"].clone().requires_grad_()
    loss = distilled(student, told["teacher"], told["center_before"], 8, 0.1, temperature)
    loss.backward()
    torch.testing.assert_close(loss[None], told[f"epoch{epoch}/loss"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(student.grad, told[f"epoch{epoch}/grad"], atol=1e-5, rtol=1e-5)
    network = dino.DINO(["any"], small("dino")).network()
    network.center = told["center_before"].clone()
    network.recentre(told["teacher"], 0.9)
    torch.testing.assert_close(network.center, told[f"epoch{epoch}/center_after"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_head_of_dino_answers_as_the_published_one(published_dino, mode):
    head = DinoHead((8, 16, 6, 12)).train(mode == "train")
    names = {n.removeprefix("head/weight/"): t for n, t in published_dino.items() if n.startswith("head/weight/")}
    head.load_state_dict(names, strict=True)
    found = head(published_dino["head/input"])
    torch.testing.assert_close(found, published_dino[f"head/{mode}_output"], atol=1e-5, rtol=1e-5)


def test_rates_and_the_teachers_pace_are_the_published_ones(published_dino):
    settings = dino.DINOSettings(epoch=20, updates=2000)
    paces = [settings.kept(update) for update in range(2000)]
    np.testing.assert_allclose(paces, published_dino["schedule/teacher_momentum_100ep_20it"].numpy(), rtol=1e-9)
    rate = dino.descent("official", 20)
    rates = [rate.rate_at(update, 2000) for update in range(2000)]
    np.testing.assert_allclose(rates, published_dino["schedule/lr_100ep_20it"].numpy(), rtol=1e-6, atol=1e-12)


def test_rates_by_epochs_are_the_published_ones():
    told = load_file(FIXTURES / "intensity_schedules.safetensors")
    cosine = simclr.descent("official", 3)
    by_epoch = [cosine.rate_at(3 * epoch + 2, 300) for epoch in range(100)]
    np.testing.assert_allclose(by_epoch, told["schedule/cosine_0.1_100"].numpy(), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("preset", ["published", "official", "sound"])
def test_the_teacher_starts_as_a_copy_except_in_the_published_code(preset):
    network = dino.DINO(["any"], small("dino", preset=preset)).network()
    student = network.encoder.state_dict()
    same = all(torch.equal(t, student[n]) for n, t in network.teacher.encoder.state_dict().items())
    assert same == (preset != "official")


def test_the_teacher_follows_by_its_parameters_and_keeps_its_own_statistics():
    network = dino.DINO(["any"], small("dino")).network()
    before = {n: t.clone() for n, t in network.teacher.state_dict().items()}
    with torch.no_grad():
        for tensor in network.encoder.state_dict().values():
            tensor.add_(1)
    network.follow(0.75)
    for name, tensor in network.teacher.encoder.named_parameters():
        torch.testing.assert_close(tensor.data, before[f"encoder.{name}"] + 0.25, atol=1e-6, rtol=1e-6)
    for name, tensor in network.teacher.named_buffers():
        assert torch.equal(tensor, before[name])


def test_the_last_layer_of_dino_rests_in_the_first_epoch_and_the_teacher_always(slices):
    method = objective_of("dino", slices, "sound")
    network, batch = method.network(), method.batch(np.random.default_rng(0), 3)
    for update, learns in ((3, False), (4, True)):
        network.update.fill_(update)
        network.zero_grad(set_to_none=True)
        method.loss(network, batch).total.backward()
        direction = network.head.last_layer.parametrizations.weight.original1
        assert (direction.grad is not None) == learns
        assert network.head.mlp[0].weight.grad is not None
        assert all(p.grad is None for p in network.teacher.parameters())


def test_hidden_squares_and_their_error_are_the_published_ones():
    told = load_file(FIXTURES / "mim.safetensors")
    hidden = mim.hide(told["random_field"], 0.75)
    assert torch.equal(hidden.reshape(3, 4, 4), told["mask_patches"].bool())
    pixels = mim.squares(hidden, 128, 32)
    torch.testing.assert_close(torch.where(pixels, 0.0, told["image"]), told["masked_image"])
    loss = mim.hidden_error(told["prediction"], told["image"], pixels)
    torch.testing.assert_close(loss[None], told["loss"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("name", "kind"), [("simclr", "encoder_mlp_simclr_pcl"), ("dino", "dino_student")])
def test_full_networks_have_the_published_names_and_shapes(name, kind):
    told = json.loads((FIXTURES / "unet_manifest.json").read_text("utf-8"))[kind]
    with torch.device("meta"):
        method = simclr.SimCLR(["any"], simclr.SimCLRSettings()) if name == "simclr" else dino.DINO(["any"])
        found = method.network().state_dict()
    own = {n: tuple(t.shape) for n, t in found.items() if not n.startswith(("teacher.", "center", "update"))}
    assert own == {entry["name"]: tuple(entry["shape"]) for entry in told["entries"]}


@pytest.mark.parametrize(("name", "shared"), [("simclr", 98), ("pcl", 98), ("dino", 98), ("mim", 194)])
def test_each_method_hands_on_as_many_weights_as_published(name, shared):
    with torch.device("meta"):
        settings = MODULES[name].PRESETS["published"]
        left = METHODS[name](["any"], settings).network().state_dict()
        own = SliceSegmentation.__new__(SliceSegmentation)
        own.settings = PRESETS["published"]
        whole = own.network()
    fitting = [n for n, t in whole.state_dict().items() if "output" not in n and n in left and left[n].shape == t.shape]
    assert len(fitting) == shared


@pytest.mark.parametrize("backbone", [TINY, VIT], ids=["unet", "vit"])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_on_either_network_and_the_same_seed_gives_the_same_run(name, backbone, slices, tmp_path):
    method = METHODS[name](slices, small(name, backbone), held=slices[:4])
    rate = replace(MODULES[name].descent("sound", 4), rate=0.02, warmup=2, curve="constant")
    recipe = Recipe(method.settings.as_json(), rate, Schedule(12, 6, 2, 12))
    curves = []
    for folder in ("one", "two"):
        lines = []
        fit(recipe, METHODS[name](slices, small(name, backbone)), tmp_path / folder, lines.append)
        curves.append([line["loss"] for line in lines])
    assert curves[0] == curves[1]
    assert all(math.isfinite(loss) for loss in curves[0])
    if name == "mim":
        assert curves[0][-1] < curves[0][0]
    scores = method.check(fit(recipe, METHODS[name](slices, small(name, backbone)), tmp_path / "one"))
    assert next(iter(scores.values())) <= 1


@pytest.mark.parametrize("name", ["simclr", "pcl"])
def test_contrast_learns_to_tell_slices_apart(name, slices):
    torch.manual_seed(0)
    method = METHODS[name](slices, small(name))
    network, rng = method.network(), np.random.default_rng(0)
    batch = method.batch(rng, 8)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    losses = []
    for _ in range(20):
        loss = method.loss(network, batch).total
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < losses[0] - 0.05


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("preset", ["published", "sound"])
def test_without_labels_no_method_asks_for_them(name, preset, slices):
    METHODS[name](slices, small(name, preset=preset)).batch(np.random.default_rng(0), 3)


@pytest.mark.parametrize("name", METHODS)
def test_the_published_code_centres_on_labels_and_so_is_refused_without(name, slices):
    settings = MODULES[name].PRESETS["official"]
    geometry = settings.large if name == "dino" else settings.geometry
    assert geometry.centring == "labels"
    with pytest.raises(ValueError, match="heart of anna, who has no labels"):
        METHODS[name](slices, settings).batch(np.random.default_rng(0), 2)


@pytest.mark.parametrize("name", ["simclr", "pcl", "dino"])
def test_a_batch_of_one_is_refused(name, slices):
    with pytest.raises(ValueError, match="a batch of 1 has no others; give 2 or more"):
        METHODS[name](slices, small(name)).batch(np.random.default_rng(0), 1)


@pytest.mark.parametrize("name", METHODS)
def test_no_slices_are_refused(name):
    with pytest.raises(RefusedInput, match="no slice to learn from"):
        METHODS[name]([], small(name))


def test_sizes_that_do_not_halve_are_refused_with_those_that_do():
    with pytest.raises(ValueError, match=r"a crop has 100 pixels; .* a multiple of 64: 64 or 128 fit"):
        simclr.SimCLRSettings(geometry=Geometry(pixels=100))
    with pytest.raises(ValueError, match=r"a small crop has 96 pixels; .* 64 or 128 fit"):
        dino.DINOSettings(small=Geometry(pixels=96))
    with pytest.raises(ValueError, match="a multiple of 16: 32 or 48 fit"):
        mim.MIMSettings(VIT, Geometry(pixels=40), patch=8)
    with pytest.raises(ValueError, match="squares of 48 pixels do not tile 256"):
        mim.MIMSettings(patch=48)


def test_temperatures_and_heights_that_make_no_sense_are_refused():
    for settings in (simclr.SimCLRSettings, pcl.PCLSettings):
        with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
            settings(temperature=0)
        with pytest.raises(ValueError, match="a crop has 100 pixels"):
            settings(geometry=Geometry(pixels=100))
    with pytest.raises(ValueError, match=r"threshold must be in \(0, 1\], got 1.5"):
        pcl.PCLSettings(threshold=1.5)


def test_contrast_without_a_pair_is_refused_and_rows_without_one_are_left_out():
    with pytest.raises(ValueError, match="give a larger batch"):
        info_nce(torch.zeros(1, 1), torch.zeros(1, 1, dtype=torch.bool))
    pairs = torch.tensor([[True, False], [False, False]])
    found = info_nce(torch.tensor([[1.0, 0.0], [5.0, 0.0]]), pairs)
    assert found.item() == pytest.approx(math.log(1 + math.exp(-1)))


class LongAxis:
    """A task of CineMA's network for four-chamber views, as far as its start needs one."""

    def network(self):
        config = MultiViewConfig({"lax_4c": ViewShape((48, 48))}, (4, 8), width=16, depth=1, heads=2)
        return ConvUNetR(config, 4, (4, 4, 6, 6, 8))


@pytest.mark.parametrize("name", METHODS)
def test_a_task_of_cinemas_network_starts_from_the_transformer_that_a_method_taught(name, slices, tmp_path):
    method = METHODS[name](slices, small(name, VIT))
    recipe = Recipe(method.settings.as_json(), MODULES[name].descent("sound", 4), Schedule(2, 4, 1, 2))
    learned = fit(recipe, method, tmp_path / recipe.key).state_dict()
    task = LongAxis()
    network = task.network()
    begin(network, task, recipe, tmp_path / "task")
    prefix = "teacher.encoder.vit." if name == "dino" else "encoder.vit."
    own, taken = network.state_dict(), 0
    for tensor in own:
        if prefix + tensor in learned and not tensor.endswith("pos_embed"):
            assert torch.equal(own[tensor], learned[prefix + tensor])
            taken += 1
    assert taken > 20
    fresh = [n for n in own if prefix + n not in learned]
    assert all("enc_down_dict" not in n and not n.startswith("encoder") for n in fresh)


def test_rank_and_spread_are_those_of_known_features():
    rng = torch.Generator().manual_seed(0)
    line = torch.randn(30, 1, generator=rng) @ torch.randn(1, 7, generator=rng)
    assert effective_rank(line) == pytest.approx(1, abs=1e-3)
    assert effective_rank(torch.eye(6)) == pytest.approx(5, abs=1e-4)
    assert effective_rank(torch.ones(5, 3)) == 0
    assert spread(torch.ones(5, 3)) == pytest.approx(0, abs=1e-3)
    assert spread(torch.randn(4000, 8, generator=rng)) == pytest.approx(1, abs=0.01)


def test_a_collapse_is_told_once_in_words(recwarn):
    watch = CollapseWatch("SimCLR", patience=3, grace=2)
    alike = torch.ones(6, 4) + 1e-4 * torch.randn(6, 4)
    for _ in range(4):
        watch(alike)
    assert not recwarn.list
    with pytest.warns(CollapseWarning, match="SimCLR gives nearly the same answer for every slice"):
        watch(alike)
    for _ in range(5):
        watch(alike)
    assert not recwarn.list


def test_features_that_differ_never_warn(recwarn):
    watch = CollapseWatch("SimCLR", patience=1, grace=0)
    for seed in range(5):
        watch(torch.randn(6, 4, generator=torch.Generator().manual_seed(seed)))
    assert not recwarn.list


def test_a_network_that_truly_collapses_is_told_and_its_log_shows_how(slices, tmp_path):
    # where every slice belongs with every other, the loss is least for one answer to all of them
    method = pcl.PCL(slices, replace(small("pcl"), threshold=1.0))
    rate = replace(pcl.descent("sound", 1), rate=0.05, warmup=5, curve="constant")
    lines = []
    with pytest.warns(CollapseWarning, match="PCL gives nearly the same answer for every slice .* it has collapsed"):
        fit(Recipe(method.settings.as_json(), rate, Schedule(90, 6, 10, 90)), method, tmp_path, lines.append)
    assert lines[0]["feature_spread"] > lines[-1]["feature_spread"]
    assert lines[-1]["feature_spread"] < CollapseWatch.spread
    assert lines[-1]["loss"] == pytest.approx(math.log(11), abs=0.02)  # of twelve copies each chooses among eleven


def test_a_stack_of_one_slice_is_learned_from_by_every_method(slices):
    alone = [replace(s, number=0, of=1) for s in slices[:1]] * 2
    for name, method in METHODS.items():
        objective = method(alone, small(name))
        network = objective.network().train()
        loss = objective.loss(network, objective.batch(np.random.default_rng(0), 2)).total
        loss.backward()
        assert math.isfinite(loss.item())


def test_a_crop_larger_than_the_image_is_dark_around_it_for_every_method(slices):
    wide = Geometry(pixels=32, spacing_mm=8.0, shift=0, turn=0, scale=(1, 1), mirror=0)  # 256 mm around 64 mm
    for name in ("simclr", "pcl", "mim"):
        settings = replace(small(name), geometry=wide, intensity=small(name).intensity.off())
        images = METHODS[name](slices, settings).batch(np.random.default_rng(0), 2).images
        told = slices[0].intensities
        assert images[:, 0, 0, 0].tolist() == pytest.approx([-told.mean / told.deviation] * len(images), rel=1e-4)
        assert images[:, 0, 12:20, 12:20].amax() > images[:, 0, 0, 0].max()
