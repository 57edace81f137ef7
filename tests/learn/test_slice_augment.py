"""Geometry and brightness of slices: equal to the published code, batch or one by one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cinecmr.learn import slice_intensity as brightness
from cinecmr.learn.slice_geometry import Geometry, Moves, back, matrices, sample
from cinecmr.learn.slice_intensity import SliceIntensity
from cinecmr.learn.slices import Intensities, Slice

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "ssp"
GRID = Geometry(pixels=32, spacing_mm=1.25)


@pytest.fixture(scope="module")
def given():
    return load_file(FIXTURES / "resampling.safetensors")


@pytest.fixture(scope="module")
def steps():
    return load_file(FIXTURES / "intensity_schedules.safetensors")


def made(pixels, labels=None, centre=None, spacing=(1.4, 1.1)):
    return Slice("anna", pixels.numpy(), spacing, Intensities(0, 1, 2), 0, 1, 0, labels, centre)


def moves(turn=0.0, scale=(1.0, 1.0), shift=(0.0, 0.0)):
    return Moves(np.array([turn]), np.array([scale]), np.array([shift]))


def test_a_slice_on_the_networks_grid_is_the_published_one(given):
    one = made(given["image"][0])
    matrix = matrices([one], moves(), GRID)
    found = sample([one.pixels], matrix, 32)
    torch.testing.assert_close(found[0], given["plain/image"], atol=1e-5, rtol=1e-5)
    labels = sample([given["label"][0].numpy()], matrix, 32, "nearest")
    torch.testing.assert_close(labels[0], given["plain/label"])


def test_a_moved_slice_is_the_published_one(given):
    geometry = Geometry(pixels=32, spacing_mm=1.25, centring="labels", exact_centre=False)
    one = made(given["image"][0], centre=tuple(given["gt_center"].tolist()))
    matrix = matrices([one], moves(33.0, (-0.8, 0.8), (5.0, -7.0)), geometry)
    found = sample([one.pixels], matrix, 32)[0]  # what is stored was made in single precision: 1.5e-5 off the exact
    torch.testing.assert_close(found, given["augmented/image"], atol=2e-5, rtol=1e-5)
    labels = sample([given["label"][0].numpy()], matrix, 32, "nearest")
    torch.testing.assert_close(labels[0], given["augmented/label"])


def test_scores_come_back_to_the_slices_own_pixels(given):
    stack = [made(given["volume"][0, :, :, z].contiguous()) for z in range(3)]
    still = Moves(np.zeros(3), np.ones((3, 2)), np.zeros((3, 2)))
    there = sample([s.pixels for s in stack], matrices(stack, still, GRID.still()), 32)
    torch.testing.assert_close(there[:, 0].movedim(0, -1)[None], given["prediction/forward"], atol=1e-5, rtol=1e-5)
    found = back(given["prediction/logits"].movedim(-1, 0), stack, GRID.still())
    torch.testing.assert_close(torch.stack(found, -1), given["prediction/inverse"], atol=1e-5, rtol=1e-5)


def test_slices_of_different_sizes_are_read_together_as_alone():
    rng = np.random.default_rng(0)
    planes = [torch.from_numpy(rng.random(size, np.float32)) for size in ((20, 31), (33, 18))]
    both = [made(p, spacing=(1.5, 1.2)) for p in planes]
    drawn = GRID.draw(rng, 2)
    together = sample([s.pixels for s in both], matrices(both, drawn, GRID), 32)
    for number, one in enumerate(both):
        alone = Moves(*(getattr(drawn, name)[number : number + 1] for name in ("turn", "scale", "shift")))
        torch.testing.assert_close(
            together[number : number + 1], sample([one.pixels], matrices([one], alone, GRID), 32), atol=1e-5, rtol=1e-5
        )


def test_an_exact_centre_puts_the_heart_in_the_middle():
    pixels = torch.zeros(40, 30)
    pixels[10, 21] = 1
    one = made(pixels, centre=(10, 21), spacing=(1.25, 1.25))
    geometry = Geometry(pixels=33, spacing_mm=1.25, centring="labels")
    found = sample([one.pixels], matrices([one], moves(), geometry), 33)[0, 0]
    assert divmod(int(found.argmax()), 33) == (16, 16)


def test_a_crop_larger_than_the_image_is_dark_outside():
    one = made(torch.ones(10, 10), spacing=(1.25, 1.25))
    found = sample([one.pixels], matrices([one], moves(), GRID.still()), 32, "nearest")[0, 0]
    assert found.sum() == 100
    assert found[:11].abs().max() == 0


def test_a_heart_without_labels_cannot_be_centred():
    with pytest.raises(ValueError, match="heart of anna, who has no labels"):
        matrices([made(torch.ones(4, 4))], moves(), Geometry(centring="labels"))


def test_geometry_that_makes_no_grid_is_refused():
    with pytest.raises(ValueError, match="scale must be above 0"):
        Geometry(scale=(1.4, 0.7))
    with pytest.raises(ValueError, match="no centring 'heart': there are field, labels"):
        Geometry(centring="heart")


def test_every_draw_follows_from_the_generator_and_stays_in_its_range():
    drawn, again = (Geometry().draw(np.random.default_rng(3), 200) for _ in range(2))
    np.testing.assert_array_equal(drawn.scale, again.scale)
    assert np.abs(drawn.scale).min() >= 0.7
    assert np.abs(drawn.scale).max() <= 1.4
    assert (np.abs(drawn.scale[:, 0]) == np.abs(drawn.scale[:, 1])).all()
    assert np.abs(drawn.shift).max() <= 40
    assert {(-1, -1), (-1, 1), (1, -1), (1, 1)} == {tuple(s) for s in np.sign(drawn.scale).astype(int).tolist()}


def test_each_change_of_brightness_is_the_published_one(steps):
    image = steps["image"][None]
    torch.testing.assert_close(image * (1 + 0.6), steps["scale_factor_0.6"][None])
    bent = brightness.bent(image - 1, torch.tensor(0.7))
    torch.testing.assert_close(bent, steps["gamma_0.7"][None], atol=1e-5, rtol=1e-5)
    soft = brightness.blurred(image, np.array([[0.5, 1.5]]))
    torch.testing.assert_close(soft, steps["smooth_0.5_1.5"][None], atol=1e-5, rtol=1e-5)
    sunny = brightness.solarised(image - 1, torch.tensor(2.0))
    torch.testing.assert_close(sunny, steps["solarize_max2.0"][None], atol=1e-5, rtol=1e-5)


def only(**chances):
    return SliceIntensity(**{**SliceIntensity().off().__dict__, **chances})


@pytest.mark.parametrize("adds", [True, False])
def test_the_published_code_adds_one_to_the_factor_and_the_sound_one_does_not(steps, adds):
    change = only(factor=(0.6, 0.6), factor_chance=1.0, factor_adds=adds)
    found = change(steps["image"][None], np.random.default_rng(0))
    wanted = steps["scale_factor_0.6"] if adds else 0.6 * steps["image"]
    torch.testing.assert_close(found[0], wanted)


def test_no_chance_means_no_change(steps):
    image = steps["image"][None]
    assert torch.equal(SliceIntensity().off()(image, np.random.default_rng(0)), image)


def test_a_blurred_batch_is_blurred_one_by_one():
    images = torch.randn(3, 1, 12, 14)
    widths = np.array([[0.5, 2.0], [1.0, 0.1], [1.5, 1.5]])
    alone = [brightness.blurred(images[i : i + 1], widths[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(brightness.blurred(images, widths), torch.cat(alone), atol=1e-6, rtol=1e-6)


def test_gamma_that_keeps_statistics_keeps_mean_and_deviation():
    images = torch.randn(2, 1, 9, 9) * 3 + 1
    found = brightness.bent(images, torch.tensor(1.4), inverted=True, keep_statistics=True)
    assert not torch.allclose(found, images, atol=0.1)
    torch.testing.assert_close(found.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.std((1, 2, 3)), images.std((1, 2, 3)), atol=1e-4, rtol=1e-4)


def test_contrast_keeps_the_range_and_coarseness_the_size():
    images = torch.randn(2, 1, 8, 8)
    found = brightness.contrasted(images, torch.tensor(1.25))
    assert found.max() <= images.max()
    assert found.min() >= images.min()
    assert brightness.coarsened(images[:1], 0.5).shape == images[:1].shape
    torch.testing.assert_close(brightness.coarsened(images[:1], 1.0), images[:1], atol=1e-5, rtol=1e-5)


def test_a_slice_is_standardised_by_its_whole_cine():
    slices = [Slice("anna", np.ones((2, 2), np.float32), (1, 1), Intensities(3, 2, 9), 0, 1, 0)]
    found, top = brightness.standardised(torch.full((1, 1, 2, 2), 7.0), slices)
    assert found.unique().item() == 2
    assert top.item() == 3


def test_all_changes_together_give_finite_images_that_follow_the_generator():
    every = {name: 1.0 for name in SliceIntensity.__dataclass_fields__ if name.endswith("_chance")}
    images, change = torch.randn(3, 1, 8, 8), SliceIntensity(**every)
    found, again = (change(images, np.random.default_rng(1), torch.ones(3)) for _ in range(2))
    assert torch.isfinite(found).all()
    assert torch.equal(found, again)
    assert not torch.allclose(found, images)
